"""Sends files to the store beside the work that makes the next ones.

The files of a segment are sent at once, and its done-file once all of them are there. So a task that is killed leaves
at most files that nobody reads, as it would if it had waited for each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from crmbet.databases.scratch import scratch_folder
from crmbet.run.settings import Settings
from crmbet.storage.object_store import ObjectStore
from crmbet.storage.threads import threads
from crmbet.storage.verified import checked_key

SEGMENTS_UNDER_WAY = 4
"""So many segments are on their way at most: their files lie on the local disk until they have arrived."""
FILES_AT_ONCE = 8


@dataclass
class Sending:
    """Segments on their way to the store."""

    store: ObjectStore
    folder: Path
    pool: ThreadPoolExecutor
    files: list[Future[None]] = field(default_factory=list)
    """Those of the segment that is being made."""
    segments: list[Future[None]] = field(default_factory=list)
    """In the order in which they were ended."""

    def keep_file(self, path: Path, key: str) -> str:
        """Begin to copy a local file, which moves. Returns its key, as `verified.keep_file` does."""
        named = checked_key(path, key)
        moved = path.rename(self.folder / named.rpartition("/")[2])
        self.files.append(self.pool.submit(self._send, moved, named))
        return named

    def end_segment(self, write_done_file: Callable[[], None]) -> None:
        """Have a segment's done-file written once its files are there.

        Waits while too many segments are under way. Raises what has stopped an earlier one.
        """
        files, self.files = self.files, []
        # The pool begins in order, so whoever waits for files has no thread that they need.
        self.segments.append(self.pool.submit(_finish, files, write_done_file))
        while len(self.segments) > SEGMENTS_UNDER_WAY:
            self.segments.pop(0).result()

    def wait(self) -> None:
        """Wait until all segments have arrived. Raises what has stopped one."""
        while self.segments:
            self.segments.pop(0).result()

    def _send(self, path: Path, key: str) -> None:
        self.store.upload(path, key)
        path.unlink()


@contextmanager
def sending(store: ObjectStore, settings: Settings) -> Iterator[Sending]:
    """Send segments in the `with` block, at the end of which all have arrived. Raises what has stopped one."""
    with scratch_folder(settings) as folder, threads(FILES_AT_ONCE) as pool:
        begun = Sending(store, folder, pool)
        yield begun
        begun.wait()


def _finish(files: list[Future[None]], write_done_file: Callable[[], None]) -> None:
    for file in files:
        file.result()
    write_done_file()
