"""The eleven checks of the original specification: the severity of each, and what to do when it fails.

The list is closed. What a check demands of which column is data, in include/expectations/. A suite entry names its
check.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Literal

from crmbet.run.params import Severity

Stage = Literal["raw", "features"]

WEIGHTS: Mapping[Severity, int] = {"CRITICAL": 4, "HIGH": 3, "MEDIUM": 2, "LOW": 1}
"""The weight of a check in the score."""

SCORE_CAPS: Mapping[Severity, float] = {"CRITICAL": 0.59, "HIGH": 0.79}
"""The highest score of a report in which a check of that severity failed."""


class Check(Enum):
    """One check: its name in suites, its title in reports, its severity, and advice for the person on call."""

    COMPLETENESS = (
        "completeness",
        "Completeness",
        "CRITICAL",
        "Find out which delivery is missing or incomplete, and have it delivered again.",
    )
    PRIMARY_KEY_INTEGRITY = (
        "primary_key_integrity",
        "Primary keys",
        "CRITICAL",
        "Look up the keys at their source: figures about a key that is missing or not unique are wrong.",
    )
    DATA_FRESHNESS = (
        "data_freshness",
        "Freshness",
        "HIGH",
        "Check that the delivery of the last day finished, and that the source's clock and time zone are right.",
    )
    DUPLICATES = (
        "duplicates",
        "Duplicates",
        "HIGH",
        "Find out whether a delivery was sent twice. Cleaning keeps one copy, but this many copies are no accident.",
    )
    OUTLIERS = (
        "outliers",
        "Outliers",
        "MEDIUM",
        "Look at the rows named here: wrong units or test accounts are more likely than many high rollers.",
    )
    DATA_TYPES = (
        "data_types",
        "Data types",
        "HIGH",
        "Compare the data with their contract in include/contracts/, and correct the wrong one.",
    )
    BUSINESS_RULES = (
        "business_rules",
        "Business rules",
        "HIGH",
        "Take one of the keys and follow its rows from the source: its columns contradict each other.",
    )
    VALUE_RANGE = (
        "value_range",
        "Value ranges",
        "MEDIUM",
        "Look up the value of one key at its source: the usual cause is a wrong unit, sign or spelling.",
    )
    STATISTICAL_DISTRIBUTION = (
        "statistical_distribution",
        "Distributions",
        "LOW",
        "Decide whether the business or the data changed. If it was the business, freeze a new baseline.",
    )
    FEATURE_CORRELATION = (
        "feature_correlation",
        "Correlation of features",
        "MEDIUM",
        "Use only one feature of each pair in a model.",
    )
    ML_READINESS = (
        "ml_readiness",
        "Readiness for machine learning",
        "HIGH",
        "Leave the named features out of training until their source is repaired.",
    )

    def __init__(self, label: str, title: str, severity: Severity, advice: str) -> None:
        self.label = label
        self.title = title
        self.severity: Severity = severity
        self.advice = advice


CHECKS: Mapping[str, Check] = {check.label: check for check in Check}

REQUIRED_CHECKS: Mapping[Stage, frozenset[Check]] = {
    # These two are about the finished features, so raw facts cannot answer them.
    "raw": frozenset(Check) - {Check.FEATURE_CORRELATION, Check.ML_READINESS},
    "features": frozenset(Check),
}
"""The checks that each stage must run. Suites without an expectation for one of them are refused."""
