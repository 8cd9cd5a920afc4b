"""Folders for what does not fit into memory: gone when the task ends, and when it was killed, with the next task."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from crmbet.run.settings import Settings

PREFIX = "crmbet-"
LOCK = "lock"


@contextmanager
def scratch_folder(settings: Settings) -> Iterator[Path]:
    """An empty folder in the spill directory, removed at the end.

    Its owner holds a lock in it. Folders whose lock nobody holds are those of killed tasks, and are removed first: a
    disk that they fill would fail every task after them.
    """
    parent = Path(settings.engine.spill_directory or tempfile.gettempdir())
    _remove_abandoned(parent)
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=parent) as name:
        folder = Path(name)
        files = folder / "files"
        files.mkdir()
        with (folder / "unlocked").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # Seen by others only once it is held.
            (folder / "unlocked").rename(folder / LOCK)
            yield files


def _remove_abandoned(parent: Path) -> None:
    for lock in parent.glob(f"{PREFIX}*/{LOCK}"):
        # Somebody else's, one that is in use, or one that another task removes at this moment.
        with suppress(OSError), lock.open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.parent)
