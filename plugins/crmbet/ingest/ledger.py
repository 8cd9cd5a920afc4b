"""The ledger of captures: the markers below a source's folder say what was captured, from what, and when.

A run without `known_at` uses the captures of what the source holds now. With `known_at` it goes back: of each chunk it
uses the newest capture that existed by then.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from crmbet.addresses import DONE, Layout
from crmbet.failures import SourceShrunk
from crmbet.manifest import Capture
from crmbet.object_store import ObjectStore
from crmbet.run import Run


def chunk_digest(*fingerprint: str) -> str:
    """Identity of a chunk's content: of its source, its fingerprint there, and the columns read."""
    return hashlib.sha256("\0".join(fingerprint).encode()).hexdigest()[:24]


@dataclass(frozen=True)
class Ledger:
    """Every finished capture of one source, by digest."""

    source: str
    by_digest: dict[str, Capture]

    @classmethod
    def read(cls, store: ObjectStore, layout: Layout, source: str) -> Ledger:
        """Read all markers of a source."""
        keys = [entry.key for entry in store.list(layout.captures(source)) if entry.key.endswith(DONE)]
        contents = store.read_all(keys).values()
        captures = (Capture.model_validate_json(text) for text in contents if text is not None)
        return cls(source, {capture.digest: capture for capture in captures})

    def known_at(self, instant: datetime) -> list[Capture]:
        """What a run that goes back to an instant uses: of each chunk its newest capture, deleted ones left out."""
        captures = self.newest(by=instant).values()
        return sorted(
            (capture for capture in captures if not capture.gone), key=lambda capture: capture.chunk
        )

    def newest(self, by: datetime | None = None) -> dict[str, Capture]:
        """The newest capture of each chunk, of those captured by an instant."""
        newest: dict[str, Capture] = {}
        for capture in self.by_digest.values():
            if by is not None and capture.captured_at > by:
                continue
            known = newest.get(capture.chunk)
            if known is None or (capture.captured_at, capture.digest) > (known.captured_at, known.digest):
                newest[capture.chunk] = capture
        return newest


def finish_captures(
    store: ObjectStore, run: Run, ledger: Ledger, current: Iterable[Capture], made: Iterable[Capture]
) -> list[Capture]:
    """Write the markers of what was `made`, and return the captures that the run uses.

    `current` is what the source holds now. A chunk that vanished, or lost more than the tolerated share of its rows
    against its newest capture, is settled by the param source_deletions: 'stop' refuses the run, 'keep' lets the last
    capture stand (the smaller one is not marked, so the next run asks again), 'remove' believes the source.

    Raises `SourceShrunk` that names the chunks.
    """
    newest = ledger.newest()
    now = {capture.chunk: _as_first_known(capture, ledger) for capture in current}
    tolerated = 1 - run.settings.max_source_shrink
    lost = {
        chunk: before
        for chunk, before in newest.items()
        if (chunk not in now and before.extracted > 0)
        or (chunk in now and now[chunk].extracted < before.extracted * tolerated)
    }
    believed = run.params.source_deletions == "remove"
    fresh = {capture.digest for capture in made}
    accepted = [capture for chunk, capture in now.items() if believed or chunk not in lost]
    marked = [capture for capture in accepted if capture.digest in fresh]
    marked += [
        _restated(capture, newest[capture.chunk], run)
        for capture in accepted
        if capture.chunk in newest and _has_come_back(capture, newest[capture.chunk], run)
    ]
    if believed:
        marked += [_tombstone(before, run) for chunk, before in lost.items() if chunk not in now]
    store.write_all(
        {
            run.layout.capture(ledger.source, capture.digest).marker: capture.model_dump_json().encode()
            for capture in marked
        }
    )
    if lost and run.params.source_deletions == "stop":
        raise _refusal(ledger.source, lost, now)
    used = now if believed else now | lost
    return sorted(used.values(), key=lambda capture: capture.chunk)


def _as_first_known(capture: Capture, ledger: Ledger) -> Capture:
    """Content that is captured once more, in a full refresh, was known since its first capture."""
    first = ledger.by_digest.get(capture.digest)
    return capture.model_copy(update={"captured_at": first.captured_at}) if first else capture


def _has_come_back(capture: Capture, newest: Capture, run: Run) -> bool:
    """Whether the source holds again what it had held before something else, or before it was deleted."""
    same = (capture.files, capture.gone) == (newest.files, newest.gone)
    return not same and capture.captured_at <= newest.captured_at < run.known_at


def _restated(capture: Capture, newest: Capture, run: Run) -> Capture:
    """A capture that says that old content is the newest again, so that known_at and the next loss are right."""
    digest = chunk_digest(capture.source, capture.chunk, "again", capture.digest, newest.digest)
    return capture.model_copy(update={"digest": digest, "captured_at": run.known_at})


def _tombstone(before: Capture, run: Run) -> Capture:
    """A capture that says that a chunk is gone, so that the next run does not ask again."""
    return before.model_copy(
        update={
            "digest": chunk_digest(before.source, before.chunk, "gone", before.digest),
            "files": [],
            "extracted": 0,
            "days": {},
            "latest_known_time": None,
            "captured_at": run.known_at,
            "gone": True,
        }
    )


def _refusal(source: str, lost: dict[str, Capture], now: dict[str, Capture]) -> SourceShrunk:
    shown = ", ".join(
        f"{chunk} ({lost[chunk].extracted} rows before, {now[chunk].extracted if chunk in now else 'gone'} now)"
        for chunk in sorted(lost)[:5]
    )
    return SourceShrunk(
        f"{len(lost)} chunks of {source} vanished or shrank: {shown}{', ...' if len(lost) > 5 else ''}",
        where=f"source {source}",
        why="deleted source data would silently change the past of every player",
        next_step="if the loss is meant, trigger the run with source_deletions=remove; to go on with what was "
        "captured before, with source_deletions=keep",
    )
