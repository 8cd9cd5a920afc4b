"""The report: its arithmetic, what it writes, and what it tells the person on call."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from crmbet.failures import PermanentFailure, QualityBreach
from crmbet.learning.records import Calibration, Decile, Holdout, ModelFit, ModelRun, ServedModel
from crmbet.quality.checks import CHECKS, WEIGHTS, Check
from crmbet.quality.report import Outcome, Report, Subject, raise_on_breach
from crmbet.quality.wording import percent
from crmbet.texts import texts_in

pytestmark = pytest.mark.unit

SUBJECT = Subject(
    run_id="manual__2026-11-22",
    as_of=datetime(2026, 11, 22, 3, tzinfo=UTC),
    known_at=datetime(2026, 11, 22, 4, tzinfo=UTC),
)
ALL = frozenset(WEIGHTS)


def outcome(check: Check, passed: bool = True, **fields: object) -> Outcome:
    described = {
        "view": "raw_bets",
        "expectation": "expect_rows_to_satisfy",
        "title": "stake is sane",
        **fields,
    }
    return Outcome(check=check, passed=passed, **described)  # type: ignore[arg-type]


def report(*outcomes: Outcome, absent: tuple[str, ...] = ()) -> Report:
    return Report("raw", SUBJECT, outcomes, absent)


def test_the_checks_are_the_seeds_eleven_with_its_severities() -> None:
    assert {name: check.severity for name, check in CHECKS.items()} == {
        "completeness": "CRITICAL",
        "primary_key_integrity": "CRITICAL",
        "data_freshness": "HIGH",
        "duplicates": "HIGH",
        "outliers": "MEDIUM",
        "data_types": "HIGH",
        "business_rules": "HIGH",
        "value_range": "MEDIUM",
        "statistical_distribution": "LOW",
        "feature_correlation": "MEDIUM",
        "ml_readiness": "HIGH",
    }


@pytest.mark.parametrize(
    ("outcomes", "score", "grade"),
    [
        ([outcome(Check.COMPLETENESS), outcome(Check.OUTLIERS)], 1.0, "A"),
        # 4 + 2 x 1/2 of 6: a MEDIUM failure is not capped.
        ([outcome(Check.COMPLETENESS), outcome(Check.OUTLIERS), outcome(Check.OUTLIERS, False)], 5 / 6, "B"),
        ([outcome(Check.OUTLIERS), outcome(Check.STATISTICAL_DISTRIBUTION, False)], 2 / 3, "D"),
        # One of many HIGH expectations fails: 0.79 at most, whatever the rest is worth.
        ([*[outcome(Check.DATA_TYPES)] * 99, outcome(Check.DATA_TYPES, False)], 0.79, "C"),
        ([*[outcome(Check.COMPLETENESS)] * 99, outcome(Check.COMPLETENESS, False)], 0.59, "F"),
        # Below its cap, a share counts as it is: 4 of 7.
        ([outcome(Check.COMPLETENESS), outcome(Check.DATA_TYPES, False)], 4 / 7, "F"),
        ([outcome(Check.COMPLETENESS, False, error="no such column")], 0.0, "F"),
        ([], 0.0, "F"),
    ],
)
def test_score_and_grade(outcomes: list[Outcome], score: float, grade: str) -> None:
    judged = report(*outcomes)
    assert judged.score == pytest.approx(score)
    assert judged.quality_grade == grade


def test_checks_come_in_the_seeds_order_with_their_breaches_first() -> None:
    judged = report(
        outcome(Check.VALUE_RANGE),
        outcome(Check.COMPLETENESS),
        outcome(Check.VALUE_RANGE, False, title="broken"),
    )
    assert [result.check for result in judged.checks] == [Check.COMPLETENESS, Check.VALUE_RANGE]
    assert [found.title for found in judged.checks[1].outcomes] == ["broken", "stake is sane"]


def test_critical_issues_are_the_breaches_of_critical_checks() -> None:
    critical = outcome(Check.PRIMARY_KEY_INTEGRITY, False)
    judged = report(outcome(Check.DATA_TYPES, False), critical, outcome(Check.COMPLETENESS))
    assert judged.critical_issues == (critical,)


def test_the_document_tells_everything_and_is_json() -> None:
    judged = report(
        outcome(Check.VALUE_RANGE, False, unexpected_share=0.06, keys=("bet_id=b1",), threshold="5%"),
        absent=("raw_sessions",),
    )
    document = json.loads(judged.to_json())
    assert document["stage"] == "raw"
    assert document["as_of"] == "2026-11-22T03:00:00+00:00"
    assert (document["score"], document["quality_grade"], document["critical_issues"]) == (0.0, "F", 0)
    assert document["absent_sources"] == ["raw_sessions"]
    (check,) = document["checks"]
    assert check["recommendation"] == Check.VALUE_RANGE.advice
    assert check["expectations"][0]["keys"] == ["bet_id=b1"]
    assert check["expectations"][0]["unexpected_share"] == 0.06
    assert check["expectations"][0]["threshold"] == "5%"


def test_a_number_that_json_does_not_know_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        report(outcome(Check.VALUE_RANGE, observed=float("nan"))).to_json()


def test_the_page_escapes_whatever_comes_from_the_data() -> None:
    attack = "<script>alert('x')</script><img src=x onerror=alert(1)>"
    page = report(
        outcome(
            Check.VALUE_RANGE, False, keys=(f"bet_id={attack}",), error=attack, title=attack, observed=attack
        )
    ).to_html()
    assert "<script" not in page
    assert "<img" not in page
    assert page.count("&lt;script&gt;") == 4


def test_the_page_loads_nothing_from_anywhere() -> None:
    page = report(outcome(Check.COMPLETENESS)).to_html()
    assert "://" not in page
    assert not re.search(r"\bsrc=|@import|url\(|<link|<script", page)


def test_the_page_shows_breaches_open_and_absent_sources() -> None:
    page = report(
        outcome(Check.COMPLETENESS),
        outcome(Check.VALUE_RANGE, False, unexpected_share=0.06),
        absent=("raw_sessions",),
    ).to_html()
    assert '<details id="value_range" class="failed" open>' in page
    assert '<details id="completeness">' in page
    assert "6.00%" in page
    assert "<h1>Quality of the raw data</h1>" in page
    assert "raw_sessions" in page
    assert "1 of 2 expectations not met" in page


@pytest.mark.parametrize(
    ("share", "text"), [(0.0, "0.00%"), (0.0512, "5.12%"), (0.00001, "< 0.01%"), (1.0, "100.00%")]
)
def test_a_share_is_never_rounded_to_nothing(share: float, text: str) -> None:
    assert percent(share) == text


def test_a_breach_names_check_rows_threshold_report_and_what_to_do() -> None:
    judged = report(
        outcome(
            Check.VALUE_RANGE,
            False,
            title="stake is within the contract's range",
            threshold="5%",
            finding="6.00% of rows have a value of stake outside the contract's range",
            unexpected_share=0.06,
            keys=tuple(f"bet_id=b{number}" for number in range(20)),
        ),
        outcome(
            Check.COMPLETENESS,
            False,
            title="The day has enough rows",
            observed=3,
            threshold="at least 10",
            finding="there are 3 rows",
        ),
    )
    with pytest.raises(QualityBreach) as raised:
        raise_on_breach(judged, ALL, address="s3://lake/report.html")
    message = str(raised.value)
    assert isinstance(raised.value, PermanentFailure)
    assert "completeness [CRITICAL], value_range [MEDIUM] failed" in message
    assert "completeness of raw_bets: there are 3 rows (allowed: at least 10)" in message
    assert (
        "value_range of raw_bets: 6.00% of rows have a value of stake outside the contract's range"
        " (allowed: 5%), such as bet_id=b0, bet_id=b1"
    ) in message
    assert "bet_id=b4" in message
    assert "bet_id=b5" not in message
    assert "s3://lake/report.html" in message
    assert Check.COMPLETENESS.advice.split(":")[0] in message
    assert "manual__2026-11-22" in message


def test_a_long_list_of_breaches_is_cut_and_counted() -> None:
    judged = report(*[outcome(Check.DATA_TYPES, False, title=f"rule {number}") for number in range(9)])
    with pytest.raises(QualityBreach, match=r"rule 4.*and 4 more") as raised:
        raise_on_breach(judged, ALL, address="s3://lake/report.html")
    assert "rule 5" not in str(raised.value)


def test_an_expectation_that_could_not_be_judged_says_why() -> None:
    with pytest.raises(QualityBreach, match="could not be judged \\(there are no rows to judge\\)"):
        raise_on_breach(
            report(outcome(Check.DATA_TYPES, False, error="there are no rows to judge")),
            ALL,
            address="s3://lake/r",
        )


def test_a_severity_that_is_tolerated_does_not_fail_the_run() -> None:
    judged = report(outcome(Check.VALUE_RANGE, False), outcome(Check.COMPLETENESS))
    raise_on_breach(judged, ALL - {"MEDIUM"}, address="s3://lake/r")
    with pytest.raises(QualityBreach):
        raise_on_breach(judged, {"MEDIUM"}, address="s3://lake/r")


def models(**changes: object) -> ModelRun:
    served = ServedModel(cohort=900, fit=None)
    fit = ModelFit(
        parameters={"r": 1.0},
        as_of=date(2026, 10, 23),
        cohort=900,
        patterns=40,
        log_likelihood=-1.0,
        iterations=9,
    )
    holdout = Holdout(
        as_of=date(2026, 10, 23),
        players=1_200,
        silent=300,
        fit=fit,
        auc=0.8712,
        brier=0.1034,
        recency_auc=0.8399,
        recency_brier=0.1491,
        deciles=[Decile(decile=10, players=120, mean_score=0.913, share_silent=0.9083)],
    )
    return ModelRun.model_validate(
        {
            "as_of": date(2026, 11, 22),
            "deposit_days": served,
            "activity_days": served,
            "deposit_values": served,
            "value_correlation": None,
            "value_depends_on_frequency": False,
            "holdout": holdout,
            "holdout_problem": None,
            "calibration": Calibration(scores=[0.1], shares=[0.2]),
            "calibration_problem": None,
            "clv_margin": 0.1,
            "clv_monthly_discount_rate": 0.01,
            **changes,
        }
    )


def test_the_page_shows_how_good_last_months_churn_scores_were() -> None:
    judged = replace(report(outcome(Check.COMPLETENESS)), models=models())

    page = judged.to_html()

    for text in ("Of 1,200 players as of 2026-10-23, 300 (25.00%)", "is calibrated on these players"):
        assert text in page
    for figure in ("0.871", "0.103", "0.840", "0.149", "91.30%", "90.83%"):
        assert f">{figure}<" in page
    churn = json.loads(judged.to_json())["churn"]
    assert (churn["holdout"]["auc"], churn["holdout"]["deciles"][0]["share_silent"]) == (0.8712, 0.9083)
    assert churn["calibrated"]


def test_the_page_says_why_churn_scores_were_not_judged() -> None:
    unknown = models(holdout=None, holdout_problem="there are 9 players (needed: 100)", calibration=None)
    judged = replace(report(outcome(Check.COMPLETENESS)), models=unknown)

    assert "The scores could not be judged: there are 9 players (needed: 100)." in judged.to_html()
    assert 'id="churn"' not in report(outcome(Check.COMPLETENESS)).to_html(), "raw data have no models"


def test_the_page_of_the_features_has_plain_titles() -> None:
    page = Report("features", SUBJECT, (outcome(Check.ML_READINESS),)).to_html()
    assert "<h1>Quality of the features</h1>" in page
    assert "<h2>Readiness for machine learning</h2>" in page


def test_the_page_speaks_the_language_of_the_report() -> None:
    say = texts_in("pt-BR")
    failed = outcome(
        Check.COMPLETENESS, False, title=say.about("stake is filled", {"stake"}), unexpected_share=0.216
    )
    judged = Report("raw", SUBJECT, (failed, outcome(Check.OUTLIERS)), say=say)
    page = judged.to_html()

    assert '<html lang="pt-BR">' in page
    for said in (
        "Qualidade: dados brutos",
        "1 de 2 expectativas não cumpridas, das quais 1 de severidade crítica",
        "stake está preenchida",
        "21,60%",
        "0 de 1 cumpridas",
        "Descubra qual entrega falta",
        "Valores fora da curva",
        "CRÍTICA",
    ):
        assert said in page
    with pytest.raises(
        QualityBreach, match=r"dados brutos da execução .* sem qualidade suficiente .nota F, score 0,33"
    ):
        raise_on_breach(judged, ALL, address="s3://lake/report.html")
