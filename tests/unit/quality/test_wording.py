"""What a report says: every kind of expectation, rendered with real numbers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from crmbet.contracts.files import load_table_contract
from crmbet.quality.checks import Check
from crmbet.quality.suites import Entry, Suite, load_suites
from crmbet.quality.wording import describe_allowed, describe_breach, in_words, visible

pytestmark = pytest.mark.unit

TABLE = load_table_contract()
SUITES = {suite.name: suite.for_table(TABLE) for stage in ("raw", "features") for suite in load_suites(stage)}
NAMED_BY_TYPE = {
    "expect_column_values_to_not_be_null",
    "expect_column_copies_to_be_within",
    "expect_compound_copies_to_be_within",
    "expect_column_max_to_be_between",
    "expect_column_type_to_be",
    "expect_table_row_count_to_be_between",
    "expect_table_row_count_to_equal",
    "expect_table_columns_to_match_ordered_list",
}
"""Types whose sentence is complete without words of the suite."""

AS_OF = datetime(2026, 11, 22, 3, tzinfo=UTC)
THRESHOLDS: dict[str, Any] = {
    "as_of": AS_OF,
    "known_at": datetime(2026, 11, 22, 5, 0, 7, tzinfo=UTC),
    "freshness_floor": datetime.fromisoformat("2026-11-21T03:00"),
    "min_rows_per_day": 10,
    "min_data_completeness": 0.95,
    "max_data_incompleteness": 0.05,
    "max_psi": 0.25,
    "max_snapshot_age_days": 7,
    "min_feature_fill": 0.01,
    "max_feature_magnitude": 1e9,
    "min_usable_features": 10,
    "max_feature_correlation": 0.95,
    "max_class_share": 0.99,
    "min_volume_ratio": 0.5,
    "expected_users": 600,
    "contract_features": 108,
    "contract_columns": ["user_id", "as_of", "stake"],
    "adult_age": 18,
}
"""What the settings come to, in part; all other shares are 0.05."""


def broken(rows: int, of: int, missing: int = 0) -> dict[str, int]:
    return {"element_count": of, "unexpected_count": rows, "missing_count": missing}


SENTENCES: list[tuple[str, str, dict[str, Any], str]] = [
    # view, description, what Great Expectations found, the sentence
    ("raw_bets", "The day has enough rows", {"observed_value": 3}, "there are 3 rows (allowed: at least 10)"),
    ("raw_bets", "user_id is filled", broken(216, 1000), "21.60% of rows have no user_id (allowed: 5%)"),
    (
        "raw_bets",
        "Every required column is filled",
        broken(1, 15),
        "6.67% of rows lack a required value (allowed: 5%)",
    ),
    (
        "raw_bets",
        "Few rows lack their user_id (they go to quarantine)",
        broken(6, 100),
        "6.00% of rows have a missing or blank user_id (allowed: 5%)",
    ),
    (
        "raw_bets",
        "The newest placed_at is recent and before as_of",
        {"observed_value": datetime.fromisoformat("2026-11-19T04:39")},
        (
            "the newest placed_at is 2026-11-19 04:39 UTC"
            " (allowed: from 2026-11-21 03:00 UTC and before 2026-11-22 03:00 UTC)"
        ),
    ),
    (
        "raw_bets",
        "Few rows repeat the bet_id of another row",
        broken(40, 400),
        "10.00% of rows repeat the bet_id of another row (allowed: 5%)",
    ),
    (
        "raw_limits",
        "Few rows repeat the user_id, kind and changed_at of another row",
        broken(40, 400),
        "10.00% of rows repeat the user_id, kind and changed_at of another row (allowed: 5%)",
    ),
    (
        "raw_bets",
        "stake has the contract's type",
        {"observed_value": "DOUBLE"},
        "stake is of type DOUBLE (allowed: DECIMAL(18,4))",
    ),
    (
        "raw_bets",
        "stake is near its usual size, on a log scale",
        broken(71, 1000),
        "7.10% of rows have a value of stake far from its usual size (allowed: 5%, plus chance)",
    ),
    (
        "raw_bets",
        "stake is near its usual size, on a log scale",
        {**broken(71, 1000), "allowed_share": 0.0642, "units": 2115.0},
        (
            "7.10% of rows have a value of stake far from its usual size"
            " (allowed: 6.42%: 5% and a margin for chance, since 2,115 players count)"
        ),
    ),
    (
        "raw_bets",
        "No row that is accepted lacks its bet_id",
        broken(1, 1000),
        "0.10% of the rows concerned lack their bet_id and are accepted all the same (allowed: none)",
    ),
    (
        "raw_players",
        "Players were of age when they registered",
        broken(20, 200),
        "10.00% of rows have a player younger than adult_age at registration (allowed: 5%)",
    ),
    (
        "raw_files",
        "Every delivered object can be read in the format that its name says",
        broken(1, 4),
        "1 of 4 objects could not be read in the format that their name says (allowed: 5%)",
    ),
    (
        "raw_references",
        "Active players are in the players' snapshot",
        broken(80, 400),
        "20.00% of active players are not in the players' snapshot (allowed: 5%)",
    ),
    (
        "raw_sources",
        "The day has about as many rows as this weekday usually has",
        broken(1, 5, missing=2),
        "1 of 3 sources brought too few rows for this weekday (allowed: at least 0.5)",
    ),
    (
        "raw_sources",
        "The newest snapshot is recent",
        broken(1, 5, missing=4),
        "1 of 1 sources had its newest snapshot too many days ago (allowed: at most 7)",
    ),
    (
        "raw_days",
        "Few rows repeat a key on every changed day",
        broken(2, 31),
        "2 of 31 days had too many rows that repeat a key (allowed: at most 5%)",
    ),
    (
        "raw_sources",
        "Most objects of a feed have the ending of a format that is read",
        broken(1, 1) | {"partial_unexpected_index_list": [{"source": "bets", "passed_over_share": 2 / 3}]},
        (
            "1 of 1 sources had too many objects whose ending no format has, so they were passed over: bets 66.67%"
            " (allowed: at most 5%)"
        ),
    ),
    (
        "raw_days",
        "Few rows repeat a key on every changed day",
        broken(4, 31)
        | {
            "partial_unexpected_index_list": [
                {"source": source, "day": "2026-11-20", "copy_share": 0.1}
                for source in ("bets", "limits", "a", "b")
            ]
        },
        (
            "4 of 31 days had too many rows that repeat a key: bets 2026-11-20 10.00%, limits 2026-11-20 10.00%,"
            " a 2026-11-20 10.00%, and 1 more (allowed: at most 5%)"
        ),
    ),
    (
        "raw_drift",
        "Every column has a baseline (refresh_baseline freezes one)",
        broken(3, 12),
        "3 of 12 columns had no baseline",
    ),
    (
        "raw_drift",
        "The distribution is like the baseline's (population stability index)",
        broken(1, 12),
        "1 of 12 columns moved from the baseline by population stability index (allowed: below 0.25)",
    ),
    (
        "user_features",
        "There are players",
        {"observed_value": 0},
        "there are 0 players (allowed: at least 1)",
    ),
    (
        "user_features",
        "Every player has one row",
        {"observed_value": 599},
        "there are 599 players (allowed: exactly 600)",
    ),
    (
        "user_features",
        "rfm_segment is filled",
        broken(1, 600),
        "0.17% of players have no rfm_segment (allowed: none)",
    ),
    (
        "user_features",
        "as_of is the run's",
        broken(5, 600),
        "0.83% of players have another as_of than the run (allowed: exactly 2026-11-22 03:00 UTC)",
    ),
    (
        "user_features",
        "known_at is the run's",
        broken(600, 600),
        "100.00% of players have another known_at than the run (allowed: exactly 2026-11-22 05:00:07 UTC)",
    ),
    (
        "user_features",
        "The columns are those of the contract, in its order",
        {
            "observed_value": ["user_id", "stake", "as_of"],
            "details": {
                "mismatched": [
                    {"Expected Column Position": 1, "Expected": "as_of", "Found": "stake"},
                    {"Expected Column Position": 2, "Expected": "stake", "Found": None},
                ]
            },
        },
        "position 1 has stake instead of as_of, and 1 more differ (allowed: 3 columns: user_id, as_of, stake)",
    ),
    (
        "user_features",
        "churn_risk_score is finite, neither NaN nor infinity",
        broken(1, 1_000_000),
        "< 0.01% of players have a value of churn_risk_score that is not finite (allowed: none)",
    ),
    (
        "user_features",
        "New players without bonus bets withdraw no more than they deposited and won",
        broken(8, 100),
        "8.00% of the players concerned withdrew more than they deposited and won (allowed: 5%)",
    ),
    (
        "feature_profile",
        "Every feature of the contract was profiled",
        {"observed_value": 107},
        "there are 107 features (allowed: exactly 108)",
    ),
    (
        "feature_profile",
        "No feature is constant",
        broken(2, 108, missing=8),
        "2 of 100 features had fewer than two different values (allowed: at least 2)",
    ),
    (
        "feature_profile",
        "No feature has an extreme value",
        broken(1, 108),
        "1 of 108 features had an extreme value (allowed: at most 1e+09)",
    ),
    (
        "feature_set",
        "Enough features are usable: neither constant nor sparse, and finite",
        broken(1, 1),
        "1 of 1 feature sets had too few usable features (allowed: at least 10)",
    ),
    (
        "raw_protection",
        "What protects a player can be read",
        broken(3, 4_000),
        (
            "3 of 4,000 records could not be read where a protection of a player may stand;"
            " players whom they name count as protected (allowed: 5%)"
        ),
    ),
    (
        "raw_protection",
        "What may protect a player names a player who is known",
        broken(2, 4_000),
        (
            "2 of 4,000 records could not be read, may protect somebody, and name no player that is known,"
            " so they protect nobody (allowed: 5%)"
        ),
    ),
    (
        "feature_pairs",
        "No two features are almost the same",
        broken(3, 4_000),
        "3 of 4,000 pairs had too strong a correlation (allowed: at most 0.95)",
    ),
]


def entry_of(view: str, description: str) -> Entry:
    (entry,) = (entry for entry in SUITES[view].expectations if entry.description == description)
    return entry


def sentence(suite: Suite, entry: Entry, result: dict[str, Any]) -> str:
    kwargs = {
        name: THRESHOLDS.get(value["$PARAMETER"], 0.05) if isinstance(value, dict) else value
        for name, value in entry.kwargs.items()
    }
    meta = suite.meta
    found = describe_breach(
        entry.type,
        kwargs,
        result,
        rows=meta.rows,
        breach=entry.breach,
        counts=meta.names_values,
        key=meta.key,
    )
    allowed = describe_allowed(kwargs, result)
    return f"{found} (allowed: {allowed})" if allowed else found


@pytest.mark.parametrize(
    ("view", "description", "result", "text"), SENTENCES, ids=[f"{one[0]}: {one[1]}" for one in SENTENCES]
)
def test_a_breach_is_a_plain_sentence(view: str, description: str, result: dict[str, Any], text: str) -> None:
    assert sentence(SUITES[view], entry_of(view, description), result) == text


def test_every_type_and_every_view_is_rendered_here() -> None:
    rendered = {(view, entry_of(view, description).type) for view, description, *_ in SENTENCES}
    types = {entry.type for suite in SUITES.values() for entry in suite.expectations}
    assert types == {type_ for _, type_ in rendered}
    alike = {"raw_transactions", "raw_sessions", "raw_communications", "feature_drift"}
    assert set(SUITES) - alike == {view for view, _ in rendered}


@pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES)
def test_every_entry_says_what_rows_in_breach_are_like(suite: Suite) -> None:
    for entry in suite.expectations:
        assert entry.breach or entry.type in NAMED_BY_TYPE, entry.description
        text = sentence(suite, entry, broken(6, 100))
        assert "{" not in text
        assert not entry.breach.endswith(".")


@pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES)
def test_rows_that_are_figures_are_counted_in_words_that_fit_one_and_many(suite: Suite) -> None:
    """'1 of 5 sources have' would be wrong, so such texts are in the past."""
    if suite.meta.names_values:
        assert suite.meta.rows != "rows"
        assert {entry.breach.split()[0] for entry in suite.expectations if entry.breach} <= {
            "had", "moved", "brought", "lacked", "could",
        }  # fmt: skip


def test_an_expectation_of_an_analyst_needs_no_words() -> None:
    rule = {"condition": "true", "tolerance": 0.05}
    texts = {"rows": "rows", "breach": "", "counts": False}
    assert describe_breach("expect_rows_to_satisfy", rule, broken(6, 100), **texts) == (  # type: ignore[arg-type]
        "6.00% of rows are not as expected"
    )
    mean = {"column": "stake", "min_value": 1.5, "max_value": 2}
    assert describe_breach("expect_column_mean_to_be_between", mean, {"observed_value": 7.25}, **texts) == (  # type: ignore[arg-type]
        "found 7.25"
    )
    assert describe_allowed(mean) == "at least 1.5 and at most 2"
    assert describe_allowed({"column": "stake", "value_set": ["a", "b"]}) == "value_set a, b"


def test_an_instant_is_in_utc() -> None:
    assert in_words(datetime.fromisoformat("2026-11-22T00:00:00-03:00")) == "2026-11-22 03:00 UTC"
    assert in_words(datetime.fromisoformat("2026-11-22T03:00:01")) == "2026-11-22 03:00:01 UTC"


def test_checks_have_plain_titles() -> None:
    assert [check.title for check in Check] == [
        "Completeness",
        "Primary keys",
        "Freshness",
        "Duplicates",
        "Outliers",
        "Data types",
        "Business rules",
        "Value ranges",
        "Distributions",
        "Correlation of features",
        "Readiness for machine learning",
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("u1 b", "u1 b"),
        ("josé 🎰", "josé 🎰"),
        ("u1\u200b", "u1<U+200B>"),
        ("\ufeffu\u202e1", "<U+FEFF>u<U+202E>1"),
        ("u\t1\u00a0\x00", "u<U+0009>1<U+00A0><U+0000>"),
        ("u\u31641\ufe0f", "u<U+3164>1<U+FE0F>"),
    ],
)
def test_an_id_shows_the_letters_that_nobody_sees(text: str, shown: str) -> None:
    assert visible(text) == shown
