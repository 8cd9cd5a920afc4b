"""What daily state lists, compared with the plain way to list it."""

from __future__ import annotations

import duckdb
import pytest

from crmbet.contracts.files import load_source_contracts
from crmbet.contracts.typing import typed_columns
from crmbet.databases.statements import Fragment, identifier, literal, render, statement
from crmbet.databases.zones import zone_shifts

pytestmark = pytest.mark.sql


def test_devices_are_listed_in_order_once_a_bet(engine: duckdb.DuckDBPyConnection) -> None:
    """Days of some 60 bets with up to 7 devices or none: unusual letters, no letters, and names that begin alike."""
    contracts = load_source_contracts()
    for source in ("bets", "transactions", "communications", "limits"):
        empty = render("clean/no_rows", columns=typed_columns(contracts[source]))
        engine.execute(render("databases/create_table", name=identifier(source), rows=Fragment(empty)))
    engine.execute(f"SET VARIABLE operator_zone = {literal('UTC')}")
    engine.execute(f"SET VARIABLE operator_shifts = {zone_shifts('UTC')}")
    engine.execute(
        "INSERT INTO bets BY NAME "
        "SELECT number::VARCHAR AS bet_id, 'u' || number % 97 % 31 AS user_id, DATE '2026-03-01' AS _day, "
        "TIMESTAMP '2026-03-01 12:00:00' AS placed_at, 'slots' AS game_type, 1 AS stake, "
        "CASE WHEN number % 97 % 31 <> 5 THEN (['mobile', 'Mobile', 'móvel', 'mob', '', NULL, 'app', chr(128241)])"
        "[1 + (hash(number) % (1 + number % 97 % 31 % 8))::INTEGER] END AS device_type "
        "FROM range(2000) AS of(number)"
    )

    engine.execute(f"CREATE TABLE listed AS {statement('features/state/summarise_days')}")

    [(days, several, differing)] = engine.execute(
        "SELECT count(*), count(*) FILTER (len(list_distinct(plain)) > 1), "
        "count(*) FILTER (devices IS DISTINCT FROM plain) "
        "FROM listed JOIN (SELECT user_id, list_sort(list(device_type) FILTER (device_type IS NOT NULL)) AS plain "
        "FROM bets GROUP BY user_id) USING (user_id)"
    ).fetchall()
    assert days == 31
    assert several > 15
    assert differing == 0
