"""Cleaning captured text: processor time, compared with judging every row and writing one file for each day.

Beside it stands a floor: the parts that cleaning cannot do without, each as a bare statement that keeps no promise.
"""

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
from crmbet.contracts.plain import looked_over_rows
from crmbet.contracts.typing import cleaned_columns, typed_rows
from crmbet.contracts.values import cleaned_type
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
    floors = []
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
                floors.append(_floor(work, captures))
    ours, judged = (statistics.median(spent) for spent in ways.values())
    parts = {part: statistics.median(floor[part] for floor in floors) for part in floors[0]}
    note = f"{rows:,} bets of {DAYS} days as text, median of {rounds}"
    return [
        Figure(name="processor time of cleaning", value=ours, unit="s", note=note),
        Figure(name="... every row judged, a file a day", value=judged, unit="s", note=note),
        Figure(
            name="cleaning over judging every row",
            value=ours / judged,
            unit="x",
            limit=LIMIT_RATIO,
            floor=sum(parts.values()) / judged,
        ),
        *(Figure(name=f"floor: {part}", value=spent, unit="s") for part, spent in parts.items()),
        Figure(name="floor over judging every row", value=sum(parts.values()) / judged, unit="x"),
    ]


def _clean(work: Work, captures: SourceCaptures) -> int:
    return clean_source(work, CONTRACT, captures).accepted


def _judge_all(work: Work, captures: SourceCaptures) -> int:
    connection = work.connection
    days, _ = rows_in_scope(work.run, CONTRACT, captures.captures)
    known_at = instant_literal(work.run.known_at)
    with local_copies(work) as files, tempfile.TemporaryDirectory() as folder:
        rows = typed_rows(CONTRACT, captured_rows(files, captures.captures), {}, Fragment("_day"))
        wanted = Fragment(f"_day IN ({joined([date_literal(day) for day in days])})")
        judged = Fragment("judged")
        connection.execute(render("clean/judge_batch", table=judged, rows=Fragment(rows), wanted=wanted))
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


def _floor(work: Work, captures: SourceCaptures) -> dict[str, float]:
    """Seconds of processor time of each part that cleaning cannot do without."""
    cast = joined(
        [
            Fragment(f"try_cast({identifier(name)} AS {cleaned_type(column)}) AS {identifier(name)}")
            for name, column in CONTRACT.columns.items()
        ]
    )
    key = joined([identifier(name) for name in CONTRACT.business_key])
    with local_copies(work) as files, tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        rows = captured_rows(files, captures.captures)
        fetching = time.process_time() - began

        def spent(statement: str) -> float:
            began = time.process_time()
            work.connection.execute(statement).fetchall()
            return time.process_time() - began

        typed = f"SELECT {cast}, _day FROM {rows}"
        looked_over = looked_over_rows(CONTRACT, rows, {}, Fragment("_day"))
        reading = spent(_count_values(f"{rows}"))
        casting = spent(_count_values(f"({typed})"))
        looking = spent(f"{_count_values(f'({looked_over})')} WHERE NOT _odd")
        keeping = spent(f"CREATE OR REPLACE TEMPORARY TABLE bare AS {typed}")
        finding = spent(f"SELECT {key}, _day FROM bare GROUP BY ALL HAVING count(*) > 1")
        path = literal(f"{folder}/rows.parquet")
        copies = [
            spent(render("datasets/copy_segment", rows=Fragment(rows), path=path))
            for rows in ("FROM bare", "FROM bare ORDER BY _day, rowid")
        ]
        work.connection.execute("DROP TABLE bare")
    return {
        "fetching captured files": fetching,
        "reading their cells": reading,
        "casting them": casting - reading,
        "telling whether a cast is what a cell means": looking - casting,
        "keeping the rows until their duplicates are known": keeping - casting,
        "finding keys that are there twice": finding,
        "sorting by day": copies[1] - copies[0],
        "writing one file": copies[0],
    }


def _count_values(source: str) -> str:
    return f"SELECT {', '.join(f'count({identifier(name)})' for name in CONTRACT.columns)} FROM {source}"
