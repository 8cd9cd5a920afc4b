"""The monitoring page in a browser, over runs that are made up: what it says of today, and what its charts show.

tests/integration/live/test_page.py sees it in Airflow's UI.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg2
import pytest

from bench.page import make_up_runs, reading_of, refuse, served, serving
from crmbet.audiences.publications import Publications
from crmbet.audiences.records import Publication
from crmbet.audiences.views import COMMENT
from crmbet.contracts.files import load_table_contract
from crmbet.load.quality_results import write_results
from crmbet.load.records import Movement
from crmbet.load.session import LoadSession
from crmbet.metering import Usage
from crmbet.monitoring.metrics import RunMetrics
from crmbet.monitoring.outcome import TaskOutcome
from crmbet.monitoring.tables import ensure_tables, open_monitoring, write_run
from crmbet.monitoring.underway import RunUnderWay, TaskUnderWay
from crmbet.quality.checks import Check
from crmbet.run.schemas import DEFAULT_SCHEMA
from tests.integration.test_monitoring_page import HOSTILE, judge_drift
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


def test_the_stream_has_its_figures_and_a_picture_of_the_last_hours(
    show: Show, address: tuple[str, str]
) -> None:
    now = datetime.now(UTC)
    with closing(psycopg2.connect(address[0])) as connection, connection, connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE ml_features.stream_minutes AS SELECT date_trunc('minute', %s - number * '1 min'::interval) "
            "AS minute, 7 AS messages, 2 AS batches, 0 AS quarantined, 1 AS late, 1.5::double precision AS age_max, "
            "number AS lag, number / 2.0::double precision AS lag_seconds, 0::double precision AS away_seconds, "
            "300::double precision AS max_age_seconds, %s - number * '1 min'::interval AS seen_at "
            "FROM generate_series(0, 400) AS number(number)",
            (now, now),
        )
    page = show(*runs_until(now, 1))

    page.locator("#chart-stream canvas").wait_for()
    tiles = [tile.split("\n")[:2] for tile in page.locator("#stream-tiles .tile").all_inner_texts()]
    assert tiles[0] == ["Age of rows", "1.5 s"]
    assert tiles[1] == ["Behind", "0.0 s"]
    assert page.locator("#stream-hint .tag").inner_text() == "Rows are up to date"
    ages, behind = drawn(page, "#chart-stream", "options.series.map((one) => one.data)")
    assert 359 <= len(ages) <= 361
    assert (ages[-1][1], behind[0][1]) == (1.5, (len(ages) - 1) / 2)

    with closing(psycopg2.connect(address[0])) as connection, connection, connection.cursor() as cursor:
        cursor.execute("DELETE FROM ml_features.stream_minutes WHERE seen_at > now() - '10 min'::interval")
    page.reload()
    page.locator("#stream-hint .bad").wait_for()
    assert (
        page.locator("#stream-hint .tag").inner_text() == "No run of the stream has said anything for 10 min"
    )


def test_an_audience_says_who_is_in_it_and_where_to_take_it(show: Show, address: tuple[str, str]) -> None:
    now = datetime.now(UTC)
    page = show(*runs_until(now, 2))
    page.get_by_text("No audience is handed over.").wait_for()

    with closing(psycopg2.connect(address[0])) as connection:
        session = LoadSession(
            connection=connection, contract=load_table_contract(), run_id="run", lock_timeout_seconds=10
        )
        publications = Publications(session)
        publications.ensure()
        first = Publication(
            publication="first", audience="vips", purpose="marketing", definition="d", as_of=now, baseline=None,
            members=12, entered=12, left=0, excluded={}, files={"full.csv": "audiences/first/full.5e.csv"},
        )  # fmt: skip
        second = first.model_copy(
            update={
                "publication": "second", "baseline": "first", "members": 1_300, "entered": 1_290, "left": 2,
                "excluded": {"not_allowed": 3}, "files": {"full.csv": "audiences/second/full.6f.csv"},
            }
        )  # fmt: skip
        without_view = first.model_copy(update={"publication": "third", "audience": "dropped"})
        for publication in (first, second, without_view):
            publications.add(publication, "run", now, None)
        with session.transaction() as cursor:
            cursor.execute("CREATE VIEW ml_features.audience_vips AS SELECT 1 AS user_id")
            comment = f"{COMMENT}marketing: Players (of value): the best (0a1b)"
            cursor.execute("COMMENT ON VIEW ml_features.audience_vips IS %s", (comment,))

    page = show(*runs_until(now, 2))
    page.locator("#audiences-list tbody").wait_for()
    [row] = page.locator("#audiences-list tbody tr").all()
    cells = row.locator("td").all_inner_texts()
    assert cells[0].splitlines() == ["vips for marketing", "Players (of value): the best"]
    assert cells[3:6] == ["1,300", "+1,290 / \u22122", "3 not allowed"]
    # A phone has no room for the heads of columns, so each figure has its own.
    page.set_viewport_size({"width": 390, "height": 800})
    page.wait_for_function("document.documentElement.scrollWidth <= 390")
    said = "td => getComputedStyle(td, '::before').content"
    assert row.locator("td").nth(3).evaluate(said) == '"Players: "'
    assert cells[6].splitlines() == ["SELECT * FROM ml_features.audience_vips", "audiences/second/"]


def test_the_tiles_say_what_they_said_a_week_before_and_sections_are_one_click_away(show: Show) -> None:
    now = datetime.now(UTC)
    days = runs_until(now, 9)
    days[1] = days[1].model_copy(update={"records_extracted": 500_000})

    page = show(*days)

    assert page.locator("#status .tile").nth(1).inner_text().splitlines()[-1] == "a week before: 500K"
    for entry in page.locator("#contents a").all():
        entry.click()
        assert page.locator(":target").count() == 1, entry.inner_text()


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


def test_a_chosen_range_and_everything_chosen_stand_in_the_address(show: Show) -> None:
    days = runs_until(datetime.now(UTC), 5)
    first, last = str(days[1].as_of_date), str(days[2].as_of_date)
    page = show(*days, query=f"?from={first}&moved=churn_risk_band&check=nonsense&since=7")

    assert page.evaluate("document.getElementById('from').value") == first
    failed_on = set(page.locator("#breaches td:first-child").all_inner_texts())
    assert failed_on == {str(day.as_of_date)[5:] for day in days[1:]}
    assert drawn(page, "#chart-score", "options.xAxis[0].data") == [str(day.as_of_date) for day in days[1:]]
    page.fill("#to", last)
    # The charts follow when the runs of the range have come.
    page.wait_for_function(
        "days => echarts.getInstanceByDom(document.getElementById('chart-score'))"
        ".getOption().xAxis[0].data.join() == days",
        arg=f"{first},{last}",
    )
    assert f"to={last}" in page.evaluate("location.search")
    assert page.get_by_role("button", name="Churn band").get_attribute("aria-pressed") == "true"
    page.get_by_role("button", name="Link to this view").click()
    assert page.locator("#shared").input_value() == page.url

    page.get_by_role("button", name="30 days", exact=True).click()
    page.wait_for_function("location.search.includes('days=30')")
    assert "from=" not in page.url
    assert page.evaluate("document.getElementById('from').value") == ""


def test_what_was_set_aside_is_listed_over_time_and_a_reason_leads_to_its_rows(
    show: Show, address: tuple[str, str]
) -> None:
    first, last = runs_until(datetime.now(UTC), 2)
    first = first.model_copy(
        update={"quarantined": {"bets": {"stake: unreadable": 5, "user_id: missing": 1}}}
    )
    last = last.model_copy(update={"quarantined": {"bets": {"stake: unreadable": 9}, "limits": {HOSTILE: 2}}})

    page = show(first, last)

    rows = [row.split("\t") for row in page.locator("#reasons tbody tr").all_inner_texts()]
    assert rows[0][:4] == ["bets", "stake: unreadable", "9", "+4"]
    assert rows[1][:4] == ["limits", " ".join(HOSTILE.split()), "2", "+2"]
    assert rows[2] == ["bets", "user_id: missing", "0", "-1", str(first.as_of_date)]
    assert drawn(page, "#chart-quarantine", "options.series.map((one) => [one.name, one.data])") == [
        ["bets", [6, 9]],
        ["limits", [0, 2]],
    ]

    asked: list[str] = []

    def answer(route: Any) -> None:
        asked.append(route.request.url)
        record = {"stake": HOSTILE, "user_id": "u1" if "/people/" in route.request.url else "•••"}
        row = {"source": "bets", "reason": "stake: unreadable", "source_key": "raw/bets/a.csv", "source_row": 7,
               "day": None, "key": None, "record": record}  # fmt: skip
        route.fulfill(status=200, json={"rows": [row], "more": False})

    page.route("**/set-aside?*", answer)
    page.get_by_role("button", name="stake: unreadable").click()
    page.locator("#rows dl").wait_for()
    assert f"/api/set-aside?run={last.execution_id}&source=bets&reason=stake" in asked[0]
    assert "raw/bets/a.csv line or row 7" in page.locator("#rows tbody").inner_text()
    assert "•••" in page.locator("#rows dl").inner_text()
    assert page.locator("#rows img").count() == 0
    assert page.get_by_role("link", name="Download as CSV").get_attribute("href").startswith(address[1])

    page.get_by_role("button", name="Show personal data").click()
    page.get_by_text("with personal data").wait_for()
    assert "/people/set-aside?" in asked[-1]
    assert "u1" in page.locator("#rows dl").inner_text()

    page.reload()
    page.locator("#rows dl").wait_for()
    assert "/api/" in asked[-1], "a link shows no personal data by itself"
    page.get_by_role("button", name="Close").click()
    assert not page.locator("#rows").is_visible()
    assert "rows=" not in page.url


def test_a_check_over_time_is_its_value_against_its_limit(show: Show, address: tuple[str, str]) -> None:
    url, _ = address
    judged = [datetime(2026, 11, day, tzinfo=UTC) for day in (20, 21, 22)]
    shares = (0.01, 0.02, 0.4)
    with closing(psycopg2.connect(url)) as connection:
        for as_of, share in zip(judged, shares, strict=True):
            session = LoadSession(
                connection=connection,
                contract=load_table_contract(),
                run_id=f"at-{as_of:%d}",
                lock_timeout_seconds=10,
            )
            found = outcome(Check.COMPLETENESS, passed=share < 0.05, finding="x" if share > 0.05 else None)
            found = replace(found, unexpected_share=share, limit=0.05, threshold="5%")
            about = replace(report(found).subject, run_id=session.run_id, as_of=as_of)
            write_results(session, replace(report(found), subject=about), as_of)

    page = show(*runs_until(datetime.now(UTC), 1))

    page.locator("#chart-check canvas").wait_for()
    assert page.locator("#checks .square").count() == 3
    assert page.locator("#checks .square.bad").count() == 1
    values, limits = drawn(
        page, "#chart-check", "options.series.map((one) => one.data.map((point) => point?.value ?? point))"
    )
    assert (values, limits) == ([*shares], [0.05] * 3)
    assert page.locator("#check-hint").inner_text() == "Allowed: 5%"


def test_two_runs_side_by_side(show: Show) -> None:
    one, other = runs_until(datetime.now(UTC), 2)
    other = other.model_copy(update={"records_extracted": 1_000_100, "quality": {}})
    page = show(one, other)
    page.route(
        "**/api/compare?*",
        lambda route: route.fulfill(
            status=200, json={"both": 9, "only_one": 1, "only_other": 2, "cells": {"clv_12m": 4}}
        ),
    )

    # The newest day stands on the right, whichever run has ended last.
    assert page.locator("#comparison th").nth(2).inner_text() == str(other.as_of_date)
    row = page.locator("#comparison tr", has_text="records extracted").inner_text().split("\t")
    assert row == ["records extracted", "1,000,000", "1,000,100", "+100"]
    assert page.locator("#comparison").get_by_text("raw_bets: stake is no outlier").count() > 0
    page.get_by_role("button", name="Count the cells that differ").click()
    page.get_by_text("9 players are in both tables, 1 in the first alone, 2 in the second alone.").wait_for()
    assert page.locator("#comparison tr", has_text="clv_12m").inner_text().split("\t") == ["clv_12m", "4"]

    page.locator("#compare-one").select_option(other.execution_id)
    page.wait_for_function("location.search.includes('one=')")
    page.set_viewport_size({"width": 400, "height": 800})
    page.wait_for_function("document.documentElement.scrollWidth <= 400")


def test_the_page_says_what_the_run_has_cost_and_whether_that_is_usual(show: Show) -> None:
    def costing(run: RunMetrics, hours: float) -> RunMetrics:
        usage = Usage(
            cpu_seconds=3600 * hours, requests={"get": 1_000, "put": 200}, themes={"rfm": 90, "games": 10}
        )
        tasks = {name: outcome_of(60) for name in run.tasks} | {
            "engineer_features": outcome_of(60).model_copy(update={"usage": usage})
        }
        return run.model_copy(update={"tasks": tasks, "store_bytes": 2**31, "records_transformed": 2_000})

    *days, today = runs_until(datetime.now(UTC), 6)
    page = show(*(costing(run, 1) for run in days), costing(today, 3))

    # 0.0504 an hour, 0.0004 for the reads and 0.001 for the writes.
    tiles = page.locator("#cost-tiles .tile").all_inner_texts()
    assert [tile.splitlines()[0] for tile in tiles] == ["$0.15", "$1.60", "$0.80", "$0.046"]
    assert "2.9 times the usual $0.0518" in tiles[0]
    assert "get 1,000, put 200" in page.locator("#cost-tasks tr", has_text="engineer_features").inner_text()
    rfm = page.locator("#cost-themes tr", has_text="rfm").inner_text().split("\t")
    assert rfm == ["rfm", "90.00 s", "90%", "$0.00126"]
    page.locator("#chart-cost canvas").wait_for()
    assert drawn(page, "#chart-cost", "options.series[0].data") == pytest.approx([0.0518] * 5 + [0.1526])
    row = page.locator("#comparison tr", has_text="cost of the run").inner_text().split("\t")
    assert row == ["cost of the run", "$0.0518", "$0.15", "+$0.10"]

    page.get_by_role("button", name="PT").click()
    page.get_by_role("heading", name="Quanto custa").wait_for()
    page.set_viewport_size({"width": 400, "height": 800})
    page.wait_for_function("document.documentElement.scrollWidth <= 400")


def test_a_run_under_way_has_its_task_and_the_time_that_is_left(browser: Any, new_database: Any) -> None:
    url = new_database()
    [done] = runs_until(datetime.now(UTC), 1)
    tasks = {task: outcome_of(60) for task in done.tasks}
    with open_monitoring(url, DEFAULT_SCHEMA) as tables:
        ensure_tables(tables)
        write_run(tables, done.model_copy(update={"tasks": tasks}))
    now = datetime.now(UTC)
    states = {task: TaskUnderWay(state=None, started=None, ended=None, try_number=0) for task in tasks}
    begun = {"started": now - timedelta(seconds=90), "try_number": 1}
    for task in ("extract_s3", "extract_pg"):
        states[task] = states[task].model_copy(update={**begun, "state": "success", "ended": now})
    states["validate_raw"] = states["validate_raw"].model_copy(
        update={"state": "running", "started": now - timedelta(seconds=30), "try_number": 2}
    )
    run = RunUnderWay(
        run_id="manual__1",
        run_type="manual",
        state="running",
        started=now - timedelta(seconds=120),
        tasks=states,
    )
    page = browser.new_page()
    queued = run.model_copy(update={"run_id": "manual__2", "state": "queued", "tasks": {}})
    with served(url, under_way=[run, queued]) as served_at:
        page.goto(served_at)
        page.locator("#underway progress").wait_for()
        shown = page.locator("#underway tbody").inner_text()
        assert page.locator("#underway .hint").inner_text() == "One more run waits for its turn."
        share = page.locator("#underway progress").get_attribute("value")
        page.close()

    # Two of seven steps of a minute are not quite one and a half: the extracts count as one.
    assert "manual__1" in shown
    assert "validate_raw (try 2) at work, 2 of 8 tasks are done" in shown
    assert "left" in shown
    assert share is not None
    assert 15 <= int(share) <= 25


def test_the_switch_leads_from_a_brand_to_another_and_none_shows_what_is_not_its_own(
    browser: Any, new_database: Any
) -> None:
    from fastapi import FastAPI

    from crmbet.monitoring.page.app import create_app

    url = new_database()
    pages, site = {"default": "crmbet", "aurora": "crmbet__aurora"}, FastAPI()
    for players, (dag_id, schema, folder) in enumerate(
        [
            ("user_features_daily", DEFAULT_SCHEMA, "crmbet"),
            ("user_features_daily__aurora", "ml_features_aurora", "crmbet__aurora"),
        ],
        start=1,
    ):
        [run] = runs_until(datetime.now(UTC), 1)
        with open_monitoring(url, schema) as tables:
            ensure_tables(tables)
            write_run(tables, run.model_copy(update={"dag_id": dag_id, "records_transformed": players}))
        reading = replace(reading_of(url, schema), dag_id=dag_id, pages=lambda: pages)
        site.mount(f"/{folder}", create_app([], refuse, reading))
    page = browser.new_page()

    seen = []
    with serving(site) as served_at:
        page.goto(f"{served_at}/crmbet/")
        for brand, folder in pages.items():
            if page.url != f"{served_at}/{folder}/":
                page.get_by_role("button", name=brand, exact=True).click()
                page.wait_for_url(f"**/{folder}/")
            page.locator("#status .tile b").first.wait_for()
            pressed = page.locator("#brands [aria-pressed=true]").all_inner_texts()
            shown = page.locator("#status .tile b").all_inner_texts()[-1]
            seen.append((pressed, page.locator("#subtitle").inner_text().partition(" ")[0], shown))
        page.close()

    assert seen == [
        (["default"], "ml_features.user_features", "1"),
        (["aurora"], "ml_features_aurora.user_features", "2"),
    ]


def outcome_of(seconds: float) -> TaskOutcome:
    return TaskOutcome(state="success", try_number=1, seconds=seconds)


def test_the_catalogue_is_searched_and_a_column_has_its_figures(
    browser: Any, address: tuple[str, str]
) -> None:
    url, served_at = address
    day = datetime.now(UTC)
    with open_monitoring(url, DEFAULT_SCHEMA) as tables:
        for run in runs_until(day, 2):
            assert run.players is not None
            players = run.players.model_copy(update={"filled": {"clv_12m": 0.75}})
            write_run(tables, run.model_copy(update={"players": players}))
    page = browser.new_page(viewport={"width": 400, "height": 800}, color_scheme="dark")

    page.goto(f"{served_at}/catalogue?language=pt-BR&search=clv_12m")
    assert page.locator("details:visible").first.get_attribute("id") == "clv_12m"
    assert page.locator("html.dark").count() == 1
    page.get_by_text("75,00% preenchido").wait_for()
    page.locator("#clv_12m summary").click()
    page.locator("#clv_12m canvas").wait_for()
    points = drawn(page, "#clv_12m .picture", "options.series[0].data")
    assert points == [0.75, 0.75]
    page.wait_for_function("document.documentElement.scrollWidth <= 400")

    # The column above it in the table comes from stakes, too, but is not named so.
    page.fill("#search", "stake")
    tops = {
        name: page.locator(f"#{name}").bounding_box()["y"]
        for name in ("daily_stake_p50_90d", "favorite_game_type")
    }
    assert tops["daily_stake_p50_90d"] < tops["favorite_game_type"]
    page.fill("#search", "transactions withdrawal")
    page.wait_for_function("location.search.includes('search=transactions+withdrawal')")
    assert 0 < page.locator("details:visible").count() < 20
    page.close()


@pytest.mark.parametrize("width", [320, 400])
def test_a_report_fits_a_phone(browser: Any, width: int) -> None:
    failed = outcome(Check.COMPLETENESS, passed=False, finding="x" * 200, keys=("y" * 200,))
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.set_content(replace(report(failed), models=models()).to_html())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()
