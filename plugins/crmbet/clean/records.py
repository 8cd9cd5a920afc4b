"""The records of cleaning: where every extracted row of a run went."""

from __future__ import annotations

from datetime import date

from pydantic import Field

from crmbet.datasets.records import DayFiles
from crmbet.run.records import Record


class CleanedSource(Record):
    """A cleaned source: its days before as_of, and where every extracted row went."""

    days: list[DayFiles]
    undated: DayFiles | None = None
    """The rows without a readable event time, all of them in quarantine. None if there are none."""
    quarantine_files: list[str]
    extracted: int
    accepted: int
    duplicates: int
    quarantined: dict[str, int]
    """Rows by reason."""
    discarded: dict[str, int] = Field(default_factory=dict)
    """Values of accepted rows and their duplicates that were there and became NULL, by column."""
    outside: dict[str, int]
    """Rows that this run does not look at, by reason: at or after as_of, not known at known_at, older snapshots."""
    made: list[date]
    """The days that this try made. The others were there already."""

    @property
    def files(self) -> list[str]:
        """The files that hold accepted rows of these days, and maybe rows of others."""
        return sorted({key for day in self.days for key in day.files})

    @property
    def quarantined_days(self) -> list[DayFiles]:
        """The days with rows in quarantine, the undated rows among them."""
        return [day for day in (*self.days, self.undated) if day and day.quarantine_files]


class CleanManifest(Record):
    """`clean.json`."""

    sources: dict[str, CleanedSource]
