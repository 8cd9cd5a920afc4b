"""Ends connections on which PostgreSQL has taken too long to answer.

A server that hangs, or a proxy before it, keeps a connection open and answers nothing, or a byte now and then. The
client then waits for ever: neither the engine nor psycopg2 ends its wait for a signal, so `execution_timeout` does
nothing, and statement_timeout is the hung server's own. So a thread looks every few seconds at when the kernel last
sent data on each connection, and shuts down those on which a healthy server would have ended the statement since. The
client then finds the connection closed and raises its usual error.

Only Linux tells this, and only of TCP. Elsewhere nothing is watched.
"""

from __future__ import annotations

import logging
import math
import os
import socket
import struct
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import ReferenceType, ref

if TYPE_CHECKING:
    from psycopg2 import extensions

log = logging.getLogger(__name__)

OPEN_FILES = Path("/proc/self/fd")
LOOKS = 4
"""So many times a connection is looked at within its limit, but not more often than once in `LEAST_PAUSE`."""
LEAST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
"""Seconds between two looks."""
LAST_SENT = struct.Struct("=44xI")
"""Of Linux's tcp_info: milliseconds since data was last sent. What is received says nothing: a server may drip."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Attempt:
    """A connection that psycopg2 is making: only when it is made do we know its socket."""

    places: set[tuple[str, int]]
    seconds: float
    before: set[str]
    """The sockets that were open already."""


_sessions: dict[str, tuple[ReferenceType[extensions.connection], float]] = {}
"""Sessions of psycopg2 by their sockets, each with the seconds of silence that are allowed."""
_servers: dict[tuple[str, int], float] = {}
"""Seconds of silence by address and port, for sessions that the engine opens."""
_attempts: list[_Attempt] = []
_watch: threading.Thread | None = None
_starting = threading.Lock()


@contextmanager
def limit_connecting(hosts: Iterable[tuple[str, int]], seconds: float) -> Iterator[None]:
    """Allow these hosts so many seconds of silence on what is opened to them within this block."""
    attempt = _Attempt(places=set(_places(hosts)), seconds=seconds, before=set(_sockets()))
    _attempts.append(attempt)
    _start()
    try:
        yield
    finally:
        _attempts.remove(attempt)


def limit_session(connection: extensions.connection, seconds: float) -> None:
    """Allow a session's server so many seconds of silence, perhaps infinitely many, while it is asked something."""
    with suppress(OSError):
        _sessions[_socket(OPEN_FILES / str(connection.fileno()))] = (ref(connection), seconds)
        _start()


def limit_server(hosts: Iterable[tuple[str, int]], seconds: float) -> None:
    """Allow every other session with these hosts so many seconds of silence. A longer time given before stays."""
    for place in _places(hosts):
        _servers[place] = max(seconds, _servers.get(place, 0))
    if _servers:
        _start()


def _places(hosts: Iterable[tuple[str, int]]) -> Iterator[tuple[str, int]]:
    for host, port in hosts:
        with suppress(OSError):
            for *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
                yield str(address[0]), int(address[1])


def _start() -> None:
    """Start the thread unless it runs. A process that was forked has none of its parent's threads."""
    global _watch  # noqa: PLW0603 - one thread watches the whole process
    with _starting:
        if OPEN_FILES.is_dir() and hasattr(socket, "TCP_INFO") and not (_watch and _watch.is_alive()):
            _watch = threading.Thread(target=_look_for_ever, name="silence of PostgreSQL", daemon=True)
            _watch.start()


def _look_for_ever() -> None:
    pause = threading.Event()
    while True:
        for name, (reference, _) in list(_sessions.items()):
            if reference() is None:
                del _sessions[name]
        limits = [
            *(seconds for _, seconds in list(_sessions.values())),
            *list(_servers.values()),
            *(attempt.seconds for attempt in list(_attempts)),
            math.inf,
        ]
        pause.wait(min(LONGEST_PAUSE, max(LEAST_PAUSE, min(limits) / LOOKS)))
        # A file may be closed while it is looked at.
        with suppress(OSError):
            for descriptor in OPEN_FILES.iterdir():
                with suppress(OSError):
                    _look(descriptor)


def _look(descriptor: Path) -> None:
    name = _socket(descriptor)
    if not name.startswith("socket:"):
        return
    with socket.socket(fileno=os.dup(int(descriptor.name))) as copy:
        if copy.family not in (socket.AF_INET, socket.AF_INET6) or copy.type != socket.SOCK_STREAM:
            return
        limit = _limit(name, copy.getpeername())
        if limit == math.inf:
            return
        told = copy.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, LAST_SENT.size)
        if len(told) == LAST_SENT.size and LAST_SENT.unpack(told)[0] > limit * 1000:
            log.warning(
                "PostgreSQL has not answered completely in more than %g s: its connection is ended", limit
            )
            copy.shutdown(socket.SHUT_RDWR)


def _limit(name: str, peer: tuple[str, int]) -> float:
    from psycopg2.extensions import TRANSACTION_STATUS_IDLE

    reference, seconds = _sessions.get(name, (None, math.inf))
    connection = reference() if reference else None
    if connection is None:
        place = peer[:2]
        connecting = [
            attempt.seconds
            for attempt in list(_attempts)
            if place in attempt.places and name not in attempt.before
        ]
        return min([*connecting, _servers.get(place, math.inf)])
    # An idle session waits for us and not for its server.
    is_idle = connection.closed or connection.get_transaction_status() == TRANSACTION_STATUS_IDLE
    return math.inf if is_idle else seconds


def _sockets() -> Iterator[str]:
    with suppress(OSError):
        for descriptor in OPEN_FILES.iterdir():
            with suppress(OSError):
                yield _socket(descriptor)


def _socket(descriptor: Path) -> str:
    """The name of an open file, such as `socket:[4711]`."""
    return str(descriptor.readlink())
