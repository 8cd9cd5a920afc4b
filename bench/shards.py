"""What it costs to compute a table in parts: processor time of all parts and steps, over that of one machine.

Every part is a process of its own, as a task is. The two tables must be equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bench.apart import Apart
from bench.events import Events, deliver_bets, deliver_players, deliver_transactions
from bench.figures import Figure
from bench.pipeline import COMPUTING, EXTRACTS, features_of, run_tasks
from bench.workbench import PipelineRun, Workbench
from crmbet.databases.statements import Fragment
from crmbet.features.records import FeatureManifest
from crmbet.features.themes import players_of
from crmbet.run.records import read_manifest
from crmbet.run.shards import Shard

LIMIT = 1.25
LIMIT_OF_ALL = 0.1
LIMIT_OF_LARGEST = 1.3


def measure(workbench: Workbench, events: Events, count: int) -> list[Figure]:
    """Compute a table at once and in parts, from one set of captures for each."""
    with workbench.operator("shards") as operator:
        days = range(events.days)
        deliver_bets(operator, events, days)
        deliver_players(operator, events)
        deliver_transactions(operator, events, days)
        whole = PipelineRun(operator=operator, as_of=events.as_of(), known_after_minutes=20)
        in_parts = replace(whole, brand="in-parts", shards=count)
        run_tasks(whole, *EXTRACTS)
        run_tasks(in_parts, *EXTRACTS)
        at_once = [run_tasks(whole, task) for task in COMPUTING]
        parts = {"clean_parts": _run_parts(in_parts, "clean_parts")}
        clean = run_tasks(in_parts, "clean")
        parts |= {name: _run_parts(in_parts, name) for name in ("engineer_days", "engineer_players")}
        fits = run_tasks(in_parts, "engineer_fits:1 of 1")
        parts |= {"engineer_scores": _run_parts(in_parts, "engineer_scores")}
        engineer = run_tasks(in_parts, "engineer_features")
        differing = _differing(whole, in_parts)
        largest = _largest_share(in_parts) * count
    if differing:
        raise RuntimeError(f"{differing} players have another row if the table is computed in parts")
    one = sum(each.cpu_seconds for each in at_once)
    of_parts = sum(part.cpu_seconds for some in parts.values() for part in some)
    of_all = fits.cpu_seconds + engineer.cpu_seconds
    total = of_parts + clean.cpu_seconds + of_all
    size = f"{events.bets:,} bets, {events.transactions:,} transactions, {events.players:,} players, {count} parts"
    return [
        Figure(
            name="processor time in parts over that on one machine",
            value=total / one,
            unit="x",
            limit=LIMIT,
            note=f"{size}: {total:.1f} s and {one:.1f} s; no row differs",
        ),
        Figure(
            name="what needs all players, of all parts and steps",
            value=of_all / total,
            unit="",
            limit=LIMIT_OF_ALL,
            note=f"fits {fits.cpu_seconds:.1f} s ({_longest(fits)}); engineer_features {engineer.cpu_seconds:.1f} s "
            f"({_longest(engineer)}); clean {clean.cpu_seconds:.1f} s",
        ),
        Figure(
            name="rows of state of the largest part of the players, over their mean",
            value=largest,
            unit="x",
            limit=LIMIT_OF_LARGEST,
            note="the busiest hundredth of the players make a fifth of the visits",
        ),
        *(
            Figure(
                name=f"largest of {name}, over their mean",
                value=max(part.cpu_seconds for part in some)
                * len(some)
                / sum(part.cpu_seconds for part in some),
                unit="x",
                limit=LIMIT_OF_LARGEST,
                note=", ".join(f"{part.cpu_seconds:.1f} s" for part in some),
            )
            for name, some in parts.items()
        ),
    ]


def _run_parts(run: PipelineRun, name: str) -> list[Apart]:
    return [run_tasks(run, f"{name}:{shard}") for shard in Shard.all_of(run.shards)]


def _largest_share(run: PipelineRun) -> float:
    """The share of a day's row of each player that falls to the part with the most of them."""
    made = read_manifest(run.operator.store, run.run.prefix, "engineer_features", FeatureManifest)
    files = [run.operator.store.url(key) for key in made.state_files]
    rows = Fragment(f"read_parquet({files}, hive_partitioning = false)")
    with run.operator.engine() as engine:
        counts = [
            engine.execute(f"SELECT count(*) FROM {players_of(rows, shard)}").fetchall()[0][0]
            for shard in Shard.all_of(run.shards)
        ]
    return float(max(counts) / sum(counts))


def _longest(apart: Apart) -> str:
    steps = sorted(apart.steps.items(), key=lambda step: -step[1])[:4]
    return ", ".join(f"{name} {seconds:.1f}" for name, seconds in steps)


def _differing(whole: PipelineRun, in_parts: PipelineRun) -> int:
    def rows(files: Sequence[str]) -> str:
        return f"(SELECT user_id, row_hash FROM read_parquet({list(files)}, hive_partitioning = false))"

    with whole.operator.engine() as engine:
        [(differing,)] = engine.execute(
            f"SELECT count(*) FROM {rows(features_of(whole))} AS one "
            f"FULL JOIN {rows(features_of(in_parts))} AS other USING (user_id) "
            "WHERE one.row_hash IS DISTINCT FROM other.row_hash"
        ).fetchall()
    return int(differing)
