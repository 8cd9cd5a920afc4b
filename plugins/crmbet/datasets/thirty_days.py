"""Days of a small dataset, many to a file: reading a year of it in files of a day takes seconds in requests alone.

A block is thirty neighbouring days, once all of them lie before as_of. Like a day it is kept by a digest of what it was
made from, so that a changed day makes its block anew, from files of days; the days themselves stay what counts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import date
from typing import TYPE_CHECKING

from crmbet.databases.parquet import scan, write_file
from crmbet.databases.statements import render
from crmbet.datasets.days import ensure_days, unmade_day
from crmbet.datasets.prefetch import Fetched
from crmbet.datasets.records import DayFiles
from crmbet.run.run import Run
from crmbet.storage.layout import attempt_name
from crmbet.storage.object_store import ObjectStore

if TYPE_CHECKING:
    import duckdb

BLOCK_DAYS = 30


def block_files(
    connection: duckdb.DuckDBPyConnection,
    store: ObjectStore,
    run: Run,
    dataset: str,
    days: Sequence[DayFiles],
) -> list[str]:
    """The files to read for some days: those of whole blocks, made where they are missing, and of the other days."""
    by_block: dict[date, list[DayFiles]] = {}
    rest: list[DayFiles] = []
    for day in days:
        first = day.day.toordinal() // BLOCK_DAYS * BLOCK_DAYS
        is_whole = first + BLOCK_DAYS <= run.as_of_date.toordinal()
        if is_whole and first > 0:
            by_block.setdefault(date.fromordinal(first), []).append(day)
        else:
            rest.append(day)

    def make(firsts: Sequence[date], files: Fetched) -> Iterable[DayFiles]:
        for first in firsts:
            yield _make_block(connection, store, files, run, dataset, first, by_block[first], wanted[first])

    def reads(first: date) -> list[str]:
        return [key for day in by_block[first] for key in day.files]

    wanted = {first: _digest(parts) for first, parts in by_block.items()}
    rows = {first: sum(day.rows for day in parts) for first, parts in by_block.items()}
    blocks, _ = ensure_days(store, run, dataset, wanted, make, rows, reads)
    return [key for day in (*blocks, *rest) for key in day.files]


def _make_block(
    connection: duckdb.DuckDBPyConnection,
    store: ObjectStore,
    fetched: Fetched,
    run: Run,
    dataset: str,
    first: date,
    days: Sequence[DayFiles],
    digest: str,
) -> DayFiles:
    files = [key for day in days for key in day.files]
    block = unmade_day(run, first, digest)
    if not files:
        return block
    key = f"{run.layout.day(dataset, first, digest).prefix}{attempt_name()}.parquet"
    rows = write_file(connection, store, run, key, render("databases/read_rows", source=scan(fetched, files)))
    return block.model_copy(update={"files": [key], "rows": rows})


def _digest(days: Sequence[DayFiles]) -> str:
    parts = "\0".join(f"{day.day} {day.digest}" for day in sorted(days, key=lambda day: day.day))
    return hashlib.sha256(parts.encode()).hexdigest()[:24]
