"""The quality report: what was expected of a stage's data, what was found, and what that is worth.

A report holds figures and keys, never the values of a row, so it may be mailed and kept. It is written as
JSON for programs and as one self-contained page for people.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from crmbet.failures import QualityBreach
from crmbet.quality.checks import SCORE_CAPS, WEIGHTS, Check, Stage
from crmbet.run.params import Severity

if TYPE_CHECKING:
    from crmbet.learning.records import ModelRun

GRADES = ((0.9, "A"), (0.8, "B"), (0.7, "C"), (0.6, "D"), (0.0, "F"))
"""Least score of each grade."""

PAGE = "report.html"
NAMED_BREACHES = 5
"""Breaches that a failure message spells out; the report has all."""
NAMED_KEYS = 5
"""Keys of a breach that it names."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """The run whose data are judged. Instants are aware."""

    run_id: str
    as_of: datetime
    known_at: datetime


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One expectation and what was found."""

    view: str
    check: Check
    expectation: str
    """Its type, as the suite names it."""
    title: str
    """What is expected, for a reader."""
    passed: bool
    column: str | None = None
    threshold: str | None = None
    observed: str | int | float | None = None
    """The figure that was compared. Finite."""
    unexpected_share: float | None = None
    """Share (0..1) of the judged rows that are not as expected."""
    keys: tuple[str, ...] = ()
    """Up to 20 rows that are not as expected, by their ids."""
    error: str | None = None
    """Why nothing could be found out. Such an expectation has not passed."""


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """One of the eleven checks with its expectations, those in breach first."""

    check: Check
    outcomes: tuple[Outcome, ...]

    @property
    def breaches(self) -> tuple[Outcome, ...]:
        """The expectations that did not pass."""
        return tuple(outcome for outcome in self.outcomes if not outcome.passed)

    @property
    def passed(self) -> bool:
        """Whether all of them passed."""
        return not self.breaches

    @property
    def passed_share(self) -> float:
        """Share (0..1) of the expectations that passed."""
        return 1 - len(self.breaches) / len(self.outcomes)


