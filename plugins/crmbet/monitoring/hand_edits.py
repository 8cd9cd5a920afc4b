"""What a run has to tell of rows that somebody had edited by hand."""

from __future__ import annotations

from crmbet.load.records import LoadManifest
from crmbet.monitoring.outcome import Failure


def describe_edits(load: LoadManifest) -> Failure | None:
    """The rows that a load found edited, as one message; None if there were none."""
    found = {
        "rows of the feature table": load.edited,
        "rows of its history": load.edited_history,
        "rows that were deleted from the feature table": load.deleted,
    }
    counted = " and ".join(f"{rows} {what}" for what, rows in found.items() if rows)
    told = []
    if counted:
        told.append(f"edited by hand: {counted}. The load has put back what was computed")
    if load.disputed:
        told.append(
            f"{load.disputed} rows differ in the feature table and its history, and neither has its row_hash. "
            "The load has left them: a run of their as_of computes what is right"
        )
    if not told:
        return None
    return Failure(
        kind="HandEdits",
        what=". ".join(told),
        why="they were not those that a run had written",
        next_step="find out who writes to the table, and take that right away; campaigns since the last run may have "
        "used what was edited"
        + (
            f", which the backup {load.backup} holds" if load.backup and (load.edited or load.deleted) else ""
        ),
    )
