"""A link to a server that can be made slow or silent while it is used."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from local import ports


class Link:
    """A port that leads to a server. `delay` seconds pass before each answer; if `is_silent`, none comes."""

    def __init__(self, connect: Callable[[], socket.socket], listener: socket.socket) -> None:
        self._connect, self._listener = connect, listener
        self.port: int = listener.getsockname()[1]
        self.delay = 0.0
        self.is_silent = False

    def serve(self) -> None:
        """Pass on what comes, until the listener is closed."""
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                threading.Thread(target=self._join, args=[near], daemon=True).start()

    def _join(self, near: socket.socket) -> None:
        with suppress(OSError), near, self._connect() as far:
            questions = threading.Thread(target=self._pass_on, args=[near, far, False], daemon=True)
            questions.start()
            self._pass_on(far, near, True)
            questions.join()

    def _pass_on(self, source: socket.socket, sink: socket.socket, is_answer: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                while is_answer and self.is_silent:
                    time.sleep(0.05)
                time.sleep(self.delay if is_answer else 0)
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


@contextmanager
def link(connect: Callable[[], socket.socket]) -> Iterator[Link]:
    """A link that lasts as long as the block."""
    with socket.create_server((ports.HOST, 0)) as listener:
        opened = Link(connect, listener)
        threading.Thread(target=opened.serve, daemon=True).start()
        yield opened


def to_unix(path: str) -> socket.socket:
    """A connection to a server's socket file."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    return connection
