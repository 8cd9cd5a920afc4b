"""Capturing CSV files of the lake, beside the engine that loads the same files by types of its own guess."""

from __future__ import annotations

import statistics
from collections.abc import Callable

from bench.apart import Stopwatch
from bench.events import Events, deliver_bets
from bench.figures import Figure
from bench.workbench import Operator, PipelineRun, Workbench
from crmbet.contracts import load_source_contracts
from crmbet.ingest.lake import capture_feed

LIMIT_RATIO = 1.5
OBJECTS = 10


def measure(workbench: Workbench, rows: int, rounds: int) -> list[Figure]:
    """Capture, load and scan in turn; medians."""
    events = Events(bets=rows, transactions=0, players=max(1, rows // 50), days=OBJECTS)
    with workbench.operator("extract_s3") as operator:
        deliver_bets(operator, events, range(OBJECTS), "csv")
        seconds: dict[Callable[[PipelineRun], float], list[float]] = {_capture: [], _load: [], _scan: []}
        for number in range(rounds):
            at = PipelineRun(operator=operator, as_of=events.as_of(), brand=f"round-{number}")
            for way, taken in seconds.items():
                taken.append(way(at))
    capture, load, scan = (statistics.median(taken) for taken in seconds.values())
    note = f"{rows:,} rows in {OBJECTS} CSV files, median of {rounds}"
    return [
        Figure(name="capture the feed of bets", value=capture, unit="s", note=note),
        Figure(name="the same files into a table, types detected", value=load, unit="s", note=note),
        Figure(name="capture over load", value=capture / load, unit="x", limit=LIMIT_RATIO),
        Figure(name="the same files scanned and counted", value=scan, unit="s", note=note),
    ]


def _capture(at: PipelineRun) -> float:
    stopwatch = Stopwatch()
    store, run, contract = at.operator.store, at.run, load_source_contracts()["bets"]
    with at.engine() as engine, stopwatch.step("capture"):
        capture_feed(engine, store, run, contract)
    return stopwatch.total


def _load(at: PipelineRun) -> float:
    return _ask(at, f"CREATE TEMPORARY TABLE loaded AS FROM {_files(at.operator)}")


def _scan(at: PipelineRun) -> float:
    return _ask(at, f"SELECT count(COLUMNS(*)) FROM {_files(at.operator)}")


def _ask(at: PipelineRun, query: str) -> float:
    stopwatch = Stopwatch()
    with at.engine() as engine, stopwatch.step("query"):
        engine.execute(query).fetchall()
    return stopwatch.total


def _files(operator: Operator) -> str:
    return f"read_csv('{operator.store.url('raw/bets/*/*.csv')}', hive_partitioning = false)"
