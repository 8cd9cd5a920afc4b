"""Capturing PostgreSQL: each UTC day of the transactions once per content.

A chunk is one day (row count and sum of row hashes). The fingerprints and the rows are read in one transaction, so
they are of one snapshot. Missing days are read in batches: a batch is one file, and all that a kill loses.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, timedelta
from typing import TYPE_CHECKING

from crmbet.contracts.source import SourceContract
from crmbet.databases.duckdb_failures import failures_explained
from crmbet.databases.scratch import scratch_folder
from crmbet.databases.statements import render
from crmbet.databases.work import Work
from crmbet.datasets.days import batches
from crmbet.extract.copying import Batch, captured_types, copy_days, count_chunks
from crmbet.extract.day_counts import Census
from crmbet.extract.days_to_read import Look, days_to_look_at, everything
from crmbet.extract.ledger import Ledger, chunk_digest
from crmbet.extract.records import UNDATED, Capture, SourceCaptures
from crmbet.extract.relation import SOURCE, WHERE, Relation, ask_postgres, describe_relation
from crmbet.failures import RowsUnaccounted, SourceMissing
from crmbet.run.progress import Progress
from crmbet.run.run import Run
from crmbet.storage.layout import attempt_name

if TYPE_CHECKING:
    import duckdb

__all__ = ["SOURCE", "capture_relation"]

log = logging.getLogger(__name__)

COPIED_DAYS = 100
COPIED_ROWS = 5_000_000
"""Days and rows copied by one statement. It holds no rows back, and each may have to read all pages of the table."""
LARGE_SHARE = 0.1
"""Of a table's rows, from which on reading all its pages side by side was faster than one scan by an index."""


@dataclass(frozen=True)
class DayFingerprint:
    """What PostgreSQL says of one UTC day."""

    day: date | None
    """None: the rows whose event time is missing, infinite or beyond the calendar."""
    rows: int
    digest: str
    has_nan: bool

    @property
    def chunk(self) -> str:
        """The day's name among captures."""
        return self.day.isoformat() if self.day else UNDATED


def capture_relation(work: Work, contract: SourceContract) -> SourceCaptures:
    """Capture the days that are new or changed; returns all captures that the run uses.

    The database is attached to the engine as `source`. Raises `SourceMissing` if the table, or a column that the
    contract requires, is not there, `SourceUnreadable` if its event time is no time, `SourceShrunk` if rows have
    vanished, and `LostConnection` if the server goes away.
    """
    connection, run = work.connection, work.run
    ledger = Ledger.read(work.store, run, contract.name)
    if run.rereads_the_past:
        known = ledger.known_at(run.known_at)
        if not known.captures:
            raise SourceMissing(
                f"{contract.relation} has not been captured by known_at {run.known_at.isoformat()}",
                next_step="choose a later known_at, or none",
            )
        return known

    made: dict[str, Capture] = {}
    with _one_snapshot(connection, contract):
        relation = describe_relation(connection, contract)
        look = _look(run, contract, ledger)
        days = _fingerprint(connection, run, contract, relation, look)
        future = _count_future(connection, run, relation)
        missing = [day for day in days if not ledger.has(day.digest)]
        progress = Progress(
            log,
            contract.relation,
            unit="days",
            total=len(missing),
            total_rows=sum(day.rows for day in missing),
        )
        table_rows = max(relation.rows, sum(day.rows for day in days))
        for batch in _batches(missing):
            captures = _capture_days(work, contract, relation, batch, table_rows)
            made |= {capture.digest: capture for capture in ledger.record(captures)}
            progress.advance(len(batch), sum(day.rows for day in batch))
        progress.finish()
    current = [made.get(day.digest) or ledger.by_digest[day.digest] for day in days]
    unseen = [chunk for chunk in ledger.newest if not look.covers(chunk)]
    return ledger.settle(current, made=len(made), unseen=unseen).model_copy(update={"future": future})


@contextmanager
def _one_snapshot(connection: duckdb.DuckDBPyConnection, contract: SourceContract) -> Iterator[None]:
    """A transaction in which fingerprints and rows agree, with its failures explained."""
    import duckdb

    with failures_explained(f"{WHERE}, table {contract.relation}"):
        connection.begin()
        try:
            yield
        finally:
            # Left to the engine's own end, the rollback on a server that went away would abort the process.
            with suppress(duckdb.Error):
                connection.rollback()


def _reading(run: Run, contract: SourceContract) -> str:
    """The end of a capture's digest: changes with how rows are read and dated, whatever they are.

    So a capture that other columns or another zone had made is known for one, though its day is not looked at.
    """
    how = chunk_digest(contract.column_digest, contract.placement_digest, run.settings.operator_timezone)
    return how[:8]


