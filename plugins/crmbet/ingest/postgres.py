"""Capturing PostgreSQL: each UTC day of the transactions once per content.

A chunk is one day (row count and sum of row hashes). The fingerprints and the rows are read in one transaction, so
they are of one snapshot. Missing days are read as contiguous ranges: one range costs one scan, whatever its days.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from crmbet.contracts import SourceContract
from crmbet.engine_failures import failures_explained
from crmbet.failures import RowsUnaccounted, SourceMissing
from crmbet.ingest.census import count_files, merge_days
from crmbet.ingest.ledger import Ledger, chunk_digest, finish_captures
from crmbet.manifest import UNDATED, Capture, SourceCaptures
from crmbet.object_store import ObjectStore
from crmbet.partitions import BATCH_DAYS, attempt_name
from crmbet.run import Run
from crmbet.statements import Fragment, identifier, joined, literal, render

if TYPE_CHECKING:
    import duckdb

log = logging.getLogger(__name__)

SOURCE = "source"
"""Alias under which the source database is attached to the engine."""


@dataclass(frozen=True)
class DayFingerprint:
    """What PostgreSQL says of one UTC day."""

    day: date | None
    """None: the rows whose event time is missing or infinite."""
    rows: int
    digest: str

    @property
    def chunk(self) -> str:
        """The day's name among captures."""
        return self.day.isoformat() if self.day else UNDATED


def capture_relation(
    connection: duckdb.DuckDBPyConnection, store: ObjectStore, run: Run, contract: SourceContract
) -> SourceCaptures:
    """Capture the days that are new or changed; returns all captures that the run uses.

    The database is attached to `connection` as `source`. Raises `SourceMissing` if the table, or a column that the
    contract requires, is not there, and `LostConnection` if the server goes away.
    """
    ledger = Ledger.read(store, run.layout, contract.name)
    if run.rereads_the_past:
        known = ledger.known_at(run.known_at)
        if not known:
            raise SourceMissing(
                f"{contract.relation} has not been captured by known_at {run.known_at.isoformat()}",
                next_step="choose a later known_at, or none",
            )
        return SourceCaptures(captures=known)

    with _one_snapshot(connection, contract):
        days = _fingerprint(connection, run, contract)
        missing = [day for day in days if run.params.full_refresh or day.digest not in ledger.by_digest]
        made: dict[str, Capture] = {}
        for batch in _contiguous(missing):
            made |= _capture_days(connection, store, run, contract, batch)
    current = [made.get(day.digest) or ledger.by_digest[day.digest] for day in days]
    used = finish_captures(store, run, ledger, current, made.values())
    return SourceCaptures(captures=used, new=len(made))


def plan_relation(
    connection: duckdb.DuckDBPyConnection, store: ObjectStore, run: Run, contract: SourceContract
) -> list[DayFingerprint]:
    """The days that `capture_relation` would capture."""
    ledger = Ledger.read(store, run.layout, contract.name)
    with _one_snapshot(connection, contract):
        days = _fingerprint(connection, run, contract)
    return [day for day in days if run.params.full_refresh or day.digest not in ledger.by_digest]


@contextmanager
def _one_snapshot(connection: duckdb.DuckDBPyConnection, contract: SourceContract) -> Iterator[None]:
    """A transaction in which fingerprints and rows agree, with its failures explained."""
    import duckdb

    with failures_explained(f"Airflow connection crmbet_source, table {contract.relation}"):
        connection.begin()
        try:
            yield
        finally:
            # Left to the engine's own end, the rollback on a server that went away would abort the process.
            with suppress(duckdb.Error):
                connection.rollback()


def _relation(contract: SourceContract) -> Fragment:
    schema, _, table = contract.relation.rpartition(".")
    return identifier(schema or "public", table)


def _ask_postgres(connection: duckdb.DuckDBPyConnection, query: str) -> list[tuple[Any, ...]]:
    return connection.execute(f"FROM postgres_query({literal(SOURCE)}, {literal(query)})").fetchall()


def _columns(contract: SourceContract) -> dict[str, Fragment]:
    """Canonical name to the column in the source."""
    return {name: identifier(column.source_name or name) for name, column in contract.columns.items()}


