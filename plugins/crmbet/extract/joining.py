"""Joins captures. A source that delivers every day leaves a file and a done-file a day, which is thousands a year.

The captures whose newest rows are of one month are copied into few files with one done-file: when the month is over,
and before that each time they are many. They stay what they are: their chunks, digests, counts and instants do not
change. Content that was replaced is joined too, since a run with `known_at` may ask for it. Readers tell the rows of a
file apart by chunk, so a chunk has one content in each file.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date

from crmbet.databases.duckdb_failures import is_lack_of_resources
from crmbet.databases.scratch import scratch_folder
from crmbet.databases.statements import literal, render
from crmbet.databases.work import Work
from crmbet.datasets.prefetch import LocalCopies, local_copies
from crmbet.datasets.segments import JOINED_ROWS, files_allowed
from crmbet.extract.captured import captured_rows
from crmbet.extract.ledger import Ledger
from crmbet.extract.records import UNDATED, Capture, SourceCaptures
from crmbet.failures import DamagedObject, RowsUnaccounted, TemporaryFailure
from crmbet.redaction import redact
from crmbet.storage.layout import attempt_name
from crmbet.storage.verified import keep_file

log = logging.getLogger(__name__)

LARGE_FILE_ROWS = 100_000
"""A file of so many rows stays as it is: to copy it would cost more than its two objects do."""


def join_months(work: Work, ledger: Ledger, used: SourceCaptures) -> SourceCaptures:
    """The captures that a run uses, after those of each month have been joined if they lie in more files than it may.

    A dry run, and one that goes back to a known_at, join nothing.
    """
    import duckdb

    room = JOINED_ROWS
    moved: dict[str, Capture] = {}
    for (month, _), captures in sorted(_by_month(ledger).items(), key=lambda item: item[0][0]):
        contents = _contents(captures)
        rows = sum(capture.extracted for content in contents for capture in _chunks(content).values())
        files = {key for capture in captures for key in capture.files}
        # Each content of a chunk that has several needs a file, so as many files are no reason to join once more.
        is_scattered = len(files) >= files_allowed(month, work.run.as_of_date) + len(contents)
        if not is_scattered or rows > room:
            continue
        room -= rows
        log.info("%s: %d files of captures of %s are joined", ledger.source, len(files), f"{month:%Y-%m}")
        try:
            with local_copies(work) as copies:
                joined = [capture for content in contents for capture in _join(work, content, copies)]
        except (DamagedObject, TemporaryFailure, duckdb.Error) as error:
            # The run needs none of this. If it needs a damaged capture, whoever reads that has it made again.
            if isinstance(error, duckdb.Error) and not is_lack_of_resources(error):
                raise
            log.warning("the captures of %s stay where they are: %s", f"{month:%Y-%m}", redact(str(error)))
            continue
        ledger.move(joined)
        moved |= {capture.digest: capture for capture in joined}
    captures = [moved.get(capture.digest, capture) for capture in used.captures]
    return used.model_copy(update={"captures": captures})


def join_captures(work: Work, captures: Sequence[Capture]) -> list[Capture]:
    """Copy captures of different chunks into one file of the store. Returns them as they are then."""
    with local_copies(work) as copies:
        return _join(work, captures, copies)


def _by_month(ledger: Ledger) -> dict[tuple[date, frozenset[tuple[str, str]]], list[Capture]]:
    """Captures in small files by the month of their newest rows and by the types of their columns."""
    whole = [capture for capture in ledger.by_digest.values() if not ledger.is_lost(capture)]
    rows_in_files: Counter[str] = Counter()
    for capture in whole:
        rows_in_files.update(dict.fromkeys(capture.files, capture.extracted))
    by_month: dict[tuple[date, frozenset[tuple[str, str]]], list[Capture]] = {}
    for capture in whole:
        newest = max(capture.days.keys() - {UNDATED}, default=None)
        is_large = any(rows_in_files[key] >= LARGE_FILE_ROWS for key in capture.files)
        if newest and capture.files and not is_large:
            month = date.fromisoformat(newest).replace(day=1)
            by_month.setdefault((month, frozenset(capture.types.items())), []).append(capture)
    return by_month


def _contents(captures: Iterable[Capture]) -> list[list[Capture]]:
    """Captures in lists in which no chunk has two contents. The first list has the newest content of each chunk.

    Content that has come back is in its list twice.
    """
    contents: list[list[Capture]] = []
    places: dict[str, dict[tuple[str, ...], int]] = {}
    for capture in sorted(
        captures, key=lambda each: (each.captured_at, each.chunk, each.digest), reverse=True
    ):
        of_chunk = places.setdefault(capture.chunk, {})
        place = of_chunk.setdefault(tuple(capture.files), len(of_chunk))
        if place == len(contents):
            contents.append([])
        contents[place].append(capture)
    return contents


def _chunks(captures: Iterable[Capture]) -> Mapping[str, Capture]:
    return {capture.chunk: capture for capture in captures}


def _join(work: Work, captures: Sequence[Capture], copies: LocalCopies) -> list[Capture]:
    """Copy captures of different chunks into one file."""
    run, chunks = work.run, _chunks(captures)
    held = sum(capture.held for capture in chunks.values())
    source, first = captures[0].source, captures[0].digest
    with scratch_folder(run.settings) as folder:
        path = folder / "joined.parquet"
        rows = captured_rows(copies, list(chunks.values()))
        copy = render("extract/join_captures", rows=rows, url=literal(str(path)))
        (copied,) = work.connection.execute(copy).fetchone() or (0,)
        if copied != held:
            raise RowsUnaccounted(
                f"{held} rows of {len(chunks)} captures of {source} were to be joined, {copied} were found",
                where=work.store.url(run.layout.capture(source, first).prefix),
                next_step="clear the task; if it happens again, report it as a defect: no capture was changed",
            )
        key = keep_file(
            work.store, path, f"{run.layout.capture(source, first).prefix}{attempt_name()}.parquet"
        )
    changes = {"files": [key], "chunks_in_files": len(chunks), "joined_at": run.known_at}
    return [capture.model_copy(update=changes) for capture in captures]
