"""What people tell a running Airflow by REST: the answer to a run that asks, and the ids of players to be erased.

Both depend on who says it. It has an Airflow of its own, whose runs would change what the others of this folder count.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import psycopg2
import pytest

from crmbet.contracts.erased_players import NOBODY
from crmbet.erasure.proof import Wanted, search_database, search_logs
from crmbet.erasure.spellings import Spellings
from crmbet.run.settings import TimeoutSettings
from local import airflow, ui
from local import services as embedded
from local.api import Api
from local.env import LAKE_BUCKET, environment, lake_variables
from local.postgres import EmbeddedPostgres
from local.simulator import deliver
from local.workspace import Workspace
from tests.integration.live.running import DAG, WORLD, wait_for
from tests.integration.live.sinks import WebSink, web_sink

pytestmark = [pytest.mark.integration, pytest.mark.full]

CONF = {
    "as_of": WORLD.end_day.isoformat(),
    "load_strategy": "replace",
    # So small a world breaks limits that are about shares.
    "fail_on": [],
}


@dataclass(frozen=True)
class Asking:
    """An Airflow whose daily runs ask op before they replace the table, and whose privacy officer is op, too."""

    workspace: Workspace
    login: ui.Login
    web: WebSink

    def call(self, user: str, method: str, path: str, body: Any = None) -> httpx.Response:
        passwords = json.loads((self.workspace.airflow_home / airflow.PASSWORD_FILE).read_text())
        with httpx.Client(base_url=self.login.url, timeout=60, trust_env=False) as client:
            account = {"username": user, "password": passwords[user]}
            token = client.post("/auth/token", json=account).json()["access_token"]
            return client.request(method, path, json=body, headers={"Authorization": f"Bearer {token}"})


@pytest.fixture(scope="module")
def asking(session_folder: Path, make_services_ready: Callable[[Workspace], None]) -> Iterator[Asking]:
    workspace = Workspace(session_folder / "asking")
    with web_sink() as web, pytest.MonkeyPatch.context() as patch:
        try:
            make_services_ready(workspace)
            embedded.up(workspace)
            for variable, value in lake_variables(workspace, LAKE_BUCKET).items():
                patch.setenv(variable, value)
            deliver(WORLD, bucket=LAKE_BUCKET, source_url=environment(workspace)["CRMBET_SOURCE_URL"])
            channel = {"conn_type": "http", "host": f"{web.url}/alerts"}
            settings = {
                "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin,op:op,viewer:viewer",
                "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
                "AIRFLOW_CONN_CRMBET_ALERTS_WEBHOOK": json.dumps(channel),
                "CRMBET_ASK_ON": "replace",
                "CRMBET_APPROVERS": "op",
                "CRMBET_PRIVACY_OFFICERS": "op",
                "CRMBET_LANGUAGE": "pt-BR",
            }
            yield Asking(workspace, ui.start(workspace, settings), web)
        finally:
            embedded.stop(workspace)


def loaded_by(asking: Asking) -> Any:
    """The run that the table's rows are of."""
    url = environment(asking.workspace)["CRMBET_TARGET_URL"]
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('ml_features.user_features')")
        if cursor.fetchone() == (None,):
            return None
        cursor.execute("SELECT max(execution_id) FROM ml_features.user_features")
        (run_id,) = cursor.fetchone() or (None,)
        return run_id


def test_a_person_answers_by_rest(asking: Asking) -> None:
    """`approve` is answered as docs/loading.md says: by whom the setting names, and by nobody else."""
    with Api(asking.login).unpaused(DAG) as api:
        run_id = api.trigger(DAG, CONF)
        assert _answer(asking, run_id, "aprovar: carregar") == "op"
        states = {task.name: task.state for task in api.follow(DAG, run_id)}
    assert states["load_merge"] == "success"
    assert loaded_by(asking) == run_id


