"""What an alert says of rows that somebody has edited."""

from __future__ import annotations

from typing import Any

import pytest

from crmbet.load.records import LoadManifest
from crmbet.monitoring.alerts.message import Message
from crmbet.monitoring.hand_edits import describe_edits

pytestmark = pytest.mark.unit


def loaded(**counts: Any) -> LoadManifest:
    zeros = dict.fromkeys(("inserted", "updated", "unchanged", "removed", "marked", "recorded"), 0)
    return LoadManifest(strategy="merge", staged=3, **{**zeros, "backup": "user_features_backup_x", **counts})


def test_there_is_nothing_to_say_of_a_table_that_nobody_has_touched() -> None:
    assert describe_edits(loaded()) is None


@pytest.mark.parametrize(
    ("counts", "what"),
    [
        ({"edited": 3}, "edited by hand: 3 rows of the feature table."),
        ({"edited_history": 2}, "edited by hand: 2 rows of its history."),
        (
            {"edited": 3, "edited_history": 2},
            "edited by hand: 3 rows of the feature table and 2 rows of its history.",
        ),
    ],
)
def test_rows_are_counted_by_table(counts: dict[str, int], what: str) -> None:
    failure = describe_edits(loaded(**counts))

    assert failure is not None
    assert failure.what.startswith(what)
    assert ("user_features_backup_x" in failure.next_step) == ("edited" in counts)
    message = Message(
        kind="set_aside", dag_id="daily", execution_id="run", failure=failure, as_of="2026-08-12"
    )
    assert message.title == "daily (as_of 2026-08-12) has found edits by hand"
    assert message.anchor == "hand-edits"


def test_a_manifest_of_an_earlier_release_has_no_edits() -> None:
    old = loaded().model_dump(exclude={"edited", "edited_history"})

    assert describe_edits(LoadManifest.model_validate(old)) is None
