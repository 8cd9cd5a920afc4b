"""Where messages arrive: a web server that also knows how to hang and to fail, and a mail server."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller

from local import ports


@dataclass
class WebSink:
    """What was posted, by path. `/hang` answers when the sink closes, `/fail` answers 500 and `/refuse` 401."""

    url: str = ""
    posts: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)

    def bodies(self, path: str) -> list[Any]:
        return [body for where, _, body in self.posts if where == path]


@contextmanager
def web_sink() -> Iterator[WebSink]:
    sink = WebSink()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            sink.posts.append((self.path, dict(self.headers), body))
            if self.path.startswith("/hang"):
                sink.closing.wait(60)
            answers = {"/fail": 500, "/refuse": 401}
            told = (status for path, status in answers.items() if self.path.startswith(path))
            self.send_response(next(told, 200))
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Not on the screen."""

    server = ThreadingHTTPServer((ports.HOST, 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sink.url = f"http://{ports.HOST}:{server.server_port}"
    try:
        yield sink
    finally:
        sink.closing.set()
        server.shutdown()
        server.server_close()


@contextmanager
def udp_sink() -> Iterator[tuple[int, list[str]]]:
    """A StatsD server's port, and the lines that have come to it."""
    lines: list[str] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((ports.HOST, 0))
        server.settimeout(0.2)
        closing = threading.Event()

        def listen() -> None:
            while not closing.is_set():
                with suppress(TimeoutError):
                    lines.extend(server.recv(65_536).decode().splitlines())

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1], lines
        finally:
            closing.set()
            thread.join()


@dataclass
class MailSink:
    """What was mailed."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 OK"


@contextmanager
def mail_sink() -> Iterator[MailSink]:
    sink = MailSink(port=ports.first_free([]))
    controller = Controller(sink, hostname=ports.HOST, port=sink.port)
    controller.start()
    try:
        yield sink
    finally:
        controller.stop()
