"""Every failed run is told exactly once, whatever the target database, the lake and the channels do meanwhile.

The callbacks run as they do on the DAG processor, but for what Airflow answers. The target, the web server that takes
the messages and what hangs are real.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import psycopg2
import pytest
from airflow.sdk import Variable
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from airflow.sdk.execution_time.xcom import XCom
from psycopg2.extensions import parse_dsn

from crmbet.monitoring.alerts import budget
from crmbet.monitoring.metrics import RunMetrics
from crmbet.monitoring.outcome import Failure, TaskOutcome
from crmbet.monitoring.tables import ensure_tables, open_monitoring, write_run
from crmbet.orchestration import alerts, incidents
from crmbet.orchestration.alerts import tell_deadline, tell_failure, tell_success, tell_untold
from crmbet.orchestration.watching import OUTCOME
from crmbet.run.schemas import DEFAULT_SCHEMA
from crmbet.run.tasks import RECORD, TASKS
from local import ports
from local.env import lake_variables
from tests.integration.live.sinks import WebSink, web_sink

pytestmark = pytest.mark.integration

DAG = "user_features_daily"
LOST = Failure(kind="LostConnection", what="PostgreSQL cannot be reached or went away", next_step="nothing")
FOREIGN = Failure(kind="ForeignObjects", what="set aside: 1 object", next_step="move it")
EDITS = Failure(kind="HandEdits", what="edited by hand: 3 rows", next_step="find out who")
BREACH = Failure(kind="QualityBreach", what="the raw data are not good enough", next_step="read the report")


@pytest.fixture(scope="module")
def web() -> Iterator[WebSink]:
    with web_sink() as sink:
        yield sink


@contextmanager
def silent_server() -> Iterator[int]:
    """The port of a server that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        accepted: list[socket.socket] = []

        def accept() -> None:
            with suppress(OSError):
                while True:
                    accepted.append(server.accept()[0])

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield server.getsockname()[1]
        finally:
            for connection in accepted:
                connection.close()


