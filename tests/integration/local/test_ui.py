"""`make ui`: all of Airflow's processes are healthy, an administrator can log in, and `make stop` ends them."""

from __future__ import annotations

import json
import socket
import stat
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from local import ports, ui
from local import services as embedded
from local.airflow import PASSWORD_FILE
from local.processes import Daemon, is_alive, wait_gone
from local.workspace import Workspace

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def login(workspace: Workspace) -> Iterator[ui.Login]:
    """The UI, started while a stranger holds the port that we like best."""
    embedded.up(workspace)
    with socket.socket() as stranger:
        if ports.is_free(ui.PREFERRED_PORTS[0]):
            stranger.bind((ports.HOST, ui.PREFERRED_PORTS[0]))
            stranger.listen()
        yield ui.start(workspace)


def components(workspace: Workspace) -> dict[str, psutil.Process | None]:
    return {name: Daemon(workspace, name).process() for name in ui.COMPONENTS}


def call(url: str, body: Any = None, token: str = "") -> tuple[int, Any]:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    request = urllib.request.Request(url, json.dumps(body).encode() if body else None, headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as refusal:
        return refusal.code, None


def test_every_component_reports_health_at_a_port_of_ours(workspace: Workspace, login: ui.Login) -> None:
    status, health = call(f"{login.url}/api/v2/monitor/health")
    assert status == 200
    assert {name: state["status"] for name, state in health.items()} == dict.fromkeys(
        ("metadatabase", "scheduler", "triggerer", "dag_processor"), "healthy"
    )
    assert login.url != f"http://{ports.HOST}:{ui.PREFERRED_PORTS[0]}"
    assert f"export CRMBET_UI_URL={login.url}\n" in workspace.env_file.read_text()


def test_the_administrator_gets_in_and_others_do_not(workspace: Workspace, login: ui.Login) -> None:
    status, answer = call(f"{login.url}/auth/token", {"username": login.user, "password": login.password})
    assert status == 201
    assert call(f"{login.url}/api/v2/dags", token=answer["access_token"])[0] == 200

    assert call(f"{login.url}/auth/token", {"username": login.user, "password": "wrong"})[0] == 401
    assert call(f"{login.url}/api/v2/dags")[0] == 401
    assert stat.S_IMODE((workspace.airflow_home / PASSWORD_FILE).stat().st_mode) == 0o600


def test_a_dead_component_comes_back_and_the_others_stay(workspace: Workspace, login: ui.Login) -> None:
    before = components(workspace)
    triggerer = before.pop("triggerer")
    assert triggerer is not None
    triggerer.kill()
    assert not wait_gone([triggerer], 10)

    assert ui.start(workspace) == login
    after = components(workspace)
    assert after.pop("triggerer") not in (None, triggerer)
    assert after == before


def test_it_listens_on_this_machine_only(workspace: Workspace, login: ui.Login) -> None:
    listening = {
        each.laddr.ip
        for process in components(workspace).values()
        if process
        for member in (process, *process.children(recursive=True))
        for each in member.net_connections(kind="inet")
        if each.status == psutil.CONN_LISTEN
    }
    assert listening == {ports.HOST}


def test_services_leave_it_running_and_stop_ends_it(workspace: Workspace, login: ui.Login) -> None:
    before = components(workspace)
    embedded.up(workspace)
    assert components(workspace) == before
    assert login.url in workspace.env_file.read_text()

    family = [
        member
        for process in before.values()
        if process
        for member in (process, *process.children(recursive=True))
    ]
    embedded.stop(workspace)
    assert not [process for process in family if is_alive(process)]
