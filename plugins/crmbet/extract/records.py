"""The records of extraction: the captures that a run uses, and what has changed since the last one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import Field, model_validator

from crmbet.contracts.source import SourceName
from crmbet.run.records import Record

UNDATED = "undated"
"""The day of rows whose event time cannot be read."""

PassedOver = Literal["hidden", "marker", "ending"]
"""Why an object is not read: it is hidden or unfinished, says something about other objects, or has an ending that no
format has."""


class DayCount(Record):
    """The rows of one day within a chunk."""

    rows: int
    fingerprint: str
    """Sum of the rows' hashes. It does not depend on their order; a changed day changes it."""


class ColumnsRead(Record):
    """Which columns of a lake object were read. By this, a contract with other names recognises what it would read."""

    content: str
    """Identity of the object, of the contract's columns and of how rows are dated, whatever the columns' names."""
    names: dict[str, list[SourceName]] = Field(default_factory=dict)
    """By column: the name that counted, or none if none was there. A column that is left out was read by its own name.
    If `by_record`, these are all names that could count."""
    foreign: list[str] = Field(default_factory=list)
    """Columns of the object that were not read. If `by_record`, maybe not all of them."""
    by_record: bool = False
    """Whether each record has its own names, as in JSON."""
    incomplete: list[str] = Field(default_factory=list)
    """If `by_record`: the columns that have no value in some record, so that another name may give it one."""


class Capture(Record):
    """One captured chunk: an entry of a done-file and of the manifest."""

    source: str
    chunk: str
    """What was captured: an object's key, a day of PostgreSQL, or the offsets of a partition of Kafka."""
    digest: str
    files: list[str]
    part: str | None = None
    """Which rows of the files belong to the chunk: those of a UTC day (ISO), or UNDATED. None means all rows."""
    chunks_in_files: int = 1
    """How many lake objects, or chunks of a stream, have rows in these files. If there are more, `_source_key`, or
    `_chunk` of a stream, tells them apart."""
    streamed: bool = False
    """Whether it is a chunk of a stream, of which each row has a `_source_key` of its own."""
    types: dict[str, str] = Field(default_factory=dict)
    """Engine types of the columns that are not captured as text."""
    columns_read: ColumnsRead | None = None
    """None for PostgreSQL, and in captures of versions that did not record it."""
    extracted: int
    """Records in the source, counted independently of the parser."""
    size: int = 0
    """Bytes of the text that the records were read from; 0 for other sources and in old captures."""
    set_aside: int = 0
    """Of these, the bytes of what could not be split into records and read."""
    days: dict[str, DayCount]
    """Rows by operator day (ISO) or UNDATED. They sum to `extracted`."""
    exact_ids: bool = False
    """Whether an id that was a number is either spelled by its digits or set aside. Releases before 0.8.0 spelled such
    an id as the engine does, so that `7.0` may be the number 7."""
    latest_known_time: datetime | None = None
    """Newest ingested_at among the rows."""
    source_modified_at: datetime | None = None
    captured_at: datetime
    """known_at of the first run that captured this content."""
    made_at: datetime
    """known_at of the run that wrote the files: later than captured_at only after a full refresh."""
    joined_at: datetime | None = None
    """known_at of the run that copied the rows into a file of many captures."""
    erased: dict[str, int] = Field(default_factory=dict)
    """Rows of erased players that are in the files no more, by operator day (ISO) or UNDATED. They still count in
    `extracted` and in `days`, which say what the source delivered."""
    gone: bool = False
    """Whether the source has deleted the chunk. Such a capture has no files."""

    @property
    def held(self) -> int:
        """Records that the files hold."""
        return self.extracted - sum(self.erased.values())


class CaptureSegment(Record):
    """Chunks that were captured together, in the same files: the content of a done-file."""

    captures: list[Capture] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _one_chunk(cls, given: Any) -> Any:
        """Before 0.8.0 a done-file was about one chunk."""
        return given if not isinstance(given, Mapping) or "captures" in given else {"captures": [given]}


class Unreadable(Record):
    """A lake object that cannot be read as the format that its name promises. Only this object is set aside."""

    chunk: str
    why: str
    is_foreign: bool = False
    """Whether it looks like no delivery of this feed that was ever read. The gate does not count it then."""


class Objects(Record):
    """Some objects of a feed. However many there are, only the first ones are named."""

    count: int
    bytes: int
    examples: list[str]
    """The first keys."""

    @property
    def shown(self) -> str:
        """The examples, for a message."""
        return ", ".join(self.examples) + (", ..." if self.count > len(self.examples) else "")


LATE = timedelta(days=1)
"""A run that knows its facts within this time of its as_of is a daily run, late or not."""


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
    passed_over: dict[PassedOver, Objects] = Field(default_factory=dict)
    """Objects of the feed's folder that are not read, by reason."""
    empty: Objects | None = None
    """Objects that hold no record. They are among the captures."""
    future: int = 0
    """Rows of PostgreSQL dated after the day on which the run looked. They are not among the captures."""
    bitemporal_from: datetime | None = None
    """The instant of our first capture. What the source overwrote before it is unknown."""
    captured_then: bool = False
    """Whether some content was captured within `LATE` of the run's as_of, by a run of that day."""

    @property
    def extracted(self) -> int:
        """Records in all captures."""
        return sum(capture.extracted for capture in self.captures)

    @property
    def foreign(self) -> list[Unreadable]:
        """Those set aside that look like no delivery of this feed."""
        return [entry for entry in self.unreadable if entry.is_foreign]


class ExtractManifest(Record):
    """`extract_s3.json` and `extract_pg.json`. An optional source that is absent has no entry."""

    sources: dict[str, SourceCaptures]