class Airflow:
    """What Airflow answers to a callback: states of tasks, XComs and variables, by run."""

    def __init__(self, patch: pytest.MonkeyPatch, url: str) -> None:
        self.patch, self.url = patch, url
        self.failed: dict[str, tuple[str, Failure | None]] = {}
        self.as_of: dict[str, str] = {}
        self.variables: dict[str, str] = {}
        patch.setattr(task_runner, "SUPERVISOR_COMMS", object(), raising=False)
        patch.setattr(RuntimeTaskInstance, "get_task_states", staticmethod(self.states))
        patch.setattr(XCom, "get_one", staticmethod(self.xcom))
        patch.setattr(Variable, "get", lambda key, default=None: self.variables.get(key, default))
        patch.setattr(Variable, "set", self.note)
        patch.setattr(
            Variable, "keys", lambda prefix: [key for key in self.variables if key.startswith(prefix)]
        )
        patch.setattr(Variable, "delete", self.variables.pop)
        patch.setattr(budget, "_silent", {})
        self.reach_target(**parse_dsn(url))

    def reach_target(self, **parts: Any) -> None:
        fields = {"host": parts["host"], "login": parts["user"], "schema": parts["dbname"]}
        port = {"port": int(parts["port"])} if parts.get("port") else {}
        password = {"password": parts["password"]} if parts.get("password") else {}
        given = {"conn_type": "postgres", **fields, **port, **password}
        self.patch.setenv("AIRFLOW_CONN_CRMBET_TARGET", json.dumps(given))
        self.patch.setattr(budget, "_silent", {})

    def note(self, key: str, value: str, description: str) -> None:
        assert description
        self.variables[key] = value

    def states(self, dag_id: str, run_ids: list[str]) -> dict[str, dict[str, str]]:
        assert dag_id == DAG
        return {
            run_id: {
                task: "failed" if task == self.failed[run_id][0] else "success" for task in [*TASKS, RECORD]
            }
            for run_id in run_ids
        }

    def xcom(self, *, dag_id: str, run_id: str, task_id: str, key: str) -> Any:
        assert dag_id == DAG
        failed, failure = self.failed[run_id]
        if key == OUTCOME and task_id == failed and failure:
            return TaskOutcome(state="failed", try_number=2, failure=failure).model_dump()
        if key == "return_value" and run_id in self.as_of:
            return {"as_of": self.as_of[run_id]}
        return None

    def context(self, run_id: str, task: str = "load_merge", failure: Failure | None = LOST) -> Any:
        """That of a callback of a failed run."""
        self.failed[run_id] = (task, failure)
        tasks = [SimpleNamespace(task_id=name) for name in [*TASKS, RECORD]]
        dag = SimpleNamespace(dag_id=DAG, topological_sort=lambda: tasks, task_ids=[*TASKS])
        now = datetime.now(UTC)
        dag_run = SimpleNamespace(
            run_id=run_id, start_date=now - timedelta(minutes=1), run_after=now - timedelta(minutes=2)
        )
        return {
            "dag": dag, "run_id": run_id, "dag_run": dag_run, "ti": SimpleNamespace(task_id=RECORD, try_number=1),
            "reason": "task_failure",
        }  # fmt: skip

    def record(self, run_id: str, minutes_ago: float = 60, task: str = "load_merge") -> None:
        """What `record_run` leaves of a failed run."""
        self.failed[run_id] = (task, LOST)
        self._write(
            run_id, minutes_ago, state="failed", failed_task=task, failure=LOST.what,
            tasks={task: TaskOutcome(state="failed", try_number=3, failure=LOST)},
        )  # fmt: skip

    def record_warnings(self, run_id: str, minutes_ago: float = 60, run_type: str = "scheduled") -> None:
        """What `record_run` leaves of a run that has succeeded, set an object aside and put edits back."""
        warnings = {"extract_s3": FOREIGN, "load_merge": EDITS}
        tasks = {
            task: TaskOutcome(state="success", try_number=1, warning=warnings.get(task)) for task in TASKS
        }
        self._write(
            run_id,
            minutes_ago,
            run_type=run_type,
            state="success",
            tasks=tasks,
            as_of_date=date(2026, 11, 24),
        )

    def _write(self, run_id: str, minutes_ago: float, *, run_type: str = "scheduled", **fields: Any) -> None:
        ended = datetime.now(UTC) - timedelta(minutes=minutes_ago)
        metrics = RunMetrics(
            dag_id=DAG, execution_id=run_id, run_type=run_type, brand="default", as_of=None,
            started_at=ended - timedelta(minutes=5), ended_at=ended, **fields,
        )  # fmt: skip
        with open_monitoring(self.url, DEFAULT_SCHEMA) as tables:
            ensure_tables(tables)
            write_run(tables, metrics)

    def stored(self, run_id: str) -> list[str]:
        alerts = self.query("SELECT kind FROM ml_features.alerts WHERE execution_id = %s", run_id)
        return [kind for (kind,) in alerts]

    def end_another_run(self) -> None:
        """What a run does at its end, once the server has noticed that the run before it is gone."""
        held = (
            "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database "
            "WHERE locktype = 'advisory' AND datname = current_database()"
        )
        while self.query(held) != [(0,)]:
            time.sleep(0.02)
        tell_untold(own_run())

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with closing(psycopg2.connect(self.url)) as connection, connection.cursor() as cursor:
            cursor.execute(sql, values)
            return cursor.fetchall()


@pytest.fixture
def airflow(postgres_url: str, web: WebSink, monkeypatch: pytest.MonkeyPatch) -> Airflow:
    reached = Airflow(monkeypatch, postgres_url)
    monkeypatch.setenv(
        "AIRFLOW_CONN_CRMBET_ALERTS_WEBHOOK", json.dumps({"conn_type": "http", "host": f"{web.url}/alerts"})
    )
    with open_monitoring(postgres_url, DEFAULT_SCHEMA) as tables:
        ensure_tables(tables)
    return reached


def told(web: WebSink, run_id: str, kind: str = "failed") -> int:
    return sum(body["execution_id"] == run_id and body["kind"] == kind for body in web.bodies("/alerts"))


def own_run() -> Any:
    return {"dag": SimpleNamespace(dag_id=DAG), "dag_run": SimpleNamespace(run_id="the run that looks")}


def test_a_failed_run_is_told_and_written_down(airflow: Airflow, web: WebSink) -> None:
    tell_failure(airflow.context("plain"))

    [message] = [body for body in web.bodies("/alerts") if body["execution_id"] == "plain"]
    assert (message["task_id"], message["try_number"], message["is_late"]) == ("load_merge", 2, False)
    assert message["failure"]["kind"] == "LostConnection"
    assert airflow.stored("plain") == ["failed"]


