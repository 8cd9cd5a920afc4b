"""Done-files: the small objects that make folders of data count, and that say what is in them (docs/store.md).

An attempt writes its done-file last, in one PUT, under a name that no other attempt uses. Two runs that finish the same
folder leave two done-files, and every reader chooses the same one. Reading thousands of small objects takes seconds, so
an index copies the contents of many into one object. The index is only a copy: a done-file counts with or without it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from crmbet.storage.layout import DONE, INDEX
from crmbet.storage.object_store import ObjectStore, StoredObject

INDEX_FROM = 50
"""A new index is worth its PUT once this many done-files are outside of the newest one."""


@dataclass
class DoneFiles:
    """The done-files of one dataset."""

    store: ObjectStore
    prefix: str
    """Folder of the dataset; ends with '/'."""
    contents: dict[str, bytes] = field(default_factory=dict)
    """By key."""
    index: dict[str, str] = field(default_factory=dict)
    """What the newest index holds of the done-files that are there, wanted or not."""

    @classmethod
    def read(
        cls, store: ObjectStore, prefix: str, wanted: Callable[[str], bool] = lambda _folder: True
    ) -> DoneFiles:
        """Read the done-files below a prefix whose folders are wanted."""
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
        """Write done-files: from now on their folders count."""
        self.store.write_all(dict(contents))
        self.contents |= contents

    def write_index(self, attempt: str) -> None:
        """Write an index of all that was read or written here, if the newest one lacks enough of it."""
        if len(self.contents.keys() - self.index.keys()) < INDEX_FROM:
            return
        self.index |= {key: content.decode() for key, content in self.contents.items()}
        self.store.write(f"{self.prefix}{INDEX}{attempt}.json", json.dumps(self.index).encode())


def folder_of(done_file: str) -> str:
    """The folder that a done-file is about; ends with '/'."""
    return done_file[: done_file.rindex("/") + 1]
