"""Capturing many small objects of the lake: what an object costs, together with others and alone."""

from __future__ import annotations

import io
import time
from datetime import timedelta

import pyarrow as pa
import pyarrow.parquet as pq

from bench.events import FIRST_DAY, Events
from bench.figures import Figure
from bench.workbench import Operator, PipelineRun, Workbench
from crmbet.contracts.files import load_source_contracts
from crmbet.extract import gathering
from crmbet.extract.lake import capture_feed

BETS = 10
"""Rows of an object."""
ALONE = 20
"""Of so many objects, one is captured alone, too."""
LIMIT_MS = 10.0
DAYS = 30
HEADER = ("bet_id", "user_id", "placed_at", "game_type", "stake")


def measure(workbench: Workbench, objects: int) -> list[Figure]:
    """Processor time by object: of as many CSV as Parquet objects, then of some that are captured alone."""
    together = _capture(workbench, "small_objects", objects)
    size = gathering.SMALL_SIZE
    gathering.SMALL_SIZE = 0
    try:
        alone = _capture(workbench, "small_objects_alone", objects // ALONE)
    finally:
        gathering.SMALL_SIZE = size
    note = f"{objects:,} objects of {BETS} bets, half of them CSV and half Parquet"
    return [
        Figure(name="processor time of a small object", value=together, unit="ms", limit=LIMIT_MS, note=note),
        Figure(
            name="... if it is captured alone",
            value=alone,
            unit="ms",
            note=f"{objects // ALONE:,} objects; {alone / together:.1f} times as much",
        ),
    ]


def _capture(workbench: Workbench, name: str, objects: int) -> float:
    """Milliseconds of processor time, of all threads, for each object."""
    events = Events(bets=1, transactions=0, players=1, days=DAYS)
    with workbench.operator(name) as operator:
        _deliver(operator, objects)
        run = PipelineRun(operator=operator, as_of=events.as_of())
        with run.work() as work:
            began = time.process_time()
            captures = capture_feed(work, load_source_contracts()["bets"])
            spent = time.process_time() - began
        if captures is None or captures.extracted != objects * BETS:
            raise RuntimeError(f"{objects * BETS} rows were delivered, and others captured")
    return spent / objects * 1000


def _deliver(operator: Operator, objects: int) -> None:
    contents = {}
    for number in range(objects):
        day = FIRST_DAY + timedelta(days=number % DAYS)
        rows = [
            (f"b{number}-{row}", f"u{row}", f"{day}T{row + 10}:00:00Z", "slots", "10.50")
            for row in range(BETS)
        ]
        if number % 2:
            lines = [",".join(values) for values in (HEADER, *rows)]
            contents[f"raw/bets/dt={day}/{number}.csv"] = ("\n".join(lines) + "\n").encode()
        else:
            sink = io.BytesIO()
            columns = zip(*rows, strict=True)
            pq.write_table(pa.table(dict(zip(HEADER, map(pa.array, columns), strict=True))), sink)
            contents[f"raw/bets/dt={day}/{number}.parquet"] = sink.getvalue()
    operator.store.write_all(contents)