def test_a_callback_that_comes_twice_tells_once(airflow: Airflow, web: WebSink) -> None:
    context = airflow.context("twice")
    tell_failure(context)
    tell_failure(context)

    assert told(web, "twice") == 1


def test_a_run_that_was_cleared_and_fails_again_is_another_incident(airflow: Airflow, web: WebSink) -> None:
    tell_failure(airflow.context("cleared"))
    again = airflow.context("cleared")
    again["dag_run"].start_date = datetime.now(UTC)
    tell_failure(again)

    assert told(web, "cleared") == 2


@pytest.mark.full
def test_a_silent_database_costs_seconds_and_the_next_run_does_not_tell_again(
    airflow: Airflow, web: WebSink
) -> None:
    airflow.record("silent database", minutes_ago=0.5)
    with silent_server() as port:
        airflow.reach_target(**parse_dsn(airflow.url) | {"host": "127.0.0.1", "port": port})
        started = time.monotonic()
        tell_failure(airflow.context("silent database"))
        assert time.monotonic() - started < 15
        assert told(web, "silent database") == 1
        # A second callback in the same process does not wait for the database again.
        started = time.monotonic()
        tell_failure(airflow.context("behind it"))
        assert time.monotonic() - started < 3
    assert len(airflow.variables) == 2, "notes that they were told"

    airflow.reach_target(**parse_dsn(airflow.url))
    _age(airflow, "silent database")
    airflow.end_another_run()
    airflow.end_another_run()

    assert told(web, "silent database") == told(web, "behind it") == 1
    assert airflow.stored("silent database") == airflow.stored("behind it") == ["failed"]
    assert airflow.variables == {}


