"""The records of extraction: the captures that a run uses, and what has changed since the last one."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from crmbet.run.records import Record

UNDATED = "undated"
"""The day of rows whose event time cannot be read."""


class DayCount(Record):
    """The rows of one day within a chunk."""

    rows: int
    fingerprint: str
    """Sum of the rows' hashes. It does not depend on their order; a changed day changes it."""


class Capture(Record):
    """One captured chunk: the content of a done-file, and an entry of the manifest."""

    source: str
    chunk: str
    """What was captured: an object's key, or a day of PostgreSQL."""
    digest: str
    files: list[str]
    part: str | None = None
    """Which rows of the files belong to the chunk: those of a UTC day (ISO), or UNDATED. None means all rows."""
    types: dict[str, str] = Field(default_factory=dict)
    """Engine types of the columns that are not captured as text."""
    extracted: int
    """Records in the source, counted independently of the parser."""
    days: dict[str, DayCount]
    """Rows by operator day (ISO) or UNDATED. They sum to `extracted`."""
    latest_known_time: datetime | None = None
    """Newest ingested_at among the rows."""
    source_modified_at: datetime | None = None
    captured_at: datetime
    """known_at of the first run that captured this content."""
    made_at: datetime
    """known_at of the run that wrote the files: later than captured_at only after a full refresh."""
    gone: bool = False
    """Whether the source has deleted the chunk. Such a capture has no files."""


class Unreadable(Record):
    """A lake object that cannot be read as the format that its name promises. Only this object is set aside."""

    chunk: str
    why: str


class SourceCaptures(Record):
    """All captures of one source that the run uses."""

    captures: list[Capture]
    new: int = 0
    """How many of them this run captured itself."""
    changed: dict[str, str] = Field(default_factory=dict)
    """Changes that this run is the first to see: chunk to new, changed, shrunken or gone. A retry reports the same."""
    touched_days: list[str] = Field(default_factory=list)
    """Operator days (ISO, or UNDATED) whose rows these changes alter, in order."""
    unreadable: list[Unreadable] = Field(default_factory=list)
    """Objects that are set aside. If one was readable before, its earlier content still counts."""
    future: int = 0
    """Rows of PostgreSQL dated after the day on which the run looked. They are not among the captures."""
    bitemporal_from: datetime | None = None
    """The instant of our first capture. What the source overwrote before it is unknown."""

    @property
    def extracted(self) -> int:
        """Records in all captures."""
        return sum(capture.extracted for capture in self.captures)


class ExtractManifest(Record):
    """`extract_s3.json` and `extract_pg.json`. An optional source that is absent has no entry."""

    sources: dict[str, SourceCaptures]
