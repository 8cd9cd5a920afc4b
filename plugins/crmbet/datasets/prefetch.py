"""Fetches files of the store to the local disk, several at once and one batch ahead of their use.

The files of days are small. Reading them one after the other in the store would mostly be waiting for requests.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from crmbet.databases.scratch import scratch_folder
from crmbet.run.settings import Settings
from crmbet.storage.object_store import PARALLEL_REQUESTS, ObjectStore


@dataclass(frozen=True)
class Fetched:
    """Local copies of some files. All other files are read in the store."""

    store: ObjectStore
    paths: Mapping[str, Path]

    def url(self, key: str) -> str:
        """The path of the local copy, or the address in the store if there is no copy."""
        return str(self.paths[key]) if key in self.paths else self.store.url(key)


def fetch_ahead(
    store: ObjectStore, settings: Settings, batches: Sequence[Collection[str]]
) -> Generator[Fetched, None, None]:
    """Yield the local copies of each batch of keys in turn, while the files of the next batch are being fetched.

    The copies of a batch are deleted when the next one is requested, unless that needs them too. Close the generator at
    the end, so that the last copies are deleted.
    """
    with (
        scratch_folder(settings) as folder,
        ThreadPoolExecutor(PARALLEL_REQUESTS) as pool,
    ):
        under_way: dict[str, Future[Path]] = {}

        def begin(keys: Collection[str]) -> None:
            for key in keys:
                if key not in under_way:
                    under_way[key] = pool.submit(_fetch, store, key, folder)

        try:
            for place, batch in enumerate(batches):
                following = batches[place + 1] if place + 1 < len(batches) else ()
                begin(batch)
                begin(following)
                yield Fetched(store, {key: under_way[key].result() for key in batch})
                for key in {*batch} - {*following}:
                    under_way.pop(key).result().unlink()
        finally:
            pool.shutdown(cancel_futures=True)


def _fetch(store: ObjectStore, key: str, folder: Path) -> Path:
    # Files in different folders of the store can have equal names.
    path = folder / key.replace("/", "+")
    store.fetch(key, path)
    return path