@dataclass(frozen=True)
class Report:
    """What came of judging one stage's data."""

    stage: Stage
    subject: Subject
    outcomes: tuple[Outcome, ...]
    absent: tuple[str, ...] = ()
    """Views of optional sources that are not there, so that nothing was expected of them."""
    notes: tuple[str, ...] = ()
    """What a reader must know of how the data were judged, in sentences."""
    waiting: tuple[str, ...] = ()
    """Rules that wait for columns which the table's contract does not have yet, each with what it needs."""
    models: ModelRun | None = None
    """What the features' models learned. How good last month's churn scores were is shown, and decides nothing."""

    @cached_property
    def checks(self) -> tuple[CheckResult, ...]:
        """The checks that ran, in the order of the seed document."""
        by_check: dict[Check, list[Outcome]] = {}
        for outcome in self.outcomes:
            by_check.setdefault(outcome.check, []).append(outcome)
        return tuple(
            CheckResult(
                check=check, outcomes=tuple(sorted(by_check[check], key=lambda outcome: outcome.passed))
            )
            for check in Check
            if check in by_check
        )

    @property
    def score(self) -> float:
        """0..1: the checks' passed shares, weighted by severity, and capped where a grave check failed."""
        weight = sum(WEIGHTS[result.check.severity] for result in self.checks)
        if not weight:
            return 0.0
        score = sum(WEIGHTS[result.check.severity] * result.passed_share for result in self.checks) / weight
        caps = [SCORE_CAPS.get(result.check.severity, 1.0) for result in self.checks if not result.passed]
        return min([score, *caps])

    @property
    def quality_grade(self) -> str:
        """A to D, or F."""
        return next(grade for least, grade in GRADES if self.score >= least)

    @property
    def critical_issues(self) -> tuple[Outcome, ...]:
        """What did not pass in a check of severity CRITICAL."""
        return self.breaches(frozenset({"CRITICAL"}))

    def breaches(self, severities: Collection[Severity]) -> tuple[Outcome, ...]:
        """What did not pass in checks of these severities, the gravest check first."""
        failed = [
            result for result in self.checks if result.check.severity in severities and not result.passed
        ]
        failed.sort(key=lambda result: -WEIGHTS[result.check.severity])
        return tuple(outcome for result in failed for outcome in result.breaches)

    def to_document(self) -> dict[str, Any]:
        """The report as JSON types; numbers are finite."""
        return {
            "stage": self.stage,
            "run_id": self.subject.run_id,
            "as_of": self.subject.as_of.isoformat(),
            "known_at": self.subject.known_at.isoformat(),
            "score": round(self.score, 4),
            "quality_grade": self.quality_grade,
            "critical_issues": len(self.critical_issues),
            "expectations": len(self.outcomes),
            "expectations_passed": sum(outcome.passed for outcome in self.outcomes),
            "absent_sources": list(self.absent),
            "notes": list(self.notes),
            "waiting": list(self.waiting),
            "churn": _churn_document(self.models),
            "checks": [
                {
                    "check": result.check.label,
                    "severity": result.check.severity,
                    "passed": result.passed,
                    "passed_share": round(result.passed_share, 4),
                    "recommendation": None if result.passed else result.check.advice,
                    "expectations": [_outcome_document(outcome) for outcome in result.outcomes],
                }
                for result in self.checks
            ],
        }

    def to_json(self) -> str:
        """The document as text."""
        return json.dumps(self.to_document(), ensure_ascii=False, allow_nan=False, indent=1)

    def to_html(self) -> str:
        """The report as one page that loads nothing from anywhere. What comes from the data is escaped."""
        environment = Environment(
            loader=FileSystemLoader(Path(__file__).parent),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        return environment.get_template(PAGE).render(report=self, figure=figure, percent=percent)


TO_CLEAR: Mapping[Stage, str] = {
    "raw": "extract_s3 and extract_pg with what follows, so that what was delivered anew is read",
    "features": "the task that has to do its work anew, with what follows",
}
"""What to clear once the cause is mended, by stage."""


def raise_on_breach(report: Report, fail_on: Collection[Severity], *, address: str) -> None:
    """Fail the run if a check of one of these severities failed.

    Raises `QualityBreach` that names what broke, where, by how much and in which rows, and points to the
    report at `address`.
    """
    breaches = report.breaches(fail_on)
    if not breaches:
        return
    checks = list(dict.fromkeys(breach.check for breach in breaches))
    told = [_tell(breach) for breach in breaches[:NAMED_BREACHES]]
    if more := len(breaches) - len(told):
        told.append(f"and {more} more")
    raise QualityBreach(
        f"the {report.stage} data of run {report.subject.run_id} are not good enough"
        f" (grade {report.quality_grade}, score {report.score:.2f}):"
        f" {', '.join(f'{check.label} [{check.severity}]' for check in checks)} failed",
        where=", ".join(dict.fromkeys(breach.view for breach in breaches)),
        why="; ".join(told),
        next_step=f"read the report at {address}. {checks[0].advice} Then clear {TO_CLEAR[report.stage]}",
    )


def figure(value: str | int | float | None) -> str:
    """A figure for a reader: integers with their thousands apart, reals to six significant digits."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, int):
        return f"{value:,}"
    return "-" if value is None else value


def percent(share: float) -> str:
    """A share for a reader, never rounded to nothing."""
    return f"{share:.2%}" if share == 0 or share >= 0.0001 else "< 0.01%"


def _tell(breach: Outcome) -> str:
    told = f"{breach.check.label}: {breach.view}, {breach.title.rstrip('.')}"
    if breach.error:
        return f"{told}: could not be judged ({breach.error})"
    if breach.unexpected_share is not None:
        told += f": not so for {percent(breach.unexpected_share)} of the rows"
    else:
        told += f": found {figure(breach.observed)}"
    if breach.threshold:
        told += f" against {breach.threshold}"
    if breach.keys:
        told += f", such as {', '.join(breach.keys[:NAMED_KEYS])}"
    return told


def _churn_document(models: ModelRun | None) -> dict[str, Any] | None:
    """Last month's churn scores beside what happened since; None for data without models."""
    if models is None:
        return None
    document = models.model_dump(mode="json", include={"holdout", "holdout_problem", "calibration_problem"})
    return {**document, "calibrated": models.calibration is not None}


def _outcome_document(outcome: Outcome) -> dict[str, Any]:
    return {**asdict(outcome), "check": outcome.check.label, "keys": list(outcome.keys)}
