"""Suites and contracts say the same: what the contracts name, the suites judge, with the same limits."""

from __future__ import annotations

import re
from typing import Any

import pytest

from crmbet.contracts.files import load_source_contracts, load_table_contract
from crmbet.contracts.source import SourceColumn, SourceContract
from crmbet.contracts.table import ENGINE_TYPES
from crmbet.quality.checks import Check
from crmbet.quality.stages import FEATURE_VIEWS
from crmbet.quality.suites import Entry, Suite, load_suites
from crmbet.run.settings import THRESHOLDS

pytestmark = pytest.mark.unit

SOURCES = load_source_contracts()
TABLE = load_table_contract()
FEATURES = TABLE.computed
ABOUT_RAW = {"raw_sources", "raw_days", "raw_protection", "raw_references", "raw_drift"}
SUITES = [*load_suites("raw"), *load_suites("features")]
RAW = {suite.name: suite for suite in SUITES if suite.name.startswith("raw_") and suite.name not in ABOUT_RAW}
(USER_FEATURES,) = (suite.for_table(TABLE) for suite in SUITES if suite.name == "user_features")

SOURCE_TYPES = {
    "text": "VARCHAR",
    "enum": "VARCHAR",
    "timezone": "VARCHAR",
    "channels": "VARCHAR[]",
    "integer": "BIGINT",
    "real": "DOUBLE",
    "boolean": "BOOLEAN",
    "timestamp": "TIMESTAMP",
    "date": "DATE",
}


def of_type(suite: Suite, type_: str, check: Check) -> list[Entry]:
    return [entry for entry in suite.expectations if entry.type == type_ and entry.check is check]


def by_column(entries: list[Entry], argument: str) -> dict[str, Any]:
    assert len({entry.kwargs["column"] for entry in entries}) == len(entries)
    return {entry.kwargs["column"]: entry.kwargs[argument] for entry in entries}


def rules(suite: Suite, check: Check) -> dict[str, Any]:
    return {
        entry.kwargs["condition"]: entry.kwargs["tolerance"]
        for entry in of_type(suite, "expect_rows_to_satisfy", check)
    }


def parameter(name: str) -> dict[str, str]:
    return {"$PARAMETER": name}


def test_every_source_has_a_suite_and_no_suite_is_left_over() -> None:
    assert set(RAW) == {f"raw_{name}" for name in SOURCES} | {"raw_files"}
    assert {suite.name for suite in load_suites("features")} == set(FEATURE_VIEWS)


