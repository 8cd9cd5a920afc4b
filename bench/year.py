"""A year of daily runs on a small operator: how many objects the store has in the end."""

from __future__ import annotations

import os
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from bench.daily import OF_A_RUN
from bench.figures import Figure
from bench.pipeline import TASKS
from bench.workbench import Operator, PipelineRun, Workbench
from crmbet.features.keep_learned import keep_learned
from crmbet.features.records import FeatureManifest
from crmbet.run.records import read_manifest
from crmbet.sweep import plan_sweep, sweep
from local.env import lake_variables
from local.simulator import DirtLedger, DirtRates, World, simulate
from local.simulator.lake import LakeWriter, lake_files
from local.simulator.wallet import WalletWriter, transaction_rows

LIMIT = 1_500
PAST_THE_GRACE = timedelta(days=30)
"""The sweep takes place so much later: all objects are of today, by the clock of S3."""


def measure(workbench: Workbench, days: int, players: int) -> list[Figure]:
    """Deliver day by day, run after each day, and sweep at the end."""
    # The first snapshot of players comes on a Monday.
    first = datetime.now(UTC).date() - timedelta(days=days)
    first -= timedelta(days=first.weekday())
    world = World(seed=7, players=players, start_day=first, end_day=first + timedelta(days=days - 1))
    began = time.process_time()
    with workbench.operator("year") as operator:
        last = _live(operator, world)
        seconds = time.process_time() - began
        run = last.run
        before = _objects(operator, run.layout.root)
        plan = plan_sweep(operator.store, run.layout, run.settings, datetime.now(UTC) + PAST_THE_GRACE)
        sweep(operator.store, run.layout, run.settings, plan)
        kept = _objects(operator, run.layout.root)
        # What is left suffices: a run that finds nothing new makes nothing again.
        later = replace(last, known_after_minutes=last.known_after_minutes + 60)
        made = {name: task(later) for name, task in TASKS.items()}
        if made["extract_s3"] or made["extract_pg"] or made["engineer_features"]:
            raise RuntimeError(f"the sweep removed what the next run wanted: {made}")
    of_runs = sum(kept[folder] for folder in OF_A_RUN)
    shown = ", ".join(f"{folder} {count}" for folder, count in kept.most_common())
    return [
        Figure(
            name=f"objects in the store after {days} days, without those of runs",
            value=kept.total() - of_runs,
            unit="objects",
            limit=LIMIT,
            note=f"{players} players; {before.total()} before the sweep; {shown}",
        ),
        Figure(
            name="processor time of such a day's run",
            value=seconds / days,
            unit="s",
            note="extract to features, without the gates and the load; simulating and delivering included",
        ),
    ]


def _live(operator: Operator, world: World) -> PipelineRun:
    """All days of a world, with a run after each; returns the last run."""
    os.environ.update(lake_variables(operator.workspace, operator.bucket))
    rates, ledger = DirtRates(), DirtLedger()
    for batch in simulate(world):
        with LakeWriter(operator.bucket) as lake, WalletWriter(operator.source_url) as wallet:
            for file in lake_files(world, batch, rates):
                lake.write(file)
            wallet.write(*transaction_rows(world, batch, rates, ledger))
        as_of = batch.day.day + timedelta(days=1)
        run = PipelineRun(operator=operator, as_of=as_of.isoformat())
        for task in TASKS.values():
            task(run)
        _keep_learned(run)
    return run


def _keep_learned(pipeline_run: PipelineRun) -> None:
    """Keep the models' parameters and the cut-offs, as a load does."""
    run, store = pipeline_run.run, pipeline_run.operator.store
    made = read_manifest(store, run.prefix, "engineer_features", FeatureManifest)
    if made.learned is not None:
        with pipeline_run.work() as work:
            keep_learned(work, made.learned)


def _objects(operator: Operator, root: str) -> Counter[str]:
    """Objects by the folder of our prefix that they lie in."""
    return Counter(entry.key.removeprefix(root).partition("/")[0] for entry in operator.store.list(root))
