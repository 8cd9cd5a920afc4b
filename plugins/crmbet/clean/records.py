"""The records of cleaning: where every extracted row of a run went."""

from __future__ import annotations

from datetime import date

from pydantic import Field

from crmbet.datasets.records import DayFiles
from crmbet.run.records import Record


class CleanedSource(Record):
    """A cleaned source: its days before as_of, and where every extracted row went."""

    days: list[DayFiles]
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


class CleanManifest(Record):
    """`clean.json`."""

    sources: dict[str, CleanedSource]
