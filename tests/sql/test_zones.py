"""The shifts of a zone's clock say what the engine's own conversion says, at every change of the clock as well."""

from __future__ import annotations

import duckdb
import pytest

from crmbet.databases.statements import literal
from crmbet.databases.zones import zone_shifts
from tests.tiers import now

pytestmark = pytest.mark.sql

ZONES = (
    "America/Sao_Paulo",
    "America/New_York",
    "Europe/Lisbon",
    "Africa/Casablanca",
    "Asia/Pyongyang",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "UTC",
)


@pytest.mark.few(1)
@pytest.mark.parametrize("zone", now("America/Sao_Paulo", "Australia/Lord_Howe", full=ZONES))
def test_the_shift_of_a_month_is_the_shift_of_each_instant(
    engine: duckdb.DuckDBPyConnection, zone: str
) -> None:
    """Every quarter of an hour of twenty years, and every five hours of all the others."""
    (differing,) = engine.execute(
        "SELECT count(*) FROM (SELECT unnest("
        "range(TIMESTAMP '2005-01-01', TIMESTAMP '2025-01-01', INTERVAL 15 MINUTES) "
        "|| range(TIMESTAMP '1969-01-01', TIMESTAMP '2102-01-01', INTERVAL 5 HOURS)) AS instant) "
        f"WHERE shifted_time(instant, {literal(zone)}, {zone_shifts(zone)}) <> local_time(instant, {literal(zone)})"
    ).fetchone() or (None,)

    assert differing == 0


@pytest.mark.parametrize(
    "instant", ["NULL", "'infinity'", "'-infinity'", "'1969-12-31 23:59:59'", "'9999-12-31'"]
)
def test_an_instant_beyond_all_months_is_asked_for(engine: duckdb.DuckDBPyConnection, instant: str) -> None:
    found, expected = engine.execute(
        f"SELECT shifted_time(instant, 'Asia/Tokyo', {zone_shifts('Asia/Tokyo')})::VARCHAR, "
        "local_time(instant, 'Asia/Tokyo')::VARCHAR "
        f"FROM (SELECT {instant}::TIMESTAMP AS instant)"
    ).fetchone() or (None, None)

    assert found == expected


def test_most_months_have_a_shift(engine: duckdb.DuckDBPyConnection) -> None:
    """Without one, the result is right and slow."""
    (brazil, portugal) = engine.execute(
        f"SELECT len(list_filter({zone_shifts('America/Sao_Paulo')}, lambda shift: shift IS NULL)), "
        f"len(list_filter({zone_shifts('Europe/Lisbon')}, lambda shift: shift IS NULL))"
    ).fetchone() or (None, None)

    # Brazil had its last summer time in 2019.
    assert 0 < brazil < 100
    assert brazil < portugal < 300
