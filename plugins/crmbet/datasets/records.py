"""The records of a dataset: its days, and the segments that hold them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from pydantic import Field, model_validator

from crmbet.run.records import Record


class DayFiles(Record):
    """One day of a dataset, and the files that hold its rows. Other days may have rows in them: see `_day` there."""

    day: date
    digest: str
    files: list[str]
    days_in_files: int = 1
    """How many days these files hold. If it is 1, all their rows belong to this day."""
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
    erased: int = 0
    """Rows of erased players, which no file holds."""
    quarantine_files: list[str] = Field(default_factory=list)
    days_in_quarantine: int = 1
    """How many days the files of quarantine hold."""


class Segment(Record):
    """Some days of a dataset that lie in the same files: the content of a done-file."""

    days: list[DayFiles]
    joined_at: datetime | None = None
    """known_at of the run that joined these days from other segments; None if they were made for this one."""

    @model_validator(mode="before")
    @classmethod
    def _one_day(cls, given: Any) -> Any:
        """Before 0.8.0 a done-file was about one day."""
        return given if not isinstance(given, Mapping) or "days" in given else {"days": [given]}
