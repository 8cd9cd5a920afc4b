"""An object store that is far away: a proxy in front of the local S3, which holds back each request for some time.

`python -m bench.far_store <port of S3> <folder>` prints its own port. The folder's file `milliseconds` says for how
long it holds back a request. It writes a line for each into `requests.log`: when it came, method and path.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TextIO
from urllib.parse import unquote, urlsplit

from local import ports
from local.workspace import PROJECT

REQUEST = re.compile(rb"([A-Z]+) (\S+) HTTP/1\.1\r\n")
"""How a request begins. A client waits for an answer before it sends the next one, or the rest of a large one."""
BYTES_AT_ONCE = 1 << 16
LOG, DELAY = "requests.log", "milliseconds"


class Request(NamedTuple):
    """One request. `came` is in monotonic seconds; `path` includes the query."""

    came: float
    method: str
    path: str


@dataclass(frozen=True)
class FarStore:
    """A running proxy."""

    endpoint: str
    folder: Path

    def hold_back(self, milliseconds: int) -> None:
        """Hold back each request for so long from now on."""
        (self.folder / DELAY).write_text(str(milliseconds), encoding="utf-8")

    def requests(self) -> list[Request]:
        """All requests until now, in order."""
        lines = [line.split(" ", 2) for line in (self.folder / LOG).read_text(encoding="utf-8").splitlines()]
        return [Request(float(came), method, unquote(path)) for came, method, path in lines]


@contextmanager
def open_far_store(endpoint: str, folder: Path) -> Iterator[FarStore]:
    """Start a proxy in front of an S3 server, in a process of its own, and stop it at the end."""
    port = urlsplit(endpoint).port
    store = FarStore("", folder)
    store.hold_back(0)
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.far_store", str(port), str(folder)],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        if process.stdout is None or not (own := process.stdout.readline().strip()):
            raise RuntimeError("the proxy in front of S3 did not start")
        yield FarStore(f"http://{ports.HOST}:{own}", folder)
    finally:
        process.terminate()
        process.wait()


async def _serve(upstream: int, folder: Path, log: TextIO) -> None:
    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, requests = await asyncio.open_connection(ports.HOST, upstream)
        # A client that goes away ends its connection in the middle.
        with suppress(ConnectionError):
            forwarding = asyncio.create_task(_forward(reader, requests, folder, log))
            await _copy(answers, writer)
            forwarding.cancel()
        for each in (writer, requests):
            each.close()

    server = await asyncio.start_server(take, ports.HOST, 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def _forward(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, folder: Path, log: TextIO
) -> None:
    while content := await reader.read(BYTES_AT_ONCE):
        if begun := REQUEST.match(content):
            log.write(f"{time.monotonic()} {begun[1].decode()} {begun[2].decode()}\n")
            log.flush()
            milliseconds = (folder / DELAY).read_text(encoding="utf-8")
            await asyncio.sleep(int(milliseconds or 0) / 1000)
        writer.write(content)
        await writer.drain()
    writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while content := await reader.read(BYTES_AT_ONCE):
        writer.write(content)
        await writer.drain()


def main() -> None:
    """Run the proxy until it is terminated."""
    upstream, name = sys.argv[1:]
    folder = Path(name)
    with (folder / LOG).open("a", encoding="utf-8") as log:
        asyncio.run(_serve(int(upstream), folder, log))


if __name__ == "__main__":
    main()
