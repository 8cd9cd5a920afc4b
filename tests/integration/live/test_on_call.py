"""Real runs under a scheduler that fail: the alerts that are sent, how often, and the page.

One Airflow (API server, scheduler with LocalExecutor, DAG processor, triggerer) serves all tests of this file. While it
runs, one task is killed, one delivery is broken, one run is late; and the Slack channel hangs all the time.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from local import airflow, ports, ui
from local import services as embedded
from local.credentials import credentials
from local.env import LAKE_BUCKET, environment, lake_variables
from local.postgres import EmbeddedPostgres
from local.simulator import World, deliver
from local.workspace import Workspace
from tests.integration.live.sinks import MailSink, WebSink, mail_sink, udp_sink, web_sink

pytestmark = pytest.mark.integration

AS_OF = date(2024, 4, 10)
WORLD = World(seed=5, players=40, start_day=date(2024, 4, 5), end_day=AS_OF)
DAG = "user_features_daily"
TOKEN = "canary-of-the-webhook-token"  # noqa: S105 - nobody's
SLACK_SECRET = "T000/B000/canary-of-the-slack-address"  # noqa: S105 - nobody's
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
HOSTILE = "<img src=x onerror=alert(1)>"
KILLED, BROKEN, LATE = "killed", "broken", "late"
"""Run ids."""


def plain_text(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


@dataclass(frozen=True)
class Live:
    """A running Airflow, the sinks that its alerts go to, and its runs' states."""

    workspace: Workspace
    login: ui.Login
    web: WebSink
    mail: MailSink
    states: dict[str, str]
    metrics: list[str]
    """Lines of StatsD."""
    lineage: WebSink
    """Of OpenLineage."""

    def query(self, database: str, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        url = EmbeddedPostgres(self.workspace).url(database)
        with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
            cursor.execute(sql, values)
            return cursor.fetchall()

    def target(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        return self.query("crmbet_target", sql, *values)

    def call(self, path: str, body: Any = None, *, token: str = "") -> tuple[int, str]:
        headers = {"Content-Type": "application/json"} | (
            {"Authorization": f"Bearer {token}"} if token else {}
        )
        request = urllib.request.Request(
            self.login.url + path, json.dumps(body).encode() if body is not None else None, headers
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.read().decode()

    def token(self, user: str) -> str:
        passwords = json.loads((self.workspace.airflow_home / airflow.PASSWORD_FILE).read_text())
        status, answer = self.call("/auth/token", {"username": user, "password": passwords[user]})
        assert status == 201
        return str(json.loads(answer)["access_token"])

    def messages(self, run_id: str) -> list[Any]:
        return [body for body in self.web.bodies("/alerts") if body["execution_id"] == run_id]

    def mails(self, run_id: str) -> list[Any]:
        return [mail for mail in self.mail.mails if run_id in plain_text(mail)]


def wait_for(what: Callable[[], Any], seconds: float = 240) -> Any:
    deadline = time.monotonic() + seconds
    while not (result := what()):
        assert time.monotonic() < deadline, "what the test waits for does not come"
        time.sleep(0.1)
    return result


@pytest.fixture(scope="module")
def live(session_folder: Path, make_services_ready: Callable[[Workspace], None]) -> Iterator[Live]:
    workspace = Workspace(session_folder / "oncall")
    with (
        web_sink() as web,
        web_sink() as lineage,
        mail_sink() as mail,
        udp_sink() as (port, metrics),
        pytest.MonkeyPatch.context() as patch,
    ):
        try:
            make_services_ready(workspace)
            embedded.up(workspace)
            for variable, value in lake_variables(workspace, LAKE_BUCKET).items():
                patch.setenv(variable, value)
            deliver(
                WORLD,
                bucket=LAKE_BUCKET,
                source_url=environment(workspace)["CRMBET_SOURCE_URL"],
                broken=True,
            )
            # Another checkout's tests may start a UI within the same seconds, and both would find 8080 free.
            ports.remember(workspace, ui.SERVICE, ports.first_free(()))
            login = ui.start(workspace, variables(web, mail, port, lineage))
            running = Live(workspace, login, web, mail, {}, metrics, lineage)
            go_wrong(running)
            yield running
        finally:
            embedded.stop(workspace)


def variables(web: WebSink, mail: MailSink, statsd_port: int, lineage: WebSink) -> dict[str, str]:
    connections = {
        "SLACK": {"conn_type": "slackwebhook", "host": f"{web.url}/hang", "password": SLACK_SECRET},
        "EMAIL": {
            "conn_type": "smtp",
            "host": "127.0.0.1",
            "port": mail.port,
            "extra": {"from_email": "crmbet@example.com", "to": ["oncall@example.com"]},
        },
        "WEBHOOK": {"conn_type": "http", "host": f"{web.url}/alerts", "password": TOKEN},
    }
    return {
        "AIRFLOW__CORE__DAGS_FOLDER": str(Path(__file__).parent / "dags"),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin,stranger:",
        "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps({"type": "http", "url": lineage.url}),
        "AIRFLOW__OPENLINEAGE__EXTRACTORS": "crmbet.orchestration.lineage.PipelineLineage",
        "AIRFLOW__METRICS__STATSD_ON": "True",
        "AIRFLOW__METRICS__STATSD_PORT": str(statsd_port),
        **{f"AIRFLOW_CONN_CRMBET_ALERTS_{name}": json.dumps(value) for name, value in connections.items()},
    }


def go_wrong(live: Live) -> None:
    """Three runs side by side: in one a task is killed, one has a broken delivery, one is late."""
    token = live.token(airflow.ADMIN)
    parsed = "SELECT 1 FROM dag HAVING count(*) = 2 UNION SELECT 2 FROM import_error"
    wait_for(lambda: live.query("airflow", parsed))
    assert live.query("airflow", "SELECT stacktrace FROM import_error") == []
    with closing(psycopg2.connect(EmbeddedPostgres(live.workspace).url("airflow"))) as connection, connection:
        connection.cursor().execute("UPDATE dag SET is_paused = false")
    for dag, run_id, conf in (
        (DAG, KILLED, {"as_of": AS_OF.isoformat()}),
        (DAG, BROKEN, {"as_of": AS_OF.isoformat()}),
        ("late", LATE, {}),
    ):
        status, answer = live.call(
            f"/api/v2/dags/{dag}/dagRuns",
            {"dag_run_id": run_id, "logical_date": None, "conf": conf},
            token=token,
        )
        assert status == 200, answer
    kill(live, KILLED, "extract_s3")
    kill(live, BROKEN, "record_run")
    ended = "SELECT run_id, state FROM dag_run WHERE state IN ('success', 'failed')"
    wait_for(lambda: len(live.query("airflow", ended)) == 3)
    live.states.update(live.query("airflow", ended))
    # One each for the killed and the broken run, two for the late one.
    wait_for(lambda: len(live.target("SELECT 1 FROM ml_features.alerts")) >= 4)
    time.sleep(1)  # whatever would come too much has time to come


def kill(live: Live, run_id: str, task_id: str) -> None:
    """Kill a task's process as soon as it has one."""
    running = (
        "SELECT pid FROM task_instance WHERE run_id = %s AND task_id = %s AND state = 'running' AND pid > 0"
    )
    ((pid,),) = wait_for(lambda: live.query("airflow", running, run_id, task_id), seconds=240)
    os.kill(pid, signal.SIGKILL)


def test_a_killed_task_is_one_message_that_says_so(live: Live) -> None:
    assert live.states[KILLED] == "failed"
    [message] = live.messages(KILLED)
    assert message["task_id"] == "extract_s3"
    assert message["failure"]["kind"] == "Killed"
    assert "killed" in message["failure"]["what"]
    assert message["links"]["log"].endswith(f"/dags/{DAG}/runs/{KILLED}/tasks/extract_s3?try_number=1")
    assert message["links"]["runbook"].endswith("/crmbet/runbook#killed")
    assert len(live.mails(KILLED)) == 1


def test_a_broken_delivery_is_one_message_with_the_checks(live: Live) -> None:
    assert live.states[BROKEN] == "failed"
    [message] = live.messages(BROKEN)
    assert (message["kind"], message["task_id"], message["as_of"]) == (
        "failed",
        "validate_raw",
        AS_OF.isoformat(),
    )
    assert message["failure"]["kind"] == "QualityBreach"
    assert {"completeness", "primary_key_integrity"} <= {breach["check"] for breach in message["breaches"]}
    # Single columns and whole rows are both judged by the same threshold.
    incomplete = [breach for breach in message["breaches"] if breach["check"] == "completeness"]
    assert {breach["threshold"] for breach in incomplete} == {"5%"}
    assert any("of rows have no" in breach["observed"] and breach["keys"] for breach in incomplete)
    assert message["links"].keys() == {"log", "run", "report", "page", "runbook"}
    [mail] = live.mails(BROKEN)
    assert mail["To"] == "oncall@example.com"
    assert "user_features_daily (as_of 2024-04-10) failed at validate_raw" in mail["Subject"]
    page = mail.get_body(("html",)).get_content()
    assert "primary_key_integrity [CRITICAL] raw_bets" in page


def test_a_late_run_is_reported_once_and_so_is_its_recovery(live: Live) -> None:
    assert live.states[LATE] == "success"
    assert [message["kind"] for message in live.messages(LATE)] == ["deadline", "recovered"]


def test_a_channel_that_hangs_is_left_behind(live: Live) -> None:
    delivered = live.target("SELECT DISTINCT delivered::text FROM ml_features.alerts")
    assert [json.loads(one) for (one,) in delivered] == [
        {
            "crmbet_alerts_slack": "ReadTimeout",
            "crmbet_alerts_email": "sent",
            "crmbet_alerts_webhook": "sent",
        }
    ]
    assert {path for path, _, _ in live.web.posts} == {"/alerts", f"/hang/{SLACK_SECRET}"}


def test_failed_runs_have_their_rows(live: Live) -> None:
    rows = live.target(
        """
        SELECT execution_id, state, failed_task, failure, as_of_date, records_extracted, records_cleaned,
            quality_grade, tasks
        FROM ml_features.pipeline_runs
        """
    )
    by_run = {row[0]: row[1:] for row in rows}
    assert by_run.keys() == {KILLED, BROKEN}
    state, task, failure, as_of, extracted, cleaned, grade, tasks = by_run[BROKEN]
    assert (state, task, as_of, cleaned, grade) == ("failed", "validate_raw", AS_OF, None, "F")
    assert "not good enough" in failure
    assert extracted > 0
    assert tasks["extract_s3"]["seconds"] > 0
    assert 50e6 < tasks["extract_s3"]["peak_memory_bytes"] < 5e9
    assert tasks["load_merge"]["state"] == "upstream_failed"
    state, task, failure, _, extracted, *_ = by_run[KILLED]
    assert (state, task, extracted) == ("failed", "extract_s3", None)
    assert "killed" in failure


def test_the_row_of_a_run_whose_record_was_killed_is_written_for_it(live: Live) -> None:
    states = live.query(
        "airflow", "SELECT run_id, state FROM task_instance WHERE task_id = 'record_run' ORDER BY run_id"
    )
    assert states == [(BROKEN, "failed"), (KILLED, "success")]
    [(as_of, extracted, score)] = live.target(
        "SELECT as_of_date, records_extracted, quality_score FROM ml_features.pipeline_runs WHERE execution_id = %s",
        BROKEN,
    )
    assert (as_of, extracted > 0, score < 0.6) == (AS_OF, True, True)


def test_figures_are_airflow_metrics_too(live: Live) -> None:
    gauges = {line.partition(":")[0] for line in live.metrics if line.endswith("|g")}
    assert {"airflow.crmbet.records_extracted", "airflow.crmbet.data_quality_score"} <= gauges


def test_lineage_names_what_a_task_read_and_wrote(live: Live) -> None:
    events = [body for _, _, body in live.lineage.posts]
    [captured] = [
        event
        for event in events
        if event["job"]["name"] == f"{DAG}.extract_s3" and event["eventType"] == "COMPLETE"
    ]
    inputs, outputs = (
        {(one["namespace"], one["name"]) for one in captured[side]} for side in ("inputs", "outputs")
    )
    assert (f"s3://{LAKE_BUCKET}", "raw/bets") in inputs
    assert (f"s3://{LAKE_BUCKET}", "crmbet/brand=default/captures/source=bets") in outputs
    failed = {event["job"]["name"] for event in events if event["eventType"] == "FAIL"}
    assert {f"{DAG}.validate_raw", DAG} <= failed


def task_logs(live: Live, run_id: str) -> list[Path]:
    return sorted(
        (live.workspace.airflow_home / "logs" / f"dag_id={DAG}").glob(f"run_id={run_id}/task_id=*/*.log")
    )


def test_every_line_of_a_tasks_log_is_json_and_ours_name_the_run(live: Live) -> None:
    logs = task_logs(live, BROKEN)
    assert len(logs) >= 4
    ours = 0
    for path in logs:
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            assert {"timestamp", "level", "event"} <= entry.keys()
            if str(entry.get("logger", "")).startswith("crmbet.") and "RecordRun" not in str(path):
                ours += 1
                assert entry["execution_id"] == BROKEN, line
                assert entry["component"].endswith("Operator"), line
                if " done: " in entry["event"]:
                    assert entry["as_of"] == AS_OF.isoformat()
    assert ours > 5


def test_each_step_logs_its_outcome_in_the_shape_of_the_original_specification(live: Live) -> None:
    lines = [json.loads(line) for path in task_logs(live, BROKEN) for line in path.read_text().splitlines()]
    said = {line["component"]: line for line in lines if "message" in line}
    # The record of this run is killed: it has no line.
    assert said.keys() == {"ExtractS3Operator", "ExtractPgOperator", "ValidateOperator"}
    for line in said.values():
        assert {"timestamp", "level", "component", "message", "execution_id", "as_of"} <= line.keys()
        assert line["message"] == line["event"]
    assert said["ExtractS3Operator"]["bets"] > 0
    assert said["ValidateOperator"]["level"] == "error"
    [recorded] = [
        line
        for path in task_logs(live, KILLED)
        for text in path.read_text().splitlines()
        if (line := json.loads(text)).get("component") == "RecordRunOperator" and "message" in line
    ]
    assert recorded["message"] == "the run has failed at extract_s3"
    assert (recorded["records_processed"], recorded["quality_score"]) == (None, None)


def test_no_secret_is_anywhere(live: Live) -> None:
    keys = credentials(live.workspace)
    secrets = (
        TOKEN,
        SLACK_SECRET.rpartition("/")[2],
        keys.secret_access_key,
        keys.fernet_key,
        keys.jwt_secret,
    )
    files = [path for path in (live.workspace.airflow_home / "logs").rglob("*") if path.is_file()]
    files += list((live.workspace.state / "logs").glob("*.log"))
    files += [
        path for path in (live.workspace.state / "lake").rglob("*") if path.suffix in (".json", ".html")
    ]
    assert len(files) > 20
    for path in files:
        text = path.read_text(errors="replace")
        assert [secret for secret in secrets if secret in text] == [], path
    assert [
        secret for secret in secrets if secret in json.dumps([post[2] for post in live.lineage.posts])
    ] == []
    for table in ("xcom", "rendered_task_instance_fields", "dag_run", "serialized_dag", "log", "callback"):
        rows = live.query("airflow", f"SELECT coalesce(string_agg({table}::text, ' '), '') FROM {table}")
        assert [secret for secret in secrets if secret in rows[0][0]] == [], table
    rows = live.target("SELECT string_agg(r::text, ' ') FROM ml_features.pipeline_runs r")
    assert [secret for secret in secrets if secret in rows[0][0]] == []


def test_the_page_is_for_those_who_may_see_runs(live: Live) -> None:
    for route in ("", "api/overview", "static/page.js", "runbook", "reports/x/raw"):
        path = f"/crmbet/{route}"
        assert live.call(path)[0] == 401, path
        assert live.call(path, token=live.token("stranger"))[0] == 403, path
    token = live.token(airflow.ADMIN)
    assert live.call("/crmbet/", token=token)[0] == 200
    assert live.call("/crmbet/openapi.json", token=token)[0] == 404
    assert live.call("/crmbet/static/README.md", token=token)[0] == 404
    assert live.call("/crmbet/reports/nobody/raw", token=token)[0] == 404


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
def session(live: Live) -> Iterator[Any]:
    """A browser that has logged in."""
    if CHROMIUM is None:
        assert "CI" not in os.environ, "CI installs Chromium"
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        opened = context.new_page()
        opened.goto(live.login.url)
        opened.fill("input[name=username]", live.login.user)
        opened.fill("input[name=password]", live.login.password)
        opened.keyboard.press("Enter")
        opened.wait_for_url(lambda url: "login" not in url)
        opened.close()
        yield context
        browser.close()


@dataclass(frozen=True)
class Tab:
    """A tab of the browser, and what it complained of or asked of others."""

    page: Any
    complaints: list[str]


@pytest.fixture
def tab(live: Live, session: Any) -> Iterator[Tab]:
    opened, complaints = session.new_page(), []
    ours = (live.login.url, "data:", "blob:")
    opened.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("request", lambda asked: None if asked.url.startswith(ours) else complaints.append(asked.url))
    yield Tab(opened, complaints)
    opened.close()


def test_the_page_in_the_uis_frame(live: Live, tab: Tab) -> None:
    page = tab.page
    page.goto(f"{live.login.url}/plugin/crmbet")
    frame = page.frame_locator("iframe")
    frame.get_by_role("heading", name="The last run failed").wait_for()
    assert frame.locator("#breaches tr").count() > 3
    assert frame.locator("#alerts tbody tr").count() == 4
    assert frame.locator("#chart-score canvas").count() == 1

    frame.get_by_role("button", name="30 days").click()
    assert frame.get_by_role("button", name="30 days").get_attribute("aria-pressed") == "true"

    frame.locator("#alerts").get_by_role("link", name="validate_raw").click()
    page.wait_for_url(lambda url: f"/runs/{BROKEN}" in url)
    page.get_by_text("validate_raw").first.wait_for()
    assert tab.complaints == []


def test_an_alert_of_another_dag_leads_to_its_own_run(live: Live, tab: Tab) -> None:
    tab.page.goto(f"{live.login.url}/plugin/crmbet")
    link = tab.page.frame_locator("iframe").locator("#alerts").get_by_role("link", name="late").first
    assert link.get_attribute("href").endswith(f"/dags/late/runs/{LATE}")

    link.click()
    tab.page.wait_for_url(lambda url: f"/dags/late/runs/{LATE}" in url)
    tab.page.get_by_text("dawdle").first.wait_for()
    assert tab.complaints == []


def test_the_tab_on_a_run_is_about_that_run(live: Live, tab: Tab) -> None:
    tab.page.goto(f"{live.login.url}/dags/{DAG}/runs/{KILLED}/plugin/crmbet-run")
    frame = tab.page.frame_locator("iframe")
    frame.get_by_role("heading", name="This run failed at extract_s3").wait_for()
    assert tab.complaints == []


def test_the_page_opens_the_report(live: Live, tab: Tab) -> None:
    tab.page.goto(f"{live.login.url}/plugin/crmbet")
    tab.page.frame_locator("iframe").locator("#breaches a").first.click()
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


def test_the_page_before_the_first_run(live: Live, tab: Tab) -> None:
    nothing = {
        "now": "2024-04-10T00:00:00Z",
        "dag_id": DAG,
        "tasks": [],
        "runs": [],
        "alerts": [],
        "drift": [],
    }
    tab.page.route("**/api/overview", lambda route: route.fulfill(status=200, json=nothing))
    tab.page.goto(f"{live.login.url}/crmbet/")
    tab.page.get_by_text("No run yet").wait_for()
    assert tab.complaints == []


def test_the_page_names_the_features_that_have_drifted(live: Live, tab: Tab) -> None:
    overview = json.loads(live.call("/crmbet/api/overview", token=live.token(airflow.ADMIN))[1])
    moved, still = {"expectation": "no feature has moved"}, {"expectation": "no quartile has moved"}
    overview["drift"] = [
        {"execution_id": BROKEN, "stage": "features", "as_of": f"{AS_OF}T03:00:00Z", **fields}
        for fields in (
            {
                "success": False,
                "observed": [moved],
                "sample_keys": [{**moved, "keys": ["bets_30d", HOSTILE]}],
            },
            {"success": True, "observed": [moved, still], "sample_keys": []},
        )
    ]
    tab.page.route("**/api/overview", lambda route: route.fulfill(status=200, json=overview))
    tab.page.goto(f"{live.login.url}/crmbet/")
    rows = tab.page.locator("#drift tbody tr")
    rows.first.wait_for()
    assert [row.inner_text().split("\t")[1:] for row in rows.all()] == [
        [f"bets_30d, {HOSTILE}: no feature has moved", "drifted"],
        ["no feature has moved", "no drift"],
        ["no quartile has moved", "no drift"],
    ]
    assert rows.first.locator("a").get_attribute("href").endswith(f"/crmbet/reports/{BROKEN}/features")
    assert tab.page.locator("#drift img").count() == 0
    assert tab.complaints == []


def test_the_page_while_the_database_is_down(live: Live, tab: Tab) -> None:
    left_open = tab.page.context.new_page()
    left_open.goto(f"{live.login.url}/crmbet/")
    left_open.get_by_role("heading", name="The last run failed").wait_for()
    with closing(psycopg2.connect(EmbeddedPostgres(live.workspace).url("airflow"))) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute("ALTER DATABASE crmbet_target RENAME TO crmbet_gone")
        try:
            tab.page.goto(f"{live.login.url}/crmbet/")
            tab.page.get_by_text("There is no data to show").wait_for()
            tab.page.get_by_text("PostgreSQL does not have the database").wait_for()
            # As it does every minute.
            left_open.evaluate("load()")
            left_open.get_by_text("The figures below are older").wait_for()
            assert left_open.get_by_role("heading", name="The last run failed").is_visible()
        finally:
            cursor.execute("ALTER DATABASE crmbet_gone RENAME TO crmbet_target")
    tab.page.get_by_text("Try again").click()
    tab.page.get_by_role("heading", name="The last run failed").wait_for()
    left_open.close()
