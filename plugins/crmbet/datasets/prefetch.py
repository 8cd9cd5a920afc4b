"""Files of the store that lie on the local disk, fetched side by side and a batch ahead of their use.

Days are small files: read one after the other where they lie, most of the time is waiting for requests.
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
    """Local copies of some files; all others are read in the store."""

    store: ObjectStore
    paths: Mapping[str, Path]

    def url(self, key: str) -> str:
        """The local path of a copy, else the address in the store."""
        return str(self.paths[key]) if key in self.paths else self.store.url(key)


def fetch_ahead(
    store: ObjectStore, settings: Settings, batches: Sequence[Collection[str]]
) -> Generator[Fetched, None, None]:
    """The files of each batch of keys in turn, those of the next one being fetched meanwhile.

    A batch's copies are gone once the next one is asked for, unless that needs them too: close the iterator at the end.
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
    # Names of our files repeat between folders of the store.
    path = folder / key.replace("/", "+")
    store.fetch(key, path)
    return path
