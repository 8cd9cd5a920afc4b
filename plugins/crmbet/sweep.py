"""Removing what no kept manifest names: what killed tasks left, what newer contents replaced, and runs long past.

First a plan, then exactly what it says. Kept are every run younger than the retention with all that its manifests name;
of each chunk the captures of that time and the newest before it, so that any known_at within the retention finds what
was known then; of each day the set that was made last, which the next run will want; and whatever is younger than a
grace period, since a run under way has written files that no manifest names yet.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from pydantic import BaseModel

from crmbet.addresses import DONE, INDEX, Layout
from crmbet.ingest.ledger import newest_captures
from crmbet.manifest import (
    Capture,
    CleanManifest,
    DayFiles,
    ExtractManifest,
    FeatureManifest,
    Record,
    manifest_key,
)
from crmbet.object_store import ObjectStore, StoredObject
from crmbet.settings import Settings

log = logging.getLogger(__name__)

INDEXES_KEPT = 2
"""Copies of markers: one may be written while another is read."""

DAY_DATASETS = ("state", "sessions", "state_blocks", "session_blocks")
"""Datasets kept by day that do not belong to one source."""

Model = TypeVar("Model", bound=BaseModel)


class SweepPlan(Record):
    """`plan_sweep.json`: what goes."""

    planned_at: datetime
    markers: list[str]
    """They go first: a sweep that dies leaves no marker whose files are gone."""
    objects: list[str]
    size: int
    """Bytes of all of them."""
    reasons: dict[str, int]
    """Objects by why they go."""
    unknown: list[str]
    """Folders below our prefix that nobody of us writes: they are left alone."""


def plan_sweep(store: ObjectStore, layout: Layout, settings: Settings, now: datetime) -> SweepPlan:
    """What a sweep would remove. Writes nothing."""
    planning = _Planning(store, layout, settings, now)
    planning.keep_runs()
    for dataset in planning.datasets("captures"):
        planning.keep_captures(dataset)
    for dataset in [*planning.datasets("cleaned"), *(f"{layout.root}{name}/" for name in DAY_DATASETS)]:
        planning.keep_days(dataset)
    return planning.plan()


def sweep(store: ObjectStore, plan: SweepPlan) -> int:
    """Remove what a plan names; returns how many objects that was. May be repeated."""
    store.delete_all(plan.markers)
    store.delete_all(plan.objects)
    log.info("swept %d objects with %s bytes", len(plan.markers) + len(plan.objects), f"{plan.size:,}")
    return len(plan.markers) + len(plan.objects)


@dataclass
class _Planning:
    store: ObjectStore
    layout: Layout
    settings: Settings
    now: datetime
    entries: dict[str, StoredObject] = field(init=False)
    """Everything below our prefix, by key."""
    kept: set[str] = field(default_factory=set)
    old: set[str] = field(default_factory=set)
    """Objects of runs that are past."""

    def __post_init__(self) -> None:
        self.entries = {entry.key: entry for entry in self.store.list(self.layout.root)}

    @property
    def _cutoff(self) -> datetime:
        return self.now - timedelta(days=self.settings.run_retention_days)

    def datasets(self, kind: str) -> list[str]:
        """Folders of a kind of dataset, one a source."""
        prefix = f"{self.layout.root}{kind}/"
        return sorted(
            {prefix + key.removeprefix(prefix).partition("/")[0] + "/" for key in self._below(prefix)}
        )

    def keep_runs(self) -> None:
        """Keep young runs, their reports, and all that their manifests name."""
        folders: dict[str, list[str]] = {}
        for key in (*self._below(self.layout.runs), *self._below(self.layout.reports)):
            _, _, rest = key.partition("run_id=")
            folders.setdefault(rest.partition("/")[0], []).append(key)
        young: list[str] = []
        for run, keys in folders.items():
            if max(self.entries[key].last_modified for key in keys) >= self._cutoff:
                self.kept.update(keys)
                young.append(f"{self.layout.runs}run_id={run}/")
            else:
                self.old.update(keys)
        for task in ("extract_s3", "extract_pg"):
            for extract in self._manifests(young, task, ExtractManifest):
                for source in extract.sources.values():
                    self.kept.update(key for capture in source.captures for key in capture.files)
        for clean in self._manifests(young, "clean", CleanManifest):
            for cleaned in clean.sources.values():
                self._keep_files(cleaned.days)
                self.kept.update(cleaned.quarantine_files)
        for features in self._manifests(young, "engineer_features", FeatureManifest):
            self.kept.update(features.state_files, features.session_files)

    def keep_captures(self, dataset: str) -> None:
        """Keep what any known_at since the cut-off may ask for, by digest: with all of its markers and files."""
        captures = dict(self._markers(dataset, Capture))
        before = newest_captures(
            capture for capture in captures.values() if capture.captured_at <= self._cutoff
        )
        wanted = {capture.digest for capture in before.values()}
        wanted |= {capture.digest for capture in captures.values() if capture.captured_at > self._cutoff}
        # A capture that a kept run has used keeps its markers, which say since when it was known.
        wanted |= {
            capture.digest for capture in captures.values() if self.kept.issuperset(capture.files or [""])
        }
        for key, capture in captures.items():
            if capture.digest in wanted:
                self.kept.update((key, *capture.files))

    def keep_days(self, dataset: str) -> None:
        """Keep of each day the set that was made last, and the sets that kept runs have used."""
        days = dict(self._markers(dataset, DayFiles))
        newest: dict[object, tuple[datetime, str]] = {}
        for day in days.values():
            newest[day.day] = max(newest.get(day.day, (day.made_at, day.digest)), (day.made_at, day.digest))
        for key, day in days.items():
            used = bool(day.files) and self.kept.issuperset(day.files)
            if used or day.digest == newest[day.day][1]:
                self.kept.add(key)
                self._keep_files([day])

    def plan(self) -> SweepPlan:
        """What is left over."""
        grace = self.now - timedelta(days=self.settings.sweep_grace_days)
        reasons: Counter[str] = Counter()
        markers: list[str] = []
        objects: list[str] = []
        size = 0
        unknown: set[str] = set()
        indexes = self._newest_indexes()
        for key, entry in self.entries.items():
            kind = key.removeprefix(self.layout.root).partition("/")[0]
            if kind not in KINDS:
                unknown.add(f"{self.layout.root}{kind}")
            elif key not in self.kept and key not in indexes and entry.last_modified < grace:
                reasons[KINDS[kind] if key not in self.old else "runs past the retention"] += 1
                size += entry.size
                (markers if key.endswith(DONE) else objects).append(key)
        return SweepPlan(
            planned_at=self.now,
            markers=markers,
            objects=objects,
            size=size,
            reasons=dict(sorted(reasons.items())),
            unknown=sorted(unknown),
        )

    def _newest_indexes(self) -> set[str]:
        by_folder: dict[str, list[StoredObject]] = {}
        for key, entry in self.entries.items():
            folder, found, _ = key.rpartition(INDEX)
            if found:
                by_folder.setdefault(folder, []).append(entry)
        return {
            entry.key
            for entries in by_folder.values()
            for entry in sorted(entries, key=lambda entry: (entry.last_modified, entry.key))[-INDEXES_KEPT:]
        }

    def _keep_files(self, days: Iterable[DayFiles]) -> None:
        for day in days:
            self.kept.update(day.files, day.quarantine_files)

    def _below(self, prefix: str) -> list[str]:
        return [key for key in self.entries if key.startswith(prefix)]

    def _markers(self, dataset: str, model: type[Model]) -> Iterator[tuple[str, Model]]:
        keys = [key for key in self._below(dataset) if key.endswith(DONE)]
        for key, content in self.store.read_all(keys).items():
            if content is not None:
                yield key, model.model_validate_json(content)

    def _manifests(self, runs: Iterable[str], task: str, model: type[Model]) -> Iterator[Model]:
        keys = [key for run in runs if (key := manifest_key(run, task)) in self.entries]
        for content in self.store.read_all(keys).values():
            if content is not None:
                yield model.model_validate_json(content)


KINDS = {
    "captures": "captures that nothing names",
    "cleaned": "cleaned days that nothing names",
    "quarantine": "quarantined rows that nothing names",
    "state": "state that nothing names",
    "sessions": "sessions that nothing names",
    "state_blocks": "blocks of days that have been made anew",
    "session_blocks": "blocks of days that have been made anew",
    "runs": "runs past the retention",
    "reports": "runs past the retention",
}
"""Folders below our prefix, and why something in them may go."""
