"""What a file of an audience may say, and what it may not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmbet.audiences.definitions import Audience, Definition, check_audience, read_audiences
from crmbet.contracts.files import load_reasons_contract, load_table_contract
from crmbet.failures import BadAudience
from local.workspace import PROJECT

pytestmark = pytest.mark.unit

TABLE, REASONS = load_table_contract(), load_reasons_contract()


def audience(condition: str, **others: Any) -> Audience:
    definition = Definition(name="some", description="Some players", condition=condition, **others)
    return check_audience(definition, TABLE, REASONS)


@pytest.mark.parametrize(
    ("condition", "written"),
    [
        ("tenure_days <= 30", '(target."tenure_days" <= (30))'),
        ("clv_12m > 1.50 -- much", '(target."clv_12m" > (150e-2))'),
        ("p_alive < 1e-3", '(target."p_alive" < (0.001::double precision))'),
        ("churn_reason_1 = 'idle_days'", """(reasons."churn_reason_1" = 'idle_days')"""),
        ("rfm_segment IN ('lost', 'it''s')", """(target."rfm_segment" IN ('lost', 'it''s'))"""),
        ("list_contains(canais_permitidos, 'sms')", """('sms' = ANY (target."canais_permitidos"))"""),
        ("preferred_device LIKE 'a%'", """(target."preferred_device" LIKE 'a%')"""),
        (
            "NOT gone AND (-2 * clv_12m > 0 OR gone)",
            '((NOT target."gone") AND ((((-2) * target."clv_12m") > (0)) OR target."gone"))',
        ),
        ("tenure_days BETWEEN 1 AND -2", '(target."tenure_days" BETWEEN (1) AND (-2))'),
        ("marketing_allowed IS TRUE", '(target."marketing_allowed" IS NOT DISTINCT FROM true)'),
        ("coalesce(tenure_days, 0) IS NOT NULL", '(coalesce(target."tenure_days", (0)) IS NOT NULL)'),
    ],
)
def test_a_condition_is_written_again(condition: str, written: str) -> None:
    assert audience(condition).condition.sql == written


@pytest.mark.parametrize(
    "condition",
    [
        "tenure_days IN (SELECT 1)",
        "EXISTS (FROM read_csv('/etc/passwd'))",
        "read_text('/etc/passwd') = ''",
        "tenure_days = pg_sleep(3)",
        "tenure_days = 1; DROP TABLE user_features",
        "tenure_days = 1 UNION SELECT 1",
        "tenure_days = 1 GROUP BY 1",
        "true LIMIT 1",
        "true) OR (true",
        "true ORDER BY 1",
        "tenure_days = $1",
        "count(*) > 1",
        "sum(tenure_days) OVER () > 1",
        "CASE WHEN true THEN true END",
        "tenure_days::text = '1'",
        "tenure_days / 2 > 1",
        "pg_catalog.list_contains(canais_permitidos, 'sms')",
        "user_features.tenure_days = 1",
        "nobody_knows = 1",
        "",
    ],
)
def test_what_is_no_condition_is_refused(condition: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        audience(condition)


@given(st.text(alphabet="'\\\"%;()-*/ ab\n\0", max_size=30))
def test_a_text_stays_a_text(text: str) -> None:
    """Whatever is between the quotes comes out between quotes, or the condition is refused."""
    quoted = "'" + text.replace("'", "''") + "'"
    try:
        written = audience(f"rfm_segment = {quoted}").condition.sql
    except ValueError:
        assert "\0" in text
    else:
        assert written == f'(target."rfm_segment" = {quoted})'


@pytest.mark.parametrize(
    "told",
    [
        {"condition": "rg_risk_band = 'high'"},
        {"condition": "NOT (tenure_days > 1 AND rg_prohibited_flag)"},
        {"condition": "rg_reason_1 IS NULL"},
        {"condition": "true", "columns": ["rg_risk_score"]},
        {"condition": "true", "columns": ["rg_reason_1"]},
    ],
)
def test_only_a_protective_audience_knows_of_risk(told: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="responsible gambling"):
        audience(**told)
    assert audience(**told, protective=True).purpose == "protective"


def test_a_column_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ValueError, match="no column clv"):
        audience("true", columns=["clv"])


def test_a_bad_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text("{name: good, description: d, condition: 'true'}", encoding="utf-8")
    assert [each.name for each in read_audiences(tmp_path, TABLE, REASONS)] == ["good"]
    for text, why in (
        ("{name: bad, description: d, condition: 'rg_risk_score > 0'}", "responsible gambling"),
        ("{name: bad, description: d, condition: 'true', marketing_allowed: false}", "marketing_allowed"),
        ("{name: Bad Name, description: d, condition: 'true'}", "name"),
        ("[", "expected"),
    ):
        (tmp_path / "bad.yaml").write_text(text, encoding="utf-8")
        with pytest.raises(BadAudience, match=r"bad\.yaml") as refused:
            read_audiences(tmp_path, TABLE, REASONS)
        assert why in refused.value.why
    (tmp_path / "bad.yaml").write_text("{name: good, description: d, condition: 'true'}", encoding="utf-8")
    with pytest.raises(BadAudience, match="one name"):
        read_audiences(tmp_path, TABLE, REASONS)
    with pytest.raises(BadAudience, match="no folder"):
        read_audiences(tmp_path / "nowhere", TABLE, REASONS)


def test_the_examples_may_be_handed_over() -> None:
    examples = read_audiences(PROJECT / "config" / "audiences", TABLE, REASONS)
    assert {each.purpose for each in examples} == {"marketing", "protective"}


def test_words_are_no_part_of_an_audiences_identity() -> None:
    one, other = (
        audience(condition).digest for condition in ("tenure_days > 1", "tenure_days   > 1 -- a word")
    )
    assert one == other
    assert one != audience("tenure_days > 1", protective=True).digest
    assert one != audience("tenure_days > 1", columns=["clv_12m"]).digest
