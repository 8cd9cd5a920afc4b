"""Done-files: the small objects that make folders of data count, and that say what is in them (docs/store.md).

An attempt writes its done-file last, in one PUT, under a name that no other attempt uses. Two runs that finish the same
folder leave two done-files, and every reader chooses the same one. Reading thousands of small objects takes seconds, so
an index copies the contents of many into one object. The index is only a copy: a done-file counts with or without it.

A done-file counts only while it and all files that it names are there and whole. So what is damaged or deleted is
missing, and is made again like anything that was never made.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from pydantic import BaseModel

from crmbet.failures import DamagedObject
from crmbet.storage.layout import DONE, INDEX
from crmbet.storage.object_store import PARALLEL_REQUESTS, ObjectStore, StoredObject
from crmbet.storage.verified import parse_record, seal, set_aside, unseal

log = logging.getLogger(__name__)

INDEX_FROM = PARALLEL_REQUESTS
"""A new index is worth its PUT once so many done-files are outside of the newest one: fewer are read at once."""


RecordType = TypeVar("RecordType", bound=BaseModel)


@dataclass(frozen=True, kw_only=True)
class Content(Generic[RecordType]):
    """What the done-files of a dataset hold."""

    model: type[RecordType]
    folder: Callable[[RecordType], str]
    """The folder that a record is about; ends with '/'."""
    files: Callable[[RecordType], Sequence[str]]
    """Keys of the files that a record makes count."""


@dataclass
class DoneFiles(Generic[RecordType]):
    """The done-files of one dataset."""

    store: ObjectStore
    prefix: str
    """Folder of the dataset; ends with '/'."""
    content: Content[RecordType]
    records: dict[str, RecordType] = field(default_factory=dict)
    """Those that count, by key."""
    incomplete: dict[str, RecordType] = field(default_factory=dict)
    """Those that name a file which is gone."""
    damaged: set[str] = field(default_factory=set)
    """Keys of those that cannot be read, or that lie in another folder than the one that they are about."""
    contents: dict[str, bytes] = field(default_factory=dict)
    """Of all that can be read, by key."""
    index: dict[str, str] = field(default_factory=dict)
    """What the newest index holds of the done-files that are there, wanted or not."""

    @classmethod
    def read(
        cls,
        store: ObjectStore,
        prefix: str,
        content: Content[RecordType],
        wanted: Callable[[str], bool] = lambda _folder: True,
    ) -> DoneFiles[RecordType]:
        """Read the done-files below a prefix whose folders are wanted."""
        listed: set[str] = set()
        indexes: list[StoredObject] = []
        for entry in store.list(prefix):
            if entry.key.startswith(prefix + INDEX):
                indexes.append(entry)
            else:
                listed.add(entry.key)
        known: dict[str, str] = {}
        if indexes:
            newest = max(indexes, key=_age).key
            known = _parse_index(store, newest, store.read(newest))
        index = {key: text for key, text in known.items() if key in listed}
        chosen = {key for key in listed if key.endswith(DONE) and wanted(folder_of(key))}
        read = cls(store, prefix, content, index=index)
        read._parse({key: index[key].encode() for key in chosen & index.keys()})
        # If the copy in the index is damaged, the done-file itself may be whole.
        read.index = {key: text for key, text in index.items() if key not in read.damaged}
        apart = store.read_all(sorted((chosen - index.keys()) | read.damaged))
        read.damaged = set()
        read._parse({key: text for key, text in apart.items() if text is not None})
        read._leave_out_incomplete(listed)
        return read

    def write(self, records: Mapping[str, RecordType]) -> None:
        """Write done-files: from now on their folders count."""
        contents = {key: seal(key, record.model_dump_json().encode()) for key, record in records.items()}
        self.store.write_all(contents)
        self.contents |= contents
        self.records |= records

    def write_index(self, attempt: str) -> None:
        """Write an index of all that was read or written here, if the newest one lacks enough of it."""
        if len(self.contents.keys() - self.index.keys()) < INDEX_FROM:
            return
        self.index |= {key: content.decode() for key, content in self.contents.items()}
        key = f"{self.prefix}{INDEX}{attempt}.json"
        self.store.write(key, seal(key, json.dumps(self.index).encode()))

    def set_aside(self, keys: Iterable[str]) -> None:
        """Move damaged done-files away, once what they were about is there again."""
        for key in sorted(keys):
            set_aside(self.store, key)
            self.damaged.discard(key)

    def _parse(self, contents: Mapping[str, bytes]) -> None:
        for key, content in contents.items():
            try:
                record = parse_record(self.store, key, content, self.content.model)
            except DamagedObject as damage:
                log.warning("a done-file does not count: %s", damage)
                self.damaged.add(key)
                continue
            if self.content.folder(record) != folder_of(key):
                log.warning("%s does not count: it is about another folder", self.store.url(key))
                self.damaged.add(key)
                continue
            self.records[key] = record
            self.contents[key] = content

    def _leave_out_incomplete(self, listed: set[str]) -> None:
        """Leave out records with a file that is gone. Files outside of the dataset's folder are listed for it."""
        needed = {name for record in self.records.values() for name in self.content.files(record)}
        elsewhere = {name for name in needed if not name.startswith(self.prefix)}
        if folders := sorted({_listed_by(name) for name in elsewhere}):
            for found in self.store.in_parallel(lambda folder: [*self.store.list(folder)], folders):
                listed |= {entry.key for entry in found}
        if not needed - listed:
            return
        for key, record in list(self.records.items()):
            if not listed.issuperset(self.content.files(record)):
                self.incomplete[key] = self.records.pop(key)
        gone = sorted(needed - listed)
        log.warning(
            "%d files that done-files in %s name are gone, the first being %s",
            len(gone),
            self.store.url(self.prefix),
            gone[0],
        )