def test_a_no_by_rest_rejects_the_run(asking: Asking) -> None:
    """It is not asked again, as a failure would be tried again."""
    before = loaded_by(asking)
    with Api(asking.login).unpaused(DAG) as api:
        run_id = api.trigger(DAG, CONF)
        assert _answer(asking, run_id, "rejeitar: deixar a tabela como está") == "op"
        states = {task.name: task.state for task in api.follow(DAG, run_id)}
    assert states["approve"] == "failed"
    assert states["load_merge"] == "upstream_failed"
    assert loaded_by(asking) == before
    task = f"/api/v2/dags/{DAG}/dagRuns/{run_id}/taskInstances/approve"
    assert asking.call("op", "GET", task).json()["try_number"] == 1
    [message] = wait_for(
        lambda: [
            body
            for body in asking.web.bodies("/alerts")
            if (body["execution_id"], body["kind"]) == (run_id, "failed")
        ]
    )
    assert message["failure"]["kind"] == "LoadRejected"
    assert message["failure"]["what"] == "the load was rejected by op"


def _answer(asking: Asking, run_id: str, option: str) -> Any:
    """Wait for the question and its message, be refused as somebody else, and answer; returns who has answered."""
    path = f"/api/v2/dags/{DAG}/dagRuns/{run_id}/taskInstances/approve/-1/hitlDetails"
    task = f"/api/v2/dags/{DAG}/dagRuns/{run_id}/taskInstances/approve"
    wait_for(lambda: asking.call("op", "GET", task).json().get("state") == "awaiting_input")
    assert option in asking.call("op", "GET", path).json()["options"]
    [message] = [body for body in asking.web.bodies("/alerts") if body["execution_id"] == run_id]
    assert (message["kind"], message["failure"]["kind"]) == ("asked", "LoadAsked")
    assert "ela substitui a tabela inteira" in message["failure"]["what"]
    assert message["links"]["answer"].endswith(f"/runs/{quote(run_id)}/tasks/approve/required_actions")
    # An answer that comes before the scheduler has seen that the task waits is taken for the end of a lost task.
    parked = re.compile(
        rf"TaskInstance Finished: .*task_id=approve, run_id={re.escape(run_id)}, .*state=awaiting_input"
    )
    wait_for(lambda: parked.search(asking.workspace.log("scheduler").read_text()))
    for user in ("admin", "viewer"):
        assert asking.call(user, "PATCH", path, {"chosen_options": [option]}).status_code == 403, user
    answered = asking.call("op", "PATCH", path, {"chosen_options": [option]})
    assert answered.status_code == 200, answered.text
    return answered.json()["responded_by"]["name"]


def test_ids_to_erase_reach_the_table_of_requests_and_nothing_of_airflow(asking: Asking) -> None:
    player = "zoe-whom-nobody-else-names"
    form = "/crmbet-erasure/requests"
    with httpx.Client(base_url=asking.login.url, trust_env=False) as stranger:
        assert stranger.get(form).status_code == 401
        assert stranger.post(form, json={"user_ids": player}).status_code == 401
    # Not even the administrator, whom the setting does not name.
    for user in ("admin", "viewer"):
        assert asking.call(user, "GET", "/crmbet-erasure/").status_code == 403, user
        assert asking.call(user, "POST", form, {"user_ids": player}).status_code == 403, user
    before = asking.call("op", "POST", form, {"user_ids": player})
    assert (before.status_code, "user_features_erasure" in before.text) == (503, True), before.text

    with Api(asking.login).unpaused("user_features_erasure") as api:
        run = api.trigger("user_features_erasure", {})
        [*api.follow("user_features_erasure", run)]
        answer = asking.call("op", "POST", form, {"user_ids": player})
        assert answer.status_code == 201, answer.text
        [number] = answer.json()["requests"]

        wanted = Wanted(NOBODY, Spellings.of([player]))
        metadata = EmbeddedPostgres(asking.workspace).url(airflow.DATABASE)
        assert search_database(metadata, TimeoutSettings(), wanted, place="Airflow").found == []
        for logs in (asking.workspace.airflow_home / "logs", asking.workspace.log("api-server").parent):
            searched = search_logs(logs, wanted)
            assert (searched.found, searched.items > 0) == ([], True), logs

        run = api.trigger("user_features_erasure", {})
        states = {task.name: task.state for task in api.follow("user_features_erasure", run)}
    assert states["erase_players"] == "success"
    [row] = asking.call("op", "GET", form).json()["rows"]
    assert (row[0], row[2], row[3]) == (str(number), "op", "apagado")
