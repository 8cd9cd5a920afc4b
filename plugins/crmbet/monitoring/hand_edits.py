"""What a run has to tell of rows that somebody had edited by hand."""

from __future__ import annotations

from crmbet.load.records import LoadManifest
from crmbet.monitoring.outcome import Failure


def describe_edits(load: LoadManifest) -> Failure | None:
    """The rows that a load found edited, as one message; None if there were none."""
    found = {"the feature table": load.edited, "its history": load.edited_history}
    counted = " and ".join(f"{rows} rows of {table}" for table, rows in found.items() if rows)
    if not counted:
        return None
    return Failure(
        kind="HandEdits",
        what=f"edited by hand: {counted}. The load has put back what was computed",
        why="their cells were not those that a run had written",
        next_step="find out who writes to the table, and take that right away; campaigns since the last run may have "
        "used what was edited"
        + (f", which the backup {load.backup} holds" if load.backup and load.edited else ""),
    )
