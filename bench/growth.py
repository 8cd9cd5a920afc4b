"""How cost and memory of clean and engineer_features grow with the number of bets, under a small memory setting."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.apart import Apart
from bench.events import Events, deliver_bets, deliver_players, deliver_transactions
from bench.figures import Figure
from bench.pipeline import COMPUTING, EXTRACTS, run_tasks
from bench.workbench import PipelineRun, Workbench

LIMIT_EXPONENT = 1.05
MEMORY_LIMIT = "1GB"
BETS_A_PLAYER = 800
BETS_A_TRANSACTION = 8


def measure(workbench: Workbench, sizes: Sequence[int], days: int) -> list[Figure]:
    """Compute operators of several sizes from their captures, and the slope of a line through the logarithms."""
    by_size = {size: _compute(workbench, size, days) for size in sorted(sizes)}
    figures = [
        figure
        for size, apart in by_size.items()
        for figure in (
            Figure(
                name=f"clean and engineer_features, {size:,} bets",
                value=apart.stopwatch.total,
                unit="s",
                note=f"{days} days: {apart.stopwatch}",
            ),
            Figure(
                name=f"clean and engineer_features, {size:,} bets, CPU", value=apart.cpu_seconds, unit="s"
            ),
            Figure(
                name=f"clean and engineer_features, {size:,} bets, peak memory",
                value=apart.peak_mib,
                unit="MiB",
                note=f"memory_limit {MEMORY_LIMIT}",
            ),
        )
    ]
    if len(by_size) > 1:
        figures.append(
            Figure(
                name="exponent of CPU time by bets",
                value=_exponent({size: apart.cpu_seconds for size, apart in by_size.items()}),
                unit="",
                limit=LIMIT_EXPONENT,
                note="slope of log CPU time by log bets",
            )
        )
    return figures


def _compute(workbench: Workbench, bets: int, days: int) -> Apart:
    events = Events(
        bets=bets,
        transactions=bets // BETS_A_TRANSACTION,
        players=max(1, bets // BETS_A_PLAYER),
        days=days,
    )
    with workbench.operator(f"growth-{bets}") as operator:
        deliver_bets(operator, events, range(days))
        deliver_players(operator, events)
        deliver_transactions(operator, events, range(days))
        pipeline_run = PipelineRun(operator=operator, as_of=events.as_of(), memory_limit=MEMORY_LIMIT)
        run_tasks(pipeline_run, *EXTRACTS)
        return run_tasks(pipeline_run, *COMPUTING)


def _exponent(seconds: dict[int, float]) -> float:
    slope, _ = np.polyfit(np.log(list(seconds)), np.log(list(seconds.values())), 1)
    return float(slope)