def _fingerprint(
    connection: duckdb.DuckDBPyConnection, run: Run, contract: SourceContract
) -> list[DayFingerprint]:
    relation = _relation(contract)
    found = {
        str(row[0])
        for row in _ask_postgres(connection, render("ingest/describe_relation", relation=literal(relation)))
    }
    missing = [
        name
        for name in (column.source_name or canonical for canonical, column in contract.columns.items())
        if name not in found
    ]
    if missing:
        raise SourceMissing(
            f"column {', '.join(missing)} is missing from {contract.relation}"
            if found
            else f"the table {contract.relation} does not exist, or our login may not see it",
            where="Airflow connection crmbet_source",
            next_step=f"correct the database, or the names in include/contracts/sources/{contract.name}.yaml",
        )
    columns = _columns(contract)
    rows = _ask_postgres(
        connection,
        render(
            "ingest/fingerprint_days",
            relation=relation,
            event_time=columns[str(contract.event_time)],
            columns=joined(list(columns.values())),
        ),
    )
    return [
        DayFingerprint(
            day,
            count,
            chunk_digest(
                contract.name,
                str(day),
                str(count),
                str(content),
                contract.column_digest,
                run.settings.operator_timezone,
            ),
        )
        for day, count, content in rows
    ]


def _contiguous(days: list[DayFingerprint]) -> Iterator[list[DayFingerprint]]:
    """Days in runs without a gap, none longer than a batch; what has no day by itself."""
    batch: list[DayFingerprint] = []
    last: date | None = None
    for day in days:
        follows = last is not None and day.day is not None and day.day - last == timedelta(days=1)
        if batch and (not follows or len(batch) == BATCH_DAYS):
            yield batch
            batch = []
        batch.append(day)
        last = day.day
    if batch:
        yield batch


def _capture_days(
    connection: duckdb.DuckDBPyConnection,
    store: ObjectStore,
    run: Run,
    contract: SourceContract,
    batch: list[DayFingerprint],
) -> dict[str, Capture]:
    columns = _columns(contract)
    query = render(
        "ingest/read_relation",
        relation=Fragment(f"{SOURCE}.{_relation(contract)}"),
        columns=Fragment(", ".join(_spelled(contract, name, column) for name, column in columns.items())),
        event_time=columns[str(contract.event_time)],
        source_key=literal(contract.relation),
        zone=literal(run.settings.operator_timezone),
        earliest=Fragment(f"DATE {literal(contract.earliest.isoformat())}"),
        chunks=joined([Fragment(f"({_date(day.day)}, {literal(day.digest)})") for day in batch]),
        within=_within(batch, columns[str(contract.event_time)]),
    )
    folder = store.url(run.layout.captures(contract.name).rstrip("/"))
    written = connection.execute(
        render(
            "store/copy_by_chunk",
            rows=Fragment(query),
            folder=literal(folder),
            names=literal(attempt_name() + "_{i}"),
        )
    ).fetchall()
    files: dict[str, list[str]] = {day.digest: [] for day in batch}
    for row in written:
        files[row[5]["chunk"]].append(str(row[0]).removeprefix(store.url("")))
    censuses = count_files(connection, store, contract, [key for keys in files.values() for key in keys])
    captures = {
        day.digest: Capture(
            source=contract.name,
            chunk=day.chunk,
            digest=day.digest,
            files=sorted(files[day.digest]),
            extracted=day.rows,
            days=merge_days(censuses[key] for key in files[day.digest]),
            captured_at=run.known_at,
        )
        for day in batch
    }
    _account(captures.values(), contract)
    log.info(
        "captured %s to %s of %s: %d rows",
        batch[0].chunk,
        batch[-1].chunk,
        contract.relation,
        sum(day.rows for day in batch),
    )
    return captures


def _within(batch: Sequence[DayFingerprint], event_time: Fragment) -> Fragment:
    """The condition that the engine hands to PostgreSQL, so that a batch does not read the whole table."""
    first, last = batch[0].day, batch[-1].day
    column = f"relation.{event_time}"
    if first is None or last is None:
        return Fragment(f"({column} IS NULL OR NOT isfinite({column}))")
    end = last + timedelta(days=1)
    return Fragment(
        f"{column} >= {literal(first.isoformat())}::TIMESTAMP AND {column} < {literal(end.isoformat())}::TIMESTAMP"
    )


def _date(day: date | None) -> Fragment:
    return Fragment(f"DATE {literal(day.isoformat())}" if day else "NULL::DATE")


def _spelled(contract: SourceContract, name: str, column: Fragment) -> str:
    """Ids and enums as text, which every engine agrees on; money and instants as the database types them."""
    source = f"relation.{column}"
    if contract.columns[name].type in ("decimal", "timestamp"):
        return f"{source} AS {identifier(name)}"
    return f"{source}::VARCHAR AS {identifier(name)}"


def _account(captures: Iterable[Capture], contract: SourceContract) -> None:
    for capture in captures:
        read = sum(day.rows for day in capture.days.values())
        if read != capture.extracted:
            raise RowsUnaccounted(
                f"PostgreSQL counted {capture.extracted} rows on {capture.chunk}, we read {read}",
                where=f"Airflow connection crmbet_source, table {contract.relation}",
                why="the rows and their count were not of one snapshot",
                next_step="clear the task; if it happens again, report it as a defect",
            )
