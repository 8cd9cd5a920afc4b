"""The ledger of captures: the done-files below a source's folder say what was captured, from what, and when.

A run without `known_at` uses the captures of what the source holds now. A run with `known_at` goes back: for each chunk
it uses the newest capture that existed by then.

A capture whose files are gone is lost. It is still known, so that nothing vanishes in silence: a run that finds its
content in the source captures it again, and a run that needs it and does not find it fails.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from crmbet.extract.records import (
    LATE,
    Capture,
    CaptureSegment,
    ExtractManifest,
    SourceCaptures,
    Unreadable,
)
from crmbet.failures import DamagedObject, DataLost, SourceShrunk
from crmbet.run.run import Run
from crmbet.run.tasks import EXTRACTS
from crmbet.storage.digests import digest
from crmbet.storage.done_files import Content, DoneFiles, folder_of
from crmbet.storage.layout import Layout, attempt_name
from crmbet.storage.object_store import ObjectStore
from crmbet.storage.verified import read_record

log = logging.getLogger(__name__)


def chunk_digest(*fingerprint: str) -> str:
    """Identity of a chunk's content: of its source, its fingerprint there, and the columns read."""
    return digest(*fingerprint)


@dataclass
class Ledger:
    """Every finished capture of one source, by digest, and the decisions about what the source has lost."""

    run: Run
    source: str
    done_files: DoneFiles[CaptureSegment]
    by_digest: dict[str, Capture]
    lost: set[str] = field(default_factory=set)
    """Digests of captures that are known and whose files are gone."""
    unknown: set[str] = field(default_factory=set)
    """Digests of captures of which nothing is known any more, since their done-files are damaged."""
    before: dict[str, Capture] = field(init=False)
    """The newest capture of each chunk, without those that an earlier try of this run made."""
    by_content: dict[str, list[Capture]] = field(init=False)
    """Captures with files of what a source held, under whichever names of columns: see `ColumnsRead.content`."""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        self.before = newest_captures(
            capture for capture in self.by_digest.values() if capture.captured_at != self.run.known_at
        )
        self.by_content = {}
        for capture in self.by_digest.values():
            if capture.columns_read and not capture.gone and not self.is_lost(capture):
                self.by_content.setdefault(capture.columns_read.content, []).append(capture)

    @classmethod
    def read(cls, store: ObjectStore, run: Run, source: str) -> Ledger:
        """Read all done-files of a source. What a damaged one said is looked for in the manifests of earlier runs."""
        done_files = DoneFiles.read(store, run.layout.captures(source), content_of(run.layout, source))
        whole = captures_by_digest(all_captures(done_files.records))
        incomplete = captures_by_digest(all_captures(done_files.incomplete))
        lost = incomplete.keys() - whole.keys()
        by_digest = {**incomplete, **whole}
        for each in incomplete.keys() & whole.keys():
            by_digest[each] = _known_since(whole[each], incomplete[each])
        unknown = {_digest_of(key) for key in done_files.damaged} - by_digest.keys()
        found: dict[str, Capture] = {}
        if unknown:
            found = _captures_of_manifests(store, run, source, unknown)
            there = {entry.key for entry in store.list(run.layout.captures(source))}
            found = {each: capture for each, capture in found.items() if each not in by_digest}
            by_digest |= found
            lost |= {each for each, capture in found.items() if not there.issuperset(capture.files)}
        ledger = cls(run, source, done_files, by_digest, lost, unknown - by_digest.keys())
        ledger._write(_by_files(found[each] for each in sorted(found)))
        return ledger

    @property
    def newest(self) -> dict[str, Capture]:
        """The newest capture of each chunk."""
        return newest_captures(self.by_digest.values())

    def known_at(self, instant: datetime) -> SourceCaptures:
        """The captures of a run that goes back to an instant: each chunk's newest by then, without deleted ones.

        Raises `DataLost` if any of them is lost.
        """
        newest = newest_captures(
            capture for capture in self.by_digest.values() if capture.captured_at <= instant
        )
        captures = [capture for capture in newest.values() if not capture.gone]
        self._refuse_loss(captures)
        return self._source_captures(captures)

    def is_lost(self, capture: Capture) -> bool:
        """Whether files of a capture are gone."""
        return capture.digest in self.lost

    def find(self, *digests: str) -> Capture | None:
        """The capture with one of some digests, the first one first.

        A run that captures everything once more finds only what it has captured itself.
        """
        known = (digest for digest in digests if digest in self.by_digest and digest not in self.lost)
        found = (self.by_digest[digest] for digest in known)
        return next((capture for capture in found if self._counts(capture)), None)

    def find_alike(self, content: str, is_alike: Callable[[Capture], bool]) -> Capture | None:
        """The newest capture of a content that was read as the run would read it; found as by `find`."""
        captures = self.by_content.get(content, ())
        alike = [capture for capture in captures if self._counts(capture) and is_alike(capture)]
        return max(alike, key=lambda capture: (capture.captured_at, capture.digest), default=None)

    def record(self, captures: Iterable[Capture]) -> list[Capture]:
        """Write one done-file for captures that share files. Returns the captures as the ledger knows them now.

        A capture that lost too many rows is left out of it, so that the next run asks again, unless the run accepts
        deletions. This may be called from several threads.
        """
        settled, kept = [], []
        with self._lock:
            for capture in captures:
                first = self.by_digest.get(capture.digest)
                known = capture
                if first:
                    merge = _known_since if self.is_lost(first) else _same_content
                    known = merge(capture, first)
                if self._accepts_deletions or not self._shrank(known):
                    self.by_digest[known.digest] = known
                    self.lost.discard(known.digest)
                    kept.append(known)
                settled.append(known)
        self._write([kept] if kept else [])
        return settled

    def move(self, captures: Sequence[Capture]) -> None:
        """Write one done-file for captures whose rows lie in other files from now on."""
        self._write([list(captures)])
        self.by_digest |= {capture.digest: capture for capture in captures}

    def settle(
        self,
        current: Iterable[Capture],
        *,
        made: int,
        unseen: Iterable[str] = (),
        unreadable: Iterable[Unreadable] = (),
    ) -> SourceCaptures:
        """The captures that the run uses, given what the source holds now.

        The param source_deletions decides about a chunk that vanished, or that lost more than the tolerated share of
        its rows since its newest capture: 'stop' refuses the run, 'keep' uses the last capture, and 'remove' follows
        the source.
        The run did not look at `unseen` chunks, and could not read `unreadable` ones: it uses their last captures.

        Raises `SourceShrunk`, which names the chunks, and `DataLost` if what it would use is lost. A dry run only
        reports them.
        """
        now = {capture.chunk: capture for capture in current}
        set_aside = sorted(unreadable, key=lambda entry: entry.chunk)
        newest = self.newest
        unchecked = {*unseen, *(entry.chunk for entry in set_aside)} - now.keys()
        kept = {chunk: newest[chunk] for chunk in unchecked & newest.keys() if not newest[chunk].gone}
        vanished = {
            chunk: before
            for chunk, before in newest.items()
            if chunk not in now and chunk not in unchecked and before.held > 0
        }
        shrunken = {
            chunk: newest[chunk]
            for chunk, capture in now.items()
            if chunk in newest and self._shrank(capture)
        }
        dry = self.run.params.dry_run
        if self._accepts_deletions:
            kept = {chunk: capture for chunk, capture in kept.items() if not self.is_lost(capture)}
        if not dry:
            self._refuse_loss([*kept.values(), *(() if self._accepts_deletions else vanished.values())])
        if (vanished or shrunken) and self.run.params.source_deletions == "stop" and not dry:
            raise _refusal(self.source, vanished | shrunken, now)
        used = now | kept if self._accepts_deletions else now | kept | vanished | shrunken
        if not dry:
            self._refuse_loss(used.values())
            self.done_files.set_aside(self.done_files.damaged.copy())
        self._correct(used.values(), vanished if self._accepts_deletions else {}, newest)
        if not dry:
            self.done_files.write_index(attempt_name())
        changes = self._changes(used, vanished, shrunken)
        return self._source_captures(used.values(), made=made, unreadable=set_aside, changes=changes)

    @property
    def _accepts_deletions(self) -> bool:
        return self.run.params.source_deletions == "remove"

    def _counts(self, capture: Capture) -> bool:
        return not self.run.params.full_refresh or self.run.has_made(capture.made_at)

    def _shrank(self, capture: Capture) -> bool:
        before = self.before.get(capture.chunk)
        tolerated = 1 - self.run.settings.source.max_source_shrink
        return before is not None and capture.extracted < before.held * tolerated

    def _correct(
        self, used: Iterable[Capture], gone: Mapping[str, Capture], newest: Mapping[str, Capture]
    ) -> None:
        """Record content that has come back and chunks that are gone, for known_at and for the next check of losses."""
        corrections = [
            _restated(capture, newest[capture.chunk], self.run)
            for capture in used
            if capture.chunk in newest and _has_come_back(capture, newest[capture.chunk], self.run)
        ]
        corrections += [_tombstone(before, self.run) for before in gone.values()]
        self.by_digest |= {capture.digest: capture for capture in corrections}
        self._write([capture] for capture in corrections)

    def _refuse_loss(self, captures: Iterable[Capture]) -> None:
        """Raise `DataLost` if any of these captures is lost, or if it cannot be told which one is."""
        lost = sorted((capture for capture in captures if self.is_lost(capture)), key=lambda each: each.chunk)
        if lost:
            raise _loss(self.source, lost)
        unknown = self.unknown - self.by_digest.keys()
        if unknown and not self._accepts_deletions:
            raise _unknown_loss(self.run, self.source, unknown)

    def _changes(
        self, used: Mapping[str, Capture], vanished: Mapping[str, Capture], shrunken: Mapping[str, Capture]
    ) -> dict[str, tuple[str, set[str]]]:
        """What has happened to each chunk since other runs looked, and the days whose rows it alters."""
        changes = {}
        for chunk in used.keys() | vanished.keys():
            before, after = self.before.get(chunk), used.get(chunk)
            days = _differing_days(before, after)
            if chunk in vanished:
                changes[chunk] = ("gone", days)
            elif chunk in shrunken:
                changes[chunk] = ("shrunken", days)
            elif days:
                changes[chunk] = ("changed" if before and not before.gone else "new", days)
        return changes

    def _write(self, segments: Iterable[list[Capture]]) -> None:
        """Write a done-file for each of these lists, in the folder of its first capture."""
        done_files = {
            self.run.layout.capture(self.source, captures[0].digest).done_file(attempt_name()): (
                CaptureSegment(captures=captures)
            )
            for captures in segments
        }
        if done_files and not self.run.params.dry_run:
            self.done_files.write(done_files)

    def _source_captures(
        self,
        used: Iterable[Capture],
        *,
        made: int = 0,
        unreadable: Iterable[Unreadable] = (),
        changes: Mapping[str, tuple[str, set[str]]] | None = None,
    ) -> SourceCaptures:
        changes = changes or {}
        return SourceCaptures(
            captures=sorted(used, key=lambda capture: capture.chunk),
            new=made,
            changed={chunk: changes[chunk][0] for chunk in sorted(changes)},
            touched_days=sorted(set().union(*(days for _, days in changes.values()))),
            unreadable=list(unreadable),
            bitemporal_from=min((capture.captured_at for capture in self.by_digest.values()), default=None),
            captured_then=any(
                timedelta(0) <= capture.captured_at - self.run.window.as_of < LATE
                for capture in self.by_digest.values()
            ),
        )


