"""What an alert says of objects that are like no delivery."""

from __future__ import annotations

import pytest

from crmbet.extract.records import SourceCaptures, Unreadable
from crmbet.monitoring.alerts.message import Message
from crmbet.monitoring.foreign_objects import describe_foreign

pytestmark = pytest.mark.unit


def source(*unreadable: tuple[str, bool]) -> SourceCaptures:
    return SourceCaptures(
        captures=[],
        unreadable=[
            Unreadable(chunk=f"raw/{name}", why=f"why of {name}", is_foreign=foreign)
            for name, foreign in unreadable
        ],
    )


def test_there_is_nothing_to_say_of_deliveries() -> None:
    assert describe_foreign({}) is None
    assert describe_foreign({"bets": source(("bets/part-0.csv", False))}) is None


def test_one_object_is_named_with_its_reason_and_what_to_do() -> None:
    failure = describe_foreign(
        {
            "bets": source(("bets/part-0.csv", False), ("bets/budget.csv", True)),
            "players": source(),
        }
    )
    assert failure is not None
    assert failure.kind == "ForeignObjects"
    assert failure.what == (
        "one object was set aside: it cannot be read and is like no delivery of its feed (bets). "
        "The run went on without"
    )
    assert (failure.where, failure.why) == ("raw/bets/budget.csv", "why of bets/budget.csv")
    assert "include/contracts/sources/bets.yaml" in failure.next_step
    assert "remove" in failure.next_step

    message = Message(kind="set_aside", dag_id="daily", execution_id="r", failure=failure, as_of="2026-08-12")
    assert message.title == "daily (as_of 2026-08-12) has set objects aside"
    assert message.anchor == "foreign-objects"


def test_many_objects_are_one_message_that_names_a_few() -> None:
    failure = describe_foreign(
        {
            "bets": source(*((f"bets/budget-{number}.csv", True) for number in range(4))),
            "limits": source(*((f"limits/notes-{number}.csv", True) for number in range(4))),
        }
    )
    assert failure is not None
    assert failure.what.startswith("8 objects were set aside")
    assert "(bets, limits)" in failure.what
    assert failure.where == (
        "raw/bets/budget-0.csv, raw/bets/budget-1.csv, raw/bets/budget-2.csv, raw/bets/budget-3.csv, "
        "raw/limits/notes-0.csv and 3 more"
    )
    assert "include/contracts/sources/limits.yaml" in failure.next_step
