"""Capturing a table of PostgreSQL: each UTC day once per content.

A chunk is one day. Its fingerprint is the row count and the sum of the row hashes. The fingerprints and the rows are
read in one transaction, so they belong to the same snapshot. New and changed days are read in batches. A batch becomes
one file, and a killed task loses no more than one batch.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, timedelta
from typing import TYPE_CHECKING

from crmbet.contracts.source import SourceContract, one_name_digests
from crmbet.databases.duckdb_failures import failures_explained
from crmbet.databases.scratch import scratch_folder
from crmbet.databases.statements import literal, render
from crmbet.databases.work import Work
from crmbet.datasets.days import batches
from crmbet.extract.copying import Batch, captured_types, copy_days
from crmbet.extract.day_counts import DayCounts, count_chunks
from crmbet.extract.days_to_read import DaysToRead, all_days, days_of_shard, days_to_read
from crmbet.extract.joining import join_months
from crmbet.extract.ledger import Ledger, chunk_digest
from crmbet.extract.records import UNDATED, Capture, SourceCaptures
from crmbet.extract.relation import SOURCE, WHERE, Relation, ask_postgres, describe_relation
from crmbet.failures import RowsUnaccounted, SourceMissing
from crmbet.run.progress import Progress
from crmbet.run.run import Run
from crmbet.run.shards import Shard
from crmbet.storage.layout import attempt_name
from crmbet.storage.verified import keep_file

if TYPE_CHECKING:
    import duckdb

__all__ = ["SOURCE", "capture_relation"]

log = logging.getLogger(__name__)

COPIED_DAYS = 100
COPIED_ROWS = 5_000_000
"""One statement copies at most so many days and rows. Fewer would be slower: each statement may read all pages."""
READING_LETTERS = 8
"""The length of the part of a digest that says how rows are read."""
LARGE_SHARE = 0.1
"""From this share of a table's rows on, reading all its pages in parallel was faster than an index scan."""


@dataclass(frozen=True)
class DayFingerprint:
    """What PostgreSQL computes of one UTC day."""

    day: date | None
    """None: the rows whose event time is missing, infinite or beyond the calendar."""
    rows: int
    content: str
    """Identity of the day's rows."""
    reading: str
    """Identity of how they are read and dated."""
    has_nan: bool

    @property
    def digest(self) -> str:
        """Of a capture of this day."""
        return self.content + self.reading

    @property
    def chunk(self) -> str:
        """The day's name among captures."""
        return self.day.isoformat() if self.day else UNDATED