@pytest.mark.parametrize("source", SOURCES.values(), ids=lambda source: source.name)
class TestRaw:
    def test_it_is_as_required_as_its_source_and_names_rows_by_ids(self, source: SourceContract) -> None:
        meta = RAW[f"raw_{source.name}"].meta
        assert meta.required == source.required
        assert meta.key == [*source.business_key, "_source_key", "_row"]
        assert not any(source.columns[name].personal for name in source.business_key)

    def test_volume(self, source: SourceContract) -> None:
        (entry,) = of_type(
            RAW[f"raw_{source.name}"], "expect_table_row_count_to_be_between", Check.COMPLETENESS
        )
        assert entry.kwargs == {"min_value": parameter("min_rows_per_day")}

    def test_required_columns_are_filled(self, source: SourceContract) -> None:
        entries = of_type(
            RAW[f"raw_{source.name}"], "expect_column_values_to_not_be_null", Check.COMPLETENESS
        )
        required = [name for name, column in source.columns.items() if column.required]
        assert by_column(entries, "mostly") == dict.fromkeys(required, parameter("min_data_completeness"))

    def test_rows_are_whole(self, source: SourceContract) -> None:
        required = [name for name, column in source.columns.items() if column.required]
        assert rules(RAW[f"raw_{source.name}"], Check.COMPLETENESS) == {
            " AND ".join(f"{name} IS NOT NULL" for name in required): parameter("max_data_incompleteness")
        }

    def test_keys_are_there(self, source: SourceContract) -> None:
        """Few delivered rows may lack one, and none that is accepted."""
        entries = of_type(RAW[f"raw_{source.name}"], "expect_rows_to_satisfy", Check.PRIMARY_KEY_INTEGRITY)
        conditions = [
            f"{name} IS NOT NULL AND trim({name}) <> ''"
            for name in dict.fromkeys((*source.business_key, "user_id"))
            if source.columns[name].type == "text"
        ]
        assert sorted(map(str, (entry.kwargs for entry in entries))) == sorted(
            map(
                str,
                [
                    *(
                        {"condition": each, "tolerance": parameter("max_keyless_share")}
                        for each in conditions
                    ),
                    *({"condition": each, "tolerance": 0, "among": "_fault IS NULL"} for each in conditions),
                ],
            )
        )

    def test_events_are_fresh(self, source: SourceContract) -> None:
        entries = of_type(RAW[f"raw_{source.name}"], "expect_column_max_to_be_between", Check.DATA_FRESHNESS)
        assert [entry.kwargs for entry in entries] == [
            {
                "column": source.event_time,
                "min_value": parameter("freshness_floor"),
                "max_value": parameter("as_of"),
                "strict_max": True,
            }
        ] * (source.event_time is not None)

    def test_copies_of_the_business_key_are_rare(self, source: SourceContract) -> None:
        kinds = {
            "column": "expect_column_copies_to_be_within",
            "columns": "expect_compound_copies_to_be_within",
        }
        names = list(source.business_key)
        key = {"column": names[0]} if len(names) == 1 else {"columns": names}
        (entry,) = of_type(RAW[f"raw_{source.name}"], kinds[next(iter(key))], Check.DUPLICATES)
        assert entry.kwargs == {**key, "tolerance": parameter("max_duplicate_share")}

    def test_types_and_the_contract_are_kept(self, source: SourceContract) -> None:
        suite = RAW[f"raw_{source.name}"]
        entries = of_type(suite, "expect_column_type_to_be", Check.DATA_TYPES)
        assert by_column(entries, "type_") == {
            name: duckdb_type(column) for name, column in source.columns.items()
        }
        assert rules(suite, Check.DATA_TYPES) == {
            "_fault IS NULL": parameter("max_quarantine_share"),
            "_discarded IS NULL": parameter("max_discarded_share"),
        }

    def test_ranges_lists_and_orders(self, source: SourceContract) -> None:
        suite = RAW[f"raw_{source.name}"]
        tolerated = parameter("max_quarantine_share")
        limited = {
            f"{name} IS NULL OR {limit}"
            for name, column in source.columns.items()
            if (limit := range_of(name, column))
        }
        assert rules(suite, Check.VALUE_RANGE) == dict.fromkeys(limited, tolerated)
        ordered = {f"{a} IS NULL OR {b} IS NULL OR {a} >= {b}" for a, b in source.not_before.items()}
        written = rules(suite, Check.BUSINESS_RULES)
        assert ordered <= written.keys()
        # A number in a suite is a limit that no deployment can set.
        assert {rule: limit for rule, limit in written.items() if not isinstance(limit, dict)} == {}


def duckdb_type(column: SourceColumn) -> str:
    return SOURCE_TYPES.get(column.type) or f"DECIMAL({column.precision},{column.scale})"


def range_of(name: str, column: SourceColumn) -> str | None:
    """The condition that the contract's limits come to; every limited column of today has an upper one."""
    if column.type == "enum":
        return f"{name} IN ({', '.join(f'{value!r}' for value in column.values)})"
    if column.above is not None:
        return f"({name} > {column.above:g} AND {name} <= {column.maximum!r})"
    if column.minimum is not None:
        return f"{name} BETWEEN {column.minimum:g} AND {int(column.maximum or 0)}"
    return None


