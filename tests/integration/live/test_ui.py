"""`make ui`: all of Airflow's processes are healthy, an administrator can log in, and `make stop` ends them.

The last of this folder's tests: the others need what it stops.
"""

from __future__ import annotations

import json
import stat
from contextlib import suppress

import psutil
import pytest

from crmbet.run.tasks import RECORD, TASKS
from local import ports, ui
from local import services as embedded
from local.airflow import PASSWORD_FILE
from local.api import Api
from local.processes import Daemon, ServiceFailed, is_alive, wait_gone
from local.workspace import Workspace
from tests.integration.live.running import BROKEN, DAG, Live

pytestmark = pytest.mark.integration


def components(workspace: Workspace) -> dict[str, psutil.Process | None]:
    return {name: Daemon(workspace, name).process() for name in ui.COMPONENTS}


def families(workspace: Workspace) -> list[psutil.Process]:
    return [
        member
        for process in components(workspace).values()
        if process
        for member in (process, *process.children(recursive=True))
    ]


def test_every_component_reports_health_at_a_port_of_ours(started: Live) -> None:
    status, answer = started.call("/api/v2/monitor/health")
    assert status == 200
    assert {name: state["status"] for name, state in json.loads(answer).items()} == dict.fromkeys(
        ("metadatabase", "scheduler", "triggerer", "dag_processor"), "healthy"
    )
    assert started.login.url != f"http://{ports.HOST}:{ui.PREFERRED_PORTS[0]}"
    assert f"export CRMBET_UI_URL={started.login.url}\n" in started.workspace.env_file.read_text()


def test_the_administrator_gets_in_and_others_do_not(started: Live) -> None:
    login = started.login
    status, answer = started.call("/auth/token", {"username": login.user, "password": login.password})
    assert status == 201
    assert started.call("/api/v2/dags", token=json.loads(answer)["access_token"])[0] == 200

    assert started.call("/auth/token", {"username": login.user, "password": "wrong"})[0] == 401
    assert started.call("/api/v2/dags")[0] == 401
    assert stat.S_IMODE((started.workspace.airflow_home / PASSWORD_FILE).stat().st_mode) == 0o600


def test_the_api_follows_a_run_task_by_task(live: Live) -> None:
    api = Api(live.login)
    tasks = {task.name: task for task in api.follow(DAG, BROKEN)}

    assert tasks.keys() == {*TASKS, RECORD}
    assert (tasks["extract_s3"].state, tasks["validate_raw"].state) == ("success", "failed")
    assert tasks["extract_s3"].seconds > 0
    with pytest.raises(ServiceFailed, match="404"):
        list(api.follow(DAG, "nobody"))


@pytest.mark.full
def test_a_dead_component_comes_back_and_the_others_stay(started: Live) -> None:
    before = components(started.workspace)
    triggerer = before.pop("triggerer")
    assert triggerer is not None
    triggerer.kill()
    assert not wait_gone([triggerer], 10)

    assert ui.start(started.workspace) == started.login
    after = components(started.workspace)
    assert after.pop("triggerer") not in (None, triggerer)
    assert after == before


def test_it_listens_on_this_machine_only(started: Live) -> None:
    listening = set()
    for process in families(started.workspace):
        # Those that parse a DAG file live for a moment only.
        with suppress(psutil.NoSuchProcess):
            listening |= {
                each.laddr.ip
                for each in process.net_connections(kind="inet")
                if each.status == psutil.CONN_LISTEN
            }
    assert listening == {ports.HOST}


def test_services_leave_it_running_and_stop_ends_it(started: Live) -> None:
    workspace = started.workspace
    before = components(workspace)
    embedded.up(workspace)
    assert components(workspace) == before
    assert started.login.url in workspace.env_file.read_text()

    family = families(workspace)
    assert len(family) >= len(ui.COMPONENTS)
    embedded.stop(workspace)
    assert not [process for process in family if is_alive(process)]
