"""The SQL against a second, independent implementation, cell by cell, on random small worlds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings

from crmbet.databases.statements import Fragment
from crmbet.features.sessions import derived_sessions
from tests.sql.reference import compute_reference
from tests.sql.small_worlds import crowded_worlds, full_worlds
from tests.sql.world import SOURCES, Features, Row, World, compute_features, contracts, table
from tests.tiers import examples

pytestmark = pytest.mark.sql

REPEATABLE = settings(
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
"""The same examples everywhere: a red test is a changed line, not a lucky draw."""


def cells(features: Features) -> Features:
    return {user: {name: row[name] for name in table().features} for user, row in features.items()}


def unlike(found: Features, expected: Features) -> dict[tuple[str, str], tuple[Any, Any]]:
    """The cells that differ: a failure shows them, and nothing of the other ninety columns."""
    assert found.keys() == expected.keys()
    return {
        (user, name): (cell, expected[user].get(name))
        for user, row in found.items()
        for name, cell in row.items()
        if cell != expected[user].get(name)
    }


@contextmanager
def two_threads(engine: duckdb.DuckDBPyConnection) -> Iterator[None]:
    engine.execute("SET threads = 2")
    try:
        yield
    finally:
        engine.execute("SET threads = 1")


@settings(REPEATABLE, max_examples=examples(3, full=8))
@given(world=crowded_worlds())
def test_sql_equals_the_reference(engine: duckdb.DuckDBPyConnection, world: World) -> None:
    found = compute_features(engine, world)

    assert unlike(cells(found), compute_reference(world, found)) == {}, "(user, feature): SQL and reference"


def test_the_reference_covers_every_feature_column() -> None:
    world = World(as_of_date=date(2026, 3, 1), players=[{"user_id": "ana"}])

    modelled = {"ana": dict.fromkeys(table().features)}
    (row,) = compute_reference(world, modelled).values()

    assert set(row) == set(table().features)


@settings(REPEATABLE, max_examples=1)
@given(world=full_worlds())
def test_neither_row_order_nor_threads_change_a_cell(engine: duckdb.DuckDBPyConnection, world: World) -> None:
    found = compute_features(engine, world)
    rows: dict[str, Any] = {source: _shuffled(world, source) for source in SOURCES}
    shuffled = replace(world, **rows)

    with two_threads(engine):
        again = compute_features(engine, shuffled)

    assert again == found


def _shuffled(world: World, source: str) -> list[Row]:
    key = contracts()[source].business_key[0]
    rows = [{key: f"{source} {number}", **row} for number, row in enumerate(world.rows(source))]
    return [*rows[1::2], *reversed(rows[::2])]


def test_ten_thousand_bets_in_a_minute(engine: duckdb.DuckDBPyConnection) -> None:
    # A stake of a cent each; every hundredth bet wins a cent.
    began = datetime(2026, 2, 28, 12, tzinfo=UTC)
    bets = [
        {
            "user_id": "ana",
            "placed_at": (began + number * timedelta(milliseconds=6)).isoformat(),
            "stake": "0.01",
            "payout": "0.02" if number % 100 == 0 else "0",
        }
        for number in range(10_000)
    ]

    row = compute_features(engine, World(as_of_date=date(2026, 3, 1), bets=bets))["ana"]

    assert (row["bets_count_30d"], row["bet_sum_30d"], row["bet_avg_30d"]) == (10_000, 100, Decimal("0.01"))
    # 100 of stakes less 100 x 0.02.
    assert (row["ggr_30d"], row["rg_max_daily_loss_30d"], row["win_rate_30d"]) == (98, 98, 0.01)
    assert (row["bet_volatility"], row["active_days_30d"], row["rg_intensity_30d"]) == (0.0, 1, 10_000.0)
    # From the first to the last are 9,999 x 6 ms = 59.994 s.
    assert (row["sessions_30d"], row["session_minutes_max_30d"]) == (1, 0.9999)


def test_bets_of_one_instant_are_one_session_however_many(engine: duckdb.DuckDBPyConnection) -> None:
    # Far more than the engine handles at once (2,048 rows): with two threads it keeps no order among them.
    engine.execute("SET VARIABLE operator_zone = 'UTC'")
    engine.execute(
        "CREATE OR REPLACE TEMPORARY TABLE bets AS "
        "SELECT 'user ' || user_number AS user_id, TIMESTAMP '2026-02-20' + to_hours(hour) AS placed_at, "
        "number::VARCHAR AS bet_id, 1.0 AS stake, NULL::DECIMAL AS payout, NULL::DECIMAL AS balance_after "
        "FROM range(2) AS users(user_number), range(10, 17, 2) AS hours(hour), range(30000) AS bets(number)"
    )
    derived = derived_sessions(Fragment("DATE '2026-02-20'"))

    with two_threads(engine):
        sessions = engine.execute(derived).fetchall()

    assert len(sessions) == 8
    assert all(started_at == ended_at for _, _, started_at, ended_at, *_ in sessions)