@contextmanager
def read_ahead(store: ObjectStore, datasets: Iterable[str], *others: str) -> Iterator[None]:
    """Read the done-files of some datasets, and list other folders, several at a time.

    Within the `with` block the first `DoneFiles.read` of each dataset, and the first listing of each folder, need no
    request. So they must come before the task writes anything there.
    """
    folders = list(dict.fromkeys(datasets))
    with store.listed_ahead([*folders, *others]) as listed:
        newest = {
            folder: max(indexes, key=_age).key
            for folder in folders
            if (indexes := [entry for entry in listed[folder] if entry.key.startswith(folder + INDEX)])
        }
        contents = store.read_all(newest.values())
        known = {key for index in newest.values() for key in _parse_index(store, index, contents[index])}
        done = {entry.key for folder in folders for entry in listed[folder] if entry.key.endswith(DONE)}
        with store.held({**contents, **store.read_all(sorted(done - known))}):
            yield


def folder_of(done_file: str) -> str:
    """The folder that a done-file is about; ends with '/'."""
    return done_file[: done_file.rindex("/") + 1]


def _age(entry: StoredObject) -> tuple[datetime, str]:
    return entry.last_modified, entry.key


def _parse_index(store: ObjectStore, key: str, content: bytes | None) -> dict[str, str]:
    """The contents that an index holds, by key; none if it is damaged, which costs time and nothing else."""
    try:
        found = json.loads(unseal(key, content or b"{}"))
    except ValueError:
        log.warning("%s is damaged and is not used", store.url(key))
        return {}
    return (
        {name: text for name, text in found.items() if isinstance(text, str)}
        if isinstance(found, dict)
        else {}
    )


def _listed_by(key: str) -> str:
    """A prefix whose listing shows a file: the whole dataset's for one of many days, else its folder."""
    dataset, separator, _ = key.partition("/day=")
    return f"{dataset}/" if separator else folder_of(key)
