"""Copying days of PostgreSQL into one local file, and counting what has arrived, by reading the file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date
from pathlib import Path
from typing import TYPE_CHECKING

from crmbet.contracts.source import SourceContract
from crmbet.databases.parquet import column_types
from crmbet.databases.statements import Fragment, date_literal, identifier, joined, literal, render
from crmbet.extract.day_counts import Census
from crmbet.extract.days_to_read import Span, joined_spans
from crmbet.extract.records import UNDATED, DayCount
from crmbet.extract.relation import SOURCE, Relation, postgres_query
from crmbet.run.run import Run

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class Batch:
    """UTC days that are read together."""

    days: tuple[date | None, ...]
    """In order. None: the rows without a day."""
    is_large: bool
    """Whether they are so much of the table that its pages are better read side by side than found by an index."""
    has_nan: bool
    """Whether an amount among them is NaN."""

    @property
    def dated(self) -> list[date]:
        """The days that are days."""
        return [day for day in self.days if day is not None]


def copy_days(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    run: Run,
    contract: SourceContract,
    relation: Relation,
    batch: Batch,
) -> None:
    """Write the rows of some UTC days into a local file.

    The engine reads the pages of a table side by side where it can. What a query of PostgreSQL's gives comes over one
    connection, in nearly twice the time, and is gathered first: 900 MB of memory or spill for five million rows.
    """
    spans = joined_spans(Span(day, day) for day in batch.dated)
    undated = None in batch.days
    # Of conditions the engine hands a single range on to PostgreSQL. With any other it would fetch the whole table.
    side_by_side = (
        batch.is_large
        and relation.is_table
        and len(spans) == 1
        and not undated
        and not batch.has_nan
        and all(column.as_is for column in relation.columns)
    )
    query = render(
        "extract/select_days",
        columns=joined(
            [
                Fragment(f"{column.captured(has_nan=batch.has_nan)} AS {identifier(column.name)}")
                for column in relation.columns
            ]
        ),
        relation=Fragment(f"{identifier(SOURCE)}.{relation.table}") if side_by_side else relation.table,
        within=relation.within(spans, undated=undated),
    )
    connection.execute(
        render(
            "extract/copy_days",
            rows=Fragment(query if side_by_side else f"FROM {postgres_query(query)}"),
            columns=joined([identifier(column.name) for column in relation.columns]),
            event_time=identifier(relation.event.name),
            source_key=literal(relation.name),
            zone=literal(run.settings.operator_timezone),
            earliest=date_literal(contract.earliest),
            days=Fragment(f"[{joined([date_literal(day) for day in batch.dated])}]::DATE[]"),
            path=literal(str(path)),
        )
    )


def captured_types(
    connection: duckdb.DuckDBPyConnection, path: Path, contract: SourceContract
) -> dict[str, str]:
    """The engine types of a captured file's columns of the contract that are not text."""
    found = column_types(
        connection, Fragment(f"read_parquet({literal(str(path))}, hive_partitioning = false)")
    )
    return {name: found[name] for name in contract.columns if found[name] != "VARCHAR"}


def count_chunks(
    connection: duckdb.DuckDBPyConnection, path: Path, contract: SourceContract
) -> dict[date | None, Census]:
    """Count a captured file by its chunks."""
    known_time = (
        f"parse_timestamp({identifier(contract.known_time)})" if contract.known_time else "NULL::TIMESTAMP"
    )
    rows = connection.execute(
        render(
            "extract/count_chunks",
            file=literal(str(path)),
            contents=joined([identifier(name) for name in contract.columns]),
            known_time=Fragment(known_time),
        )
    ).fetchall()
    found: dict[date | None, Census] = {}
    for part, day, count, fingerprint, known in rows:
        census = found.get(part, Census(days={}, latest_known_time=None))
        times = [census.latest_known_time, known.replace(tzinfo=UTC) if known else None]
        found[part] = Census(
            days={
                **census.days,
                day.isoformat() if day else UNDATED: DayCount(rows=count, fingerprint=fingerprint),
            },
            latest_known_time=max((time for time in times if time), default=None),
        )
    return found
