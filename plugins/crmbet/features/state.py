"""Daily state: one row per player and day, from the cleaned events of that day."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import ClassVar

from crmbet.databases.parquet import Located
from crmbet.databases.statements import Fragment, statement, statements_digest
from crmbet.datasets.days import WantedDay, write_days
from crmbet.datasets.prefetch import Fetched
from crmbet.datasets.records import DayFiles
from crmbet.datasets.segments import rows_of_days
from crmbet.datasets.sending import Sending
from crmbet.features.cleaned_days import CleanedDays

SOURCES = ("bets", "transactions", "communications", "limits")


@dataclass(frozen=True)
class State:
    """The dataset of daily state: every day before as_of on which any source has a row."""

    cleaned: CleanedDays
    name: ClassVar[str] = "state"

    def wanted(self) -> Mapping[date, WantedDay]:
        """A day is made from that day of every source."""
        statements = statements_digest("features/state")
        days = sorted(set().union(*(self.cleaned.of(source) for source in SOURCES)))
        return {day: self._wanted(day, statements) for day in days}

    def make(self, days: Mapping[date, WantedDay], files: Fetched, outgoing: Sending) -> Iterable[DayFiles]:
        """Summarise the events of some days."""
        for source in SOURCES:
            by_day = self.cleaned.of(source)
            self.cleaned.create_view(source, source, [by_day[day] for day in days if day in by_day], files)
        query = statement("features/state/summarise_days")
        return write_days(self.cleaned.work, self.name, query, days, outgoing)

    def rows_of(self, files: Located, days: Iterable[DayFiles]) -> Fragment:
        """A table expression of the state of these days."""
        if rows := rows_of_days(files, days):
            return rows
        # Nothing happened before as_of; players may have registered.
        for source in SOURCES:
            self.cleaned.create_view(source, source, [], files)
        return Fragment(f"({statement('features/state/summarise_days')})")

    def _wanted(self, day: date, statements: str) -> WantedDay:
        parts = [self.cleaned.of(source).get(day) for source in SOURCES]
        present = [part for part in parts if part is not None]
        return WantedDay(
            digest=self.cleaned.digest(statements, (part.digest if part else "" for part in parts)),
            rows=sum(part.rows for part in present),
            reads=[key for part in present for key in part.files],
        )
