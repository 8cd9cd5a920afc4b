"""Servers that misbehave as a real one, or the network before it, may."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import quote

from psycopg2.extensions import parse_dsn

STARTUP = struct.Struct("!I")


class Proxy:
    """Passes bytes between a TCP port of this machine and a PostgreSQL on a socket, until it is told otherwise."""

    def __init__(self, url: str, most: int | None = None) -> None:
        """`most`: so many connections are passed on, and later ones are refused."""
        self.server_url = url
        given = parse_dsn(url)
        self._server = f"{given['host']}/.s.PGSQL.{given.get('port', '5432')}"
        self.user, self.database = given["user"], given["dbname"]
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        self._most = most
        self._open = threading.Event()
        self._open.set()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, password: str, **options: str) -> str:
        """The libpq URL of the database through the proxy."""
        extra = "&".join(f"{name}={quote(value)}" for name, value in options.items())
        return f"postgresql://{self.user}:{quote(password, safe='')}@127.0.0.1:{self.port}/{self.database}?{extra}"

    def freeze(self) -> None:
        """Keep all connections open, accept new ones, and pass nothing on."""
        self._open.clear()

    def cut(self) -> None:
        """End all connections, and refuse new ones."""
        self._refuse()
        for pair in self._pairs:
            for end in pair:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End everything."""
        self._open.set()
        self.cut()

    def _refuse(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._server)
            self._pairs.append((client, server))
            if len(self._pairs) == self._most:
                self._refuse()
            for ends in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=ends, daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                self._open.wait()
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@contextmanager
def refusing_server(message: str, sqlstate: str = "28P01") -> Iterator[int]:
    """A server that answers every login with an error; its port."""
    fields = b"".join(
        letter + text.encode() + b"\0"
        for letter, text in ((b"S", "FATAL"), (b"C", sqlstate), (b"M", message))
    )
    answer = b"E" + STARTUP.pack(len(fields) + 5) + fields + b"\0"

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                with client:
                    # It refuses TLS and GSSAPI, and then reads the login.
                    while STARTUP.unpack(client.recv(4))[0] == 8:
                        client.recv(4)
                        client.sendall(b"N")
                    client.recv(1 << 12)
                    client.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


@contextmanager
def silent_server() -> Iterator[int]:
    """A server that accepts every connection, reads nothing and never answers; its port."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield listener.getsockname()[1]
