"""Datasets kept by day: which days are there, how missing ones are written, and when they count.

A day's folder carries the digest of all that it was made from, so a changed input or statement has another folder and
a retry finds what an earlier try finished. Files get names of their own per attempt; the marker, written last, names
the ones that count, so parallel runs and killed tasks leave at most unreferenced files.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from crmbet.databases.scratch import scratch_folder
from crmbet.databases.statements import Fragment, literal, render
from crmbet.datasets.prefetch import Fetched, fetch_ahead
from crmbet.datasets.records import DayFiles
from crmbet.run.progress import Progress
from crmbet.run.run import Run
from crmbet.storage.done_files import Markers
from crmbet.storage.layout import Layout, attempt_name
from crmbet.storage.object_store import ObjectStore

if TYPE_CHECKING:
    import duckdb

log = logging.getLogger(__name__)

BATCH_DAYS = 30
"""Days made by one statement: enough to share its fixed cost, few enough to bound what a kill loses."""
BATCH_ROWS = 1_000_000
"""Rows that the days of one statement are made from, unless a single day has more: twice as many spill at 1 GB."""


@dataclass(frozen=True)
class WrittenFile:
    """One file of a partitioned write."""

    key: str
    day: date
    rows: int


def find_days(
    store: ObjectStore, layout: Layout, dataset: str, wanted: Mapping[date, str]
) -> tuple[dict[date, DayFiles], Markers]:
    """The wanted days (day to digest) that are finished already, and the dataset's markers."""
    folders = {layout.day(dataset, day, digest).prefix: day for day, digest in wanted.items()}
    markers = Markers.read(store, layout.dataset(dataset), wanted=folders.__contains__)
    found: dict[date, DayFiles] = {}
    for key in sorted(markers.contents):
        finished = DayFiles.model_validate_json(markers.contents[key])
        known = found.get(finished.day)
        if known is None or finished.made_at > known.made_at:
            found[finished.day] = finished
    return found, markers


def ensure_days(
    store: ObjectStore,
    run: Run,
    dataset: str,
    wanted: Mapping[date, str],
    make: Callable[[Sequence[date], Fetched], Iterable[DayFiles]],
    rows: Mapping[date, int],
    reads: Callable[[date], Iterable[str]],
) -> tuple[list[DayFiles], list[date]]:
    """Make the wanted days that are missing, in batches; returns all wanted days in order, and those made now.

    `make` writes the files of some days and returns one `DayFiles` for each of them. `rows` says how many rows a day is
    made from: a batch holds as many days as fit; `reads` names the files that are read whole for it, of which `make`
    gets local copies. A dry run makes nothing: its missing days have no files.
    """
    found, markers = find_days(store, run.layout, dataset, wanted)
    if run.params.full_refresh:
        found = {}
    missing = sorted(wanted.keys() - found.keys())
    if run.params.dry_run:
        found |= {day: unmade_day(run, day, wanted[day]) for day in missing}
        return [found[day] for day in sorted(wanted)], missing
    progress = Progress(
        log, dataset, unit="days", total=len(missing), total_rows=sum(rows[day] for day in missing)
    )
    planned = list(batches(missing, rows))
    keys = [sorted({key for day in batch for key in reads(day)}) for batch in planned]
    with closing(fetch_ahead(store, run.settings, keys)) as fetched:
        for batch, files in zip(planned, fetched, strict=True):
            made = {day.day: day for day in make(batch, files)}
            markers.write(
                {
                    run.layout.day(dataset, day.day, day.digest).marker(attempt_name()): (
                        day.model_dump_json().encode()
                    )
                    for day in made.values()
                }
            )
            found |= made
            progress.advance(len(batch), sum(rows[day] for day in batch))
    progress.finish()
    markers.write_index(attempt_name())
    return [found[day] for day in sorted(wanted)], missing


def unmade_day(run: Run, day: date, digest: str) -> DayFiles:
    """A day before anything has been written for it."""
    return DayFiles(day=day, digest=digest, files=[], rows=0, made_at=run.known_at)


def batches(
    days: Sequence[date],
    rows: Mapping[date, int],
    *,
    most_days: int = BATCH_DAYS,
    most_rows: int = BATCH_ROWS,
) -> Iterator[list[date]]:
    """Days in order, cut where the next one would make a batch too long or too large."""
    batch: list[date] = []
    size = 0
    for day in days:
        if batch and (len(batch) == most_days or size + rows[day] > most_rows):
            yield batch
            batch, size = [], 0
        batch.append(day)
        size += rows[day]
    if batch:
        yield batch


def write_by_day(
    connection: duckdb.DuckDBPyConnection,
    store: ObjectStore,
    run: Run,
    dataset: str,
    query: str,
    digests: Mapping[date, str],
) -> list[WrittenFile]:
    """Write a query's rows into the folders of their `_day`, one file a day (more where a day is large).

    All of its days are among those that have a digest.
    """
    attempt = attempt_name()
    with scratch_folder(run.settings) as folder:
        copied = connection.execute(
            render(
                "datasets/copy_by_day",
                rows=Fragment(query),
                folder=literal(str(folder)),
                names=literal(attempt + "_{i}"),
            )
        ).fetchall()
        keys: dict[Path, str] = {}
        written = []
        for name, rows, _, _, _, partition in copied:
            path, day = Path(name), date.fromisoformat(partition["_day"])
            keys[path] = f"{run.layout.day(dataset, day, digests[day]).prefix}{path.name}"
            written.append(WrittenFile(key=keys[path], day=day, rows=int(rows)))
        store.upload_all(keys)
    return written
