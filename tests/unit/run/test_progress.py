"""What a long piece of work says in the log while it runs."""

from __future__ import annotations

import logging

import pytest

from crmbet.run.progress import Progress, timed

pytestmark = pytest.mark.unit

LOG = logging.getLogger("work")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_long_work_says_what_is_done_how_fast_and_what_is_left(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    clock = Clock()
    progress = Progress(LOG, "cleaned bets", unit="days", total=4, total_rows=4000, clock=clock)

    for seconds, rows in ((5, 1000), (20, 1000), (25, 1000), (40, 1000)):
        clock.now = seconds
        progress.advance(1, rows)
    progress.finish()

    assert lines(caplog) == [
        "cleaned bets: 2 of 4 days, 100 rows a second, about 0:00:20 left",
        "cleaned bets: 4 days with 4,000 rows in 40.0 s, 100 rows a second",
    ]


def test_without_a_number_of_rows_the_time_left_goes_by_parts(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    clock = Clock()
    progress = Progress(LOG, "captured bets", unit="objects", total=10, clock=clock)
    clock.now = 60
    progress.advance(4, 0)

    assert lines(caplog) == ["captured bets: 4 of 10 objects, 0 rows a second, about 0:01:30 left"]


def test_no_work_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    Progress(LOG, "cleaned bets", unit="days", total=0).finish()

    assert lines(caplog) == []


def test_a_step_says_how_long_it_took_aloud_only_if_it_was_long(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    clock = Clock()

    for step, seconds in (("state", 12.5), ("theme games", 0.25)):
        with timed(LOG, step, clock):
            clock.now += seconds

    assert lines(caplog) == ["state took 12.5 s", "theme games took 0.2 s"]
    found = [
        (record.levelname, record.__dict__["step"], record.__dict__["seconds"]) for record in caplog.records
    ]
    assert found == [("INFO", "state", 12.5), ("DEBUG", "theme games", 0.25)]