def content_of(layout: Layout, source: str) -> Content[CaptureSegment]:
    """What the done-files of a source's captures hold."""
    return Content(
        model=CaptureSegment,
        folder=lambda segment: layout.capture(source, segment.captures[0].digest).prefix,
        files=lambda segment: [key for capture in segment.captures for key in capture.files],
    )


def all_captures(segments: Mapping[str, CaptureSegment]) -> Iterator[Capture]:
    """The captures of segments, which are by the keys of their done-files."""
    for key in sorted(segments):
        yield from segments[key].captures


def _by_files(captures: Iterable[Capture]) -> list[list[Capture]]:
    """Captures that share their files together."""
    segments: dict[tuple[str, ...], list[Capture]] = {}
    for capture in captures:
        segments.setdefault(tuple(capture.files) or (capture.digest,), []).append(capture)
    return list(segments.values())


def captures_by_digest(captures: Iterable[Capture]) -> dict[str, Capture]:
    """Captures by digest: each content once, even if several runs captured it."""
    by_digest: dict[str, Capture] = {}
    for capture in captures:
        known = by_digest.get(capture.digest)
        by_digest[capture.digest] = _same_content(known, capture) if known else capture
    return by_digest


def place_of_files(capture: Capture) -> tuple[object, ...]:
    """The order of captures of one content: every reader chooses the files of the last one."""
    joined_at = capture.joined_at
    return (capture.made_at, joined_at is not None, joined_at or capture.made_at, capture.files)


