from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from crmbet.load.quality_results import _findings
from crmbet.quality.gate import _missing
from crmbet.quality.report import Report, Subject
from crmbet.quality.suites import load_suites

pytestmark = pytest.mark.unit


def test_a_row_says_that_a_required_source_is_missing() -> None:
    suite = next(suite for suite in load_suites("raw") if suite.name == "raw_bets")
    now = datetime(2026, 3, 1, tzinfo=UTC)
    report = Report("raw", Subject(run_id="r", as_of=now, known_at=now), (_missing(suite),))
    (check,) = (check for check in report.checks if not check.passed)

    findings: dict[str, Any] = _findings(check)

    assert [each["finding"] for each in findings["observed"]] == ["raw_bets is required, but it is not there"]