def _look(run: Run, contract: SourceContract, ledger: Ledger) -> Look:
    last = run.window.as_of.astimezone(UTC).date()
    if run.params.verify_all or run.params.full_refresh:
        return everything(last)
    captured = ledger.newest
    reading = _reading(run, contract)
    return days_to_look_at(
        as_of_date=run.as_of_date,
        last=last,
        verify_days=run.settings.source.verify_days,
        earliest=min((date.fromisoformat(chunk) for chunk in captured.keys() - {UNDATED}), default=None),
        known={chunk for chunk, capture in captured.items() if capture.digest.endswith(reading)},
    )


def _fingerprint(
    connection: duckdb.DuckDBPyConnection, run: Run, contract: SourceContract, relation: Relation, look: Look
) -> list[DayFingerprint]:
    rows = ask_postgres(
        connection,
        render(
            "extract/fingerprint_days",
            dated=relation.dated,
            event_time=relation.event.value,
            row_hash=relation.row_hash,
            has_nan=relation.has_nan,
            relation=relation.table,
            within=relation.within(look.spans, undated=look.undated),
        ),
    )
    # The kinds are a part of it, since a column that is captured as text from now on makes other files.
    kinds = ",".join(column.kind for column in relation.columns)
    return [
        DayFingerprint(
            day,
            count,
            chunk_digest(contract.name, str(day), str(count), str(content), kinds) + _reading(run, contract),
            has_nan=nan > 0,
        )
        for day, count, content, nan in rows
    ]


def _count_future(connection: duckdb.DuckDBPyConnection, run: Run, relation: Relation) -> int:
    """Rows on UTC days after the one on which the run looks: a wrong date would hide them until its time comes."""
    today = run.known_at.astimezone(UTC).date()
    within = relation.since(today + timedelta(days=1))
    query = render("extract/count_future", relation=relation.table, within=within)
    [(future,)] = ask_postgres(connection, query)
    if future:
        log.warning(
            "%s has %d rows dated after %s, the day on which this run looks: they count from their dates on; "
            "correct these where they are wrong",
            relation.name,
            future,
            today,
        )
    return int(future)


def days_copied_together(rows: Mapping[date, int]) -> Iterator[list[date]]:
    """UTC days in order, in batches of one statement and one file; `rows` says how many rows each has."""
    return batches(sorted(rows), rows, most_days=COPIED_DAYS, most_rows=COPIED_ROWS)


def _batches(missing: Sequence[DayFingerprint]) -> Iterator[list[DayFingerprint]]:
    """Days to be read together, in order; at last the rows without a day."""
    by_day = {day.day: day for day in missing if day.day is not None}
    for batch in days_copied_together({day: found.rows for day, found in by_day.items()}):
        yield [by_day[day] for day in batch]
    undated = [day for day in missing if day.day is None]
    if undated:
        yield undated


def _capture_days(
    work: Work,
    contract: SourceContract,
    relation: Relation,
    days: Sequence[DayFingerprint],
    table_rows: int,
) -> list[Capture]:
    """Copy some days into one file of the store; the caller writes their done-files."""
    connection, run = work.connection, work.run
    key = f"{run.layout.capture(contract.name, days[0].digest).prefix}{attempt_name()}.parquet"
    batch = Batch(
        days=tuple(day.day for day in days),
        is_large=sum(day.rows for day in days) >= table_rows * LARGE_SHARE,
        has_nan=any(day.has_nan for day in days),
    )
    with scratch_folder(run.settings) as folder:
        path = folder / "days.parquet"
        copy_days(connection, path, run, contract, relation, batch)
        types = captured_types(connection, path, contract)
        counted = count_chunks(connection, path, contract)
        _account(days, counted, contract)
        if not run.params.dry_run:
            work.store.upload(path, key)
    return [
        Capture(
            source=contract.name,
            chunk=day.chunk,
            digest=day.digest,
            files=[key],
            part=day.chunk,
            types=types,
            extracted=day.rows,
            days=counted[day.day].days,
            latest_known_time=counted[day.day].latest_known_time,
            captured_at=run.known_at,
            made_at=run.known_at,
        )
        for day in days
    ]


def _account(
    days: Sequence[DayFingerprint], counted: Mapping[date | None, Census], contract: SourceContract
) -> None:
    told = {day.day: day.rows for day in days}
    for day in told.keys() | counted.keys():
        read = counted[day].rows if day in counted else 0
        if read != told.get(day, 0):
            raise RowsUnaccounted(
                f"PostgreSQL counted {told.get(day, 0)} rows on {day or UNDATED}, we read {read}",
                where=f"{WHERE}, table {contract.relation}",
                why="the rows and their count were not of one snapshot",
                next_step="clear the task; if it happens again, report it as a defect",
            )
