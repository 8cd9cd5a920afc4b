"""Folders for data that does not fit into memory.

A folder is removed when its task ends. If the task was killed, the next task on the machine removes it.
"""

from __future__ import annotations

import errno
import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from crmbet.failures import TemporaryFailure
from crmbet.run.settings import Settings

PREFIX = "crmbet-"
LOCK = "lock"
LEAST_ROOM = 64 << 20
"""Bytes that are left free on the disk of a folder, for the engine and for others."""
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def scratch_folder(settings: Settings) -> Iterator[Path]:
    """An empty folder in the spill directory, removed at the end.

    Its owner holds a lock in it. A folder whose lock nobody holds belongs to a task that was killed. Such folders are
    removed first: otherwise they would fill the disk, and all later tasks would fail.
    """
    parent = Path(settings.engine.spill_directory or tempfile.gettempdir())
    _remove_abandoned(parent)
    # A thread that nobody waits for any more may still write a file.
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=parent, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        files = folder / "files"
        files.mkdir()
        with (folder / "unlocked").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # Other tasks look for this name, so it appears only once the lock is held.
            (folder / "unlocked").rename(folder / LOCK)
            yield files


def require_room(folder: Path) -> None:
    """Raises `TemporaryFailure` if the disk of a folder is nearly full."""
    free = shutil.disk_usage(folder).free
    if free < LEAST_ROOM:
        raise _too_little_room(f"{free:,} bytes are left on it, and {LEAST_ROOM:,} are kept free", folder)


@contextmanager
def lack_of_room_explained(folder: Path) -> Iterator[None]:
    """Turn the error of a full disk into a `TemporaryFailure`; any other error passes."""
    try:
        yield
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise _too_little_room(error.strerror or "", folder) from None


def _too_little_room(why: str, folder: Path) -> TemporaryFailure:
    return TemporaryFailure(
        "the disk for what does not fit into memory is full",
        where=str(folder),
        why=why,
        next_step="the task retries by itself; if it goes on, make room there, let CRMBET_SPILL_DIRECTORY name a "
        "larger disk, or lower CRMBET_MAX_UNPACKED_SIZE, so that objects as large as that are set aside",
    )


def _remove_abandoned(parent: Path) -> None:
    for lock in parent.glob(f"{PREFIX}*/{LOCK}"):
        # Errors are ignored: the folder is another user's, is in use, or is being removed by another task.
        with suppress(OSError), lock.open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.parent)
