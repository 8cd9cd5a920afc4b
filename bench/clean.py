"""Cleaning captured text: processor time, compared with judging every row and writing one file for each day."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable

from bench.events import Events, deliver_bets
from bench.figures import Figure
from bench.workbench import PipelineRun, Workbench
from crmbet.clean.clean import clean_source, rows_in_scope
from crmbet.contracts.files import load_source_contracts
from crmbet.contracts.typing import cleaned_columns, typed_rows
from crmbet.databases.statements import (
    Fragment,
    date_literal,
    identifier,
    instant_literal,
    joined,
    literal,
    render,
)
from crmbet.databases.work import Work
from crmbet.datasets.prefetch import local_copies
from crmbet.extract.captured import captured_rows
from crmbet.extract.lake import capture_feed
from crmbet.extract.records import SourceCaptures

DAYS = 20
LIMIT_RATIO = 0.5
CONTRACT = load_source_contracts()["bets"]


def measure(workbench: Workbench, rows: int, rounds: int) -> list[Figure]:
    """Both ways in turn. Returns medians."""
    events = Events(bets=rows, transactions=0, players=max(1, rows // 50), days=DAYS)
    ways: dict[Callable[[Work, SourceCaptures], int], list[float]] = {_clean: [], _judge_all: []}
    with workbench.operator("clean") as operator:
        deliver_bets(operator, events, range(DAYS), "csv")
        for number in range(rounds):
            run = PipelineRun(operator=operator, as_of=events.as_of(), brand=f"round-{number}")
            with run.work() as work:
                captures = capture_feed(work, CONTRACT)
                if captures is None:
                    raise RuntimeError("no bets were captured")
                accepted = set()
                for way, spent in ways.items():
                    began = time.process_time()
                    accepted.add(way(work, captures))
                    spent.append(time.process_time() - began)
                if len(accepted) > 1:
                    raise RuntimeError(f"both ways accept other rows: {accepted}")
    ours, judged = (statistics.median(spent) for spent in ways.values())
    note = f"{rows:,} bets of {DAYS} days as text, median of {rounds}"
    return [
        Figure(name="processor time of cleaning", value=ours, unit="s", note=note),
        Figure(name="... every row judged, a file a day", value=judged, unit="s", note=note),
        Figure(name="cleaning over judging every row", value=ours / judged, unit="x", limit=LIMIT_RATIO),
    ]


def _clean(work: Work, captures: SourceCaptures) -> int:
    return clean_source(work, CONTRACT, captures).accepted


def _judge_all(work: Work, captures: SourceCaptures) -> int:
    connection = work.connection
    days, _ = rows_in_scope(work.run, CONTRACT, captures.captures)
    known_at = instant_literal(work.run.known_at)
    with local_copies(work) as files, tempfile.TemporaryDirectory() as folder:
        rows = typed_rows(CONTRACT, captured_rows(files, captures.captures), {}, Fragment("_day"))
        wanted = joined([date_literal(day) for day in days])
        judged = Fragment("judged")
        connection.execute(render("clean/judge_batch", table=judged, rows=Fragment(rows), days=wanted))
        numbered = render("clean/select_judged_rows", judged=judged, number=Fragment("rowid"))
        connection.execute(render("clean/create_typed", rows=Fragment(numbered)))
        key = joined([identifier(name) for name in CONTRACT.business_key])
        columns = joined([identifier(name) for name in CONTRACT.columns])
        connection.execute(render("clean/rank_duplicates", key=key, columns=columns, known_at=known_at))
        connection.execute(render("clean/count_fates", known_at=known_at))
        accepted = render("clean/select_accepted", columns=cleaned_columns(CONTRACT), known_at=known_at)
        (count,) = connection.execute(
            f"COPY ({accepted}) TO {literal(folder)} (FORMAT parquet, PARTITION_BY (_day), OVERWRITE_OR_IGNORE)"
        ).fetchone() or (0,)
        for name in ("VIEW typed", "TABLE judged", "TABLE duplicates"):
            connection.execute(f"DROP {name}")
    return int(count)
