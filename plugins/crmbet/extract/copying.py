"""Copying days of PostgreSQL into one local file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from crmbet import metering
from crmbet.contracts.source import SourceContract
from crmbet.databases.parquet import column_types
from crmbet.databases.statements import Fragment, date_literal, identifier, joined, literal, render
from crmbet.databases.zones import zone_shifts
from crmbet.extract.days_to_read import Span, joined_spans
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
    """Whether they are so much of the table that reading all its pages in parallel beats an index scan."""
    has_nan: bool
    """Whether an amount among them is NaN."""

    @property
    def dated(self) -> list[date]:
        """The days without None."""
        return [day for day in self.days if day is not None]


def copy_days(
    connection: duckdb.DuckDBPyConnection,
    relation: Relation,
    batch: Batch,
    *,
    run: Run,
    contract: SourceContract,
    path: Path,
) -> None:
    """Write the rows of some UTC days into a local file.

    Where possible, the engine reads the pages of the table itself, over several connections in parallel. Otherwise
    PostgreSQL runs a query, and the result comes over one connection. That takes nearly twice the time, and the engine
    gathers the result before it writes: five million rows take 900 MB of memory or spill.
    """
    spans = joined_spans(Span(day, day) for day in batch.dated)
    undated = None in batch.days
    # The engine passes a single range of instants on to PostgreSQL. With other conditions it would fetch all rows.
    in_parallel = (
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
        reject=relation.reject,
        relation=Fragment(f"{identifier(SOURCE)}.{relation.table}") if in_parallel else relation.table,
        within=relation.within(spans, undated=undated),
    )
    statement = render(
        "extract/copy_days",
        rows=Fragment(query if in_parallel else f"FROM {postgres_query(query)}"),
        columns=joined([identifier(column.name) for column in relation.columns]),
        event_time=identifier(relation.event.name),
        source_key=literal(relation.name),
        zone=literal(run.settings.operator_timezone),
        shifts=zone_shifts(run.settings.operator_timezone),
        earliest=date_literal(contract.earliest),
        days=Fragment(f"[{joined([date_literal(day) for day in batch.dated])}]::DATE[]"),
        path=literal(str(path)),
    )
    with metering.in_postgres():
        ((rows,),) = connection.execute(statement).fetchall()
    metering.count_rows(read=rows)


def captured_types(
    connection: duckdb.DuckDBPyConnection, path: Path, contract: SourceContract
) -> dict[str, str]:
    """The engine types of those columns of the contract that a captured file does not have as text."""
    types = column_types(
        connection, Fragment(f"read_parquet({literal(str(path))}, hive_partitioning = false)")
    )
    return {name: types[name] for name in contract.columns if types[name] != "VARCHAR"}
