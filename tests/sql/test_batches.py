"""What a batch of days is made of: the rows of these days, and for each key the one row that stands."""

from __future__ import annotations

from datetime import date, timedelta

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmbet.clean.records import UNDATED_DAY
from crmbet.clean.typed import among_days
from crmbet.databases.statements import Fragment, render

pytestmark = pytest.mark.sql

FIRST = date(2026, 2, 26)
DAYS = [UNDATED_DAY, *(FIRST + timedelta(days=offset) for offset in range(8))]


@settings(max_examples=30)
@given(wanted=st.sets(st.sampled_from(DAYS)))
def test_rows_of_the_wanted_days_and_no_others(engine: duckdb.DuckDBPyConnection, wanted: set[date]) -> None:
    """A row without a day is of the undated day, however it is spelled."""
    days = sorted(wanted)
    rows = Fragment("(SELECT unnest($days) AS spelled, nullif(spelled, $undated) AS placed)")
    parameters = {"days": DAYS, "undated": UNDATED_DAY}

    for column in ("spelled", "placed"):
        condition = among_days(Fragment(column), days)
        found = engine.execute(f"SELECT spelled FROM {rows} WHERE {condition} ORDER BY spelled", parameters)

        assert [day for (day,) in found.fetchall()] == days


def test_days_in_a_row_are_one_range() -> None:
    days = [FIRST, FIRST + timedelta(days=1), FIRST + timedelta(days=3)]

    assert among_days(Fragment("_day"), days).count("BETWEEN") == 2


def test_keys_with_one_hash_are_told_apart(engine: duckdb.DuckDBPyConnection) -> None:
    engine.execute("CREATE TEMPORARY MACRO hash(one) AS 7, (one, other) AS 7")
    engine.execute(
        """
        CREATE TEMPORARY VIEW typed AS
        SELECT
            key, number AS _id, number AS _row, 'file' AS _source_key, DATE '2026-02-26' AS _day,
            NULL AS _fault, NULL::TIMESTAMP AS _known, NULL AS _protection
        FROM (VALUES ('a', 1), ('b', 2), ('a', 3), ('c', 4)) AS rows(key, number)
        """
    )
    names = {"key": Fragment("key"), "columns": Fragment("key")}
    try:
        engine.execute(
            render("clean/rank_duplicates", known_at=Fragment("TIMESTAMP '2026-02-27 00:00:00'"), **names)
        )

        ranked = engine.execute("SELECT id, place FROM duplicates ORDER BY id").fetchall()
        assert ranked == [(1, 1), (2, 1), (3, 2), (4, 1)]
    finally:
        engine.execute("DROP VIEW typed")
        engine.execute("DROP TABLE IF EXISTS duplicates")
        engine.execute("DROP MACRO hash")
