"""Ports that are taken are seen as taken, by whoever it is."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import psutil
import pytest

from local import ports
from local.workspace import Workspace

pytestmark = pytest.mark.unit


@pytest.fixture(params=[ports.HOST, "0.0.0.0"])  # noqa: S104 - it is there to be found
def taken(request: pytest.FixtureRequest) -> Iterator[int]:
    """A port that this process listens on, on the loopback address or on all."""
    with socket.create_server((request.param, 0)) as server:
        yield server.getsockname()[1]


def test_a_port_with_a_server_is_not_free(taken: int) -> None:
    assert not ports.is_free(taken)


def test_a_port_without_one_is_free() -> None:
    def was_left() -> int:
        with socket.create_server((ports.HOST, 0)) as server:
            return int(server.getsockname()[1])

    # Another process may take one in between, but hardly three in a row.
    assert any(ports.is_free(was_left()) for _ in range(3))


def test_the_first_free_candidate_is_taken(taken: int) -> None:
    free = ports.first_free([])
    assert ports.first_free([taken, free]) == free


def test_any_free_port_will_do_when_no_candidate_is_free(taken: int) -> None:
    port = ports.first_free([taken])
    assert port != taken
    assert ports.is_free(port)


def test_only_the_process_that_listens_is_said_to(taken: int) -> None:
    assert ports.listens(psutil.Process(), taken)
    assert not ports.listens(psutil.Process(os.getppid()), taken)


def test_the_ports_of_services_are_remembered_side_by_side(workspace: Workspace) -> None:
    assert ports.remembered(workspace, "s3") is None
    ports.remember(workspace, "s3", 1)
    ports.remember(workspace, "ui", 2)
    assert (ports.remembered(workspace, "s3"), ports.remembered(workspace, "ui")) == (1, 2)
