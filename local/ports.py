"""TCP ports of this machine: which are free, on which a process listens, and which one a service had last."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable

import psutil

from local.processes import Daemon, ServiceFailed
from local.workspace import Workspace, read_record, write_record

HOST = "127.0.0.1"
"""The one address that services bind: nothing is reachable from outside the machine."""
STARTS = 5


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket() as client:
        # Some systems let us bind beside a server that listens on all addresses, and then share its clients.
        if client.connect_ex((HOST, port)) == 0:
            return False
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind((HOST, port))
        except OSError:
            return False
    return True


def first_free(candidates: Iterable[int]) -> int:
    """The first candidate that is free, or else any free port."""
    for port in candidates:
        if is_free(port):
            return port
    with socket.socket() as server:
        server.bind((HOST, 0))
        port = server.getsockname()[1]
    return int(port)


def listens(process: psutil.Process, port: int) -> bool:
    """Whether this very process, not just any, accepts connections on the port."""
    try:
        return any(
            connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
            for connection in process.net_connections(kind="tcp")
        )
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def remembered(workspace: Workspace, service: str) -> int | None:
    """The port that the service had last; None if there is none. A service keeps it, so that open shells stay valid."""
    port = read_record(workspace.record("ports")).get(service)
    return port if isinstance(port, int) else None


def remember(workspace: Workspace, service: str, port: int) -> None:
    """Keep the port of a service for its next start."""
    path = workspace.record("ports")
    write_record(path, {**read_record(path), service: port})


def start_on_a_port(daemon: Daemon, launch: Callable[[int], None]) -> None:
    """Make a server run and listen, on its last port if that is free. One that does already is left alone.

    `launch` starts it on a port. Raises `ServiceFailed` with the log's end if it does not start.
    """
    last = remembered(daemon.workspace, daemon.name)
    running = daemon.process()
    if running and last and listens(running, last):
        return
    daemon.stop()
    for attempt in range(1, STARTS + 1):
        port = first_free([last] if last and attempt == 1 else [])
        try:
            launch(port)
        except ServiceFailed:
            # Another process took the port between our check and the server's start.
            if attempt == STARTS or is_free(port):
                raise
        else:
            remember(daemon.workspace, daemon.name, port)
            return
