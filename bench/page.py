"""The monitoring page with 400 stored runs: the time for its data, and the time until a browser has painted it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlencode

from bench.figures import Figure
from bench.set_aside import REASON, read_store, set_rows_aside
from crmbet.monitoring.metrics import Breach, Players, RunMetrics, StageQuality
from crmbet.monitoring.outcome import TaskOutcome
from crmbet.monitoring.tables import ensure_tables, open_monitoring, write_run
from crmbet.monitoring.trail import StoreReader
from crmbet.monitoring.underway import RunUnderWay
from crmbet.run.schemas import DEFAULT_SCHEMA
from crmbet.run.tasks import TASKS
from local import ports
from local.postgres import EmbeddedPostgres
from local.workspace import Workspace

if TYPE_CHECKING:
    from bench.workbench import Workbench
    from crmbet.monitoring.page.reading import Reading

RUNS = 400
LIMIT_SECONDS = 1.0
DATABASE = "bench_page"
SEGMENTS = ("champions", "loyal", "at_risk", "lost", "prospect", "about_to_sleep")
REASONS = 50
"""The most reasons that a row keeps for one source."""

PAINTED = """
() => {
    const first = performance.getEntriesByName('first-contentful-paint')[0];
    const verdict = document.querySelector('#status h2')?.textContent;
    return first && verdict && verdict !== 'Loading…' ? [first.startTime, performance.now()] : null;
}
"""


ROWS_SET_ASIDE = 2_000
ROWS_PAINTED = """
() => {
    const first = performance.getEntriesByName('first-contentful-paint')[0];
    const rows = document.querySelectorAll('#rows tbody tr').length;
    const drawn = document.querySelector('#chart-score canvas');
    return first && rows > 1 && drawn ? [first.startTime, performance.now()] : null;
}
"""


def measure(workbench: Workbench, rounds: int) -> list[Figure]:
    """Measure the page without Airflow around it, since Airflow's login and frame are not ours."""
    database = EmbeddedPostgres(Workspace(workbench.folder))
    database.create_database(DATABASE)
    dsn = database.url(DATABASE)
    with open_monitoring(dsn, DEFAULT_SCHEMA) as tables:
        ensure_tables(tables)
        for metrics in make_up_runs(RUNS, datetime.now(UTC)):
            write_run(tables, metrics)
    with workbench.operator("page") as operator:
        newest = next(run.execution_id for run in make_up_runs(1, datetime.now(UTC)))
        set_rows_aside(operator, newest, ROWS_SET_ASIDE)
        trail = json.dumps(["set-aside", newest, "bets", REASON])
        with served(dsn, lambda: read_store(operator)) as address:
            data = [_fetch(f"{address}/api/overview") for _ in range(rounds)]
            painted = _paint(f"{address}/", PAINTED, rounds)
            with_rows = _paint(f"{address}/?{urlencode({'rows': trail})}", ROWS_PAINTED, rounds)
    note = f"{RUNS} runs, median of {rounds}"
    size = data[0][1]
    figures = [
        Figure(name="monitoring page, its data", value=median(took for took, _ in data), unit="s", note=note),
        Figure(name="monitoring page, its data, compressed", value=size / 2**20, unit="MiB"),
    ]
    opened = {
        "monitoring page": ("today's verdict and all charts", painted, ""),
        "monitoring page of rows set aside": (
            "the rows and all charts",
            with_rows,
            f", {ROWS_SET_ASIDE} rows",
        ),
    }
    for name, (what, times, about) in opened.items():
        for part, place in (("first paint", 0), (what, 1)):
            if times:
                figures.append(
                    Figure(
                        name=f"{name}, {part}",
                        value=median(time[place] for time in times),
                        unit="s",
                        limit=LIMIT_SECONDS,
                        note=note + about,
                    )
                )
    return figures


