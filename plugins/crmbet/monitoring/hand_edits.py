"""What a run has to tell of rows that somebody had edited by hand."""

from __future__ import annotations

from crmbet.load.records import LoadManifest
from crmbet.monitoring.outcome import Failure
from crmbet.texts import ENGLISH, Texts


def describe_edits(load: LoadManifest, say: Texts = ENGLISH) -> Failure | None:
    """The rows that a load found edited, as one message; None if there were none."""
    found = {
        say("{rows} rows of the feature table", rows=load.edited): load.edited,
        say("{rows} rows of its history", rows=load.edited_history): load.edited_history,
        say("{rows} rows that were deleted from the feature table", rows=load.deleted): load.deleted,
    }
    counted = say(" and ").join(what for what, rows in found.items() if rows)
    told = []
    if counted:
        told.append(
            say("edited by hand: {counted}. The load has put back what was computed", counted=counted)
        )
    if load.disputed:
        told.append(
            say(
                "{rows} rows differ in the feature table and its history, and neither has its row_hash. "
                "The load has left them: a run of their as_of computes what is right",
                rows=load.disputed,
            )
        )
    if not told:
        return None
    kept = load.backup and (load.edited or load.deleted)
    return Failure(
        kind="HandEdits",
        what=". ".join(told),
        why=say("they were not those that a run had written"),
        next_step=say(
            "find out who writes to the table, and take that right away; campaigns since the last run may have "
            "used what was edited"
        )
        + (say(", which the backup {backup} holds", backup=load.backup) if kept else ""),
    )
