"""One Airflow with runs that fail: how it is configured, what goes wrong in it, and how a test asks it."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import psycopg2

from local import airflow, ports, ui
from local.env import environment
from local.postgres import EmbeddedPostgres
from local.simulator import World
from local.workspace import Workspace
from tests.integration.live.links import Link
from tests.integration.live.sinks import MailSink, WebSink

AS_OF = date(2024, 4, 10)
WORLD = World(seed=5, players=40, start_day=date(2024, 4, 5), end_day=AS_OF)
DAG = "user_features_daily"
TOKEN = "canary-of-the-webhook-token"  # noqa: S105 - nobody's
SLACK_SECRET = "T000/B000/canary-of-the-slack-address"  # noqa: S105 - nobody's
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
    to_target: Link
    to_lake: Link

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


def wait_for(
    what: Callable[[], Any], seconds: float = 600, but: Callable[[], Any] = lambda: "nothing"
) -> Any:
    """Ask until the answer is not empty. A busy machine takes minutes to start an Airflow; what hangs takes longer.

    `but` says what there is when the time is over.
    """
    deadline = time.monotonic() + seconds
    while not (result := what()):
        assert time.monotonic() < deadline, f"what the test waits for does not come, but {but()}"
        time.sleep(0.1)
    return result


def variables(
    workspace: Workspace,
    web: WebSink,
    mail: MailSink,
    statsd_port: int,
    lineage: WebSink,
    links: tuple[Link, Link],
) -> dict[str, str]:
    ours = environment(workspace)
    to_target, to_lake = links
    target = json.loads(ours["AIRFLOW_CONN_CRMBET_TARGET"]) | {"host": ports.HOST, "port": to_target.port}
    lake = json.loads(ours["AIRFLOW_CONN_CRMBET_LAKE"])
    lake["extra"]["endpoint_url"] = f"http://{ports.HOST}:{to_lake.port}"
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
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin,viewer:viewer,user:user,op:op,stranger:",
        # The files do not change.
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "3600",
        "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps({"type": "http", "url": lineage.url}),
        "AIRFLOW__OPENLINEAGE__EXTRACTORS": "crmbet.orchestration.lineage.PipelineLineage",
        "AIRFLOW__METRICS__STATSD_ON": "True",
        "AIRFLOW__METRICS__STATSD_PORT": str(statsd_port),
        "AIRFLOW_CONN_CRMBET_TARGET": json.dumps(target),
        "AIRFLOW_CONN_CRMBET_LAKE": json.dumps(lake),
        **{f"AIRFLOW_CONN_CRMBET_ALERTS_{name}": json.dumps(value) for name, value in connections.items()},
    }


def go_wrong(live: Live) -> None:
    """Three runs side by side: in one a task is killed, one has a broken delivery, one is late.

    dags/oncall_dags.py says which tasks are killed.
    """
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
        trigger(live, token, dag, run_id, conf)
    late = "SELECT 1 FROM ml_features.alerts WHERE execution_id = %s"
    wait_for(lambda: exists(live, "ml_features.alerts") and live.target(late, LATE))
    (live.workspace.airflow_home / "late-is-told").touch()
    ended = "SELECT run_id, state FROM dag_run WHERE state IN ('success', 'failed')"
    wait_for(lambda: len(live.query("airflow", ended)) == 3)
    live.states.update(live.query("airflow", ended))
    expected = {(KILLED, "failed"), (BROKEN, "failed"), (LATE, "deadline"), (LATE, "recovered")}
    alerts = "SELECT execution_id, kind FROM ml_features.alerts"
    wait_for(lambda: expected <= set(live.target(alerts)), but=lambda: live.target(alerts))
    # The callback of the broken run writes its row after its alert.
    wait_for(lambda: len(live.target("SELECT 1 FROM ml_features.pipeline_runs")) >= 2)
    time.sleep(1)  # a message too many would come within this time


def exists(live: Live, relation: str) -> bool:
    """Whether the target has a relation."""
    return live.target("SELECT to_regclass(%s)", relation) != [(None,)]


def trigger(live: Live, token: str, dag: str, run_id: str, conf: Any) -> None:
    """Start a run."""
    status, answer = live.call(
        f"/api/v2/dags/{dag}/dagRuns",
        {"dag_run_id": run_id, "logical_date": None, "conf": conf},
        token=token,
    )
    assert status == 200, answer
