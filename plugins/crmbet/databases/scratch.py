"""Folders for data that does not fit into memory.

A folder is removed when its task ends. If the task was killed, the next task on the machine removes it.
"""

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

    Its owner holds a lock in it. A folder whose lock nobody holds belongs to a task that was killed. Such folders are
    removed first: otherwise they would fill the disk, and all later tasks would fail.
    """
    parent = Path(settings.engine.spill_directory or tempfile.gettempdir())
    _remove_abandoned(parent)
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=parent) as name:
        folder = Path(name)
        files = folder / "files"
        files.mkdir()
        with (folder / "unlocked").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # Other tasks look for this name, so it appears only once the lock is held.
            (folder / "unlocked").rename(folder / LOCK)
            yield files


def _remove_abandoned(parent: Path) -> None:
    for lock in parent.glob(f"{PREFIX}*/{LOCK}"):
        # Errors are ignored: the folder is another user's, is in use, or is being removed by another task.
        with suppress(OSError), lock.open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.parent)
