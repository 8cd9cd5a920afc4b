"""What a person hears of the stream."""

from __future__ import annotations

from datetime import date

import pytest

from crmbet.monitoring.streams import describe_age, describe_parity
from crmbet.stream.figures import StreamFigures, Told
from crmbet.stream.parity import Parity

pytestmark = pytest.mark.unit


def figures(*ages: float) -> StreamFigures:
    found = StreamFigures(max_age_seconds=60)
    for age in ages:
        found.add_batch(messages=1, poison=0, age=age)
    return found


def test_a_run_ends_itself_when_its_rows_become_old_and_not_when_it_begins_behind() -> None:
    assert not figures(1, 2, 59).has_become_old
    assert figures(1, 61).has_become_old
    assert not figures(4000, 300, 61, 1).has_become_old


def test_what_was_done_is_told_once() -> None:
    found = figures(3, 7)
    assert (found.untold.batches, found.untold.age_max) == (2, 7)
    found.untold = Told()
    found.add_late(4)
    assert (found.untold.batches, found.untold.late, found.untold.age_max) == (0, 4, None)
    assert (found.batches, found.late) == (2, 4)


def test_the_time_of_a_stage_adds_up() -> None:
    found = figures()
    for _ in range(2):
        with found.stage("sum"):
            sum(range(100_000))
    spent = found.stages["sum"]
    assert spent.cpu_seconds > 0
    assert spent.seconds > 0
    assert {*found.manifest().stages} == {"sum"}


def test_old_rows_are_a_warning() -> None:
    assert describe_age(figures(1, 2).manifest()) is None
    failure = describe_age(figures(1, 61).manifest())
    assert failure is not None
    assert failure.kind == "StreamBehind"
    assert "61 s behind" in failure.what


def test_a_broker_that_does_not_answer_is_a_warning() -> None:
    away = figures(1)
    ends = []
    for seconds in (30, 90):
        away.add_absence(seconds, is_new=True)
        ends.append(away.has_become_old)
    assert ends == [False, True]
    failure = describe_age(away.manifest())
    assert failure is not None
    assert "Kafka did not answer for 90 s" in failure.why


def test_a_run_that_waits_for_a_broker_does_not_end_because_of_it() -> None:
    waiting = figures()
    waiting.add_absence(4000, is_new=False)
    assert not waiting.has_become_old
    assert waiting.manifest().was_old


def test_rows_that_differ_are_a_warning_with_their_columns() -> None:
    equal = Parity(day=date(2026, 8, 12), rows=3, differing={}, examples=[])
    assert describe_parity(equal) is None
    failure = describe_parity(equal.model_copy(update={"differing": {"bets": 2}, "examples": ["ana"]}))
    assert failure is not None
    assert failure.kind == "StreamDiffers"
    assert "bets: 2" in failure.what
    assert "ana" not in failure.what + failure.where + failure.why + failure.next_step
