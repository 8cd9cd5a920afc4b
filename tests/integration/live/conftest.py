"""One Airflow for all tests of this folder: its start costs more than they do.

It is configured as `make ui` does it, with sinks for all that it sends. While it runs, one task is killed, one delivery
is broken, one run is late; and the Slack channel hangs all the time. test_slow_servers.py makes the target slow and the
lake silent.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from local import ports, ui
from local import services as embedded
from local.env import LAKE_BUCKET, environment, lake_variables
from local.object_store import EmbeddedObjectStore
from local.postgres import EmbeddedPostgres
from local.simulator import deliver
from local.workspace import Workspace
from tests.integration.live.links import link, to_unix
from tests.integration.live.running import WORLD, Live, go_wrong, variables
from tests.integration.live.sinks import mail_sink, udp_sink, web_sink


@pytest.fixture(scope="session")
def started(session_folder: Path, make_services_ready: Callable[[Workspace], None]) -> Iterator[Live]:
    """The Airflow, before any run. A stranger holds the port that it would like best."""
    workspace = Workspace(session_folder / "live")
    with (
        web_sink() as web,
        web_sink() as lineage,
        mail_sink() as mail,
        udp_sink() as (port, metrics),
        socket.socket() as stranger,
    ):
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Someone else may hold it already.
        with suppress(OSError):
            stranger.bind((ports.HOST, ui.PREFERRED_PORTS[0]))
            stranger.listen()
        try:
            make_services_ready(workspace)
            embedded.up(workspace)
            with (
                link(lambda: to_unix(socket_file(workspace))) as to_target,
                link(lambda: socket.create_connection(lake_address(workspace))) as to_lake,
            ):
                settings = variables(workspace, web, mail, port, lineage, (to_target, to_lake))
                login = ui.start(workspace, settings)
                yield Live(workspace, login, web, mail, {}, metrics, lineage, to_target, to_lake)
        finally:
            embedded.stop(workspace)


def socket_file(workspace: Workspace) -> str:
    [file] = EmbeddedPostgres(workspace).socket_folder.glob(".s.PGSQL.*[0-9]")
    return str(file)


def lake_address(workspace: Workspace) -> tuple[str, int]:
    address = urlsplit(EmbeddedObjectStore(workspace).endpoint)
    return str(address.hostname), int(address.port or 80)


@pytest.fixture(scope="session")
def live(started: Live) -> Live:
    """The Airflow, after its runs have ended."""
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in lake_variables(started.workspace, LAKE_BUCKET).items():
            patch.setenv(variable, value)
        source_url = environment(started.workspace)["CRMBET_SOURCE_URL"]
        deliver(WORLD, bucket=LAKE_BUCKET, source_url=source_url, broken=True)
    go_wrong(started)
    return started
