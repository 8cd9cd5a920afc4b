"""The monitoring page in a browser, over runs that are made up: what it says of today, and what its charts show.

tests/integration/live/test_page.py sees it in Airflow's UI.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bench.page import make_up_runs, served
from crmbet.load.records import Movement
from crmbet.monitoring.metrics import RunMetrics
from crmbet.monitoring.tables import ensure_tables, open_monitoring, write_run
from crmbet.quality.checks import Check
from crmbet.run.schemas import DEFAULT_SCHEMA
from tests.integration.test_monitoring_page import judge_drift
from tests.unit.quality.test_quality_report import models, outcome, report

pytestmark = pytest.mark.integration

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        assert "CI" not in os.environ, "CI installs Chromium"
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def address(new_database: Any) -> Iterator[tuple[str, str]]:
    """The target, and the page over it."""
    url = new_database()
    with open_monitoring(url, DEFAULT_SCHEMA) as tables:
        ensure_tables(tables)
    with served(url) as address:
        yield url, address


Show = Callable[..., Any]


@pytest.fixture
def show(browser: Any, address: tuple[str, str]) -> Iterator[Show]:
    """Opens the page over these runs alone. Nothing may complain."""
    url, page_address = address
    complaints: list[str] = []
    page = browser.new_page(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))

    def opened(*runs: RunMetrics, query: str = "") -> Any:
        with open_monitoring(url, DEFAULT_SCHEMA) as tables:
            with tables.transaction() as cursor:
                cursor.execute("DELETE FROM ml_features.pipeline_runs")
            for metrics in runs:
                write_run(tables, metrics)
        page.goto(f"{page_address}/{query}")
        # The charts come after everything else.
        page.locator("#chart-score canvas").wait_for()
        return page

    yield opened
    page.close()
    assert complaints == []


def runs_until(now: datetime, number: int) -> list[RunMetrics]:
    """Good runs of the last days; the newest, whose as_of is today's midnight, is the last one."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return [
        run.model_copy(
            update={
                "as_of": (as_of := midnight - timedelta(days=number - 1 - place)),
                "as_of_date": as_of.date(),
            }
        )
        for place, run in enumerate(make_up_runs(number, now - timedelta(minutes=20)))
    ]


def fail(run: RunMetrics, *, ended_at: datetime, name: str = "failed", task: str = "clean") -> RunMetrics:
    """A later run of the same day that fails."""
    return RunMetrics(
        dag_id=run.dag_id, execution_id=name, run_type="manual", brand=run.brand, as_of=run.as_of,
        as_of_date=run.as_of_date, state="failed", started_at=ended_at - timedelta(minutes=1), ended_at=ended_at,
        failed_task=task, failure="it broke",
    )  # fmt: skip


def drawn(page: Any, of: str, script: str) -> Any:
    """What a script finds in the options of a chart, by the selector of its element."""
    return page.evaluate(
        f"selector => {{ const options = echarts.getInstanceByDom(document.querySelector(selector)).getOption(); "
        f"return {script}; }}",
        of,
    )


def marks(page: Any, chart: str = "chart-score") -> Any:
    script = "options.series[0].markPoint.data.map((mark) => [mark.xAxis, mark.failed, mark.name])"
    return drawn(page, f"#{chart}", script)


def test_a_failed_rerun_of_an_old_day_leaves_the_verdict_and_the_charts(show: Show) -> None:
    now = datetime.now(UTC)
    days = runs_until(now, 4)
    old = days[1]

    page = show(*days, fail(old, ended_at=now))

    assert page.locator("#status").get_attribute("class") == "hero card good"
    assert page.locator("#status h2").inner_text() == "Today's run succeeded and the data is fresh"
    assert page.locator("#others").inner_text() == (
        f"A run has failed since, and changed nothing in the table: as of {old.as_of_date} at clean."
    )
    assert page.locator("#status .tile b").all_inner_texts() == ["A · 0.920", "1M", "0.12%", "200K"]
    scores = drawn(page, "#chart-score", "options.series[0].data.map((point) => point?.value)")
    assert scores == [0.92] * 4
    for chart in ("chart-score", "chart-records", "chart-segments"):
        assert marks(page, chart) == [[str(old.as_of_date), "failed", "clean"]]


def test_a_cleared_run_that_fails_leaves_its_good_figures(show: Show) -> None:
    now = datetime.now(UTC)
    days = runs_until(now, 3)

    page = show(*days, fail(days[0], ended_at=now, name=days[0].execution_id))

    assert page.locator("#status").get_attribute("class") == "hero card good"
    assert drawn(page, "#chart-records", "options.series[0].data") == [990_000] * 3
    assert marks(page) == [[str(days[0].as_of_date), days[0].execution_id, "clean"]]


def test_the_failure_of_a_newer_day_is_the_verdict(show: Show) -> None:
    now = datetime.now(UTC)
    *days, today = runs_until(now, 3)

    page = show(*days, fail(today, ended_at=now, task="validate_raw"))

    assert page.locator("#status").get_attribute("class") == "hero card bad"
    assert (
        page.locator("#status h2").inner_text() == f"The run as of {today.as_of_date} failed at validate_raw"
    )
    assert f"as of {days[-1].as_of_date}" in page.locator("#status .muted").inner_text()
    assert marks(page) == [[str(today.as_of_date), "failed", "validate_raw"]]


