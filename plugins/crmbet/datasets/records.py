"""The record of a dataset's day: the content of its done-file."""

from __future__ import annotations

from datetime import date, datetime

from pydantic import Field

from crmbet.run.records import Record


class DayFiles(Record):
    """One day of a dataset: the content of its done-file."""

    day: date
    digest: str
    files: list[str]
    rows: int
    made_at: datetime
    """known_at of the run that wrote the files. Of several done-files for one digest the latest counts."""
    duplicates: int = 0
    unknown_yet: int = 0
    """Rows that were ingested after known_at."""
    quarantined: dict[str, int] = Field(default_factory=dict)
    """Rows by reason."""
    discarded: dict[str, int] = Field(default_factory=dict)
    """Values that were there and became NULL, by column."""
    quarantine_files: list[str] = Field(default_factory=list)
