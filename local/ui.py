"""Airflow's four long-running processes on the embedded services, and how to log in to the UI."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial

import psutil

from local import airflow, ports
from local.credentials import credentials
from local.env import process_environment, write_env_file
from local.postgres import EmbeddedPostgres
from local.processes import Daemon, ServiceFailed
from local.workspace import Workspace

SERVICE = "ui"
PREFERRED_PORTS = range(8080, 8180)
READY_TIMEOUT_SECONDS = 180
COMPONENTS = {
    "api-server": ("api-server",),
    # Logs are read from the disk; the servers for them would take two more fixed ports, on all addresses.
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}
HEALTH_NAMES = {
    "api-server": "metadatabase",
    "scheduler": "scheduler",
    "dag-processor": "dag_processor",
    "triggerer": "triggerer",
}
"""The name of each component in the API server's health report."""


@dataclass(frozen=True)
class Login:
    """The UI's address, and an account for it."""

    url: str
    user: str
    password: str


def start(workspace: Workspace, more: Mapping[str, str] | None = None) -> Login:
    """Start all four processes and wait until they are healthy. The embedded services must run already.

    `more` holds variables that are added to those of every process, or replace them.

    Raises `ServiceFailed` with the end of the failed process's log.
    """
    with workspace.locked():
        keys = credentials(workspace)
        airflow.write_password_file(workspace, keys)
        airflow.link_config(workspace)
        while True:
            port = _choose_port(workspace)
            try:
                _start_components(workspace, port, more or {})
                break
            except ServiceFailed:
                # Another checkout may find the same port free and take it while our API server still loads.
                if running_port(workspace) is not None or ports.is_free(port):
                    raise
        write_env_file(workspace, ui_port=port)
    return Login(f"http://{ports.HOST}:{port}", airflow.ADMIN, keys.admin_password)


def stop(workspace: Workspace) -> list[str]:
    """Stop the four processes; returns the names of the ones that ran. All are asked first: each takes seconds."""
    daemons = [Daemon(workspace, name) for name in COMPONENTS]
    families = [(daemon, daemon.ask_to_end()) for daemon in daemons]
    return [daemon.name for daemon, family in families if daemon.await_end(family)]


@contextmanager
def lent(workspace: Workspace, more: Mapping[str, str]) -> Iterator[Login]:
    """An Airflow with variables of its own, for a while. It schedules nothing by itself.

    A UI that runs makes place for it, and comes back at the same address. Raises `ServiceFailed`, also if a run is
    under way there.
    """
    was_running = running_port(workspace) is not None
    if was_running and (runs := _count_running(workspace)):
        raise ServiceFailed(
            f"{runs} runs are under way in the UI, and would be cut off. Wait for them, or end them by `make stop`"
        )
    stop(workspace)
    try:
        yield start(workspace, {**more, "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False"})
    finally:
        stop(workspace)
        if was_running:
            start(workspace)
        else:
            write_env_file(workspace)


def _count_running(workspace: Workspace) -> int:
    import psycopg2

    with closing(psycopg2.connect(EmbeddedPostgres(workspace).url(airflow.DATABASE))) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT count(*) FROM dag_run WHERE state = 'running'")
        (runs,) = cursor.fetchone() or (0,)
        return int(runs)


def running_port(workspace: Workspace) -> int | None:
    """The port of the running API server; None if none runs."""
    return ports.remembered(workspace, SERVICE) if Daemon(workspace, "api-server").process() else None


def _choose_port(workspace: Workspace) -> int:
    port = running_port(workspace)
    if port is None:
        stop(workspace)  # what is left of an earlier start knows the old port
        last = ports.remembered(workspace, SERVICE)
        port = ports.first_free([last, *PREFERRED_PORTS] if last else PREFERRED_PORTS)
        ports.remember(workspace, SERVICE, port)
    return port


def _start_components(workspace: Workspace, port: int, more: Mapping[str, str]) -> None:
    environ = {**process_environment(workspace, ui_port=port), **more}
    daemons = {name: Daemon(workspace, name) for name in COMPONENTS}
    for name, daemon in daemons.items():
        if daemon.process() is None:
            daemon.start([airflow.executable("airflow"), *COMPONENTS[name]], environ=environ)
    for name, reported in HEALTH_NAMES.items():
        daemons[name].wait_ready(partial(_is_healthy, reported, port), timeout_seconds=READY_TIMEOUT_SECONDS)
    # Whoever else listens on the port may be healthy too.
    server = daemons["api-server"]
    server.wait_ready(partial(_serves, server, port), timeout_seconds=READY_TIMEOUT_SECONDS)


def _serves(server: Daemon, port: int) -> bool:
    """Whether the server or one of its workers listens on the port."""
    process = server.process()
    try:
        family = [process, *process.children(recursive=True)] if process else []
    except psutil.NoSuchProcess:
        return False
    return any(ports.listens(member, port) for member in family)


def _is_healthy(reported: str, port: int) -> bool:
    connection = http.client.HTTPConnection(ports.HOST, port, timeout=5)
    try:
        connection.request("GET", "/api/v2/monitor/health")
        response = connection.getresponse()
        report = json.load(response) if response.status == http.HTTPStatus.OK else {}
    except (OSError, http.client.HTTPException, ValueError):
        return False
    finally:
        connection.close()
    state = report.get(reported) or {}
    return bool(state.get("status") == "healthy")
