"""A run in figures."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmbet.failures import LostConnection, QualityBreach
from crmbet.monitoring.metrics import (
    OTHER_REASONS,
    REASONS_KEPT,
    RunMetrics,
    StageQuality,
    keep_common,
    list_breaches,
)
from crmbet.monitoring.outcome import Failure, Stopwatch, peak_memory_bytes

pytestmark = pytest.mark.unit

STARTED = datetime(2026, 11, 24, 3, tzinfo=UTC)


def metrics(**fields: Any) -> RunMetrics:
    known = {
        "dag_id": "user_features_daily",
        "execution_id": "run",
        "run_type": "scheduled",
        "brand": "default",
        "as_of": STARTED,
        "state": "success",
        "started_at": STARTED,
        "ended_at": STARTED + timedelta(seconds=90),
    }
    return RunMetrics(**(known | fields))


def test_the_figures_of_the_original_specification() -> None:
    run = metrics(
        records_extracted=1000,
        records_cleaned=900,
        quarantined={"bets": {"user_id: missing": 60, "stake: unreadable": 40}},
        records_inserted=5,
        records_updated=10,
        records_unchanged=85,
        quality={
            "raw": StageQuality(score=0.8, grade="B", passed=True, report="s3://x"),
            "features": StageQuality(score=1.0, grade="A", passed=True, report="s3://y"),
        },
    )

    assert run.duration_seconds == 90
    assert run.records_loaded == 100
    assert run.success_rate == 0.1
    assert run.records_quarantined == 100
    assert run.accepted_rate == 0.9
    assert (run.data_quality_score, run.quality_grade) == (0.8, "B")


def test_a_run_that_got_nowhere_has_no_figures_rather_than_zeros() -> None:
    run = metrics(state="failed", as_of=None)

    for name in (
        "records_quarantined",
        "records_loaded",
        "success_rate",
        "accepted_rate",
        "data_quality_score",
    ):
        assert getattr(run, name) is None


def test_ten_thousand_reasons_are_fifty_and_a_sum() -> None:
    reasons = {f"reason {number}": number for number in range(10_000)}

    kept = keep_common({"bets": reasons})["bets"]

    assert len(kept) == REASONS_KEPT + 1
    assert kept[OTHER_REASONS] > kept["reason 9999"] == 9999


@given(st.dictionaries(st.text(), st.integers(0, 10**9), max_size=200))
def test_no_row_of_quarantine_is_lost(reasons: dict[str, int]) -> None:
    reasons.pop(OTHER_REASONS, None)
    assert sum(keep_common({"bets": reasons})["bets"].values()) == sum(reasons.values())


def test_breaches_are_what_did_not_pass() -> None:
    outcome = {"view": "raw_bets", "title": "t", "threshold": None, "observed": 0.5, "unexpected_share": None,
               "keys": [f"bet_id={number}" for number in range(20)], "error": None}  # fmt: skip
    report = {
        "checks": [
            {"check": "completeness", "severity": "CRITICAL", "recommendation": "look", "expectations": [
                outcome | {"passed": True}, outcome | {"passed": False}, outcome | {"passed": False, "error": "boom"},
                outcome | {"passed": False, "finding": "21.60% of rows have no user_id"},
                outcome | {"passed": False, "unexpected_share": 0.216}]},
        ]
    }  # fmt: skip

    breaches = list(list_breaches("raw", json.dumps(report).encode()))

    assert [(breach.observed, len(breach.keys)) for breach in breaches] == [
        ("0.5", 5),
        ("could not be judged: boom", 5),
        ("21.60% of rows have no user_id", 5),
        ("21.60% of rows are not as expected", 5),
    ]


def test_what_broke_never_quotes_what_nobody_has_checked() -> None:
    assert "secret" not in repr(Failure.of(RuntimeError("password=secret")))
    assert Failure.of(None).kind == "Killed"
    ours = Failure.of(LostConnection("S3 is gone", where="s3://lake", why="timeout", next_step="wait"))
    assert (ours.kind, ours.what, ours.why) == ("LostConnection", "S3 is gone", "timeout")
    assert Failure.of(QualityBreach("bad", why="such as user u1")).why == ""


def test_memory_is_that_since_the_start() -> None:
    held = bytearray(200_000_000)
    high = peak_memory_bytes()
    del held
    Stopwatch.start()

    assert peak_memory_bytes() < high