def newest_captures(captures: Iterable[Capture]) -> dict[str, Capture]:
    """The newest capture of each chunk."""
    newest: dict[str, Capture] = {}
    for capture in captures:
        known = newest.get(capture.chunk)
        if known is None or (capture.captured_at, capture.digest) > (known.captured_at, known.digest):
            newest[capture.chunk] = capture
    return newest


def _same_content(first: Capture, second: Capture) -> Capture:
    """Merge two captures of one content: it is known since the earlier one, and read from the files made last.

    Of files that are equally new, those that were joined last are read.
    """
    files = max(first, second, key=place_of_files)
    return files.model_copy(update={"captured_at": min(first.captured_at, second.captured_at)})


def _known_since(capture: Capture, lost: Capture) -> Capture:
    """A capture of content that was captured before, and of which the files are gone: it is known since then."""
    return capture.model_copy(update={"captured_at": min(capture.captured_at, lost.captured_at)})


def _digest_of(done_file: str) -> str:
    """The digest of the first capture that a done-file is about."""
    return folder_of(done_file).rstrip("/").rpartition("chunk=")[2]


def _captures_of_manifests(
    store: ObjectStore, run: Run, source: str, digests: Iterable[str]
) -> dict[str, Capture]:
    """Read some captures from the manifests of earlier runs. If manifests differ, the newest one counts.

    Captures that share files with these are returned too.
    """
    tasks = tuple(f"/{task}.json" for task in EXTRACTS)
    manifests = [entry for entry in store.list(run.layout.runs) if entry.key.endswith(tasks)]
    wanted = {*digests}
    found: dict[str, Capture] = {}
    for entry in sorted(manifests, key=lambda entry: entry.last_modified, reverse=True):
        try:
            manifest = read_record(store, entry.key, ExtractManifest)
        except DamagedObject as damage:
            log.warning("it is not asked for captures: %s", damage)
            continue
        of = manifest.sources.get(source) if manifest else None
        captures = of.captures if of else []
        files = {key for capture in captures if capture.digest in wanted for key in capture.files}
        for capture in captures:
            if capture.digest in wanted or not files.isdisjoint(capture.files):
                found.setdefault(capture.digest, capture)
    return found


