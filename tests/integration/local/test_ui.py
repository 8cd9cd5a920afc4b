"""How `make ui` finds a port, with a stand-in for Airflow: the real one is in `tests/integration/live/test_ui.py`."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psycopg2
import pytest

from local import airflow, ports, ui
from local import services as embedded
from local.postgres import EmbeddedPostgres
from local.processes import Daemon, ServiceFailed
from local.workspace import Workspace

pytestmark = pytest.mark.integration

HEALTH = b"""{
    "metadatabase": {"status": "healthy"},
    "scheduler": {"status": "healthy"},
    "triggerer": {"status": "healthy"},
    "dag_processor": {"status": "healthy"}
}"""
STAND_IN = f"""#!{sys.executable}
import os, sys, time
sys.path.insert(0, {str(Path(__file__).parents[3])!r})
from tests.integration.local.test_ui import health_server
if sys.argv[1] == "api-server":
    health_server(int(os.environ["AIRFLOW__API__PORT"])).serve_forever()
time.sleep(600)
"""


def health_server(port: int) -> ThreadingHTTPServer:
    """What says that a whole Airflow is healthy."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(HEALTH)

        def log_message(self, *_: object) -> None:
            """Not on the screen."""

    return ThreadingHTTPServer((ports.HOST, port), Handler)


@pytest.fixture
def other_ui() -> Iterator[int]:
    """The port of another checkout's UI."""
    server = health_server(0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program in Airflow's place that says that all is well."""
    program = tmp_path / "airflow"
    program.write_text(STAND_IN)
    program.chmod(0o700)
    monkeypatch.setattr(airflow, "executable", lambda _: str(program))


def test_of_two_that_find_the_same_port_free_the_later_takes_another(
    workspace: Workspace, other_ui: int, stand_in: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = iter([other_ui, ports.first_free(())])
    monkeypatch.setattr(ports, "first_free", lambda _: next(found))
    embedded.up(workspace)
    try:
        login = ui.start(workspace)

        port = ui.running_port(workspace)
        assert port not in (None, other_ui)
        assert login.url == f"http://{ports.HOST}:{port}"
        server = Daemon(workspace, "api-server").process()
        assert server is not None
        assert ports.listens(server, port or 0)
    finally:
        ui.stop(workspace)


def scheduler_variables(workspace: Workspace) -> dict[str, str]:
    process = Daemon(workspace, "scheduler").process()
    return process.environ() if process else {}


def test_a_lent_airflow_has_its_own_variables_and_the_ui_comes_back(
    workspace: Workspace, stand_in: None
) -> None:
    embedded.up(workspace)
    try:
        with ui.lent(workspace, {"CRMBET_LAKE_BUCKET": "broken"}):
            lent = scheduler_variables(workspace)
        assert (lent["CRMBET_LAKE_BUCKET"], lent["AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE"]) == (
            "broken",
            "False",
        )
        assert scheduler_variables(workspace) == {}, "there was none before"
        assert "CRMBET_UI_URL" not in workspace.env_file.read_text()

        before = ui.start(workspace)
        with ui.lent(workspace, {"CRMBET_LAKE_BUCKET": "broken"}) as login:
            assert login == before
        assert scheduler_variables(workspace)["CRMBET_LAKE_BUCKET"] != "broken"
        assert before.url in workspace.env_file.read_text()
    finally:
        ui.stop(workspace)


def test_a_run_that_is_under_way_is_not_cut_off(workspace: Workspace, stand_in: None) -> None:
    embedded.up(workspace)
    with closing(psycopg2.connect(EmbeddedPostgres(workspace).url(airflow.DATABASE))) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        try:
            ui.start(workspace)
            scheduler = Daemon(workspace, "scheduler").process()
            cursor.execute(
                "INSERT INTO dag_run (dag_id, run_id, run_type, state, queued_at, run_after, clear_number, "
                "log_template_id) SELECT 'd', 'r', 'manual', 'running', now(), now(), 0, max(id) FROM log_template"
            )

            with pytest.raises(ServiceFailed, match="1 runs are under way"), ui.lent(workspace, {}):
                pass

            assert Daemon(workspace, "scheduler").process() == scheduler
        finally:
            cursor.execute("DELETE FROM dag_run")
            ui.stop(workspace)