def make_up_runs(number: int, newest: datetime) -> Iterator[RunMetrics]:
    """One run per day until `newest`, with rows as large as they get: every figure, many reasons, some breaches."""
    for age in reversed(range(number)):
        ended = newest - timedelta(days=age)
        yield RunMetrics(
            dag_id="user_features_daily",
            execution_id=f"made-up-{age}",
            run_type="scheduled",
            brand="default",
            as_of=ended.replace(hour=3, minute=0),
            as_of_date=ended.date(),
            state="success",
            started_at=ended - timedelta(minutes=9),
            ended_at=ended,
            records_extracted=1_000_000,
            records_cleaned=990_000,
            records_duplicate=4_000,
            records_outside=5_000,
            quarantined={"bets": {f"column_{one}: unreadable": one for one in range(REASONS)}},
            records_transformed=200_000,
            records_inserted=100,
            records_updated=9_000,
            records_unchanged=190_900,
            bytes_read=2**30,
            bytes_written=2**28,
            tasks={
                task: TaskOutcome(
                    state="success", try_number=1, seconds=50 + age % 9, peak_memory_bytes=2**30
                )
                for task in TASKS
            },
            quality={stage: _judged(stage) for stage in ("raw", "features")},
            players=Players(
                total=200_000,
                segments={segment: {"players": 30_000, "value": 0.5} for segment in SEGMENTS},
                churn={"low": 100_000, "medium": 50_000, "high": 50_000},
                value={"mean": 0.5, "p50": 0.4, "p90": 0.9},
            ),
        )


def _judged(stage: str) -> StageQuality:
    breach = Breach(
        stage=stage, check="outliers", severity="MEDIUM", view="raw_bets", title="stake is no outlier"
    )
    return StageQuality(
        score=0.92, grade="A", passed=True, report="s3://bucket/report.html", breaches=(breach,) * 3
    )


def refuse() -> None:
    """The guard of personal data that lets nobody pass."""
    from fastapi import HTTPException

    raise HTTPException(403)


@contextmanager
def served(
    dsn: str,
    open_store: Callable[[], AbstractContextManager[StoreReader]] | None = None,
    under_way: Sequence[RunUnderWay] = (),
) -> Iterator[str]:
    """The address of the page, served over a database and a store to nobody who may see personal data."""
    from crmbet.monitoring.page.app import create_app

    reading = replace(reading_of(dsn), runs_under_way=lambda _: under_way)
    if open_store:
        reading = replace(reading, open_store=open_store)
    with serving(create_app([], refuse, reading)) as address:
        yield address


def reading_of(dsn: str, schema: str = DEFAULT_SCHEMA) -> Reading:
    """What a page reads that has a database alone."""
    from crmbet.monitoring.page.reading import Reading

    def nothing(*_: str) -> NoReturn:
        raise NotImplementedError

    return Reading(
        open_tables=partial(open_monitoring, dsn, schema),
        read_report=nothing,
        column_readers=dict,
        runs_under_way=lambda _: [],
        open_store=nothing,
    )


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """The address at which an app answers."""
    import uvicorn

    server = uvicorn.Server(
        uvicorn.Config(app, host=ports.HOST, port=ports.first_free([]), log_level="warning")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    try:
        yield f"http://{ports.HOST}:{server.config.port}"
    finally:
        server.should_exit = True
        thread.join()


def _fetch(address: str) -> tuple[float, int]:
    """Seconds, and the number of compressed bytes."""
    import httpx

    started = time.perf_counter()
    with httpx.stream("GET", address, headers={"Accept-Encoding": "gzip"}, timeout=60) as answer:
        size = sum(len(part) for part in answer.iter_raw())
    return time.perf_counter() - started, size


def _paint(address: str, painted_when: str, rounds: int) -> list[tuple[float, float]]:
    """Seconds until the first paint and until all is painted, for each round. Empty without Chromium."""
    import shutil

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        return []
    from playwright.sync_api import sync_playwright

    painted = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for _ in range(rounds):
            # A new context has an empty cache.
            page: Any = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
            page.goto(address, wait_until="commit")
            first, complete = page.wait_for_function(painted_when, polling="raf").json_value()
            painted.append((first / 1_000, complete / 1_000))
            page.close()
        browser.close()
    return painted
