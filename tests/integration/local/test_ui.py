"""How `make ui` finds a port, with a stand-in for Airflow: the real one is in `tests/integration/live/test_ui.py`."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from local import airflow, ports, ui
from local import services as embedded
from local.processes import Daemon
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


def test_of_two_that_find_the_same_port_free_the_later_takes_another(
    workspace: Workspace, other_ui: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in = tmp_path / "airflow"
    stand_in.write_text(STAND_IN)
    stand_in.chmod(0o700)
    found = iter([other_ui, ports.first_free(())])
    monkeypatch.setattr(airflow, "executable", lambda _: str(stand_in))
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
