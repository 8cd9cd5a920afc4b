"""How well a marker of responsible gambling finds the loss chasers that the simulator plants among heavy players.

The others play as much, as late and at the same stakes. They differ only in what they do after a loss. Cut-offs are
fixed on some seeds and judged on others. The features come from the project's own statements.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from bench.figures import Figure
from crmbet.contracts.files import load_source_contracts, load_table_contract
from crmbet.contracts.typing import typed_columns
from crmbet.databases.duckdb import open_engine
from crmbet.databases.statements import Fragment, identifier, joined, literal, render, statement
from crmbet.features.themes import compute_themes, feature_queries
from crmbet.features.variables import bind_variables
from crmbet.run.params import RunParams
from crmbet.run.run import Run
from crmbet.run.settings import Settings
from crmbet.run.window import Window, midnight
from local.simulator import World, simulate
from local.simulator.archetypes import LOSS_CHASING
from local.simulator.simulation import name_archetypes

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

START = date(2026, 1, 5)
DAYS = 60
"""Two in three players come in the first weeks, so most have played for a whole month."""
NOBODY_CHASES = {"heavy": 1.0}
A_FIFTH_CHASES = {"heavy": 0.8, "loss_chaser": 0.2}
ALL_CHASE = {"loss_chaser": 1.0}
FIXING_SEEDS, JUDGED_SEEDS = (1, 2), (11, 12)
FALSE_POSITIVES = 0.05
HEAVY_DAYS = 15
"""A player with at least so many bet days in the last 30 counts as heavy: every second day."""
LEAST_RECALL = 0.9
WEAK_FACTOR = 1.25
"""Factor on the stakes per losing session in a row in the world with a weak effect."""


def measure(players: int) -> list[Figure]:
    """Fix cut-offs on some worlds with this number of players, and find chasers in others."""
    import pandas as pd

    first, frozen = play(_world(FIXING_SEEDS[0], players, NOBODY_CHASES))
    others = [play(_world(seed, players, NOBODY_CHASES), frozen)[0] for seed in FIXING_SEEDS[1:]]
    fixing = pd.concat([first, *others])
    judged = pd.concat([play(_world(seed, players, A_FIFTH_CHASES), frozen)[0] for seed in JUDGED_SEEDS])
    weak = replace(
        _world(JUDGED_SEEDS[0], players // 2, ALL_CHASE),
        chasing=replace(LOSS_CHASING, stake_factor=WEAK_FACTOR),
    )
    weakly, _ = play(weak, frozen)

    heavy = judged[is_heavy(judged)]
    chasers = heavy["archetype"] == "loss_chaser"
    cut_off = fix_cut_off(evidence(fixing[is_heavy(fixing)]))
    found, wrong = shares_found(heavy, evidence(heavy) > cut_off)
    at_best, _ = shares_found(heavy, evidence(heavy) > fix_cut_off(evidence(heavy[~chasers])))
    alone = fix_cut_off(fixing[is_heavy(fixing)]["rg_loss_chasing_30d"])
    alone_found, alone_wrong = shares_found(heavy, heavy["rg_loss_chasing_30d"] > alone)
    lighter = judged[~is_heavy(judged) & (judged["active_days_30d"] > 0)]
    lighter_found, lighter_wrong = shares_found(lighter, evidence(lighter) > cut_off)
    weakly = weakly[is_heavy(weakly)]
    weakly_found, _ = shares_found(weakly, evidence(weakly) > cut_off)
    banded_found, banded_wrong = shares_found(heavy, heavy["rg_risk_band"].isin(["medium", "high"]))
    of_cohort = judged["rg_loss_chasing_30d"].quantile(0.95)
    crowd_found, crowd_wrong = shares_found(heavy, heavy["rg_loss_chasing_30d"] >= of_cohort)

    def figure(name: str, value: float, note: str, least: float | None = None) -> Figure:
        return Figure(name=name, value=value, unit="share", least=least, note=note)

    return [
        figure(
            "recall of heavy chasers",
            found,
            f"{chasers.sum()} of {len(heavy):,} players with {HEAVY_DAYS}+ bet days of 30; rg_loss_chasing_30d + "
            f"rg_risk_score above {cut_off:.3f}, from seeds {FIXING_SEEDS}, judged on {JUDGED_SEEDS}",
            least=LEAST_RECALL,
        ),
        figure(
            "its false positives",
            wrong,
            f"{FALSE_POSITIVES:.0%} on the seeds that fixed the cut-off; "
            f"with the same share on these seeds the recall is {at_best:.3f}",
        ),
        figure("by rg_loss_chasing_30d alone", alone_found, f"false {alone_wrong:.3f}; cut-off {alone:.3f}"),
        figure(
            "recall among players of fewer bet days",
            lighter_found,
            f"false {lighter_wrong:.3f}; a player with too few sessions for the marker counts as not found",
        ),
        figure(
            "recall of weak chasing",
            weakly_found,
            f"stakes x {WEAK_FACTOR} a lost session, not x {LOSS_CHASING.stake_factor}",
        ),
        figure("in band medium or high", banded_found, f"false {banded_wrong:.3f}"),
        figure(
            "by rg_loss_chasing_30d, 95th percentile of this cohort",
            crowd_found,
            f"false {crowd_wrong:.3f}; if a fifth of players chases, few of them are in the top twentieth",
        ),
    ]


def evidence(frame: pd.DataFrame) -> pd.Series:
    """What players are ranked by: how much losses raise the stakes, plus the share of all markers."""
    return frame["rg_loss_chasing_30d"] + frame["rg_risk_score"]


def fix_cut_off(scores: pd.Series) -> float:
    """The score that a twentieth of players who do not chase exceed. An undefined score counts as lower than all."""
    return float(scores.fillna(-1.0).quantile(1 - FALSE_POSITIVES, interpolation="higher"))


def shares_found(frame: pd.DataFrame, found: pd.Series) -> tuple[float, float]:
    """Shares of the chasers and of the others that were found."""
    chasers = frame["archetype"] == "loss_chaser"
    return float(found[chasers].mean()), float(found[~chasers].mean())


def is_heavy(frame: pd.DataFrame) -> pd.Series:
    """Which players bet on every second day or more."""
    return frame["active_days_30d"] >= HEAVY_DAYS


def _world(seed: int, players: int, shares: Mapping[str, float]) -> World:
    return World(
        seed=seed, players=players, start_day=START, end_day=START + timedelta(days=DAYS), shares=shares
    )


def play(world: World, cut_offs: Mapping[str, float] | None = None) -> tuple[pd.DataFrame, dict[str, float]]:
    """The feature table of a world as of its end, by player, with a column `archetype`, and the markers' cut-offs.

    `cut_offs` are those that an earlier world froze. With None this world sets its own.
    """
    settings = Settings(lake_bucket="none")
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
        compute_themes(
            engine,
            run,
            state=Fragment(f"({statement('features/state/summarise_days')})"),
            sessions=_sessions(world),
            cut_offs=cut_offs,
        )
        (query,) = feature_queries(engine, run, load_table_contract())
        frame = engine.execute(query).to_arrow_table().to_pandas().set_index("user_id")
        used = dict(engine.execute(statement("features/themes/used_cut_offs")).fetchall())
    return frame.assign(archetype=frame.index.map(name_archetypes(world))), used


def _create_cleaned(engine: duckdb.DuckDBPyConnection, world: World) -> None:
    """Create the sources as cleaning would leave them, since the simulator's tables have no dirt yet."""
    import pyarrow as pa

    parts: dict[str, list[pa.Table]] = {}
    for batch in simulate(world):
        for feed, table in batch.tables.items():
            if feed == "players" and not batch.is_last_day:
                continue
            parts.setdefault(feed, []).append(table)
    contracts = load_source_contracts()
    none = Fragment(statement("features/themes/no_unreadable_exclusions"))
    engine.execute(render("databases/create_view", name=identifier("unreadable_exclusions"), rows=none))
    for feed, tables in parts.items():
        contract = contracts[feed]
        name = identifier("recorded" if feed == "sessions" else feed)
        rows = pa.concat_tables(tables)
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
    bets = Fragment(f"({render('features/sessions/assign_bets', days=days)})")
    recorded = Fragment("(SELECT * FROM recorded WHERE _day > getvariable('last_day') - INTERVAL 30 DAYS)")
    return Fragment(f"({render('features/sessions/add_bets', recorded=recorded, session_bets=bets)})")
