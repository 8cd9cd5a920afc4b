"""The records of cleaning: where every extracted row of a run went."""

from __future__ import annotations

from datetime import UTC, date, datetime

from pydantic import Field

from crmbet.datasets.records import DayFiles
from crmbet.run.records import Record

UNDATED_DAY = date(1, 1, 1)
"""Rows without a readable event time are kept under this day. All of them are in quarantine."""


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
    erased: int = 0
    """Rows of erased players."""
    delivered_again: int = 0
    """Of these, rows in the days that this try made: the source still delivers them."""
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
        undated = self.undated or self._undated_of_an_earlier_release
        return [day for day in (*self.days, undated) if day and day.quarantine_files]

    @property
    def _undated_of_an_earlier_release(self) -> DayFiles | None:
        """Manifests before 0.8.0 name the files of undated rows, and nothing else of them. Each file is of one day."""
        dated = {key for day in self.days for key in day.quarantine_files}
        files = [key for key in self.quarantine_files if key not in dated]
        if not files:
            return None
        digest = files[0].rpartition("/")[0].rpartition("set=")[2]
        made_at = max((day.made_at for day in self.days), default=datetime.min.replace(tzinfo=UTC))
        return DayFiles(
            day=UNDATED_DAY, digest=digest, files=[], rows=0, made_at=made_at, quarantine_files=files
        )


class CleanManifest(Record):
    """`clean.json`."""

    sources: dict[str, CleanedSource]
