"""The quality report of a stage: what was expected of its data, what was found, and the score and grade that follow.

A report holds figures and keys, never the values of a row, so it may be mailed and kept. It is written as JSON for
programs and as one self-contained page for people.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from crmbet.failures import QualityBreach
from crmbet.quality.checks import SCORE_CAPS, WEIGHTS, Check, Stage
from crmbet.quality.wording import figure, percent
from crmbet.run.params import Severity
from crmbet.texts import ENGLISH, Texts

if TYPE_CHECKING:
    from crmbet.learning.records import ModelRun

GRADES = ((0.9, "A"), (0.8, "B"), (0.7, "C"), (0.6, "D"), (0.0, "F"))
"""The lowest score of each grade."""

PAGE = "report.html"
STAGE_NAMES: Mapping[Stage, str] = {"raw": "raw data", "features": "features"}
"""What a stage's data are called in titles and messages."""
NAMED_BREACHES = 5
"""Breaches that a failure message spells out; the report has all."""
NAMED_KEYS = 5
"""Keys that a failure message names for each breach."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """The run whose data are judged. Its instants are aware."""

    run_id: str
    as_of: datetime
    known_at: datetime


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One expectation and its result."""

    view: str
    check: Check
    expectation: str
    """Its type, as the suite names it."""
    title: str
    """What is expected, for a reader."""
    passed: bool
    column: str | None = None
    threshold: str | None = None
    """What is allowed, in words: '5%', 'at least 10'. A margin that was applied is part of it, with its reason."""
    limit: float | None = None
    """The largest share (0..1) of rows in breach that was applied. None if the expectation is about something else."""
    finding: str | None = None
    """What was found, in words: '21.60% of rows have no user_id'. None if it passed or could not be judged."""
    observed: str | int | float | None = None
    """The figure that was compared. Finite."""
    unexpected_share: float | None = None
    """Share (0..1) of the judged rows that are in breach."""
    keys: tuple[str, ...] = ()
    """Up to 20 rows in breach, by their ids."""
    error: str | None = None
    """Why the expectation could not be judged. It has not passed then."""
    unjudged: str | None = None
    """Why there was nothing to judge. It has passed then, and counts for nothing."""


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """One of the eleven checks with its expectations. Those in breach come first."""

    check: Check
    outcomes: tuple[Outcome, ...]
    say: Texts = ENGLISH

    @property
    def breaches(self) -> tuple[Outcome, ...]:
        """The expectations that did not pass."""
        return tuple(outcome for outcome in self.outcomes if not outcome.passed)

    @property
    def passed(self) -> bool:
        """Whether all its expectations passed."""
        return not self.breaches

    @property
    def judged(self) -> tuple[Outcome, ...]:
        """The expectations that had something to judge."""
        return tuple(outcome for outcome in self.outcomes if outcome.unjudged is None)

    @property
    def passed_share(self) -> float:
        """Share (0..1) of the judged expectations that passed. 1 if there was nothing to judge."""
        return 1 - len(self.breaches) / len(self.judged) if self.judged else 1.0

    @property
    def summary(self) -> str:
        """How many expectations are met, in words."""
        if not self.judged:
            return str(self.outcomes[0].unjudged)
        met = self.say(
            "{met} of {judged} met", met=len(self.judged) - len(self.breaches), judged=len(self.judged)
        )
        idle = len(self.outcomes) - len(self.judged)
        return met + (self.say(", {idle} with nothing to judge", idle=idle) if idle else "")


