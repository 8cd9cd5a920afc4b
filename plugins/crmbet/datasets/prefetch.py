"""Fetches files of the store to the local disk, several at once, and compares each with its checksum.

What is made from files of the store reads these copies alone, so it never sees a damaged one. The files of days are
small: reading them one after the other in the store would mostly be waiting for requests. Days are made batch by batch,
and the files of a batch are fetched while the one before it is made.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from crmbet.databases.scratch import lack_of_room_explained, scratch_folder
from crmbet.databases.work import Work
from crmbet.run.settings import Settings
from crmbet.storage.digests import digest
from crmbet.storage.object_store import PARALLEL_REQUESTS, ObjectStore
from crmbet.storage.threads import threads
from crmbet.storage.verified import fetch_file


@dataclass(frozen=True)
class Fetched:
    """Local copies of some files."""

    paths: Mapping[str, Path]

    def urls(self, keys: Iterable[str]) -> Sequence[str]:
        """The paths of the local copies."""
        return [str(self.paths[key]) for key in keys]


@dataclass(frozen=True)
class LocalCopies:
    """Local copies of files, each fetched when it is first asked for."""

    store: ObjectStore
    folder: Path
    paths: dict[str, Path] = field(default_factory=dict)

    def urls(self, keys: Iterable[str]) -> Sequence[str]:
        """The paths of the local copies. Raises `DamagedObject` and `TemporaryFailure` as `fetch_ahead` does."""
        wanted = list(keys)
        missing = [key for key in dict.fromkeys(wanted) if key not in self.paths]
        fetched = self.store.in_parallel(lambda key: _fetch(self.store, key, self.folder), missing)
        self.paths.update(zip(missing, fetched, strict=True))
        return [str(self.paths[key]) for key in wanted]


@contextmanager
def local_copies(work: Work) -> Iterator[LocalCopies]:
    """Copies that last until the block ends: what reads them has to be read by then."""
    with scratch_folder(work.run.settings) as folder:
        yield LocalCopies(work.store, folder)


def fetch_ahead(
    store: ObjectStore, settings: Settings, batches: Sequence[Collection[str]]
) -> Generator[Fetched, None, None]:
    """Yield the local copies of each batch of keys in turn, while the files of the next batch are being fetched.

    The copies of a batch are deleted when the next one is requested, unless that needs them too. Close the generator at
    the end, so that the last copies are deleted.

    Raises `DamagedObject` for a file that is not whole or is gone, and `TemporaryFailure` if the disk is full.
    """
    with (
        scratch_folder(settings) as folder,
        threads(PARALLEL_REQUESTS) as pool,
    ):
        under_way: dict[str, Future[Path]] = {}

        def begin(keys: Collection[str]) -> None:
            for key in keys:
                if key not in under_way:
                    under_way[key] = pool.submit(_fetch, store, key, folder)

        for place, batch in enumerate(batches):
            following = batches[place + 1] if place + 1 < len(batches) else ()
            begin(batch)
            begin(following)
            yield Fetched({key: under_way[key].result() for key in batch})
            for key in {*batch} - {*following}:
                under_way.pop(key).result().unlink()


def _fetch(store: ObjectStore, key: str, folder: Path) -> Path:
    # Files in different folders of the store can have equal names.
    path = folder / f"{digest(key)}.parquet"
    with lack_of_room_explained(folder):
        fetch_file(store, key, path)
    return path
