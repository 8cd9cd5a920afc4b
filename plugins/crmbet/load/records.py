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
    backup: str | None
