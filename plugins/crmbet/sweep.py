"""Removes objects that no kept manifest names: leftovers of killed tasks, replaced contents, and old runs.

It makes a plan first, and then removes exactly what the plan says. It keeps:

- every run that is younger than the retention, with its manifests, its reports and its feature table;
- the content of all captures that these runs have used;
- for each chunk, the captures within the retention and the newest one before it, so that a run with any known_at within
  the retention finds what was known then;
- for each day, the files that were made last, which the next run will need;
- everything that is younger than a grace period, since a run under way has files that no manifest names yet, and every
  file that a manifest of that time names.

An older run that is tried again finds its captures by their digests, and makes from them what else it misses. The
sweep removes the done-file of a feature table after the grace period, because every day leaves one. A later run for the
same day makes its table again.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from crmbet.clean.records import CleanManifest
from crmbet.datasets.records import DayFiles, Segment
from crmbet.datasets.segments import chosen_days
from crmbet.extract.ledger import (
    all_captures,
    captures_by_digest,
    has_the_same_rows,
    newest_captures,
    place_of_files,
)
from crmbet.extract.records import Capture, CaptureSegment, ExtractManifest
from crmbet.failures import DamagedObject
from crmbet.features.records import FeatureManifest
from crmbet.run.records import Record, manifest_key
from crmbet.run.settings import Settings
from crmbet.run.tasks import EXTRACTS
from crmbet.storage.done_files import folder_of
from crmbet.storage.layout import DAMAGED, DONE, INDEX, Layout
from crmbet.storage.object_store import ObjectStore, StoredObject
from crmbet.storage.verified import parse_record

log = logging.getLogger(__name__)

INDEXES_KEPT = 2
"""Indexes of done-files that are kept in each folder: one may be read while a newer one is written."""

READ_AT_ONCE = 32
"""Manifests in memory at once. There are several for each day, and each names every day of the history."""

DAY_DATASETS = ("state", "sessions", "session_bets")
"""Datasets kept by day that do not belong to one source."""

Model = TypeVar("Model", bound=BaseModel)


class SweepPlan(Record):
    """`plan_sweep.json`: the objects that the sweep is to remove."""

    model_config = ConfigDict(populate_by_name=True)

    planned_at: datetime
    done_files: list[str] = Field(validation_alias=AliasChoices("done_files", "markers"))
    """They are removed first: a sweep that dies leaves no done-file whose files are gone."""
    objects: list[str]
    size: int
    """Bytes of all of them."""
    reasons: dict[str, int]
    """Number of objects by reason."""
    unknown: list[str]
    """Folders below our prefix with objects that crmbet does not write. They are left alone."""


def plan_sweep(store: ObjectStore, layout: Layout, settings: Settings, now: datetime) -> SweepPlan:
    """What a sweep would remove. Writes nothing.

    Raises `DamagedObject` for a manifest: what that run needs is unknown then.
    """
    planning = _Planning(store, layout, settings, now)
    planning.keep_runs()
    planning.keep_cut_offs()
    planning.keep_baselines()
    planning.keep_certificates()
    for dataset in planning.datasets("captures"):
        planning.keep_captures(dataset)
    for dataset in [*planning.datasets("cleaned"), *(f"{layout.root}{name}/" for name in DAY_DATASETS)]:
        planning.keep_days(dataset)
    planning.keep_fitted_models()
    planning.keep_damaged()
    planning.keep_audiences()
    return planning.plan()


def sweep(store: ObjectStore, layout: Layout, settings: Settings, plan: SweepPlan) -> int:
    """Remove the objects of a plan that are still unneeded. Returns how many they were. It may be repeated.

    The plan is made once more, since a failed sweep may be cleared weeks later. By then a run may use an old capture
    again, because the source has gone back to old content.
    """
    again = plan_sweep(store, layout, settings, plan.planned_at)
    unneeded = {*again.done_files, *again.objects}
    done_files = [key for key in plan.done_files if key in unneeded]
    objects = [key for key in plan.objects if key in unneeded]
    store.delete_all(done_files)
    store.delete_all(objects)
    removed = len(done_files) + len(objects)
    planned = len(plan.done_files) + len(plan.objects)
    log.info("swept %d objects; %d others of the plan are gone or in use again", removed, planned - removed)
    return removed


@dataclass
class _Planning:
    store: ObjectStore
    layout: Layout
    settings: Settings
    now: datetime
    entries: dict[str, StoredObject] = field(default_factory=dict)
    """All objects below our prefix that crmbet writes, by key."""
    unknown: set[str] = field(default_factory=set)
    """Folders of all other objects."""
    kept: set[str] = field(default_factory=set)
    used: set[str] = field(default_factory=set)
    """Digests of the captures that kept runs have used."""
    old: set[str] = field(default_factory=set)
    """Objects of runs past the retention."""

    def __post_init__(self) -> None:
        for entry in self.store.list(self.layout.root):
            if self.layout.is_ours(entry.key):
                self.entries[entry.key] = entry
            else:
                self.unknown.add(entry.key.rpartition("/")[0])

    @property
    def _oldest_kept(self) -> datetime:
        return self.now - timedelta(days=self.settings.retention.run_retention_days)

    @property
    def _grace(self) -> datetime:
        return self.now - timedelta(days=self.settings.retention.sweep_grace_days)

    def datasets(self, kind: str) -> list[str]:
        """Folders of a kind of dataset, one per source."""
        prefix = f"{self.layout.root}{kind}/"
        return sorted(
            {prefix + key.removeprefix(prefix).partition("/")[0] + "/" for key in self._below(prefix)}
        )

    def keep_runs(self) -> None:
        """Keep young runs and their reports, and the files that manifests within the grace period name."""
        folders: dict[str, list[str]] = {}
        for key in (*self._below(self.layout.runs), *self._below(self.layout.reports)):
            _, _, rest = key.partition("run_id=")
            folders.setdefault(rest.partition("/")[0], []).append(key)
        young: list[str] = []
        recent: list[str] = []
        for run, keys in folders.items():
            if max(self.entries[key].last_modified for key in keys) >= self._oldest_kept:
                self.kept.update(keys)
                young.append(f"{self.layout.runs}run_id={run}/")
                if any(self._is_young(key) for key in keys):
                    recent.append(young[-1])
            else:
                self.old.update(keys)
        self.used.update(capture.digest for capture in self._captures_used(young))
        self.kept.update(key for capture in self._captures_used(recent) for key in capture.files)
        for clean in self._manifests(recent, "clean", CleanManifest):
            for cleaned in clean.sources.values():
                self._keep_files(cleaned.days)
                self.kept.update(cleaned.quarantine_files)
        for features in self._manifests(recent, "engineer_features", FeatureManifest):
            self.kept.update(features.state_files, features.session_files)

    def keep_cut_offs(self) -> None:
        """Keep all frozen cut-offs: they are small, and a run of an old as_of reads old ones."""
        self.kept.update(self._below(f"{self.layout.root}thresholds/"))

    def keep_baselines(self) -> None:
        """Keep all baselines: they are small, and a backfill may read an old one."""
        self.kept.update(self._below(f"{self.layout.root}baselines/"))

    def keep_certificates(self) -> None:
        """Keep all certificates of erasures: they say what was done for a person."""
        self.kept.update(self._below(self.layout.certificates))

    def keep_captures(self, dataset: str) -> None:
        """Keep what a run with a known_at within the retention may use, each in the files that readers choose."""
        segments = dict(self._done_files(dataset, CaptureSegment))
        contents = captures_by_digest(all_captures(segments))
        before = newest_captures(
            capture for capture in contents.values() if capture.captured_at <= self._oldest_kept
        )
        wanted = {capture.digest for capture in before.values()}
        wanted |= {capture.digest for capture in contents.values() if capture.captured_at > self._oldest_kept}
        # If old content has come back, the newest capture restates an older one, and a run looks for the older digest.
        newest = newest_captures(contents.values())
        wanted |= {
            capture.digest
            for capture in contents.values()
            if has_the_same_rows(capture, newest[capture.chunk])
        }
        wanted |= self.used
        places: dict[str, list[tuple[bool, tuple[object, ...], datetime, str]]] = {}
        for key, segment in segments.items():
            names = {name for capture in segment.captures for name in capture.files}
            is_whole = self.entries.keys() >= names
            if self._is_young(key) or (names and self.kept.issuperset(names)):
                self._keep_segment(key, segment)
            for capture in segment.captures:
                if capture.digest in wanted:
                    place = (is_whole, place_of_files(capture), capture.captured_at, key)
                    places.setdefault(capture.digest, []).append(place)
        for of_content in places.values():
            *_, chosen = max(of_content)
            self._keep_segment(chosen, segments[chosen])
            # Another one may say that the content has been known for longer.
            *_, first = min(of_content, key=lambda place: (place[2], place[-1] != chosen, place[-1]))
            self._keep_segment(first, segments[first])

    def keep_days(self, dataset: str) -> None:
        """Keep each segment that holds the files of a day that were made last, or files that young runs have used."""
        segments = dict(self._done_files(dataset, Segment))
        newest = chosen_days(segments, lambda _: True)
        for key, segment in segments.items():
            files = [name for day in segment.days for name in (*day.files, *day.quarantine_files)]
            used = bool(files) and self.kept.issuperset(files)
            last = any(day == newest[day.day] for day in segment.days)
            if used or last or self._is_young(key):
                self.kept.add(key)
                self._keep_files(segment.days)

    def keep_fitted_models(self) -> None:
        """Keep young models, and all models of the newest as_of, so that a run always has some to fall back on."""
        keys = self._below(self.layout.all_fitted_models)
        newest = max((key.rpartition("/")[0] for key in keys), default="")
        self.kept.update(
            key
            for key in keys
            if key.rpartition("/")[0] == newest or self.entries[key].last_modified >= self._oldest_kept
        )

    def keep_audiences(self) -> None:
        """Keep what was handed over as long as runs are kept, and the last of each audience: the next compares."""
        keys = self._below(self.layout.audiences)
        newest: dict[str, tuple[datetime, str]] = {}
        for key in keys:
            audience, place = (
                key.partition("/as_of=")[0],
                (self.entries[key].last_modified, key.rpartition("/")[0]),
            )
            newest[audience] = max(place, newest.get(audience, place))
        last = {folder for _, folder in newest.values()}
        self.kept.update(
            key
            for key in keys
            if key.rpartition("/")[0] in last or self.entries[key].last_modified >= self._oldest_kept
        )

    def keep_damaged(self) -> None:
        """Keep what was found damaged as long as runs are kept: a person may mend what the source does not hold."""
        self.kept.update(
            key
            for key in self._below(f"{self.layout.root}{DAMAGED}")
            if self.entries[key].last_modified >= self._oldest_kept
        )

    def plan(self) -> SweepPlan:
        """The plan: everything that was not kept."""
        reasons: Counter[str] = Counter()
        done_files: list[str] = []
        objects: list[str] = []
        size = 0
        indexes = self._newest_indexes()
        for key, entry in self.entries.items():
            if key not in self.kept and key not in indexes and not self._is_young(key):
                kind = key.removeprefix(self.layout.root).partition("/")[0]
                reasons[REASONS[kind] if key not in self.old else "runs past the retention"] += 1
                size += entry.size
                (done_files if key.endswith(DONE) else objects).append(key)
        return SweepPlan(
            planned_at=self.now,
            done_files=done_files,
            objects=objects,
            size=size,
            reasons=dict(sorted(reasons.items())),
            unknown=sorted(self.unknown),
        )

    def _newest_indexes(self) -> set[str]:
        by_folder: dict[str, list[StoredObject]] = {}
        for key, entry in self.entries.items():
            folder, separator, _ = key.rpartition(INDEX)
            if separator:
                by_folder.setdefault(folder, []).append(entry)
        return {
            entry.key
            for entries in by_folder.values()
            for entry in sorted(entries, key=lambda entry: (entry.last_modified, entry.key))[-INDEXES_KEPT:]
        }

    def _keep_segment(self, key: str, segment: CaptureSegment) -> None:
        """Keep a done-file with all files that it names: it counts only while they are there."""
        self.kept.update((key, *(name for capture in segment.captures for name in capture.files)))

    def _captures_used(self, runs: Sequence[str]) -> Iterator[Capture]:
        for task in EXTRACTS:
            for extract in self._manifests(runs, task, ExtractManifest):
                for source in extract.sources.values():
                    yield from source.captures

    def _keep_files(self, days: Iterable[DayFiles]) -> None:
        for day in days:
            self.kept.update(day.files, day.quarantine_files)

    def _is_young(self, key: str) -> bool:
        """Whether an object is within the grace period, or newer than the plan."""
        return key not in self.entries or self.entries[key].last_modified >= self._grace

    def _below(self, prefix: str) -> list[str]:
        return [key for key in self.entries if key.startswith(prefix)]

    def _done_files(self, dataset: str, model: type[Model]) -> Iterator[tuple[str, Model]]:
        keys = [key for key in self._below(dataset) if key.endswith(DONE)]
        for key, content in self._read(keys):
            try:
                record = parse_record(self.store, key, content, model)
            except DamagedObject as damage:
                # What it says may be found out yet, so its folder stays.
                log.warning("a folder is left alone: %s", damage)
                self.kept.update(self._below(folder_of(key)))
                continue
            yield key, record

    def _manifests(self, runs: Iterable[str], task: str, model: type[Model]) -> Iterator[Model]:
        keys = [key for run in runs if (key := manifest_key(run, task)) in self.entries]
        for key, content in self._read(keys):
            yield parse_record(self.store, key, content, model)

    def _read(self, keys: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        for start in range(0, len(keys), READ_AT_ONCE):
            for key, content in self.store.read_all(keys[start : start + READ_AT_ONCE]).items():
                if content is not None:
                    yield key, content


REASONS = {
    "captures": "captures that nothing names",
    "cleaned": "cleaned days that nothing names",
    "quarantine": "quarantined rows that nothing names",
    "state": "state that nothing names",
    "sessions": "sessions that nothing names",
    "state_blocks": "thirty-day files of an earlier release",
    "session_bets": "sessions that nothing names",
    "models": "model parameters past the retention",
    "feature_tables": "tables that no run is expected to use again",
    "runs": "runs past the retention",
    "reports": "runs past the retention",
    "baselines": "baselines, which are all kept",
    "damaged": "damaged objects past the retention",
    "audiences": "audiences past the retention",
}
"""Folders below our prefix, and why an object in them is removed."""