class TestFeatures:
    """Most of the suite is written once for a group of columns, and filled in from the contract."""

    def test_the_columns_are_the_contracts_in_its_order(self) -> None:
        (entry,) = of_type(USER_FEATURES, "expect_table_columns_to_match_ordered_list", Check.DATA_TYPES)
        assert entry.kwargs == {"column_list": parameter("contract_columns")}

    def test_types(self) -> None:
        entries = of_type(USER_FEATURES, "expect_column_type_to_be", Check.DATA_TYPES)
        assert by_column(entries, "type_") == {
            name: ENGINE_TYPES[column.type] for name, column in FEATURES.items()
        }

    def test_every_player_has_one_row(self) -> None:
        (some,) = of_type(USER_FEATURES, "expect_table_row_count_to_be_between", Check.COMPLETENESS)
        assert some.kwargs == {"min_value": 1}
        (all_,) = of_type(USER_FEATURES, "expect_table_row_count_to_equal", Check.COMPLETENESS)
        assert all_.kwargs == {"value": parameter("expected_users")}

    def test_the_key_is_there_and_unique(self) -> None:
        assert USER_FEATURES.meta.key == [TABLE.key]
        assert rules(USER_FEATURES, Check.PRIMARY_KEY_INTEGRITY) == {
            "user_id IS NOT NULL AND trim(user_id) <> ''": 0
        }
        (entry,) = of_type(USER_FEATURES, "expect_column_copies_to_be_within", Check.PRIMARY_KEY_INTEGRITY)
        assert entry.kwargs == {"column": "user_id", "tolerance": 0}

    def test_columns_that_are_never_null(self) -> None:
        expected = [name for name, column in FEATURES.items() if not column.nullable and column.role != "key"]
        assert rules(USER_FEATURES, Check.COMPLETENESS) == {f"{name} IS NOT NULL": 0 for name in expected}

    def test_cut_offs_are_the_runs(self) -> None:
        entries = of_type(USER_FEATURES, "expect_column_values_to_be_between", Check.DATA_FRESHNESS)
        for argument in ("min_value", "max_value"):
            assert by_column(entries, argument) == {name: parameter(name) for name in ("as_of", "known_at")}

    def test_ranges_and_closed_lists(self) -> None:
        found = rules(USER_FEATURES, Check.VALUE_RANGE)
        assert (
            found["game_diversity_score IS NULL OR (game_diversity_score >= 0 AND game_diversity_score <= 1)"]
            == 0
        )
        assert found["bet_volatility IS NULL OR (bet_volatility >= 0)"] == 0
        assert (
            found[
                "horarios_atividade IS NULL OR horarios_atividade IN ('madrugada', 'manha', 'tarde', 'noite')"
            ]
            == 0
        )
        assert found["churn_risk_score IS NULL OR isfinite(churn_risk_score)"] == 0
        expected = sum(
            (column.minimum is not None or column.maximum is not None)
            + bool(column.values)
            + (column.type in ("real", "r01"))
            for column in FEATURES.values()
        )
        assert len(found) == expected

    def test_rules_that_apply_name_only_columns_of_the_contract(self) -> None:
        """A renamed column is found here, before a run finds it."""
        sql = {"is", "null", "not", "and", "or", "map", "coalesce", "isfinite", "trim", "lower", "in", "select"} | {
            "regexp_full_match", "list_sort", "list_distinct", "string_split", "from", "where", "group", "by",
            "user_features", "all", "having", "count", "fold_id",
        }  # fmt: skip
        for entry in USER_FEATURES.expectations:
            if "condition" in entry.kwargs and not entry.needs:
                words = re.findall(r"[a-z_]\w*", re.sub(r"'[^']*'", "", entry.kwargs["condition"].lower()))
                assert set(words) - sql <= set(FEATURES), entry.description

    def test_rules_that_wait_name_the_columns_that_they_need(self) -> None:
        (suite,) = (suite for suite in SUITES if suite.name == "user_features")
        waiting = [entry for entry in suite.expectations if entry.needs]
        assert len(waiting) >= 15
        for entry in waiting:
            said = entry.kwargs["condition"] + entry.kwargs.get("among", "")
            assert all(name in said for name in entry.needs), entry.description


@pytest.mark.parametrize("suite", [*SUITES, USER_FEATURES], ids=lambda suite: suite.name)
def test_thresholds_come_from_settings_and_not_from_suites(suite: Suite) -> None:
    """Whoever changes a setting must not find that a suite keeps a number of its own."""
    for entry in suite.expectations:
        tolerance = entry.kwargs.get("tolerance", 0)
        assert tolerance == 0 or "$PARAMETER" in tolerance, entry.description
        assert "$PARAMETER" in entry.kwargs.get("mostly", parameter("")), entry.description
        of_rows = suite.name in RAW and suite.name != "raw_files"
        # An age is a setting too, although it is in SQL.
        assert "YEARS" not in entry.kwargs.get("condition", ""), entry.description
        if entry.type.startswith("expect_table_row_count_") and of_rows:
            assert all("$PARAMETER" in value for value in entry.kwargs.values()), entry.description


def test_parameters_are_settings_or_what_the_run_knows() -> None:
    used = {name for suite in SUITES for entry in suite.expectations for name in entry.parameters}
    of_the_run = {
        "as_of",
        "known_at",
        "freshness_floor",
        "expected_users",
        "contract_columns",
        "contract_features",
    }
    of_the_run |= {"max_data_incompleteness", "max_keyless_share", "adult_age"}
    # The last is part of freshness_floor.
    assert used - of_the_run == set(THRESHOLDS) - {"max_data_age_hours"}
    assert of_the_run <= used


def test_no_two_entries_of_a_suite_say_the_same() -> None:
    for suite in (*SUITES, USER_FEATURES):
        descriptions = [entry.description for entry in suite.expectations]
        assert len(set(descriptions)) == len(descriptions), suite.name
