"""Suites are read strictly: whatever would make a suite check less than it says is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crmbet.quality.checks import REQUIRED_CHECKS, Check
from crmbet.quality.suites import BadSuite, load_suites, require_parameters

pytestmark = pytest.mark.unit

ENTRY = {
    "type": "expect_rows_to_satisfy",
    "description": "all is well",
    "kwargs": {"condition": "true", "tolerance": {"$PARAMETER": "max_quarantine_share"}},
}


def entry(check: Check, **fields: Any) -> dict[str, Any]:
    return {**ENTRY, "meta": {"check": check.label, "severity": check.severity}, **fields}


@pytest.fixture
def suite() -> dict[str, Any]:
    """A raw suite that is as it should be."""
    count = {
        "type": "expect_table_row_count_to_be_between",
        "kwargs": {"min_value": {"$PARAMETER": "min_rows_per_day"}},
    }
    checks = [check.name for check in Check if check in REQUIRED_CHECKS["raw"] - {Check.COMPLETENESS}]
    return {
        "name": "raw_bets",
        "meta": {"meaning": "Bets.", "required": True, "key": ["bet_id", "_row"]},
        "expectations": [entry(Check.COMPLETENESS, **count), *(entry(Check[name]) for name in checks)],
    }


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Any], Path]:
    def write_suite(content: Any) -> Path:
        (tmp_path / "raw").mkdir(exist_ok=True)
        text = content if isinstance(content, str) else json.dumps(content)
        (tmp_path / "raw" / "raw_bets.json").write_text(text)
        return tmp_path

    return write_suite


def test_a_good_suite_is_read_whole(suite: dict[str, Any], write: Callable[[Any], Path]) -> None:
    (read,) = load_suites("raw", write(suite))
    assert [entry.check for entry in read.expectations] == [
        check for check in Check if check in REQUIRED_CHECKS["raw"]
    ]
    assert read.meta.key == ["bet_id", "_row"]


def change(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def apply(suite: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        target: Any = suite
        for name in parents:
            target = target[int(name)] if name.isdigit() else target[name]
        target[last] = value

    return apply


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (change("expectations", []), "expectations"),
        (change("expectations.0.meta.check", "completness"), "'completness' is not one of completeness"),
        (change("expectations.0.meta.severity", "LOW"), "completeness is CRITICAL, not LOW"),
        (change("expectations.0.meta", {"severity": "CRITICAL"}), "check: Field required"),
        (change("expectations.0.meta", {"check": "completeness"}), "severity: Field required"),
        (change("expectations.0.mostly", 0.5), "mostly: Extra inputs are not permitted"),
        (change("expectations.0.description", ""), "description"),
        (change("expectations.0.type", "expect_rows_to_satisfy"), "row count is missing"),
        (change("meta.key", []), "meta.key"),
        (change("meta.key", ["bet_id; DROP TABLE x"]), "meta.key.0"),
        (change("meta.required", None), "meta.required"),
        (change("name", "raw_bet"), "is named 'raw_bet'"),
        (change("expectations.1.kwargs", {"condition": "true", "threshold": 3}), "a threshold is given, and"),
    ],
)
def test_a_suite_that_would_check_less_than_it_says_is_refused(
    spoil: Callable[[dict[str, Any]], None], told: str, suite: dict[str, Any], write: Callable[[Any], Path]
) -> None:
    spoil(suite)
    with pytest.raises(BadSuite) as raised:
        load_suites("raw", write(suite))
    assert told in str(raised.value)
    assert "raw_bets.json" in str(raised.value)


def test_a_file_that_is_no_json_is_refused(write: Callable[[Any], Path]) -> None:
    with pytest.raises(BadSuite, match=r"raw_bets\.json is no valid suite"):
        load_suites("raw", write("{"))


@pytest.mark.parametrize("position", range(1, 9))
def test_a_required_check_without_an_expectation_is_refused(
    position: int, suite: dict[str, Any], write: Callable[[Any], Path]
) -> None:
    removed = suite["expectations"].pop(position)
    with pytest.raises(
        BadSuite, match=f"no suite of raw data expects anything for {removed['meta']['check']}"
    ):
        load_suites("raw", write(suite))


def test_a_stage_without_suites_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSuite, match="business_rules, completeness, data_freshness"):
        load_suites("raw", tmp_path)


def test_a_parameter_without_a_threshold_is_refused_by_name(
    suite: dict[str, Any], write: Callable[[Any], Path]
) -> None:
    suites = load_suites("raw", write(suite))
    require_parameters(suites, {"min_rows_per_day": 1, "max_quarantine_share": 0.05})
    with pytest.raises(BadSuite, match="no threshold is known for max_quarantine_share"):
        require_parameters(suites, {"min_rows_per_day": 1})


def test_a_parameter_is_found_however_deep_it_lies(
    suite: dict[str, Any], write: Callable[[Any], Path]
) -> None:
    suite["expectations"][1]["kwargs"] = {"ranges": [{"low": {"$PARAMETER": "deep"}}]}
    with pytest.raises(BadSuite, match="deep"):
        require_parameters(
            load_suites("raw", write(suite)), {"min_rows_per_day": 1, "max_quarantine_share": 0.05}
        )


def test_parsing_a_dag_loads_no_heavy_package() -> None:
    heavy = ["great_expectations", "duckdb", "duckdb_engine", "pandas", "pyarrow", "sqlalchemy"]
    program = (
        "import sys; import crmbet.quality.gate, crmbet.quality.report;"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    path = {"PYTHONPATH": str(Path(__file__).parents[3] / "plugins")}
    found = subprocess.run(
        [sys.executable, "-c", program], env=path, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"
