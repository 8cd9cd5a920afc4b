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
from crmbet.run.shards import Shard

LIMIT = 1.25
LIMIT_OF_STEP = 0.1
LIMIT_OF_LARGEST = 1.3
PARTS = ("clean_parts", "engineer_days", "engineer_players")


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
        engineer = run_tasks(in_parts, "engineer_features")
        differing = _differing(whole, in_parts)
    if differing:
        raise RuntimeError(f"{differing} players have another row if the table is computed in parts")
    one = sum(each.cpu_seconds for each in at_once)
    of_parts = sum(part.cpu_seconds for some in parts.values() for part in some)
    total = of_parts + clean.cpu_seconds + engineer.cpu_seconds
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
            name="the step that needs all players, of all parts and steps",
            value=engineer.cpu_seconds / total,
            unit="",
            limit=LIMIT_OF_STEP,
            note=f"engineer_features {engineer.cpu_seconds:.1f} s ({_largest(engineer)}); "
            f"clean {clean.cpu_seconds:.1f} s",
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


def _largest(apart: Apart) -> str:
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
