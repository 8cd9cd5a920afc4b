"""Files of thirty days: a year of a small dataset, read in files of one day, takes seconds in requests alone.

A file holds thirty neighbouring days, once all of them lie before as_of. It is kept by a digest of its days, so a
changed day leads to a new file, made from files of one day. Those stay the truth; this is a copy for reading.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from crmbet.databases.parquet import scan, write_file
from crmbet.databases.statements import render
from crmbet.databases.work import Work
from crmbet.datasets.days import WantedDay, ensure_days, unmade_day
from crmbet.datasets.prefetch import Fetched
from crmbet.datasets.records import DayFiles
from crmbet.storage.digests import digest
from crmbet.storage.layout import attempt_name

PERIOD = 30


def files_to_read(work: Work, name: str, days: Sequence[DayFiles]) -> list[str]:
    """The files that hold some days: one for each whole period, made where it is missing, and those of the other days.

    `name` is the dataset of the thirty-day files.
    """
    periods: dict[date, list[DayFiles]] = {}
    rest: list[DayFiles] = []
    for day in days:
        first = day.day.toordinal() // PERIOD * PERIOD
        is_whole = first + PERIOD <= work.run.as_of_date.toordinal()
        if is_whole and first > 0:
            periods.setdefault(date.fromordinal(first), []).append(day)
        else:
            rest.append(day)
    ensured = ensure_days(work, ThirtyDays(work, name, periods))
    return [key for day in (*ensured.days, *rest) for key in day.files]


@dataclass(frozen=True)
class ThirtyDays:
    """Thirty-day files, each under its first day."""

    work: Work
    name: str
    periods: Mapping[date, Sequence[DayFiles]] = field(repr=False)
    """The days of each period, by its first day."""

    def wanted(self) -> Mapping[date, WantedDay]:
        """Every period."""
        return {
            first: WantedDay(
                digest=_digest(days),
                rows=sum(day.rows for day in days),
                reads=[key for day in days for key in day.files],
            )
            for first, days in self.periods.items()
        }

    def make(self, days: Mapping[date, WantedDay], files: Fetched) -> Iterable[DayFiles]:
        """Copy the days of each period into one file."""
        for first, period in days.items():
            made = unmade_day(self.work.run, first, period.digest)
            if period.reads:
                folder = self.work.run.layout.day(self.name, first, period.digest)
                key = f"{folder.prefix}{attempt_name()}.parquet"
                copy = render("databases/read_rows", source=scan(files, period.reads))
                kept, rows = write_file(self.work, key, copy)
                made = made.model_copy(update={"files": [kept], "rows": rows})
            yield made


def _digest(days: Sequence[DayFiles]) -> str:
    return digest(*(f"{day.day} {day.digest}" for day in sorted(days, key=lambda day: day.day)))
