"""The records of backup and load."""

from __future__ import annotations

from pydantic import Field

from crmbet.run.records import Record


class BackupManifest(Record):
    """`backup_table.json`."""

    backup: str | None
    rows: int


class Movement(Record):
    """Players who were in one segment some days ago and are in another one now, or who have stayed."""

    days: int
    dimension: str
    """The column that holds the segment."""
    from_segment: str | None
    """None for players who were not there."""
    to_segment: str | None
    """None for players who are not there any more."""
    players: int
    reason: str | None = None
    """The feature that has moved most of them; None for those who came, left or stayed."""


class LoadManifest(Record):
    """`load_merge.json`."""

    strategy: str
    staged: int
    inserted: int
    updated: int
    unchanged: int
    removed: int
    marked: int
    recorded: int
    edited: int = 0
    """Rows of the target that somebody had edited by hand."""
    edited_history: int = 0
    deleted: int = 0
    """Rows of the newest run that somebody had deleted from the target."""
    disputed: int = 0
    """Rows that differ in target and history, and nothing says which of them is right."""
    backup: str | None
    """The backup that holds what the target held before, by whichever task of the run it was made."""
    movements: list[Movement] = Field(default_factory=list)
    """Empty if a later as_of is in the table, or if there is no earlier day to compare with."""
