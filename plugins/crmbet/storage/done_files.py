"""Markers: the small objects that say which folders of data count, and what is in them (docs/store.md).

A marker is written last, in one PUT, under a name that no other attempt uses: two runs that finish the same folder
leave two markers, and whoever reads them chooses the same one. Reading thousands of small objects takes seconds, so an
index holds the contents of many in one object. It is a copy: a marker counts because it is there, with or without one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from crmbet.storage.layout import DONE, INDEX
from crmbet.storage.object_store import ObjectStore, StoredObject

INDEX_FROM = 50
"""Markers outside of the newest index that make a new one worth its while."""


@dataclass
class Markers:
    """The markers of one dataset."""

    store: ObjectStore
    prefix: str
    """Folder of the dataset; ends with '/'."""
    contents: dict[str, bytes] = field(default_factory=dict)
    """By key."""
    index: dict[str, str] = field(default_factory=dict)
    """What the newest index holds of the markers that are there, wanted or not."""

    @classmethod
    def read(
        cls, store: ObjectStore, prefix: str, wanted: Callable[[str], bool] = lambda _folder: True
    ) -> Markers:
        """Read the markers below a prefix, of the folders that are wanted."""
        listed: set[str] = set()
        indexes: list[StoredObject] = []
        for entry in store.list(prefix):
            if entry.key.startswith(prefix + INDEX):
                indexes.append(entry)
            elif entry.key.endswith(DONE):
                listed.add(entry.key)
        known: dict[str, str] = {}
        if indexes:
            newest = max(indexes, key=lambda entry: (entry.last_modified, entry.key))
            known = json.loads(store.read(newest.key) or b"{}")
        index = {key: content for key, content in known.items() if key in listed}
        chosen = {key for key in listed if wanted(folder_of(key))}
        contents = {key: index[key].encode() for key in chosen & index.keys()}
        apart = store.read_all(sorted(chosen - index.keys()))
        contents |= {key: content for key, content in apart.items() if content is not None}
        return cls(store, prefix, contents, index)

    def write(self, contents: Mapping[str, bytes]) -> None:
        """Write markers: from now on their folders count."""
        self.store.write_all(dict(contents))
        self.contents |= contents

    def write_index(self, attempt: str) -> None:
        """Write an index of all that was read or written here, if enough of it is in none yet."""
        if len(self.contents.keys() - self.index.keys()) < INDEX_FROM:
            return
        self.index |= {key: content.decode() for key, content in self.contents.items()}
        self.store.write(f"{self.prefix}{INDEX}{attempt}.json", json.dumps(self.index).encode())


def folder_of(marker: str) -> str:
    """The folder that a marker speaks of; ends with '/'."""
    return marker[: marker.rindex("/") + 1]
