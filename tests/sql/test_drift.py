"""What the SQL gives out is what the contract of the table says: names, order and types."""

from __future__ import annotations

from datetime import date

import duckdb
import pytest

from crmbet.contracts.table import FeatureColumn
from crmbet.databases.parquet import column_types
from crmbet.databases.statements import Fragment
from tests.sql.world import World, compute_features, feature_query, table

pytestmark = pytest.mark.sql

ENGINE_TYPES = {
    "text": "VARCHAR",
    "text[]": "VARCHAR[]",
    "varchar(50)": "VARCHAR",
    "char(3)": "VARCHAR",
    "integer": "INTEGER",
    "smallint": "SMALLINT",
    "real": "DOUBLE",
    "r01": "DOUBLE",
    "money": "DECIMAL(14,2)",
    "boolean": "BOOLEAN",
    "timestamptz": "TIMESTAMP WITH TIME ZONE",
}

AS_OF = date(2026, 3, 1)


def test_columns_and_types_are_those_of_the_contract(engine: duckdb.DuckDBPyConnection) -> None:
    expected = {name: ENGINE_TYPES[column.type] for name, column in table().computed.items()}

    found = column_types(engine, Fragment(f"({feature_query(engine, World(as_of_date=AS_OF))})"))

    assert list(found.items()) == list(expected.items())


def test_a_world_without_anything_has_no_rows(engine: duckdb.DuckDBPyConnection) -> None:
    assert compute_features(engine, World(as_of_date=AS_OF)) == {}


def test_a_player_who_did_nothing_breaks_no_promise(engine: duckdb.DuckDBPyConnection) -> None:
    (row,) = compute_features(engine, World(as_of_date=AS_OF, players=[{"user_id": "ana"}])).values()

    missing = {
        name for name, column in table().columns.items() if not column.nullable and row.get(name) is None
    }
    assert missing == {"updated_at"}


def is_allowed(column: FeatureColumn, cell: object) -> bool:
    if column.values and cell not in column.values:
        return False
    if isinstance(cell, (int, float)):
        low, high = column.minimum, column.maximum
        return (low is None or cell >= low) and (high is None or cell <= high)
    return True


def test_cells_stay_within_the_ranges_of_the_contract(engine: duckdb.DuckDBPyConnection) -> None:
    days = ("2026-02-28", "2026-02-27", "2026-02-20", "2026-01-01", "2025-12-15")
    world = World(
        as_of_date=AS_OF,
        bets=[
            {"user_id": "ana", "placed_at": f"{day} {hour}:00:00-03:00", "game_type": game, "stake": stake}
            for day in days
            for hour, game, stake in ((10, "slots", "0.01"), (23, "poker", "10000000"), (5, "crash", "0"))
        ],
        transactions=[
            {
                "user_id": user,
                "created_at": f"{day} 12:00:00-03:00",
                "transaction_type": kind,
                "amount": amount,
            }
            for user, kind, amount in (("ana", "deposit", "99999999.99"), ("bia", "withdrawal", "0.01"))
            for day in days
        ],
    )

    for row in compute_features(engine, world).values():
        for name, column in table().features.items():
            assert row[name] is None or is_allowed(column, row[name]), (name, row[name])