@dataclass(frozen=True)
class Report:
    """The result of judging the data of one stage."""

    stage: Stage
    subject: Subject
    outcomes: tuple[Outcome, ...]
    absent: tuple[str, ...] = ()
    """Optional views that are not there, so that nothing was expected of them."""
    notes: tuple[str, ...] = ()
    """What a reader must know about how the data were judged, in sentences."""
    waiting: tuple[str, ...] = ()
    """Rules that wait for columns which the table's contract does not have yet, each with the columns it needs."""
    models: ModelRun | None = None
    """What the models of the features learned. The report shows how good last month's churn scores were; the grade does
    not depend on it."""
    say: Texts = ENGLISH
    """The texts of the language that it speaks. What the outcomes say, they were told in that language."""

    @cached_property
    def checks(self) -> tuple[CheckResult, ...]:
        """The checks that ran, in the order of the original specification."""
        by_check: dict[Check, list[Outcome]] = {}
        for outcome in self.outcomes:
            by_check.setdefault(outcome.check, []).append(outcome)
        return tuple(
            CheckResult(
                check=check,
                outcomes=tuple(sorted(by_check[check], key=lambda outcome: outcome.passed)),
                say=self.say,
            )
            for check in Check
            if check in by_check
        )

    @property
    def score(self) -> float:
        """The passed shares of the checks (0..1), weighted by severity, and capped if a severe check failed.

        A check that had nothing to judge has no weight.
        """
        judged = [result for result in self.checks if result.judged]
        weight = sum(WEIGHTS[result.check.severity] for result in judged)
        if not weight:
            return 0.0
        score = sum(WEIGHTS[result.check.severity] * result.passed_share for result in judged) / weight
        caps = [SCORE_CAPS.get(result.check.severity, 1.0) for result in self.checks if not result.passed]
        return min([score, *caps])

    @property
    def quality_grade(self) -> str:
        """One of A, B, C, D and F."""
        return next(grade for least, grade in GRADES if self.score >= least)

    @property
    def unjudged(self) -> int:
        """The number of expectations that had nothing to judge."""
        return sum(outcome.unjudged is not None for outcome in self.outcomes)

    @property
    def critical_issues(self) -> tuple[Outcome, ...]:
        """The expectations in breach in checks of severity CRITICAL."""
        return self.breaches(frozenset({"CRITICAL"}))

    def breaches(self, severities: Collection[Severity]) -> tuple[Outcome, ...]:
        """The expectations in breach in checks of these severities, the most severe check first."""
        failed = [
            result for result in self.checks if result.check.severity in severities and not result.passed
        ]
        failed.sort(key=lambda result: -WEIGHTS[result.check.severity])
        return tuple(outcome for result in failed for outcome in result.breaches)

    def to_document(self) -> dict[str, Any]:
        """The report as JSON types. All numbers are finite."""
        return {
            "stage": self.stage,
            "run_id": self.subject.run_id,
            "as_of": self.subject.as_of.isoformat(),
            "known_at": self.subject.known_at.isoformat(),
            "score": round(self.score, 4),
            "quality_grade": self.quality_grade,
            "critical_issues": len(self.critical_issues),
            "expectations": len(self.outcomes),
            "expectations_passed": sum(outcome.passed for outcome in self.outcomes) - self.unjudged,
            "expectations_unjudged": self.unjudged,
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
                    "summary": result.summary,
                    "recommendation": None if result.passed else self.say(result.check.advice),
                    "expectations": [_outcome_document(outcome) for outcome in result.outcomes],
                }
                for result in self.checks
            ],
        }

    def to_json(self) -> str:
        """The document as text."""
        return json.dumps(self.to_document(), ensure_ascii=False, allow_nan=False, indent=1)

    def to_html(self) -> str:
        """The report as one page that loads nothing from anywhere. Text that comes from the data is escaped."""
        environment = Environment(
            loader=FileSystemLoader(Path(__file__).parent),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        return environment.get_template(PAGE).render(
            report=self,
            say=self.say,
            stage_name=self.say(STAGE_NAMES[self.stage]),
            data_docs=data_docs_name(self.stage),
            figure=partial(figure, say=self.say),
            percent=partial(percent, say=self.say),
        )


def data_docs_name(stage: Stage) -> str:
    """The name of the archive of Great Expectations' pages, which lies beside the report."""
    return f"{stage}_data_docs.zip"


TO_CLEAR: Mapping[Stage, str] = {
    "raw": "extract_s3 and extract_pg with their downstream tasks, so that the corrected delivery is read",
    "features": "the task whose work must be repeated, with its downstream tasks",
}
"""Which tasks to clear after the cause is repaired, by stage."""


def raise_on_breach(report: Report, fail_on: Collection[Severity], *, address: str) -> None:
    """Fail the run if a check of one of these severities failed.

    The `QualityBreach` names what broke, where, by how much and in which rows. It points to the report at `address`.
    """
    breaches = report.breaches(fail_on)
    if not breaches:
        return
    say = report.say
    checks = list(dict.fromkeys(breach.check for breach in breaches))
    sentences = [_describe(breach, say) for breach in breaches[:NAMED_BREACHES]]
    if more := len(breaches) - len(sentences):
        sentences.append(say("and {more} more", more=more))
    raise QualityBreach(
        say(
            "the {data} of run {run} are not good enough (grade {grade}, score {score}): {checks} failed",
            data=say(STAGE_NAMES[report.stage]),
            run=report.subject.run_id,
            grade=report.quality_grade,
            score=say.figure(f"{report.score:.2f}"),
            checks=", ".join(f"{check.label} [{check.severity}]" for check in checks),
        ),
        where=", ".join(dict.fromkeys(breach.view for breach in breaches)),
        why="; ".join(sentences),
        next_step=say(
            "read the report at {address}. {advice} Then clear {tasks}",
            address=address,
            advice=say(checks[0].advice),
            tasks=say(TO_CLEAR[report.stage]),
        ),
    )


def _describe(breach: Outcome, say: Texts) -> str:
    """A breach in one sentence, such as 'completeness of raw_bets: 21.60% of rows have no user_id (allowed: 5%)'."""
    where = say("{check} of {view}", check=breach.check.label, view=breach.view)
    expected = breach.title.rstrip(".")
    if breach.error:
        return say(
            "{where}: '{expected}' could not be judged ({error})",
            where=where,
            expected=expected,
            error=breach.error,
        )
    sentence = f"{where}: {breach.finding or expected}"
    if breach.threshold:
        sentence += f" ({say('allowed')}: {breach.threshold})"
    if breach.keys:
        sentence += say(", such as {keys}", keys=", ".join(breach.keys[:NAMED_KEYS]))
    return sentence


def _churn_document(models: ModelRun | None) -> dict[str, Any] | None:
    """Last month's churn scores beside what happened since; None if the data have no models."""
    if models is None:
        return None
    document = models.model_dump(mode="json", include={"holdout", "holdout_problem", "calibration_problem"})
    return {**document, "calibrated": models.calibration is not None}


def _outcome_document(outcome: Outcome) -> dict[str, Any]:
    return {**asdict(outcome), "check": outcome.check.label, "keys": list(outcome.keys)}
