"""Daily state: one row per player and day, from the cleaned events of that day."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING

from crmbet.clean.records import CleanManifest
from crmbet.contracts.source import SourceContract
from crmbet.databases.parquet import scan
from crmbet.databases.statements import Fragment, statement, statements_digest
from crmbet.datasets.days import ensure_days
from crmbet.datasets.prefetch import Fetched
from crmbet.datasets.records import DayFiles
from crmbet.run.run import Run
from crmbet.storage.object_store import ObjectStore

if TYPE_CHECKING:
    import duckdb


from crmbet.features.days import _by_day, _create_view, _digest, _write

STATE_SOURCES = ("bets", "transactions", "communications", "limits")


def _ensure_state(
    connection: duckdb.DuckDBPyConnection,
    store: ObjectStore,
    run: Run,
    contracts: Mapping[str, SourceContract],
    cleaned: CleanManifest,
) -> tuple[list[DayFiles], list[date]]:
    by_source = {name: _by_day(cleaned.sources.get(name)) for name in STATE_SOURCES}
    days = sorted(set().union(*by_source.values()))
    sql = statements_digest("features/state")
    wanted = {
        day: _digest(
            sql,
            run,
            *(by_source[name][day].digest if day in by_source[name] else "" for name in STATE_SOURCES),
        )
        for day in days
    }

    def files_of(name: str, day: date) -> list[str]:
        return by_source[name][day].files if day in by_source[name] else []

    def reads(day: date) -> list[str]:
        return [key for name in STATE_SOURCES for key in files_of(name, day)]

    def make(batch: Sequence[date], fetched: Fetched) -> Iterable[DayFiles]:
        for name in STATE_SOURCES:
            files = [key for day in batch for key in files_of(name, day)]
            _create_view(connection, fetched, name, files, contracts[name])
        return _write(
            connection, store, run, "state", statement("features/state/summarise_days"), batch, wanted
        )

    rows = {
        day: sum(by_source[name][day].rows for name in STATE_SOURCES if day in by_source[name])
        for day in days
    }
    return ensure_days(store, run, "state", wanted, make, rows, reads)


def _state_rows(
    connection: duckdb.DuckDBPyConnection,
    store: ObjectStore,
    contracts: Mapping[str, SourceContract],
    files: Sequence[str],
) -> Fragment:
    if files:
        return scan(store, files)
    # Nothing happened before as_of; players may have registered.
    for name in STATE_SOURCES:
        _create_view(connection, store, name, [], contracts[name])
    return Fragment(f"({statement('features/state/summarise_days')})")
