"""Datasets kept by day: which days are there, how missing ones are written, and when they count.

A day's folder carries the digest of all that it was made from, so a changed input or statement has another folder and
a retry finds what an earlier try finished. Files get names of their own per attempt; the marker, written last, names
the ones that count, so parallel runs and killed tasks leave at most unreferenced files.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from crmbet.addresses import DONE, Layout
from crmbet.manifest import DayFiles
from crmbet.object_store import ObjectStore
from crmbet.statements import Fragment, joined, literal, render

if TYPE_CHECKING:
    import duckdb

BATCH_DAYS = 30
"""Days made by one statement: enough to share its fixed cost, few enough to bound what a kill loses."""


@dataclass(frozen=True)
class WrittenFile:
    """One file of a partitioned write."""

    key: str
    day: date
    rows: int


def attempt_name() -> str:
    """A name for files that no other attempt uses."""
    return uuid.uuid4().hex[:12]


def find_days(
    store: ObjectStore, layout: Layout, dataset: str, wanted: Mapping[date, str]
) -> dict[date, DayFiles]:
    """The wanted days (day to digest) that are finished already."""
    markers = {layout.day(dataset, day, digest).marker: day for day, digest in wanted.items()}
    listed = {entry.key for entry in store.list(layout.dataset(dataset)) if entry.key.endswith(DONE)}
    contents = store.read_all(sorted(listed & markers.keys()))
    return {
        markers[key]: DayFiles.model_validate_json(text) for key, text in contents.items() if text is not None
    }


def finish_days(store: ObjectStore, layout: Layout, dataset: str, days: Iterable[DayFiles]) -> None:
    """Write the markers: from now on these days count."""
    store.write_all(
        {layout.day(dataset, day.day, day.digest).marker: day.model_dump_json().encode() for day in days}
    )


def ensure_days(
    store: ObjectStore,
    layout: Layout,
    dataset: str,
    wanted: Mapping[date, str],
    make: Callable[[Sequence[date]], Iterable[DayFiles]],
    *,
    rebuild: bool = False,
) -> tuple[list[DayFiles], int]:
    """Make the wanted days that are missing, in batches; returns all wanted days in order and how many were made.

    `make` writes the files of some days and returns one `DayFiles` for each of them.
    """
    found = {} if rebuild else find_days(store, layout, dataset, wanted)
    missing = sorted(wanted.keys() - found.keys())
    for start in range(0, len(missing), BATCH_DAYS):
        made = {day.day: day for day in make(missing[start : start + BATCH_DAYS])}
        finish_days(store, layout, dataset, made.values())
        found.update(made)
    return [found[day] for day in sorted(wanted)], len(missing)


def write_by_day(
    connection: duckdb.DuckDBPyConnection,
    store: ObjectStore,
    layout: Layout,
    dataset: str,
    query: str,
    digests: Mapping[date, str],
) -> list[WrittenFile]:
    """Write a query's rows into the folders of their `_day`, one file a day (more where a day is large)."""
    pairs = [
        Fragment(f"(DATE {literal(day.isoformat())}, {literal(digest)})") for day, digest in digests.items()
    ]
    written = connection.execute(
        render(
            "store/copy_by_day",
            rows=Fragment(query),
            digests=joined(pairs),
            folder=literal(store.url(layout.dataset(dataset).rstrip("/"))),
            names=literal(attempt_name() + "_{i}"),
        )
    ).fetchall()
    bucket = store.url("")
    return [
        WrittenFile(
            key=str(row[0]).removeprefix(bucket), day=date.fromisoformat(row[5]["day"]), rows=int(row[1])
        )
        for row in written
    ]


def write_file(connection: duckdb.DuckDBPyConnection, store: ObjectStore, key: str, query: str) -> int:
    """Write a query's rows into one Parquet file; returns how many."""
    copy = render("store/copy_to_file", rows=Fragment(query), url=literal(store.url(key)))
    (rows,) = connection.execute(copy).fetchone() or (0,)
    return int(rows)


def column_types(connection: duckdb.DuckDBPyConnection, source: Fragment) -> dict[str, str]:
    """The engine's types of a table expression's columns, by name."""
    described = connection.execute(render("store/describe_columns", source=source)).fetchall()
    return {str(row[0]): str(row[1]) for row in described}


def scan(store: ObjectStore, keys: Iterable[str]) -> Fragment:
    """A table expression that reads Parquet files; the `name=value` folders of their paths do not become columns."""
    return Fragment(f"read_parquet({file_list(store, keys)}, hive_partitioning = false)")


def file_list(store: ObjectStore, keys: Iterable[str]) -> Fragment:
    """Keys as the list literal that the engine's readers take."""
    return Fragment("[" + ", ".join(literal(store.url(key)) for key in keys) + "]")
