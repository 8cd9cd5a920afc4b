"""The habits by which the archetypes can be told apart, and the effect that loss chasers carry."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest

from local.simulator import World
from local.simulator.archetypes import ARCHETYPES, NAMES
from local.simulator.population import draw_population
from tests.unit.simulator.history import History

pytestmark = pytest.mark.unit


def local_hours(history: History, zone: str | None) -> pd.Series:
    """Hours of the players' own clocks at which those of a zone place bets on days without football."""
    players = history.tables["players"].drop_duplicates("user_id").set_index("user_id")["timezone"]
    bets = history.tables["bets"]
    operator_day = bets["placed_at"].dt.tz_convert("America/Sao_Paulo").dt.day_of_week
    of_zone = bets[(bets["user_id"].map(players) == zone) & ~operator_day.isin([2, 5, 6])]
    return of_zone["placed_at"].dt.tz_convert(zone).dt.hour


def circular_mean(hours: pd.Series) -> float:
    angle = np.angle(np.exp(2j * np.pi * hours / 24).mean())
    return float(angle * 24 / (2 * np.pi) % 24)


@pytest.mark.parametrize("players", [100, 1_234, 50_000])
def test_archetypes_have_their_shares(players: int) -> None:
    world = World(seed=3, players=players, start_day=date(2026, 1, 1), end_day=date(2026, 1, 2))
    counts = np.bincount(draw_population(world, world.shards()[0]).archetype, minlength=len(ARCHETYPES))
    assert np.abs(counts - np.array([kind.share for kind in ARCHETYPES]) * players).max() <= 1


def test_shares_of_archetypes_and_games_are_whole() -> None:
    assert sum(kind.share for kind in ARCHETYPES) == pytest.approx(1)
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.full
def test_players_keep_to_their_own_clock() -> None:
    """Rio Branco is two hours behind Sao Paulo: an evening there is an evening on its own clock."""
    history = History.of(World(seed=5, players=3_000, start_day=date(2026, 3, 2), end_day=date(2026, 4, 1)))
    peaks = {
        zone: circular_mean(local_hours(history, zone))
        for zone in ("America/Sao_Paulo", "America/Rio_Branco")
    }
    assert peaks["America/Sao_Paulo"] == pytest.approx(21, abs=1.5)
    assert peaks["America/Rio_Branco"] == pytest.approx(peaks["America/Sao_Paulo"], abs=1.0)


@pytest.mark.full
def test_football_days_belong_to_esportes(history: History) -> None:
    bets = history.tables["bets"]
    weekday = bets["placed_at"].dt.tz_convert("America/Sao_Paulo").dt.day_of_week
    share = (bets["game_type"] == "esportes").groupby(weekday).mean()
    assert share[[2, 5, 6]].min() > 1.3 * share[[0, 1, 3, 4]].max()


@pytest.mark.full
def test_casual_players_prefer_weekends(history: History) -> None:
    bets = history.tables["bets"]
    casual = bets[history.kind(bets) == "casual"]
    weekend = casual["placed_at"].dt.tz_convert("America/Sao_Paulo").dt.day_of_week >= 5
    assert weekend.mean() > 2 / 7 + 0.05


@pytest.mark.full
def test_stakes_and_bonuses_set_archetypes_apart(history: History) -> None:
    bets = history.tables["bets"]
    kind = history.kind(bets)
    median = bets.groupby(kind)["stake"].median()
    assert median["high_roller"] > 10 * median["regular"] > 10 * 100
    bonus = bets.groupby(kind)["is_bonus"].mean()
    assert bonus["bonus_hunter"] > 3 * bonus["regular"]


@pytest.mark.full
def test_archetypes_come_and_go_as_they_should(history: History) -> None:
    bets = history.tables["bets"]
    days = bets.assign(
        kind=history.kind(bets), day=bets["placed_at"].dt.tz_convert("America/Sao_Paulo").dt.date
    )
    played = days.drop_duplicates(["user_id", "day"])
    per_player = played.groupby(["kind", "user_id"]).size()
    assert per_player["one_time"].max() == 1
    assert per_player["regular"].median() > 5
    assert "never_active" not in set(played["kind"])
    never = history.archetype.index[history.archetype == "never_active"]
    assert set(never) & set(history.tables["players"]["user_id"]), "they are registered all the same"

    last = pd.to_datetime(played.groupby("user_id")["day"].max())
    idle = (pd.Timestamp(history.world.end_day) - last).dt.days.groupby(history.archetype).median()
    assert idle["churned"] > 30 > idle["regular"]
    gaps = played.sort_values("day").groupby("user_id")["day"].diff().map(lambda gap: getattr(gap, "days", 0))
    returned = played["user_id"][gaps > 31].map(history.archetype).value_counts()
    assert returned["reactivated"] > 0.5 * (history.archetype == "reactivated").sum()


def chasing(history: History) -> tuple[pd.Series, pd.Series]:
    """P(higher mean stake in the next session within 24 h | loss) - P(the same | win), by being a chaser."""
    bets = history.tables["bets"].dropna(subset=["payout"])
    of_session = bets.groupby("session_id").agg(
        mean=("stake", "mean"), staked=("stake", "sum"), paid=("payout", "sum")
    )
    sessions = history.tables["sessions"].set_index("session_id").join(of_session, how="inner")
    sessions = sessions.sort_values(["user_id", "started_at"])
    following = sessions.groupby("user_id")[["started_at", "mean"]].shift(-1)
    soon = following["started_at"] - sessions["ended_at"] <= pd.Timedelta(hours=24)
    pairs = pd.DataFrame(
        {
            "chaser": history.kind(sessions) == "loss_chaser",
            "loss": sessions["staked"] > sessions["paid"],
            "higher": following["mean"] > sessions["mean"],
        }
    )[soon & (sessions["staked"] != sessions["paid"])]
    rates = pairs.groupby(["chaser", "loss"])["higher"].agg(["mean", "size"]).unstack()
    return rates["mean"][True] - rates["mean"][False], rates["size"].min(axis=1)


@pytest.mark.full
@pytest.mark.parametrize("seed", [1, 2])
def test_loss_chasers_carry_the_documented_effect(seed: int) -> None:
    history = History.of(
        World(seed=seed, players=1_500, start_day=date(2026, 3, 2), end_day=date(2026, 5, 4))
    )
    effect, pairs = chasing(history)
    assert pairs.min() > 500
    assert effect[True] == pytest.approx(0.5, abs=0.08)
    assert effect[False] == pytest.approx(0.0, abs=0.06)
