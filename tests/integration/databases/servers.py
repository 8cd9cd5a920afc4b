"""Servers that misbehave as a real one, or the network before it, may."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote

from psycopg2.extensions import parse_dsn

STARTUP = struct.Struct("!I")
DRIP_SECONDS = 0.5


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
        self._drips = False
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, password: str, **options: str) -> str:
        """The libpq URL of the database through the proxy."""
        extra = "&".join(f"{name}={quote(value)}" for name, value in options.items())
        return f"postgresql://{self.user}:{quote(password, safe='')}@127.0.0.1:{self.port}/{self.database}?{extra}"

    def freeze(self) -> None:
        """Keep all connections open, accept new ones, and pass nothing on."""
        self._open.clear()

    def drip(self) -> None:
        """Pass answers on a byte at a time."""
        self._drips = True

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
                if self._drips and source.family == socket.AF_UNIX:
                    drip(sink, data)
                else:
                    sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def drip(sink: socket.socket, data: bytes) -> None:
    """Send data a byte at a time, so that nothing is ever silent for long."""
    for byte in data:
        sink.sendall(bytes([byte]))
        time.sleep(DRIP_SECONDS)


@contextmanager
def server_that_stops_after_the_login(**told: str) -> Iterator[int]:
    """A server that lets everybody in, tells what settings it has, and never answers a query; its port."""
    tells = {"server_version": "18.0", "client_encoding": "UTF8", "standard_conforming_strings": "on", **told}

    def message(letter: bytes, body: bytes) -> bytes:
        return letter + STARTUP.pack(len(body) + 4) + body

    welcome = message(b"R", STARTUP.pack(0))
    for name, value in tells.items():
        welcome += message(b"S", name.encode() + b"\0" + value.encode() + b"\0")
    welcome += message(b"K", STARTUP.pack(1) * 2) + message(b"Z", b"I")

    over = threading.Event()

    def welcome_and_wait(client: socket.socket) -> None:
        client.sendall(welcome)
        over.wait()

    with logins(welcome_and_wait) as port:
        yield port
        over.set()


@contextmanager
def refusing_server(message: str, sqlstate: str = "28P01") -> Iterator[int]:
    """A server that answers every login with an error; its port."""
    fields = b"".join(
        letter + text.encode() + b"\0"
        for letter, text in ((b"S", "FATAL"), (b"C", sqlstate), (b"M", message))
    )
    answer = b"E" + STARTUP.pack(len(fields) + 5) + fields + b"\0"

    with logins(lambda client: client.sendall(answer)) as port:
        yield port


@contextmanager
def logins(answer: Callable[[socket.socket], Any]) -> Iterator[int]:
    """A server that reads each login and answers it; its port."""

    def talk(client: socket.socket) -> None:
        with suppress(OSError), client:
            # It refuses TLS and GSSAPI, and then reads the login.
            while STARTUP.unpack(client.recv(4))[0] == 8:
                client.recv(4)
                client.sendall(b"N")
            client.recv(1 << 12)
            answer(client)

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=talk, args=(client,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


@contextmanager
def dripping_web_server() -> Iterator[str]:
    """A web server that answers every request a byte at a time; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "200")
            self.send_header("ETag", '"x"')
            self.end_headers()
            with suppress(OSError):
                drip(self.connection, b"x" * 200)

        def log_message(self, *_: Any) -> None:
            """Not on the screen."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


@contextmanager
def silent_server() -> Iterator[int]:
    """A server that accepts every connection, reads nothing and never answers; its port."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield listener.getsockname()[1]
