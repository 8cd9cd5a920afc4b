"""The cleaned sources by day, as views of the engine that state and sessions read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property

from crmbet.clean.records import CleanManifest
from crmbet.contracts.source import SourceContract
from crmbet.contracts.typing import typed_columns
from crmbet.databases.parquet import Located
from crmbet.databases.statements import Fragment, identifier, literal, render, statement
from crmbet.databases.work import Work
from crmbet.datasets.records import DayFiles
from crmbet.datasets.segments import quarantined_rows, rows_of_days
from crmbet.storage.digests import digest


@dataclass(frozen=True)
class CleanedDays:
    """The cleaned sources of a run, by day."""

    work: Work
    contracts: Mapping[str, SourceContract]
    cleaned: CleanManifest

    def of(self, source: str) -> Mapping[date, DayFiles]:
        """The days of a source; none if the source is absent."""
        return self._by_source.get(source, {})

    @cached_property
    def _by_source(self) -> dict[str, dict[date, DayFiles]]:
        return {name: {day.day: day for day in source.days} for name, source in self.cleaned.sources.items()}

    def create_view(self, name: str, source: str, days: Iterable[DayFiles], files: Located) -> None:
        """Make a view of a source's rows of some days; without rows it has the columns."""
        found = rows_of_days(files, days)
        if found:
            rows = render("databases/read_rows", source=found)
        else:
            rows = render("clean/no_rows", columns=typed_columns(self.contracts[source]))
        self.work.connection.execute(
            render("databases/create_view", name=identifier(name), rows=Fragment(rows))
        )

    @property
    def quarantined_protection(self) -> Mapping[str, Sequence[DayFiles]]:
        """Days with rows in quarantine, by source, among which a self-exclusion may be."""
        days = {
            name: self.cleaned.sources[name].quarantined_days
            for name in ("limits", "players")
            if name in self.cleaned.sources
        }
        return {name: some for name, some in days.items() if some}

    @property
    def files_of_quarantined_protection(self) -> set[str]:
        """Keys of the files that hold these rows."""
        days = (day for some in self.quarantined_protection.values() for day in some)
        return {key for day in days for key in day.quarantine_files}

    def create_unreadable_exclusions(self, files: Located) -> None:
        """Make the view `unreadable_exclusions` of rows that may be about a self-exclusion and cannot be read."""
        parts = [
            render("features/themes/read_unreadable_exclusions", source=rows, name=literal(source))
            for source, days in self.quarantined_protection.items()
            if (rows := quarantined_rows(files, days))
        ]
        union = "\nUNION ALL\n".join(parts) or statement("features/themes/no_unreadable_exclusions")
        self.work.connection.execute(
            render("databases/create_view", name=identifier("unreadable_exclusions"), rows=Fragment(union))
        )

    def digest(self, statements: str, parts: Iterable[str]) -> str:
        """Identity of a day that is made from these parts by these statements, in the operator's zone."""
        return digest(statements, self.work.run.settings.operator_timezone, *parts)


def rows_of(files: Located, days: Iterable[DayFiles], no_rows: str) -> Fragment:
    """A table expression of the rows of some days; without files it is the statement `no_rows`."""
    return rows_of_days(files, days) or Fragment(f"({statement(no_rows)})")
