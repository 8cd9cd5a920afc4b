"""The rules that no simulated day may break, whatever the seed and the calendar."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.simulator import World
from tests.tiers import examples
from tests.unit.simulator.history import History

pytestmark = pytest.mark.unit

ZONE = "America/Sao_Paulo"

worlds = st.builds(
    lambda seed, start, days: History.of(World(seed, 150, start, start + timedelta(days=days))),
    seed=st.integers(0, 2**32),
    # 2018-02-17 lasts 25 hours in Sao Paulo and 2018-11-04 has no midnight.
    start=st.sampled_from([date(2018, 2, 14), date(2018, 11, 1), date(2024, 2, 27), date(2026, 8, 1)]),
    days=st.integers(5, 9),
)


def wallet_entries(history: History) -> pd.DataFrame:
    """Everything that moves a balance, in order; at equal times money comes in before it goes out."""
    transactions, bets = history.tables["transactions"], history.tables["bets"]
    moved = transactions[
        (transactions["status"] == "completed") & ~transactions["transaction_type"].isin(["bet", "win"])
    ]
    amount = moved["amount"].where(moved["transaction_type"] != "withdrawal", -moved["amount"])
    cash = pd.DataFrame(
        {"user_id": moved["user_id"], "at": moved["created_at"], "order": -1, "amount": amount}
    )
    staked = pd.DataFrame(
        {
            "user_id": bets["user_id"],
            "at": bets["placed_at"].dt.tz_localize(None),
            "order": np.arange(len(bets)),
            "amount": bets["payout"].fillna(0) - bets["stake"],
            "stake": bets["stake"],
            "balance_after": bets["balance_after"],
        }
    )
    entries = pd.concat([cash, staked]).sort_values(["user_id", "at", "order"], kind="stable")
    entries["balance"] = entries.groupby("user_id")["amount"].cumsum()
    return entries


def check_wallets(history: History) -> None:
    entries = wallet_entries(history)
    assert (entries["balance"] >= 0).all()
    bets = entries[entries["order"] >= 0]
    assert len(bets) > 0
    assert (bets["balance"] == bets["balance_after"]).all()
    assert (bets["balance"] - bets["amount"] >= bets["stake"]).all(), "a stake exceeds the balance before it"


def check_sessions(history: History) -> None:
    sessions, bets = history.tables["sessions"], history.tables["bets"]
    assert sessions["session_id"].is_unique
    assert (sessions["started_at"] < sessions["ended_at"]).all()
    joined = bets.merge(sessions, on="session_id", suffixes=("", "_of_session"), validate="many_to_one")
    assert len(joined) == len(bets)
    assert (joined["user_id"] == joined["user_id_of_session"]).all()
    assert joined["placed_at"].between(joined["started_at"], joined["ended_at"]).all()
    ordered = sessions.sort_values(["user_id", "started_at"])
    gap = ordered.groupby("user_id")["started_at"].shift(-1) - ordered["ended_at"]
    assert not (gap < pd.Timedelta(0)).any(), "two sessions of a player overlap"


def check_calendar(history: History) -> None:
    first = pd.Timestamp(history.world.start_day).tz_localize(ZONE, nonexistent="shift_forward")
    end = pd.Timestamp(history.world.end_day).tz_localize(ZONE, nonexistent="shift_forward")
    for feed, column in (
        ("bets", "placed_at"), ("sessions", "started_at"), ("sessions", "ended_at"),
        ("communications", "sent_at"), ("communications", "opened_at"), ("communications", "clicked_at"),
        ("limits", "changed_at"),
    ):  # fmt: skip
        times = history.tables[feed][column].dropna()
        assert ((times >= first) & (times < end)).all(), f"{feed}.{column} leaves the world"
    created = history.tables["transactions"]["created_at"].dt.tz_localize("UTC")
    assert ((created >= first) & (created < end)).all()


@settings(max_examples=examples(3, full=12), deadline=None)
@given(worlds)
def test_no_day_breaks_the_rules(history: History) -> None:
    check_wallets(history)
    check_sessions(history)
    check_calendar(history)


@pytest.mark.full
def test_rules_hold_over_months(history: History) -> None:
    check_wallets(history)
    check_sessions(history)
    check_calendar(history)


@pytest.mark.full
def test_a_completed_deposit_comes_before_the_first_bet(history: History) -> None:
    transactions = history.tables["transactions"]
    deposits = transactions[
        (transactions["transaction_type"] == "deposit") & (transactions["status"] == "completed")
    ]
    first_deposit = deposits.groupby("user_id")["created_at"].min().dt.tz_localize("UTC")
    first_bet = history.tables["bets"].groupby("user_id")["placed_at"].min()
    assert (first_deposit.reindex(first_bet.index) < first_bet).all()


@pytest.mark.full
def test_nobody_acts_before_registering(history: History) -> None:
    players = history.tables["players"].drop_duplicates("user_id").set_index("user_id")["registered_at"]
    first_session = history.tables["sessions"].groupby("user_id")["started_at"].min()
    assert (players.reindex(first_session.index) < first_session).all()


@pytest.mark.full
def test_the_self_excluded_do_not_play(history: History) -> None:
    limits = history.tables["limits"]
    exclusions = limits[limits["kind"] == "self_exclusion"]
    assert len(exclusions) >= 5
    until = exclusions["changed_at"] + pd.to_timedelta(exclusions["new_value"].astype(float), unit="D")
    spells = exclusions.assign(until=until).merge(history.tables["sessions"], on="user_id")
    inside = (spells["started_at"] > spells["changed_at"]) & (spells["started_at"] < spells["until"])
    assert not inside.any()
    snapshot = history.tables["players"].drop_duplicates("user_id", keep="last").set_index("user_id")
    latest = exclusions.assign(until=until).groupby("user_id")["until"].max()
    assert (snapshot.loc[latest.index, "self_excluded_until"] == latest).all()


@pytest.mark.full
def test_every_kind_of_transaction_and_status_occurs(history: History) -> None:
    transactions = history.tables["transactions"]
    assert set(transactions["transaction_type"]) == {"deposit", "withdrawal", "bet", "win", "bonus", "refund"}
    assert set(transactions["status"]) == {"completed", "pending", "failed", "cancelled"}
    assert (transactions["amount"] > 0).all()
    assert transactions["transaction_id"].is_unique


@pytest.mark.full
def test_transactions_mirror_the_bets_of_the_operators_own_wallet(history: History) -> None:
    bets, transactions = history.tables["bets"], history.tables["transactions"]
    own = bets[bets["game_type"].isin(["esportes", "poker"])]
    mirrored = transactions[transactions["transaction_type"] == "bet"]
    won = transactions[transactions["transaction_type"] == "win"]
    assert (len(mirrored), mirrored["amount"].sum()) == (len(own), own["stake"].sum())
    assert (len(won), won["amount"].sum()) == ((own["payout"] > 0).sum(), own["payout"].sum())


@pytest.mark.full
def test_limits_carry_on_from_their_last_value(history: History) -> None:
    limits = history.tables["limits"]
    ordered = limits[limits["kind"] != "self_exclusion"].sort_values("changed_at")
    before = ordered.groupby(["user_id", "kind"])["new_value"].shift()
    later = ordered.groupby(["user_id", "kind"]).cumcount() > 0
    assert later.sum() > 20
    assert (ordered["old_value"].fillna(-1)[later] == before.fillna(-1)[later]).all()
    assert ordered["old_value"][~later].isna().all()