@pytest.mark.parametrize(("loaded", "kind"), [(3, "good"), (2, "bad")])
def test_a_run_that_failed_before_it_knew_its_day(show: Show, loaded: int, kind: str) -> None:
    """It is the verdict only if a day is due: another day's mistake of a person says nothing of today's table."""
    now = datetime.now(UTC)
    days = runs_until(now, 3)
    unknown = fail(days[0], ended_at=now, task="extract_s3").model_copy(
        update={"as_of": None, "as_of_date": None}
    )

    page = show(*days[:loaded], unknown)

    assert page.locator("#status").get_attribute("class") == f"hero card {kind}"
    assert page.locator("#others").count() == (1 if kind == "good" else 0)


def test_a_table_that_was_never_loaded(show: Show) -> None:
    """There are failures to mark, and not one segment to mark them on."""
    now = datetime.now(UTC)
    [day] = runs_until(now, 1)

    page = show(fail(day, ended_at=now))

    assert page.locator("#status .muted").inner_text().startswith("No run has loaded the table yet.")
    assert marks(page) == [[str(day.as_of_date), "failed", "clean"]]
    assert page.locator("#chart-segments").inner_text().startswith("Nothing to draw yet")


def test_the_tab_of_a_run_is_about_it(show: Show) -> None:
    now = datetime.now(UTC)
    days = runs_until(now, 2)

    page = show(*days, fail(days[0], ended_at=now), query="?run=failed")

    assert page.locator("#status h2").inner_text() == "This run failed at clean"


def test_drift_is_shown_by_feature_beside_its_baseline(show: Show, address: tuple[str, str]) -> None:
    judge_drift(address[0], [("a", False), ("b", True), ("c", True)])

    page = show(*runs_until(datetime.now(UTC), 1))

    page.locator("#drift canvas").first.wait_for()
    assert "1 of 2 have moved too far" in page.locator("#drift-hint").inner_text()
    moved, quiet = page.locator("#drift figcaption").all_inner_texts()
    assert moved.split("\n") == [
        "bets_30d moved since 2026-11-25",
        "stability index 0.400 (limit 0.25); beyond its limit: stability index, Kolmogorov-Smirnov distance",
    ]
    assert quiet.startswith("quiet no drift")
    [baseline, now] = drawn(page, "#drift .picture", "options.series.map((one) => one.data)")
    assert (baseline, now) == ([0.75, 0.25], [0.5, 0.5])
    assert page.locator("#drift img").count() == 0
    assert "null" not in page.locator("#drift").inner_text()


def test_memory_has_one_unit_and_one_run_shows(show: Show) -> None:
    [run] = runs_until(datetime.now(UTC), 1)

    page = show(run)

    page.locator("#chart-memory canvas").wait_for()
    series = drawn(page, "#chart-memory", "options.series.map((one) => [one.data[0], one.showSymbol])")
    assert series == [[1, True]] * len(run.tasks)
    assert drawn(page, "#chart-memory", "options.yAxis[0].axisLabel.formatter(1.2)") == "1.2 GiB"
    assert "read 1 GiB, wrote 256 MiB" in page.locator("#subtitle").inner_text()


def flow(
    days: int, dimension: str, before: str | None, after: str | None, players: int, reason: str | None
) -> Movement:
    return Movement(
        days=days, dimension=dimension, from_segment=before, to_segment=after, players=players, reason=reason
    )


def test_who_has_moved_is_a_picture_of_flows_and_a_table(show: Show) -> None:
    *_, run = runs_until(datetime.now(UTC), 1)
    assert run.players is not None
    movements = (
        flow(1, "rfm_segment", "at_risk", "lost", 30, "recency_score"),
        flow(1, "rfm_segment", None, "prospect", 5, None),
        flow(1, "rfm_segment", "lost", "lost", 900, None),
        flow(30, "rg_risk_band", "low", "high", 7, "rg_a"),
    )
    players = run.players.model_copy(update={"movements": movements})

    page = show(run.model_copy(update={"players": players}))

    page.locator("#chart-movements canvas").wait_for()
    assert (
        page.locator("#movement-hint")
        .inner_text()
        .startswith("35 players have moved since yesterday, 900 have stayed.")
    )
    rows = page.locator("#movements tbody tr").all_inner_texts()
    assert rows[0] == "at risk\tlost\t30\trecency_score"
    assert rows[1].startswith("new players\tprospect\t5\t")
    links = drawn(
        page, "#chart-movements", "options.series[0].links.map((one) => [one.source, one.target, one.value])"
    )
    assert links == [["then:at_risk", "now:lost", 30], ["then:null", "now:prospect", 5]]

    page.get_by_role("button", name="since a month ago").click()
    page.get_by_text("Nobody has moved").wait_for()
    page.get_by_role("button", name="Protection band").click()
    assert page.locator("#movements tbody").inner_text().split("\t") == ["low", "high", "7", "rg_a"]
    assert page.get_by_role("button", name="90 days").get_attribute("aria-pressed") == "true"
    assert "movements" not in page.evaluate(
        "async () => Object.keys((await (await fetch('api/overview')).json()).runs[0].players)"
    )

    page.set_viewport_size({"width": 400, "height": 800})
    page.wait_for_timeout(100)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


@pytest.mark.parametrize("width", [320, 400])
def test_a_report_fits_a_phone(browser: Any, width: int) -> None:
    failed = outcome(Check.COMPLETENESS, passed=False, finding="x" * 200, keys=("y" * 200,))
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.set_content(replace(report(failed), models=models()).to_html())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()
