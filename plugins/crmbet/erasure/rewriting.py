"""One pass over the store: everything that holds an erased player is written again without that player.

For each dataset the new files come first, then done-files that name them, and then the old done-files and the old
files go. So readers always find one whole set, and a pass that dies anywhere is repeated: what was written again
already holds nobody any more. Digests do not change, since they say what the sources delivered: a day is found by the
same digest, with fewer rows, and the rows that it lacks count as erased (docs/adr/0037).

A manifest of another run may still name an old file. If that run goes on, the file is missing, and the task that meets
it makes it again from what is there (crmbet.healing). Only manifests that name a feature table are written again.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from pydantic import BaseModel

from crmbet.contracts.erased_players import ErasedPlayers
from crmbet.databases.work import Work
from crmbet.datasets import segments
from crmbet.datasets.records import DayFiles, Segment
from crmbet.erasure.documents import names_somebody, without_ids
from crmbet.erasure.files import Place, Rewritten, rewrite_files
from crmbet.erasure.records import Removed
from crmbet.erasure.spellings import Spellings
from crmbet.extract import ledger
from crmbet.extract.records import UNDATED, Capture, CaptureSegment
from crmbet.features.kept_table import DATASET as TABLES
from crmbet.features.records import FeatureManifest
from crmbet.run.records import manifest_key
from crmbet.run.tasks import TABLE
from crmbet.storage.done_files import Content, DoneFiles, folder_of
from crmbet.storage.layout import DONE, attempt_name, kind_of
from crmbet.storage.verified import read_record, write_record

log = logging.getLogger(__name__)

DAY_KINDS = ("cleaned", "state", "sessions", "session_bets", "state_blocks")
"""Kinds of datasets kept by day. Quarantine is named by the done-files of cleaned days."""

CONTENT_TYPES = {
    "html": "text/html; charset=utf-8",
    "json": "application/json",
    "zip": "application/zip",
}
BYTES = "application/octet-stream"

RecordType = TypeVar("RecordType", bound=BaseModel)


def rewrite_store(work: Work, erased: ErasedPlayers, user_ids: Collection[str]) -> Removed:
    """Take the rows of all erased players out of the store, and the ids of those that are erased now out of reports.

    `user_ids` are the ids of the latter: of all others only the hashes are known.
    """
    rewriting = _Pass(work, erased, Spellings.of(user_ids))
    rewriting.rewrite_captures()
    rewriting.rewrite_days()
    rewriting.rewrite_tables()
    rewriting.rewrite_audiences()
    rewriting.blot_reports()
    return rewriting.removed


@dataclass
class _Pass:
    work: Work
    erased: ErasedPlayers
    spellings: Spellings
    keys: list[str] = field(init=False)
    """All objects of ours when the pass began."""
    removed: Removed = field(default_factory=Removed)

    def __post_init__(self) -> None:
        layout = self.work.run.layout
        self.keys = [entry.key for entry in self.work.store.list(layout.root) if layout.is_ours(entry.key)]

    def rewrite_captures(self) -> None:
        """Rewrite the captures of each source, replaced contents included."""
        layout = self.work.run.layout
        for folder in self._folders(["captures"]):
            source = folder.rstrip("/").rpartition("source=")[2]
            rewritten = self._rewrite(self._below(folder, ".parquet"))
            self._name_again(folder, ledger.content_of(layout, source), rewritten, _captures)

    def rewrite_days(self) -> None:
        """Rewrite cleaned rows, quarantine, state and sessions."""
        layout = self.work.run.layout
        for folder in self._folders(DAY_KINDS):
            dataset = folder.removeprefix(layout.root).rstrip("/")
            keys = self._below(folder, ".parquet")
            if kind_of(folder) == "cleaned":
                keys += self._below(folder.replace("/cleaned/", "/quarantine/"), ".parquet")
            rewritten = self._rewrite(keys)
            self._name_again(folder, segments.content_of(layout, dataset), rewritten, _days)

    def rewrite_tables(self) -> None:
        """Rewrite the feature tables and matrices of runs. No later run copies one: it makes its own."""
        store, layout = self.work.store, self.work.run.layout
        rewritten = self._rewrite(self._below(layout.runs, ".parquet"))
        runs: dict[str, set[str]] = {}
        for key in rewritten:
            run, _, _ = key.removeprefix(layout.runs).partition("/")
            runs.setdefault(f"{layout.runs}{run}/", set()).add(key)
        for run in sorted(runs):
            key = manifest_key(run, TABLE)
            if manifest := read_record(store, key, FeatureManifest):
                write_record(store, key, _table(manifest, rewritten), indent=1)
        tables = DoneFiles.read(store, layout.dataset(TABLES), segments.content_of(layout, TABLES))
        everything = tables.records | tables.incomplete
        store.delete_all(
            key
            for key, segment in everything.items()
            if not rewritten.keys().isdisjoint(name for day in segment.days for name in day.files)
        )
        store.delete_all(rewritten)

    def rewrite_audiences(self) -> None:
        """Rewrite what was handed over to the CRM. The old files go once the table of audiences names the new ones."""
        folder = self.work.run.layout.audiences
        rewritten = self._rewrite([*self._below(folder, ".parquet"), *self._below(folder, ".csv")])
        renamed = {key: each.key for key, each in rewritten.items()}
        self.removed = self.removed.model_copy(update={"renamed": renamed})

    def blot_reports(self) -> None:
        """Write reports that name a player again, under the same key, with a word in place of the id."""
        store = self.work.store
        if not self.spellings.user_ids:
            return
        keys = self._below(self.work.run.layout.reports, "")
        documents = 0
        for key in keys:
            content = store.read(key) or b""
            # What cannot be unpacked is left to the proof.
            if names_somebody(content, self.spellings):
                ending = key.rpartition(".")[2]
                store.write(key, without_ids(content, self.spellings), CONTENT_TYPES.get(ending, BYTES))
                documents += 1
        self.removed = self.removed.model_copy(update={"documents": self.removed.documents + documents})

    def _rewrite(self, keys: Iterable[str]) -> dict[str, Rewritten]:
        rewritten = dict(rewrite_files(self.work, keys, self.erased, self.spellings))
        rows = sum(each.rows.total() for each in rewritten.values())
        self.removed = self.removed.model_copy(
            update={"files": self.removed.files + len(rewritten), "rows": self.removed.rows + rows}
        )
        return rewritten

    def _name_again(
        self,
        folder: str,
        content: Content[RecordType],
        rewritten: Mapping[str, Rewritten],
        moved: Callable[[RecordType, Mapping[str, Rewritten]], RecordType],
    ) -> None:
        """Write the done-files of a dataset again that name a file which was rewritten; then the old ones go."""
        if not rewritten:
            return
        done_files = DoneFiles.read(self.work.store, folder, content)
        old = {
            key: record
            for key, record in (done_files.records | done_files.incomplete).items()
            if not rewritten.keys().isdisjoint(content.files(record))
        }
        done_files.write(
            {
                f"{folder_of(key)}{attempt_name()}{DONE}": moved(record, rewritten)
                for key, record in old.items()
            }
        )
        for key in old:
            done_files.contents.pop(key, None)
            done_files.index.pop(key, None)
        done_files.write_index(attempt_name())
        self.work.store.delete_all(old)
        self.work.store.delete_all(rewritten)
        rows = sum(each.rows.total() for each in rewritten.values())
        log.info("%s: %d files lost %d rows", folder, len(rewritten), rows)

    def _folders(self, kinds: Collection[str]) -> list[str]:
        """The folders of datasets of some kinds: one for each source, where a kind has sources."""
        root = self.work.run.layout.root
        found = set()
        for key in self.keys:
            kind, _, rest = key.removeprefix(root).partition("/")
            if kind in kinds:
                source, _, _ = rest.partition("/")
                found.add(f"{root}{kind}/{source}/" if source.startswith("source=") else f"{root}{kind}/")
        return sorted(found)

    def _below(self, prefix: str, ending: str) -> list[str]:
        return [key for key in self.keys if key.startswith(prefix) and key.endswith(ending)]


def _captures(segment: CaptureSegment, rewritten: Mapping[str, Rewritten]) -> CaptureSegment:
    """Captures as they are once their files were rewritten."""
    return segment.model_copy(
        update={"captures": [_capture(capture, rewritten) for capture in segment.captures]}
    )


def _capture(capture: Capture, rewritten: Mapping[str, Rewritten]) -> Capture:
    erased = Counter(capture.erased)
    for key in capture.files:
        for place, rows in rewritten[key].rows.items() if key in rewritten else ():
            if _is_of(place, capture):
                erased[place.day or UNDATED] += rows
    files = [rewritten[key].key if key in rewritten else key for key in capture.files]
    return capture.model_copy(update={"files": files, "erased": dict(sorted(erased.items()))})


def _is_of(place: Place, capture: Capture) -> bool:
    """Whether rows of a file belong to a capture, which may share the file with others."""
    if capture.part is not None:
        return place.chunk == (None if capture.part == UNDATED else capture.part)
    return capture.chunks_in_files == 1 or place.chunk == capture.chunk


def _days(segment: Segment, rewritten: Mapping[str, Rewritten]) -> Segment:
    """Days as they are once their files were rewritten."""
    return segment.model_copy(update={"days": [_day(day, rewritten) for day in segment.days]})


def _day(day: DayFiles, rewritten: Mapping[str, Rewritten]) -> DayFiles:
    iso = day.day.isoformat()
    accepted = sum(
        rows
        for key in day.files
        for place, rows in (rewritten[key].rows.items() if key in rewritten else ())
        if place.day == iso
    )
    quarantined = Counter(day.quarantined)
    before = quarantined.total()
    for key in day.quarantine_files:
        for place, rows in rewritten[key].rows.items() if key in rewritten else ():
            if place.day == iso:
                quarantined[str(place.reason)] -= rows
    return day.model_copy(
        update={
            "files": _renamed(day.files, rewritten),
            "quarantine_files": _renamed(day.quarantine_files, rewritten),
            "rows": day.rows - accepted,
            "quarantined": dict(sorted((+quarantined).items())),
            "erased": day.erased + accepted + before - quarantined.total(),
        }
    )


def _table(manifest: FeatureManifest, rewritten: Mapping[str, Rewritten]) -> FeatureManifest:
    """The manifest of a feature table that was rewritten."""
    lost = sum(rewritten[key].rows.total() for key in manifest.files if key in rewritten)
    changes: dict[str, object] = {
        "files": _renamed(manifest.files, rewritten),
        "users": manifest.users - lost,
    }
    learned = manifest.learned
    if learned and learned.matrix and learned.matrix.matrix in rewritten:
        moved = rewritten[learned.matrix.matrix]
        matrix = learned.matrix.model_copy(
            update={"matrix": moved.key, "players": learned.matrix.players - moved.rows.total()}
        )
        changes["learned"] = learned.model_copy(update={"matrix": matrix})
    return manifest.model_copy(update=changes)


def _renamed(keys: Iterable[str], rewritten: Mapping[str, Rewritten]) -> list[str]:
    return [rewritten[key].key if key in rewritten else key for key in keys]