def capture_relation(work: Work, contract: SourceContract) -> SourceCaptures:
    """Capture the days that are new or changed. Returns all captures that the run uses.

    The database is attached to the engine as `source`. Raises `SourceMissing` if the table, or a column that the
    contract requires, is not there, `SourceUnreadable` if its event time is no timestamp, `SourceShrunk` if rows have
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

    with _one_snapshot(connection, contract):
        relation = describe_relation(connection, contract)
        readings = _readings(run, contract, relation, ledger)
        wanted = _days_to_read(run, readings, ledger)
        captures, made = _capture_missing(
            work, contract, relation, wanted=wanted, readings=readings, ledger=ledger
        )
        future = _count_future(connection, run, relation)
    unseen = [chunk for chunk in ledger.newest if not wanted.covers(chunk)]
    used = ledger.settle(captures, made=made, unseen=unseen).model_copy(update={"future": future})
    return used if run.params.dry_run else join_months(work, ledger, used)


def capture_shard_of_relation(work: Work, contract: SourceContract, shard: Shard) -> int:
    """Capture the new and changed days of one part of a table, for `capture_relation` to find. Returns their number.

    The first part captures all of a view, and of a table that was never analysed. Raises what `capture_relation` does,
    but for what only all days together tell.
    """
    connection, run = work.connection, work.run
    if run.rereads_the_past:
        return 0
    ledger = Ledger.read(work.store, run, contract.name)
    with _one_snapshot(connection, contract):
        relation = describe_relation(connection, contract)
        readings = _readings(run, contract, relation, ledger)
        quantiles = _quantile_days(connection, relation)
        wanted = days_of_shard(_days_to_read(run, readings, ledger), shard, quantiles)
        if not wanted.spans:
            return 0
        _, made = _capture_missing(work, contract, relation, wanted=wanted, readings=readings, ledger=ledger)
    return made


def _capture_missing(
    work: Work,
    contract: SourceContract,
    relation: Relation,
    *,
    wanted: DaysToRead,
    readings: Sequence[str],
    ledger: Ledger,
) -> tuple[list[Capture], int]:
    """The captures of the wanted days that have rows, and how many of them were missing and are made now."""
    days = _fingerprint(work.connection, contract, relation, wanted, readings[0])
    found = {day: ledger.find(*(day.content + reading for reading in readings)) for day in days}
    missing = [day for day in days if not found[day]]
    progress = Progress(
        log, contract.relation, unit="days", total=len(missing), total_rows=sum(day.rows for day in missing)
    )
    table_rows = max(relation.rows, sum(day.rows for day in days))
    made: dict[str, Capture] = {}
    for batch in _batches(missing):
        captures = _capture_days(work, contract, relation, batch, table_rows)
        made |= {capture.digest: capture for capture in ledger.record(captures)}
        progress.advance(len(batch), sum(day.rows for day in batch))
    progress.finish()
    return [found[day] or made[day.digest] for day in days], len(made)


def _quantile_days(connection: duckdb.DuckDBPyConnection, relation: Relation) -> list[date]:
    query = render(
        "extract/list_quantile_days",
        relation=literal(str(relation.table)),
        column=literal(str(relation.event.source)),
    )
    return [date.fromisoformat(str(day)) for (day,) in ask_postgres(connection, query)]


@contextmanager
def _one_snapshot(connection: duckdb.DuckDBPyConnection, contract: SourceContract) -> Iterator[None]:
    """A transaction that reads fingerprints and rows of the same snapshot. Errors are those of `failures_explained`."""
    import duckdb

    with failures_explained(f"{WHERE}, table {contract.relation}"):
        connection.begin()
        try:
            yield
        finally:
            # If the engine had to roll back when it is closed, a server that went away would abort the process.
            with suppress(duckdb.Error):
                connection.rollback()


def _readings(run: Run, contract: SourceContract, relation: Relation, ledger: Ledger) -> list[str]:
    """The ends of digests: that of this run's captures, and those of captures by names that a column had before.

    Such an end changes with how rows are read and dated, and not with the rows. So a capture with other columns or
    another time zone is recognised by its digest, without looking at its day. Earlier releases captured ids of kind
    `id` as PostgreSQL spells them, so all their days are read again.
    """
    known = {digest[-READING_LETTERS:] for digest in ledger.by_digest}
    ids = [f"{column.name}: {column.value}" for column in relation.columns if column.kind == "id"]
    now, *before = (
        chunk_digest(columns, contract.placement_digest, run.settings.operator_timezone, *ids)[
            :READING_LETTERS
        ]
        for columns in one_name_digests(relation.equal_names)
    )
    return [now, *(reading for reading in before if reading in known)]


def _days_to_read(run: Run, readings: Sequence[str], ledger: Ledger) -> DaysToRead:
    last = run.window.as_of.astimezone(UTC).date()
    if run.params.verify_all or run.params.full_refresh:
        return all_days(last)
    # Days whose capture is lost are read again.
    captured = ledger.newest
    return days_to_read(
        as_of_date=run.as_of_date,
        last=last,
        verify_days=run.settings.source.verify_days,
        earliest=min((date.fromisoformat(chunk) for chunk in captured.keys() - {UNDATED}), default=None),
        known={
            chunk
            for chunk, capture in captured.items()
            if capture.digest.endswith(tuple(readings)) and not ledger.is_lost(capture)
        },
    )


def _fingerprint(
    connection: duckdb.DuckDBPyConnection,
    contract: SourceContract,
    relation: Relation,
    wanted: DaysToRead,
    reading: str,
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
            within=relation.within(wanted.spans, undated=wanted.undated),
        ),
    )
    # The kinds are a part of the digest: if a column is captured as text from now on, its files are different.
    kinds = ",".join(column.kind for column in relation.columns)
    return [
        DayFingerprint(
            day,
            count,
            chunk_digest(contract.name, str(day), str(count), str(content), kinds),
            reading,
            has_nan=nan > 0,
        )
        for day, count, content, nan in rows
    ]


def _count_future(connection: duckdb.DuckDBPyConnection, run: Run, relation: Relation) -> int:
    """Rows on UTC days after the day of known_at. A row with a wrong date stays unseen until that date comes."""
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
    """UTC days in order, in batches of one statement and one file each; `rows` has each day's number of rows."""
    return batches(sorted(rows), rows, most_days=COPIED_DAYS, most_rows=COPIED_ROWS)


def _batches(missing: Sequence[DayFingerprint]) -> Iterator[list[DayFingerprint]]:
    """Days that are read together, in order; the rows without a day come last."""
    by_day = {day.day: day for day in missing if day.day is not None}
    for batch in days_copied_together({day: fingerprint.rows for day, fingerprint in by_day.items()}):
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
        copy_days(connection, relation, batch, run=run, contract=contract, path=path)
        types = captured_types(connection, path, contract)
        counted = count_chunks(connection, path, contract, types)
        _account(days, counted, contract)
        if not run.params.dry_run:
            key = keep_file(work.store, path, key)
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
            exact_ids=True,
            latest_known_time=counted[day.day].latest_known_time,
            captured_at=run.known_at,
            made_at=run.known_at,
        )
        for day in days
    ]


def _account(
    days: Sequence[DayFingerprint], counted: Mapping[date | None, DayCounts], contract: SourceContract
) -> None:
    expected = {day.day: day.rows for day in days}
    for day in expected.keys() | counted.keys():
        read = counted[day].rows if day in counted else 0
        if read != expected.get(day, 0):
            raise RowsUnaccounted(
                f"PostgreSQL counted {expected.get(day, 0)} rows on {day or UNDATED}, we read {read}",
                where=f"{WHERE}, table {contract.relation}",
                why="the rows and their count were not of one snapshot",
                next_step="clear the task; if it happens again, report it as a defect",
            )
