"""The records of backup and load."""

from __future__ import annotations

from crmbet.run.records import Record


class BackupManifest(Record):
    """`backup_table.json`."""

    backup: str | None
    rows: int


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
