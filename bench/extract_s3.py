"""Capturing CSV files of the lake, compared with the engine loading the same files with types that it detects."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench.apart import Stopwatch
from bench.events import Events, deliver_bets
from bench.figures import Figure
from bench.workbench import Operator, PipelineRun, Workbench
from crmbet.contracts.files import load_source_contracts
from crmbet.databases.statements import Fragment, literal, render
from crmbet.extract.lake import capture_feed

LIMIT_RATIO = 2.0
OBJECTS = 10


def measure(workbench: Workbench, rows: int, rounds: int) -> list[Figure]:
    """Capture, load and copy in turn. Returns medians."""
    events = Events(bets=rows, transactions=0, players=max(1, rows // 50), days=OBJECTS)
    with workbench.operator("extract_s3") as operator:
        deliver_bets(operator, events, range(OBJECTS), "csv")
        ways = (_capture, _load, _copy)
        seconds: dict[Callable[[PipelineRun], float], list[float]] = {way: [] for way in ways}
        for number in range(rounds):
            pipeline_run = PipelineRun(operator=operator, as_of=events.as_of(), brand=f"round-{number}")
            for way, taken in seconds.items():
                taken.append(way(pipeline_run))
    capture, load, copy = (statistics.median(taken) for taken in seconds.values())
    note = f"{rows:,} rows in {OBJECTS} CSV files, median of {rounds}"
    return [
        Figure(name="capture the feed of bets", value=capture, unit="s", note=note),
        Figure(name="the same files into a table, types detected", value=load, unit="s", note=note),
        Figure(
            name="capture over load", value=capture / load, unit="x", limit=LIMIT_RATIO, floor=copy / load
        ),
        Figure(
            name="the same files copied into one as text, neither counted nor dated",
            value=copy,
            unit="s",
            note=f"{copy / load:.2g} loads: what parsing and writing take of a capture",
        ),
    ]


def _capture(pipeline_run: PipelineRun) -> float:
    stopwatch = Stopwatch()
    contract = load_source_contracts()["bets"]
    with pipeline_run.work() as work, stopwatch.step("capture"):
        capture_feed(work, contract)
    return stopwatch.total


def _load(pipeline_run: PipelineRun) -> float:
    return _ask(pipeline_run, f"CREATE TEMPORARY TABLE loaded AS FROM {_files(pipeline_run.operator)}")


def _copy(pipeline_run: PipelineRun) -> float:
    """Copy with the statement of a capture."""
    with tempfile.TemporaryDirectory() as folder:
        rows = Fragment(f"FROM {_files(pipeline_run.operator, 'all_varchar = true, ')}")
        return _ask(
            pipeline_run,
            render("extract/copy_to_capture", rows=rows, url=literal(str(Path(folder) / "rows.parquet"))),
        )


def _ask(pipeline_run: PipelineRun, query: str) -> float:
    stopwatch = Stopwatch()
    with pipeline_run.work() as work, stopwatch.step("query"):
        work.connection.execute(query).fetchall()
    return stopwatch.total


def _files(operator: Operator, options: str = "") -> str:
    return f"read_csv('{operator.store.url('raw/bets/*/*.csv')}', {options}hive_partitioning = false)"
