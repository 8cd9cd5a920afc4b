"""The eleven checks of the seed document, a closed list: how grave each is, and what to do when one fails.

What a check demands of which column is data, in include/expectations/; a suite entry names its check.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Literal

from crmbet.run.params import Severity

Stage = Literal["raw", "features"]

WEIGHTS: Mapping[Severity, int] = {"CRITICAL": 4, "HIGH": 3, "MEDIUM": 2, "LOW": 1}
"""What a check counts for in the score."""

SCORE_CAPS: Mapping[Severity, float] = {"CRITICAL": 0.59, "HIGH": 0.79}
"""The score a report can reach at most once a check of that severity has failed."""


class Check(Enum):
    """One check: its name in suites and reports, its severity, and advice for the person on call."""

    COMPLETENESS = (
        "completeness",
        "CRITICAL",
        "Find out which delivery is missing or arrived half empty, and have it delivered again.",
    )
    PRIMARY_KEY_INTEGRITY = (
        "primary_key_integrity",
        "CRITICAL",
        "Look the keys up where they come from: every number about a key that is not unique is wrong.",
    )
    DATA_FRESHNESS = (
        "data_freshness",
        "HIGH",
        "Check that the delivery of the last day finished, and that the source's clock and zone are right.",
    )
    DUPLICATES = (
        "duplicates",
        "HIGH",
        "Find out whether a delivery was sent twice: cleaning keeps one copy, but so many are no accident.",
    )
    OUTLIERS = (
        "outliers",
        "MEDIUM",
        "Look at the players named here: wrong units or test accounts are likelier than many high rollers.",
    )
    DATA_TYPES = (
        "data_types",
        "HIGH",
        "Compare what was delivered with its contract in include/contracts/, and correct the wrong one.",
    )
    BUSINESS_RULES = (
        "business_rules",
        "HIGH",
        "Take one of the keys and follow its rows from the source: the columns contradict each other.",
    )
    VALUE_RANGE = (
        "value_range",
        "MEDIUM",
        "Look at the value of one key at its source: a wrong unit, sign or spelling is the usual cause.",
    )
    STATISTICAL_DISTRIBUTION = (
        "statistical_distribution",
        "LOW",
        "Decide whether the business changed or the data did; if it was the business, freeze a new baseline.",
    )
    FEATURE_CORRELATION = (
        "feature_correlation",
        "MEDIUM",
        "Leave one of each pair out of the models that use them.",
    )
    ML_READINESS = (
        "ml_readiness",
        "HIGH",
        "Leave the named features out of training until their source is repaired.",
    )

    def __init__(self, label: str, severity: Severity, advice: str) -> None:
        self.label = label
        self.severity: Severity = severity
        self.advice = advice

    @property
    def title(self) -> str:
        """The name as a reader sees it."""
        return self.label.replace("_", " ").capitalize()


CHECKS: Mapping[str, Check] = {check.label: check for check in Check}

REQUIRED_CHECKS: Mapping[Stage, frozenset[Check]] = {
    # What models make of features cannot be told from one day's facts.
    "raw": frozenset(Check) - {Check.FEATURE_CORRELATION, Check.ML_READINESS},
    "features": frozenset(Check),
}
"""Checks that a stage must have run: one without an expectation fails the report, it is never a gap."""
