"""How well a marker of responsible gambling finds the loss chasers that the simulator plants among heavy players.

The others play as much, as late and at the same stakes, but for what they do after a loss. Thresholds are fixed on some
seeds and judged on others. The features are those of the project's own statements.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from bench.figures import Figure
from crmbet.contracts import load_source_contracts, load_table_contract
from crmbet.engine import open_engine
from crmbet.features import bind_variables, compute_themes
from crmbet.run import Run, RunParams
from crmbet.settings import Settings
from crmbet.statements import Fragment, identifier, joined, literal, render, statement
from crmbet.typing_rules import typed_columns
from crmbet.window import Window, midnight
from local.simulator import World, simulate
from local.simulator.archetypes import LOSS_CHASING
from local.simulator.simulation import name_archetypes

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

START = date(2026, 1, 5)
DAYS = 60
"""Two in three players come in the first weeks: most have a whole month behind them."""
NOBODY_CHASES = {"heavy": 1.0}
A_FIFTH_CHASES = {"heavy": 0.8, "loss_chaser": 0.2}
ALL_CHASE = {"loss_chaser": 1.0}
FIXING_SEEDS, JUDGED_SEEDS = (1, 2), (3, 4)
FALSE_POSITIVES = 0.05
HEAVY_DAYS = 15
"""Bet days of the last 30 from which a player counts as heavy: every second day."""
LEAST_RECALL = 0.9
WEAK_FACTOR = 1.25
"""Of the stakes, a losing session in a row, where the planted effect is weak."""


def measure(players: int) -> list[Figure]:
    """Fix a threshold of rg_loss_chasing_30d on some worlds of so many players, and find chasers in others."""
    import pandas as pd

    threshold = fix_threshold(
        pd.concat([play(_world(seed, players, NOBODY_CHASES)) for seed in FIXING_SEEDS])
    )
    judged = pd.concat([play(_world(seed, players, A_FIFTH_CHASES)) for seed in JUDGED_SEEDS])
    weak = replace(
        _world(JUDGED_SEEDS[0], players // 2, ALL_CHASE),
        chasing=replace(LOSS_CHASING, stake_factor=WEAK_FACTOR),
    )
    heavy = judged[is_heavy(judged)]
    lighter = judged[~is_heavy(judged) & (judged["rg_frequency_30d"] > 0)]
    weakly = play(weak)
    weakly = weakly[is_heavy(weakly)]
    found, wrong = shares_found(heavy, threshold)
    reasons = heavy["rg_markers_triggered"].map(lambda markers: "loss_chasing" in markers)
    banded = heavy["rg_risk_band"].isin(["medium", "high"])
    chasers = heavy["archetype"] == "loss_chaser"
    return [
        Figure(
            name="recall of chasers by rg_loss_chasing_30d",
            value=found,
            unit="share",
            least=LEAST_RECALL,
            note=f"{chasers.sum()} of {len(heavy):,} players with {HEAVY_DAYS}+ bet days of 30; "
            f"threshold {threshold:.3f} from seeds {FIXING_SEEDS}, judged on {JUDGED_SEEDS}",
        ),
        Figure(
            name="its false positives",
            value=wrong,
            unit="share",
            note=f"{FALSE_POSITIVES:.0%} on the seeds that fixed it",
        ),
        Figure(
            name="recall among players of fewer bet days",
            value=shares_found(lighter, threshold)[0],
            unit="share",
            note="many have too few sessions for the marker, which counts as not found",
        ),
        Figure(
            name="recall of weak chasing",
            value=shares_found(weakly, threshold)[0],
            unit="share",
            note=f"stakes x {WEAK_FACTOR} a lost session, not x {LOSS_CHASING.stake_factor}",
        ),
        Figure(
            name="recall of the reason code, thresholds of this very cohort",
            value=float(reasons[chasers].mean()),
            unit="share",
            note=f"others {reasons[~chasers].mean():.3f}; where a fifth chases, few are in the top twentieth",
        ),
        Figure(
            name="chasers in band medium or high, likewise",
            value=float(banded[chasers].mean()),
            unit="share",
            note=f"others {banded[~chasers].mean():.3f}",
        ),
    ]


def fix_threshold(frame: pd.DataFrame) -> float:
    """Of rg_loss_chasing_30d, above which a twentieth of the heavy players are who do not chase."""
    others = frame[is_heavy(frame) & (frame["archetype"] != "loss_chaser")]
    return float(others["rg_loss_chasing_30d"].quantile(1 - FALSE_POSITIVES, interpolation="higher"))


def shares_found(frame: pd.DataFrame, threshold: float) -> tuple[float, float]:
    """Shares of the chasers and of the others that are above a threshold; an undefined marker is not."""
    found = frame["rg_loss_chasing_30d"] > threshold
    chasers = frame["archetype"] == "loss_chaser"
    return float(found[chasers].mean()), float(found[~chasers].mean())


def is_heavy(frame: pd.DataFrame) -> pd.Series:
    """Who bet on every second day."""
    return frame["active_days_30d"] >= HEAVY_DAYS


def _world(seed: int, players: int, shares: Mapping[str, float]) -> World:
    return World(
        seed=seed, players=players, start_day=START, end_day=START + timedelta(days=DAYS), shares=shares
    )


def play(world: World) -> pd.DataFrame:
    """The feature table of a world as of its end, by player, with the archetype as a column of its own."""
    settings = Settings.model_validate({"lake_bucket": "none"})
    run = Run(
        run_id="bench",
        window=Window(as_of_date=world.end_day, as_of=midnight(world.end_day, settings.zone)),
        known_at=datetime(2030, 1, 1, tzinfo=UTC),
        params=RunParams(),
        settings=settings,
    )
    with open_engine(settings) as engine:
        bind_variables(engine, run)
        _create_cleaned(engine, world)
        query, _ = compute_themes(
            engine,
            run,
            load_table_contract(),
            state=Fragment(f"({statement('state/summarise_days')})"),
            sessions=_sessions(world),
        )
        frame = engine.execute(query).to_arrow_table().to_pandas().set_index("user_id")
    return frame.assign(archetype=frame.index.map(name_archetypes(world)))


def _create_cleaned(engine: duckdb.DuckDBPyConnection, world: World) -> None:
    """The sources as cleaning would leave them: the simulator's tables have no dirt yet."""
    import pyarrow as pa

    parts: dict[str, list[pa.Table]] = {}
    for batch in simulate(world):
        for feed, table in batch.tables.items():
            if feed == "players" and not batch.is_last_day:
                continue
            parts.setdefault(feed, []).append(table)
    for feed, contract in load_source_contracts().items():
        name = identifier("recorded" if feed == "sessions" else feed)
        rows = pa.concat_tables(parts[feed])
        engine.execute(
            f"CREATE TEMPORARY TABLE {name} AS {render('clean/no_rows', columns=typed_columns(contract))}"
        )
        known = [identifier(column) for column in rows.column_names if column in contract.columns]
        day = "NULL"
        if contract.event_time:
            day = f"local_time({identifier(contract.event_time)}::TIMESTAMP, getvariable('operator_zone'))::DATE"
        engine.register("simulated", rows)
        engine.execute(f"INSERT INTO {name} BY NAME SELECT {joined(known)}, {day} AS _day FROM simulated")
        engine.unregister("simulated")


def _sessions(world: World) -> Fragment:
    days = joined(
        [
            Fragment(f"DATE {literal((world.end_day - timedelta(days=back)).isoformat())}")
            for back in range(1, 31)
        ]
    )
    bets = Fragment(f"({render('sessions/assign_bets', days=days)})")
    recorded = Fragment("(SELECT * FROM recorded WHERE _day > getvariable('last_day') - INTERVAL 30 DAYS)")
    return Fragment(f"({render('sessions/add_bets', recorded=recorded, session_bets=bets)})")
