"""Counting the rows of a captured file by day. The file that was written is read, so the figures are true of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crmbet.contracts.instants import known_instant
from crmbet.contracts.source import SourceContract
from crmbet.databases.statements import Fragment, identifier, joined, literal, render
from crmbet.extract.records import UNDATED, DayCount

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class DayCounts:
    """The rows of one captured file, or of one chunk in it."""

    days: dict[str, DayCount]
    """By operator day (ISO), or UNDATED."""
    latest_known_time: datetime | None
    """The newest known_time among the rows; None if there is none."""

    @property
    def rows(self) -> int:
        """The rows of all days."""
        return sum(day.rows for day in self.days.values())


def count_parts(
    connection: duckdb.DuckDBPyConnection, path: Path, contract: SourceContract, types: Mapping[str, str]
) -> dict[str, DayCounts]:
    """Count a captured file's rows by object and day. The arguments are those of `count_days`."""
    return _count_by("_source_key", connection, path, contract, types)


def count_chunks(
    connection: duckdb.DuckDBPyConnection, path: Path, contract: SourceContract, types: Mapping[str, str]
) -> dict[date | None, DayCounts]:
    """Count the rows of a captured file of PostgreSQL by chunk, a UTC day or None, and by day."""
    return _count_by("_part", connection, path, contract, types)


def count_streamed(
    connection: duckdb.DuckDBPyConnection, path: Path, contract: SourceContract
) -> dict[str, DayCounts]:
    """Count the rows of a captured file of a stream by chunk and day."""
    return _count_by("_chunk", connection, path, contract, {})


def count_days(
    connection: duckdb.DuckDBPyConnection, path: Path, contract: SourceContract, types: Mapping[str, str]
) -> DayCounts:
    """Count a captured file's rows by day. `types` are the engine types of the columns that are not text."""
    return _day_counts(connection.execute(_counting("_day", path, contract, types)).fetchall())


def _count_by(
    part: str,
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    contract: SourceContract,
    types: Mapping[str, str],
) -> dict[Any, DayCounts]:
    counted = connection.execute(_counting(f"{part}, _day", path, contract, types)).fetchall()
    by_part: dict[Any, list[tuple[date | None, int, str, datetime | None]]] = {}
    for value, *of_day in counted:
        by_part.setdefault(value, []).append(tuple(of_day))
    return {value: _day_counts(of_part) for value, of_part in by_part.items()}


def _counting(by: str, path: Path, contract: SourceContract, types: Mapping[str, str]) -> str:
    known = known_instant(contract, types)
    return render(
        "extract/count_days",
        by=Fragment(by),
        file=literal(str(path)),
        contents=joined([identifier(column) for column in contract.columns]),
        spelled=known.spelled,
        known_time=known.value,
    )


def _day_counts(rows: Sequence[tuple[date | None, int, str, datetime | None]]) -> DayCounts:
    return DayCounts(
        days={
            day.isoformat() if day else UNDATED: DayCount(rows=count, fingerprint=fingerprint)
            for day, count, fingerprint, _ in rows
        },
        latest_known_time=max((newest.replace(tzinfo=UTC) for *_, newest in rows if newest), default=None),
    )