def _loss(source: str, lost: Sequence[Capture]) -> DataLost:
    shown = ", ".join(
        f"{capture.chunk} ({capture.extracted} rows, {_days_of(capture)})" for capture in lost[:5]
    )
    what = "a chunk is" if len(lost) == 1 else f"{len(lost)} chunks are"
    return DataLost(
        f"what was captured of {source} is damaged or gone, and the source does not hold it any more: {what} lost: "
        f"{shown}{', ...' if len(lost) > 5 else ''}",
        where=", ".join(key for capture in lost[:5] for key in capture.files),
        why="the objects were deleted or changed in the store after they had been written",
        next_step="put them back as they were, from a backup or an earlier version of the object (damaged ones lie in "
        "damaged/), or have the source deliver the same objects again, and clear the extract with downstream. To go on "
        "without these rows, which changes the past of their players, trigger the run with source_deletions=remove",
    )


def _unknown_loss(run: Run, source: str, digests: Iterable[str]) -> DataLost:
    folders = [run.layout.capture(source, digest).prefix for digest in sorted(digests)]
    return DataLost(
        f"done-files of {len(folders)} captures of {source} are damaged, and neither the source nor an earlier run "
        "says what they were about",
        where=", ".join(folders[:5]),
        why="the objects were changed in the store after they had been written",
        next_step="put the done-files back as they were, from a backup or an earlier version of the object, and clear "
        "the extract with downstream. If the source has replaced or deleted what they were about, nothing may be "
        "missing: to go on without them, trigger the run with source_deletions=remove",
    )


