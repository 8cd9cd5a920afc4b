"""What a task says of what has changed."""

from __future__ import annotations

import logging
from datetime import UTC, date, datetime

import pytest

from crmbet.extract.records import UNDATED, SourceCaptures
from crmbet.orchestration.handover import day_ranges, log_changes, plan_captures

pytestmark = pytest.mark.unit

CHANGED = SourceCaptures(
    captures=[],
    new=2,
    changed={"raw/bets/a.csv": "changed", "raw/bets/b.csv": "new", "raw/bets/c.csv": "gone"},
    touched_days=["2026-11-20", "2026-11-21", UNDATED],
    bitemporal_from=datetime(2026, 1, 2, tzinfo=UTC),
)


def test_neighbouring_days_are_a_range_and_what_has_no_date_comes_last() -> None:
    days: list[date | str] = [UNDATED, date(2026, 2, 28), "2026-03-01", "2026-03-03"]

    assert day_ranges(days) == "2026-02-28 to 2026-03-01, 2026-03-03, undated"
    assert day_ranges([]) == "none"


def test_a_plan_names_chunks_and_days(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    plan = plan_captures("bets", CHANGED)

    assert plan == {
        "chunks": 2,
        "changed": {"changed": 1, "new": 1, "gone": 1},
        "rows": 0,
        "days": "2026-11-20 to 2026-11-21, undated",
    }
    (line,) = caplog.messages
    assert "bets: 2 chunks would be captured; changed chunks: raw/bets/a.csv (changed, 0 rows)" in line
    assert line.endswith("days touched: 2026-11-20 to 2026-11-21, undated")


def test_a_run_says_what_differs_and_since_when_it_would_know(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    log_changes({"bets": CHANGED})

    (line,) = caplog.messages
    assert "2 chunks captured, 1 changed, 1 new, 1 gone" in line
    assert line.endswith("what the source overwrote before 2026-01-02 00:00:00+00:00 is unknown")
