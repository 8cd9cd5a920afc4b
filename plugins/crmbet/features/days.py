"""What state and sessions share: views of cleaned days, and how days of a dataset are written."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING

from crmbet.clean.records import CleanedSource
from crmbet.contracts.source import SourceContract
from crmbet.contracts.typing import typed_columns
from crmbet.databases.parquet import Located, scan
from crmbet.databases.statements import Fragment, identifier, render, statement
from crmbet.datasets.days import unmade_day, write_by_day
from crmbet.datasets.records import DayFiles
from crmbet.run.run import Run
from crmbet.storage.object_store import ObjectStore

if TYPE_CHECKING:
    import duckdb


def _rows_of(store: ObjectStore, days: Iterable[DayFiles], nothing: str) -> Fragment:
    """The files of some days, or what has their columns and no rows."""
    files = [key for day in days for key in day.files]
    return scan(store, files) if files else Fragment(f"({statement(nothing)})")


def _create_view(
    connection: duckdb.DuckDBPyConnection,
    store: Located,
    name: str,
    files: Sequence[str],
    contract: SourceContract,
) -> None:
    """A view of a source's cleaned rows; without files it has the columns and no rows."""
    if files:
        rows = render("databases/read_rows", source=scan(store, files))
    else:
        rows = render("clean/no_rows", columns=typed_columns(contract))
    connection.execute(render("databases/create_view", name=identifier(name), rows=Fragment(rows)))


def _write(
    connection: duckdb.DuckDBPyConnection,
    store: ObjectStore,
    run: Run,
    dataset: str,
    query: str,
    batch: Sequence[date],
    wanted: Mapping[date, str],
) -> list[DayFiles]:
    digests = {day: wanted[day] for day in batch}
    made = {day: unmade_day(run, day, wanted[day]) for day in batch}
    for file in write_by_day(connection, store, run, dataset, query, digests):
        day = made[file.day]
        made[file.day] = day.model_copy(
            update={"files": [*day.files, file.key], "rows": day.rows + file.rows}
        )
    return list(made.values())


def _by_day(source: CleanedSource | None) -> dict[date, DayFiles]:
    return {day.day: day for day in source.days} if source else {}


def _digest(sql: str, run: Run, *parts: str) -> str:
    return hashlib.sha256("\0".join((sql, run.settings.operator_timezone, *parts)).encode()).hexdigest()[:24]