def _days_of(capture: Capture) -> str:
    days = sorted(capture.days)
    return f"{days[0]} to {days[-1]}" if len(days) > 1 else "".join(days) or "no day"


def _differing_days(before: Capture | None, after: Capture | None) -> set[str]:
    """The days whose rows in a chunk have changed."""
    old = before.days if before else {}
    new = after.days if after else {}
    return {day for day in old.keys() | new.keys() if old.get(day) != new.get(day)}


def _has_come_back(capture: Capture, newest: Capture, run: Run) -> bool:
    """Whether the source has gone back to content that it held before newer content, or before a deletion."""
    return not has_the_same_rows(capture, newest) and capture.captured_at <= newest.captured_at < run.known_at


def has_the_same_rows(capture: Capture, other: Capture) -> bool:
    """Whether two captures of a chunk hold the same rows, as a restated one and its original do."""
    return (capture.files, capture.part, capture.gone) == (other.files, other.part, other.gone)


def _restated(capture: Capture, newest: Capture, run: Run) -> Capture:
    """A capture by which old content is the newest again, for known_at and for the next check of losses."""
    digest = chunk_digest(capture.source, capture.chunk, "again", capture.digest, newest.digest)
    return capture.model_copy(update={"digest": digest, "captured_at": run.known_at, "made_at": run.known_at})


def _tombstone(before: Capture, run: Run) -> Capture:
    """A capture that records that a chunk is gone, so that the next run does not ask again."""
    return before.model_copy(
        update={
            "digest": chunk_digest(before.source, before.chunk, "gone", before.digest),
            "files": [],
            "part": None,
            "extracted": 0,
            "days": {},
            "erased": {},
            "latest_known_time": None,
            "captured_at": run.known_at,
            "made_at": run.known_at,
            "gone": True,
        }
    )


def _refusal(source: str, lost: Mapping[str, Capture], now: Mapping[str, Capture]) -> SourceShrunk:
    shown = ", ".join(
        f"{chunk} ({lost[chunk].extracted} rows before, {now[chunk].extracted if chunk in now else 'gone'} now)"
        for chunk in sorted(lost)[:5]
    )
    chunks = "a chunk" if len(lost) == 1 else f"{len(lost)} chunks"
    return SourceShrunk(
        f"{chunks} of {source} vanished or shrank: {shown}{', ...' if len(lost) > 5 else ''}",
        where=f"source {source}",
        why="deleted source data would silently change the past of every player",
        next_step="if the loss is intended, for example because a repaired delivery is smaller, trigger the run with "
        "source_deletions=remove; to use what was captured before, trigger it with source_deletions=keep",
    )
