"""Counting the rows of a captured file by day. The file that was written is read, so the figures are true of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from crmbet.contracts.source import SourceContract
from crmbet.contracts.typing import known_instant
from crmbet.databases.statements import identifier, joined, literal, render
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


def count_days(
    connection: duckdb.DuckDBPyConnection, path: Path, contract: SourceContract, types: Mapping[str, str]
) -> DayCounts:
    """Count a captured file's rows by day. `types` are the engine types of the columns that are not text."""
    known = known_instant(contract, types)
    rows = connection.execute(
        render(
            "extract/count_days",
            file=literal(str(path)),
            contents=joined([identifier(name) for name in contract.columns]),
            spelled=known.spelled,
            known_time=known.value,
        )
    ).fetchall()
    return DayCounts(
        days={
            day.isoformat() if day else UNDATED: DayCount(rows=count, fingerprint=fingerprint)
            for day, count, fingerprint, _ in rows
        },
        latest_known_time=max((newest.replace(tzinfo=UTC) for *_, newest in rows if newest), default=None),
    )
