"""Counting what was captured, by reading it back: the figures of a marker come from the files that it names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from crmbet.contracts import SourceContract
from crmbet.manifest import UNDATED, DayCount
from crmbet.object_store import ObjectStore
from crmbet.partitions import file_list
from crmbet.statements import Fragment, identifier, joined, render

if TYPE_CHECKING:
    import duckdb


@dataclass
class Census:
    """The rows of one captured file."""

    days: dict[str, DayCount] = field(default_factory=dict)
    """By operator day (ISO), or UNDATED."""
    latest_known_time: datetime | None = None

    @property
    def rows(self) -> int:
        """Rows of all days."""
        return sum(day.rows for day in self.days.values())


def count_files(
    connection: duckdb.DuckDBPyConnection, store: ObjectStore, contract: SourceContract, files: Sequence[str]
) -> dict[str, Census]:
    """The census of each captured file, by key."""
    if not files:
        return {}
    known_time = (
        f"parse_timestamp({identifier(contract.known_time)})" if contract.known_time else "NULL::TIMESTAMP"
    )
    rows = connection.execute(
        render(
            "ingest/count_days",
            files=file_list(store, files),
            contents=joined([identifier(name) for name in contract.columns]),
            known_time=Fragment(known_time),
        )
    ).fetchall()
    found = {key: Census() for key in files}
    for filename, day, count, fingerprint, known in rows:
        census = found[filename.removeprefix(store.url(""))]
        census.days[day.isoformat() if day else UNDATED] = DayCount(rows=count, fingerprint=fingerprint)
        if known is not None:
            aware = known.replace(tzinfo=UTC)
            census.latest_known_time = max(census.latest_known_time or aware, aware)
    return found


def merge_days(censuses: Iterable[Census]) -> dict[str, DayCount]:
    """The days of several files together."""
    days: dict[str, DayCount] = {}
    for census in censuses:
        for day, count in census.days.items():
            days[day] = days[day].plus(count) if day in days else count
    return days