def test_a_silent_lake_costs_seconds_and_the_message_goes_out(
    airflow: Airflow, web: WebSink, services: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in lake_variables(services.workspace, "a-lake").items():
        monkeypatch.setenv(variable, value)
    with silent_server() as port:
        lake = json.loads(lake_variables(services.workspace, "a-lake")["AIRFLOW_CONN_CRMBET_LAKE"])
        lake["extra"]["endpoint_url"] = f"http://127.0.0.1:{port}"
        monkeypatch.setenv("AIRFLOW_CONN_CRMBET_LAKE", json.dumps(lake))
        airflow.as_of["silent lake"] = "2026-11-24"
        monkeypatch.setattr(incidents, "REPORT_SECONDS", 1)
        started = time.monotonic()
        tell_failure(airflow.context("silent lake", "validate_raw", BREACH))
        assert time.monotonic() - started < 15

    [message] = [body for body in web.bodies("/alerts") if body["execution_id"] == "silent lake"]
    assert message["links"]["report"].endswith("/crmbet/reports/silent%20lake/raw")
    assert (message["as_of"], message["breaches"]) == ("2026-11-24", [])
    assert airflow.stored("silent lake") == ["failed"]


def test_a_callback_without_time_leaves_the_run_to_the_next_one(
    airflow: Airflow, web: WebSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    airflow.record("no time")
    monkeypatch.setattr(sys, "argv", ["airflow", "dag-processor"])
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT", "1")
    tell_failure(airflow.context("no time"))
    assert told(web, "no time") == 0

    airflow.end_another_run()
    airflow.end_another_run()

    [message] = [body for body in web.bodies("/alerts") if body["execution_id"] == "no time"]
    assert (message["task_id"], message["try_number"], message["is_late"]) == ("load_merge", 3, True)
    assert message["failure"]["what"] == LOST.what


def test_a_late_callback_does_not_repeat_what_the_second_line_told(airflow: Airflow, web: WebSink) -> None:
    airflow.record("late callback")
    airflow.end_another_run()
    context = airflow.context("late callback")
    context["dag_run"].start_date = datetime.now(UTC) - timedelta(minutes=65)
    context["dag_run"].run_after = context["dag_run"].start_date
    tell_failure(context)

    assert told(web, "late callback") == 1


def test_the_second_line_leaves_alone_what_is_fresh_or_forgotten(airflow: Airflow, web: WebSink) -> None:
    airflow.record("fresh", minutes_ago=1)
    airflow.record("forgotten", minutes_ago=8 * 24 * 60)
    airflow.record("the run that looks", minutes_ago=60)

    airflow.end_another_run()

    assert told(web, "fresh") == told(web, "forgotten") == told(web, "the run that looks") == 0


def test_only_one_of_two_runs_side_by_side_tells(airflow: Airflow, web: WebSink) -> None:
    airflow.record("side by side")
    threads = [threading.Thread(target=tell_untold, args=[own_run()]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert told(web, "side by side") == 1


def test_what_no_channel_took_is_told_again_until_one_does(
    airflow: Airflow, web: WebSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    working = json.dumps({"conn_type": "http", "host": f"{web.url}/alerts"})
    monkeypatch.setenv(
        "AIRFLOW_CONN_CRMBET_ALERTS_WEBHOOK", json.dumps({"conn_type": "http", "host": f"{web.url}/fail"})
    )
    airflow.record("refused", minutes_ago=0.5)
    tell_failure(airflow.context("refused"))
    _age(airflow, "refused")
    airflow.end_another_run()
    assert told(web, "refused") == 0

    monkeypatch.setenv("AIRFLOW_CONN_CRMBET_ALERTS_WEBHOOK", working)
    airflow.end_another_run()
    airflow.end_another_run()

    assert told(web, "refused") == 1


@pytest.mark.parametrize("extra", ['["a"]', '{"to": 5}', '{"to": ["a"'])
def test_a_malformed_channel_keeps_nobody_from_telling_once(
    airflow: Airflow, web: WebSink, monkeypatch: pytest.MonkeyPatch, extra: str
) -> None:
    mail = {"conn_type": "smtp", "host": "127.0.0.1", "port": 9, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_CRMBET_ALERTS_EMAIL", json.dumps(mail))
    run_id = f"malformed {extra}"
    airflow.record(run_id)
    airflow.end_another_run()
    airflow.end_another_run()

    assert told(web, run_id) == 1
    [(delivered,)] = airflow.query("SELECT delivered FROM ml_features.alerts WHERE execution_id = %s", run_id)
    assert delivered["crmbet_alerts_webhook"] == "sent"
    assert delivered["crmbet_alerts_email"].startswith("malformed connection: ")


def test_what_only_a_malformed_channel_could_take_is_told_once_it_is_mended(
    airflow: Airflow, web: WebSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    working = json.dumps({"conn_type": "http", "host": f"{web.url}/alerts"})
    monkeypatch.setenv("AIRFLOW_CONN_CRMBET_ALERTS_WEBHOOK", working.replace("host", "hots"))
    airflow.record("malformed alone")
    airflow.end_another_run()
    assert told(web, "malformed alone") == 0

    monkeypatch.setenv("AIRFLOW_CONN_CRMBET_ALERTS_WEBHOOK", working)
    airflow.end_another_run()

    assert told(web, "malformed alone") == 1


@pytest.mark.few(2)
@pytest.mark.parametrize("run_type", ["scheduled", "backfill", "manual"])
@pytest.mark.parametrize("has_row", [True, False])
def test_the_deadline_speaks_for_a_failed_run_that_nobody_was_told_of(
    airflow: Airflow, web: WebSink, run_type: str, has_row: bool
) -> None:
    run_id = f"deadline {run_type} {has_row}"
    airflow.context(run_id, "clean", None)
    if has_row:
        airflow.record(run_id, task="clean")
    dag_run = {
        "dag_id": DAG, "dag_run_id": run_id, "state": "failed", "run_type": run_type,
        "start_date": (datetime.now(UTC) - timedelta(hours=6)).isoformat(),
    }  # fmt: skip

    asyncio.run(tell_deadline({"dag_run": dag_run}))
    asyncio.run(tell_deadline({"dag_run": dag_run}))

    [message] = [body for body in web.bodies("/alerts") if body["execution_id"] == run_id]
    assert (message["kind"], message["task_id"], message["is_late"]) == ("failed", "clean", True)
    assert message["failure"]["kind"] == ("LostConnection" if has_row else "Killed")


def test_the_deadline_is_silent_about_a_failed_run_that_was_told(airflow: Airflow, web: WebSink) -> None:
    tell_failure(airflow.context("told before"))
    dag_run = {
        "dag_id": DAG, "dag_run_id": "told before", "state": "failed", "run_type": "scheduled",
        "start_date": (datetime.now(UTC) - timedelta(hours=6)).isoformat(),
    }  # fmt: skip
    asyncio.run(tell_deadline({"dag_run": dag_run}))

    assert told(web, "told before") == 1


def test_the_deadline_asks_a_slow_database_again(
    airflow: Airflow, web: WebSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell_failure(airflow.context("slow at its deadline"))
    dag_run = {"dag_id": DAG, "dag_run_id": "slow at its deadline", "state": "failed", "start_date": None}
    with silent_server() as port:
        airflow.reach_target(**parse_dsn(airflow.url) | {"host": "127.0.0.1", "port": port})
        monkeypatch.setattr(alerts, "PATIENCE_SECONDS", 0.2)
        monkeypatch.setattr(alerts, "LOOKS", 2)
        monkeypatch.setattr(alerts, "SECONDS_BETWEEN_LOOKS", 0)
        sleeps: list[float] = []

        def heal(seconds: float) -> None:
            sleeps.append(seconds)
            airflow.reach_target(**parse_dsn(airflow.url))
            monkeypatch.setattr(alerts, "PATIENCE_SECONDS", 20)

        monkeypatch.setattr(time, "sleep", heal)
        asyncio.run(tell_deadline({"dag_run": dag_run}))

    assert len(sleeps) == 1
    assert told(web, "slow at its deadline") == 1


@pytest.mark.parametrize("name", ["read_run", "read_alerts_of", "write_alert"])
def test_a_fault_of_our_own_in_a_callback_is_raised(
    airflow: Airflow, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise NameError("not defined")

    context = airflow.context(f"fault in {name}")
    monkeypatch.setattr(f"crmbet.monitoring.tables.{name}", broken)

    with pytest.raises(NameError):
        tell_failure(context)


def warned(web: WebSink, run_id: str) -> dict[str, bool]:
    """Kind of each warning that was told of a run, to whether it came late. Raises if one was told twice."""
    told = [
        (body["failure"]["kind"], body["is_late"])
        for body in web.bodies("/alerts")
        if body["execution_id"] == run_id
    ]
    assert len(told) == len(dict(told))
    return dict(told)


def succeeded(airflow: Airflow, run_id: str, minutes_ago: float = 10) -> Any:
    """The context of a callback of a run that has succeeded."""
    context = airflow.context(run_id)
    context["dag_run"].start_date = datetime.now(UTC) - timedelta(minutes=minutes_ago)
    context["dag_run"].run_after = context["dag_run"].start_date
    return context


@pytest.mark.parametrize(
    ("run_type", "kinds"),
    [
        ("scheduled", {"ForeignObjects", "HandEdits"}),
        ("manual", {"ForeignObjects", "HandEdits"}),
        ("backfill", {"HandEdits"}),
    ],
)
def test_edits_by_hand_are_told_whatever_run_finds_them(
    airflow: Airflow, web: WebSink, run_type: str, kinds: set[str]
) -> None:
    run_id = f"warnings of a {run_type}"
    airflow.record_warnings(run_id, minutes_ago=0, run_type=run_type)

    tell_success(succeeded(airflow, run_id))
    tell_success(succeeded(airflow, run_id))

    assert warned(web, run_id) == dict.fromkeys(kinds, False)


@pytest.mark.parametrize(
    ("run_type", "kinds"),
    [("scheduled", {"ForeignObjects", "HandEdits"}), ("backfill", {"HandEdits"})],
)
def test_a_warning_whose_callback_was_killed_is_told_by_the_next_run(
    airflow: Airflow, web: WebSink, run_type: str, kinds: set[str]
) -> None:
    run_id = f"lost warnings of a {run_type}"
    airflow.record_warnings(run_id, run_type=run_type)

    airflow.end_another_run()
    airflow.end_another_run()
    tell_success(succeeded(airflow, run_id, minutes_ago=65))

    assert warned(web, run_id) == dict.fromkeys(kinds, True)


def test_a_warning_that_was_told_is_not_told_again_though_it_could_not_be_written(
    airflow: Airflow, web: WebSink
) -> None:
    airflow.record_warnings("noted warnings", minutes_ago=0.5)
    known = incidents.look(DAG, "noted warnings", None)
    away = {"host": "127.0.0.1", "port": ports.first_free([])}
    airflow.reach_target(**parse_dsn(airflow.url) | away)
    assert known.row
    alerts._tell_warnings(known.row, known)
    assert len(airflow.variables) == 2, "a note for each"
    airflow.reach_target(**parse_dsn(airflow.url))
    _age(airflow, "noted warnings")

    airflow.end_another_run()

    assert warned(web, "noted warnings") == {"ForeignObjects": False, "HandEdits": False}
    assert airflow.variables == {}


def test_the_second_line_leaves_fresh_warnings_to_their_callback(airflow: Airflow, web: WebSink) -> None:
    airflow.record_warnings("fresh warnings", minutes_ago=1)
    airflow.record_warnings("forgotten warnings", minutes_ago=8 * 24 * 60)

    airflow.end_another_run()

    assert warned(web, "fresh warnings") == warned(web, "forgotten warnings") == {}


def test_a_warning_that_no_channel_took_is_told_by_the_next_run(
    airflow: Airflow, web: WebSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    working = json.dumps({"conn_type": "http", "host": f"{web.url}/alerts"})
    monkeypatch.setenv(
        "AIRFLOW_CONN_CRMBET_ALERTS_WEBHOOK", json.dumps({"conn_type": "http", "host": f"{web.url}/fail"})
    )
    airflow.record_warnings("refused warnings")
    airflow.end_another_run()
    assert warned(web, "refused warnings") == {}

    monkeypatch.setenv("AIRFLOW_CONN_CRMBET_ALERTS_WEBHOOK", working)
    airflow.end_another_run()

    assert warned(web, "refused warnings") == {"ForeignObjects": True, "HandEdits": True}


@pytest.mark.parametrize("name", ["list_untold", "list_warned", "begin_telling", "write_alert"])
def test_a_fault_of_our_own_in_the_second_line_is_raised(
    airflow: Airflow, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise NameError("not defined")

    airflow.record(f"fault in {name}")
    monkeypatch.setattr(f"crmbet.monitoring.tables.{name}", broken)

    with pytest.raises(NameError):
        airflow.end_another_run()


def test_a_recovery_is_told_although_its_alert_is_still_a_note(airflow: Airflow, web: WebSink) -> None:
    away = {"host": "127.0.0.1", "port": ports.first_free([])}
    airflow.reach_target(**parse_dsn(airflow.url) | away)
    tell_failure(airflow.context("recovers"))
    airflow.reach_target(**parse_dsn(airflow.url))
    tell_success(airflow.context("recovers"))

    assert told(web, "recovers") == told(web, "recovers", "recovered") == 1


def test_dags_test_cannot_write_the_row_and_says_so(
    airflow: Airflow, web: WebSink, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    context = airflow.context("by dags test")
    context["dag"].task_ids.append(RECORD)
    del context["dag"].topological_sort  # the serialised DAG has none
    monkeypatch.delattr(task_runner, "SUPERVISOR_COMMS")

    tell_failure(context)

    assert told(web, "by dags test") == 1
    assert "`airflow dags test` cannot write it" in caplog.text


def test_a_run_of_dags_test_whose_tasks_a_scheduler_has_taken_says_so(
    airflow: Airflow, web: WebSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Both extracts ran here after the scheduler's copy of one had failed, and that copy had failed all after it.
    states = dict.fromkeys(TASKS, "upstream_failed") | {"extract_s3": "success", "extract_pg": "success"}
    tasks = {task: TaskOutcome(state=state) for task, state in states.items()}
    airflow._write("taken", 0, run_type="manual", state="failed", tasks=tasks)
    context = airflow.context("taken") | {"ti": None}
    context["dag_run"].run_after = datetime.now(UTC) - timedelta(minutes=6)
    monkeypatch.delattr(task_runner, "SUPERVISOR_COMMS")

    tell_failure(context)

    [message] = [body for body in web.bodies("/alerts") if body["execution_id"] == "taken"]
    assert message["failure"]["what"] == "no task of the run failed, and not all of them succeeded"
    assert "a scheduler may have taken its tasks: pause the DAG" in message["failure"]["next_step"]


def _age(airflow: Airflow, run_id: str) -> None:
    """Let an hour pass for a run."""

    def past(column: str) -> str:
        return f"{column} = {column} - interval '1 hour'"

    with closing(psycopg2.connect(airflow.url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE ml_features.pipeline_runs SET {past('started_at')}, {past('ended_at')} WHERE execution_id = %s",
            [run_id],
        )
        cursor.execute(f"UPDATE ml_features.alerts SET {past('raised_at')} WHERE execution_id = %s", [run_id])
