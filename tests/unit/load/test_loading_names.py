"""What loading derives from a contract and a run without asking a server."""

from __future__ import annotations

from datetime import datetime
from typing import get_args

import pytest

from crmbet.contracts.files import load_table_contract
from crmbet.contracts.table import ENGINE_TYPES, LOAD_COLUMNS, FeatureColumn
from crmbet.databases.statements import identifier
from crmbet.load.history import months, partition_name
from crmbet.load.session import LoadSession
from crmbet.load.staging import staging_name
from crmbet.load.target import (
    HISTORY_COLUMNS,
    INDEXED,
    ActualColumn,
    column_definition,
    find_differences,
    history_shape,
    target_shape,
)

pytestmark = pytest.mark.unit

CONTRACT = load_table_contract()


def test_every_type_of_a_contract_is_known_to_staging() -> None:
    assert set(ENGINE_TYPES) == set(get_args(FeatureColumn.model_fields["type"].annotation))


def test_a_run_computes_every_column_but_those_of_the_load() -> None:
    assert [*CONTRACT.computed, *LOAD_COLUMNS] == list(CONTRACT.columns)


@pytest.mark.parametrize(
    "run_id", ["manual__2026-11-20T03:00:00+00:00", "x" * 250, '"; DROP TABLE x; --', "", "ação/%"]
)
def test_a_staging_table_has_an_allowed_name_whatever_the_run_is_called(run_id: str) -> None:
    name = staging_name(CONTRACT, run_id)

    assert name.startswith("user_features_staging_")
    assert identifier(name) == f'"{name}"'
    assert name == staging_name(CONTRACT, run_id)


def test_two_runs_never_share_a_staging_table() -> None:
    assert staging_name(CONTRACT, "run 1") != staging_name(CONTRACT, "run 2")


def test_a_column_that_may_not_be_null_says_so_in_its_definition() -> None:
    assert column_definition("user_id", CONTRACT.columns["user_id"]) == '"user_id" varchar(50) NOT NULL'
    assert (
        column_definition("churn_risk_score", CONTRACT.columns["churn_risk_score"])
        == '"churn_risk_score" double precision'
    )


def test_an_indexed_column_exists() -> None:
    assert set(INDEXED) & set(CONTRACT.features)


def test_the_history_keeps_all_that_a_run_computes_and_when_it_was_written() -> None:
    shape = history_shape(CONTRACT)

    assert list(shape.columns) == [*CONTRACT.computed, "marketing_reason", "updated_at", *HISTORY_COLUMNS]
    assert shape.key == ("user_id", "as_of")


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("oldest", "newest", "expected"),
    [
        ("2026-11-20T03:00+00:00", "2026-11-20T03:00+00:00", ["2026_11"]),
        ("2026-12-01T00:00+03:00", "2026-12-01T00:00+03:00", ["2026_11"]),
        ("2026-12-01T00:00+00:00", "2026-12-01T00:00+00:00", ["2026_12"]),
        ("2025-11-30T23:59+00:00", "2026-02-01T00:00+00:00", ["2025_11", "2025_12", "2026_01", "2026_02"]),
    ],
)
def test_partitions_are_months_of_utc(oldest: str, newest: str, expected: list[str]) -> None:
    found = [partition_name("h", month) for month in months(instant(oldest), instant(newest))]

    assert found == [f"h_{month}" for month in expected]


def test_only_a_missing_nullable_column_is_no_difference() -> None:
    actual = {
        name: ActualColumn(
            type={"varchar(50)": "character varying(50)", "timestamptz": "timestamp with time zone"}.get(
                column.postgres_type, column.postgres_type
            ),
            nullable=column.nullable,
            in_key=name == "user_id",
        )
        for name, column in CONTRACT.columns.items()
    }
    table, shape = identifier(CONTRACT.name), target_shape(CONTRACT)
    assert find_differences(table, shape, actual) == []

    del actual["churn_risk_score"]
    assert find_differences(table, shape, actual) == []

    del actual["row_hash"]
    assert [difference.finding for difference in find_differences(table, shape, actual)] == [
        "column row_hash is missing and may not be NULL, so existing rows need a value"
    ]


def test_a_session_does_not_show_its_connection() -> None:
    session = LoadSession(
        connection="password=hunter2",  # type: ignore[arg-type]
        contract=CONTRACT,
        run_id="run",
        lock_timeout_seconds=1,
    )

    assert "hunter2" not in repr(session)
