"""The monitoring page in a browser, in the UI of an Airflow whose runs have failed."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlencode

import psycopg2
import pytest

from crmbet.monitoring.page.app import create_app
from local import airflow
from local.postgres import EmbeddedPostgres
from tests.integration.live.running import AS_OF, BROKEN, DAG, KILLED, LATE, Live

pytestmark = pytest.mark.integration

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


ROWS = (
    "set-aside?run=x&source=bets",
    "set-aside.csv?run=x&source=bets",
    "breach?run=x&stage=raw&view=v&title=t",
)


def routes() -> set[str]:
    """The routes of the page, with something in their places."""
    app = create_app([], print, cast("Any", None))
    paths = [str(getattr(route, "path", "")) for route in app.routes]
    filled = {re.sub(r"\{[^}]*\}", "x", path).removeprefix("/") for path in paths}
    return {path for path in filled if path not in ("docs", "redoc", "docs/oauth2-redirect")}


def test_the_page_is_for_those_who_may_see_runs(live: Live) -> None:
    stranger = live.token("stranger")
    assert len(routes()) > 15
    for route in sorted(routes()):
        path = f"/crmbet/{route}"
        assert live.call(path)[0] == 401, path
        assert live.call(path, token=stranger)[0] == 403, path
    token = live.token(airflow.ADMIN)
    assert live.call("/crmbet/", token=token)[0] == 200
    assert live.call("/crmbet/openapi.json", token=token)[0] == 404
    assert live.call("/crmbet/static/README.md", token=token)[0] == 404
    assert live.call("/crmbet/reports/nobody/raw", token=token)[0] == 404


def test_personal_data_are_for_those_who_may_read_the_connection_of_the_lake(live: Live) -> None:
    people = {route for route in routes() if route.startswith("people/")}
    assert people == {f"people/{row.partition('?')[0]}" for row in ROWS}
    for row in ROWS:
        # A run of that name has left nothing: what is told is a failure with words, and no refusal.
        for user, allowed in (("viewer", 403), ("user", 403), ("op", 503), (airflow.ADMIN, 503)):
            token = live.token(user)
            assert live.call(f"/crmbet/people/{row}", token=token)[0] == allowed, (user, row)
            assert live.call(f"/crmbet/api/{row}", token=token)[0] == 503, (user, row)


def test_a_failed_check_leads_to_the_rows_at_their_source(live: Live) -> None:
    status, answer = live.call("/crmbet/api/overview", token=live.token("viewer"))
    assert status == 200
    broken = next(run for run in json.loads(answer)["runs"] if run["id"] == BROKEN)
    breach = next(breach for breach in broken["breaches"] if "user_id" in breach["title"])
    query = urlencode({"run": BROKEN, **{name: breach[name] for name in ("stage", "view", "title")}})

    rows = {}
    for prefix, user in (("api", "viewer"), ("people", "op")):
        status, answer = live.call(f"/crmbet/{prefix}/breach?{query}", token=live.token(user))
        assert status == 200, answer
        rows[prefix] = json.loads(answer)["rows"]

    assert len(rows["api"]) == len(rows["people"]) > 0
    for row in rows["people"]:
        assert row["source_key"].startswith("raw/")
        assert row["source_row"] > 0
        assert row["record"]


def test_the_pages_data_is_that_of_the_runs(live: Live) -> None:
    status, answer = live.call("/crmbet/api/overview", token=live.token(airflow.ADMIN))
    assert status == 200
    overview = json.loads(answer)
    assert {run["id"]: run["failed_task"] for run in overview["runs"]} == {
        BROKEN: "validate_raw",
        KILLED: "extract_s3",
    }
    assert {alert["kind"] for alert in overview["alerts"]} == {"failed", "deadline", "recovered"}


@pytest.fixture(scope="module")
def page(live: Live) -> Iterator[Any]:
    """The one tab of a browser that has logged in."""
    if CHROMIUM is None:
        assert "CI" not in os.environ, "CI installs Chromium"
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        opened = browser.new_page(reduced_motion="reduce")
        # Not by the UI's home, which costs more than our page.
        opened.goto(f"{live.login.url}/auth/login/?next={live.login.url}/crmbet/")
        opened.fill("input[name=username]", live.login.user)
        opened.fill("input[name=password]", live.login.password)
        opened.keyboard.press("Enter")
        opened.wait_for_url(lambda url: "login" not in url)
        yield opened
        browser.close()


@dataclass(frozen=True)
class Tab:
    """A tab of the browser, and what it complained of or asked of others."""

    page: Any
    complaints: list[str]


@pytest.fixture
def tab(live: Live, page: Any) -> Iterator[Tab]:
    complaints: list[str] = []
    ours = (live.login.url, "data:", "blob:")
    listeners = {
        "console": lambda said: complaints.append(said.text) if said.type == "error" else None,
        "pageerror": lambda error: complaints.append(str(error)),
        "request": lambda asked: None if asked.url.startswith(ours) else complaints.append(asked.url),
    }
    page.goto("about:blank")
    page.set_viewport_size({"width": 1280, "height": 900})
    page.emulate_media(color_scheme="light")
    for event, listener in listeners.items():
        page.on(event, listener)
    yield Tab(page, complaints)
    for event, listener in listeners.items():
        page.remove_listener(event, listener)
    page.unroute_all()


def test_the_page_in_the_uis_frame_leads_to_a_run_and_the_tab_there_is_about_that_run(
    live: Live, tab: Tab
) -> None:
    page = tab.page
    page.goto(f"{live.login.url}/plugin/crmbet")
    frame = page.frame_locator("iframe")
    frame.get_by_role("heading", name=f"The run as of {AS_OF} failed").wait_for()
    assert frame.locator("#breaches tr").count() > 3
    assert frame.locator("#alerts tbody tr").count() == 4
    assert frame.locator("#chart-score canvas").count() == 1

    frame.get_by_role("button", name="30 days").click()
    assert frame.get_by_role("button", name="30 days").get_attribute("aria-pressed") == "true"

    broken = frame.locator("#alerts").get_by_role("link", name="validate_raw")
    assert broken.get_attribute("href").endswith(f"/dags/{DAG}/runs/{BROKEN}")
    # Not the last run: the tab would be about that one by itself.
    frame.locator("#alerts").get_by_role("link", name="extract_s3").click()
    page.wait_for_url(lambda url: f"/dags/{DAG}/runs/{KILLED}" in url)
    page.get_by_text("extract_s3").first.wait_for()

    page.get_by_role("link", name="Monitoring").click()
    page.wait_for_url(lambda url: url.endswith(f"/dags/{DAG}/runs/{KILLED}/plugin/crmbet-run"))
    frame.get_by_role("heading", name="This run failed at extract_s3").wait_for()
    assert tab.complaints == []


def test_an_alert_of_another_dag_leads_to_its_own_run(live: Live, tab: Tab) -> None:
    tab.page.goto(f"{live.login.url}/crmbet/")
    link = tab.page.locator("#alerts").get_by_role("link", name="late").first
    assert link.get_attribute("href").endswith(f"/dags/late/runs/{LATE}")

    link.click()
    tab.page.wait_for_url(lambda url: f"/dags/late/runs/{LATE}" in url)
    tab.page.get_by_text("dawdle").first.wait_for()
    assert tab.complaints == []


def test_the_page_opens_the_report(live: Live, tab: Tab) -> None:
    tab.page.goto(f"{live.login.url}/crmbet/")
    tab.page.locator("#breaches a").first.click()
    tab.page.wait_for_url(lambda url: f"/crmbet/reports/{BROKEN}/raw" in url)
    tab.page.get_by_text("completeness").first.wait_for()
    assert tab.complaints == []


def test_the_page_on_a_phone_and_in_the_dark(live: Live, tab: Tab) -> None:
    tab.page.set_viewport_size({"width": 400, "height": 800})
    tab.page.emulate_media(color_scheme="dark")
    tab.page.goto(f"{live.login.url}/crmbet/")
    tab.page.locator("#alerts table").wait_for()
    assert tab.page.locator("html.dark").count() == 1
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= 400
    assert tab.complaints == []


def test_the_page_in_the_readers_language(live: Live, tab: Tab) -> None:
    page = tab.page
    page.goto(f"{live.login.url}/crmbet/")
    page.get_by_role("button", name="PT", exact=True).click()
    page.get_by_role("heading", name=f"A execução de {AS_OF} falhou").wait_for()
    page.reload()
    page.get_by_role("heading", name=f"A execução de {AS_OF} falhou").wait_for()
    assert page.get_by_role("heading", name="Score de qualidade").count() == 1
    assert page.locator("html").get_attribute("lang") == "pt-BR"

    page.get_by_role("button", name="EN", exact=True).click()
    page.get_by_role("heading", name=f"The run as of {AS_OF} failed").wait_for()
    assert page.get_by_role("heading", name="Quality score").count() == 1
    assert tab.complaints == []


def test_the_page_before_the_first_run(live: Live, tab: Tab) -> None:
    nothing: dict[str, Any] = {
        "now": "2024-04-10T00:00:00Z",
        "dag_id": DAG,
        "tasks": [],
        "table": None,
        "runs": [],
        "alerts": [],
    }
    tab.page.route("**/api/overview", lambda route: route.fulfill(status=200, json=nothing))
    tab.page.goto(f"{live.login.url}/crmbet/")
    tab.page.get_by_text("No run yet").wait_for()
    assert tab.complaints == []


def test_the_page_while_the_database_is_down(live: Live, tab: Tab) -> None:
    page = tab.page
    page.goto(f"{live.login.url}/crmbet/")
    page.get_by_role("heading", name=f"The run as of {AS_OF} failed").wait_for()
    with closing(psycopg2.connect(EmbeddedPostgres(live.workspace).url("airflow"))) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute("ALTER DATABASE crmbet_target RENAME TO crmbet_gone")
        try:
            # As a reader's choice of a range does.
            page.get_by_role("button", name="All", exact=True).click()
            page.get_by_text("The figures below are older").wait_for()
            assert page.get_by_role("heading", name=f"The run as of {AS_OF} failed").is_visible()

            page.reload()
            page.get_by_text("There is no data to show").wait_for()
            page.get_by_text("PostgreSQL does not have the database").wait_for()
        finally:
            cursor.execute("ALTER DATABASE crmbet_gone RENAME TO crmbet_target")
    page.get_by_text("Try again").click()
    page.get_by_role("heading", name=f"The run as of {AS_OF} failed").wait_for()
