"""Training sets against a slow reference: no row that was not known, no label that is not mature."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg2.extras import execute_values

from crmbet.load.training_set import create_training_set

pytestmark = pytest.mark.integration

# Its clocks went forward on 2018-11-04, so that the days from then on begin an hour earlier in UTC.
ZONE = ZoneInfo("America/Sao_Paulo")
FIRST = date(2018, 10, 30)
HISTORY = """
CREATE SCHEMA own;
CREATE TABLE own.user_features_history (
    user_id varchar(50), as_of timestamptz, known_at timestamptz, active_days_30d integer, PRIMARY KEY (user_id, as_of)
);
CREATE TEMP TABLE pairs (user_id text, instant timestamptz);
"""


def midnight(day: int) -> datetime:
    local = datetime.combine(FIRST + timedelta(days=day), datetime.min.time(), ZONE)
    return local.astimezone(UTC)


def days_later(instant: datetime, days: int) -> datetime:
    """By the operator's clock, as windows are."""
    local = instant.astimezone(ZONE).replace(tzinfo=None) + timedelta(days=days)
    return local.replace(tzinfo=ZONE).astimezone(UTC)


Row = tuple[str, datetime, datetime, int | None]
Pair = tuple[str, datetime]

HOURS = st.integers(-6, 80).map(lambda hours: timedelta(hours=hours))
USERS = st.sampled_from(["a", "b"])
ROWS = st.lists(
    st.builds(
        lambda user, day, delay, value: (user, midnight(day), midnight(day) + abs(delay), value),
        USERS,
        st.integers(0, 11),
        HOURS,
        st.none() | st.integers(0, 30),
    ),
    max_size=24,
    unique_by=lambda row: (row[0], row[1]),
)
PAIRS = st.lists(
    st.builds(lambda user, day, shift: (user, midnight(day) + shift), USERS, st.integers(0, 11), HOURS),
    max_size=6,
)


def reference(rows: list[Row], pairs: list[Pair], days: int, mature_by: datetime) -> list[tuple[Any, ...]]:
    found = []
    for user, instant in pairs:
        own = sorted((row for row in rows if row[0] == user), key=lambda row: row[1])
        known = [row for row in own if row[1] <= instant and row[2] <= instant]
        begin, end = days_later(instant, days), days_later(days_later(instant, days), 1)
        mature = [row for row in own if begin <= row[1] < end and row[2] <= mature_by]
        if known and mature:
            found.append((user, instant, mature[0][1], mature[0][3], known[-1][1], known[-1][3]))
    return sorted(found, key=str)


@pytest.fixture(scope="module")
def cursor(new_database: Callable[[], str]) -> Iterator[Any]:
    with closing(psycopg2.connect(new_database())) as connection, connection.cursor() as opened:
        opened.execute(HISTORY)
        create_training_set(opened, "own", ZONE.key)
        create_training_set(opened, "own", ZONE.key)
        connection.commit()
        # The session's zone must not matter.
        opened.execute("SET timezone = 'Asia/Tokyo'")
        yield opened


def training_set(
    cursor: Any, rows: list[Row], pairs: list[Pair], days: int, mature_by: datetime
) -> list[Any]:
    cursor.execute("TRUNCATE own.user_features_history, pairs")
    if rows:
        execute_values(cursor, "INSERT INTO own.user_features_history VALUES %s", rows)
    if pairs:
        execute_values(cursor, "INSERT INTO pairs VALUES %s", pairs)
    cursor.execute(
        "SELECT user_id, instant, label_as_of, label_value, (features).as_of, (features).active_days_30d "
        "FROM own.training_set('pairs', 'active_days_30d', make_interval(days => %s), %s)",
        (days, mature_by),
    )
    return sorted(
        (
            (user, instant.astimezone(UTC), label_as_of.astimezone(UTC), label, as_of.astimezone(UTC), value)
            for user, instant, label_as_of, label, as_of, value in cursor.fetchall()
        ),
        key=str,
    )


@given(ROWS, PAIRS, st.integers(0, 6), st.integers(0, 14).map(midnight))
@settings(max_examples=120, deadline=None)
def test_a_training_set_is_that_of_the_slow_reference(
    cursor: Any, rows: list[Row], pairs: list[Pair], days: int, mature_by: datetime
) -> None:
    assert training_set(cursor, rows, pairs, days, mature_by) == reference(rows, pairs, days, mature_by)


def test_a_day_of_23_hours_moves_no_label(cursor: Any) -> None:
    rows: list[Row] = [("a", midnight(day), midnight(day), day) for day in range(12)]

    # From the 1st to the 6th of November.
    found = training_set(cursor, rows, [("a", midnight(2))], 5, midnight(20))

    assert [(row[2], row[3], row[5]) for row in found] == [(midnight(7), 7, 2)]


def test_a_restated_row_was_not_known_before(cursor: Any) -> None:
    rows: list[Row] = [
        ("a", midnight(0), midnight(0), 1),
        ("a", midnight(1), midnight(9), 2),
        ("a", midnight(4), midnight(4), 3),
    ]

    found = training_set(cursor, rows, [("a", midnight(1))], 3, midnight(20))

    assert [row[4:] for row in found] == [(midnight(0), 1)]


def test_a_label_from_before_is_refused(cursor: Any) -> None:
    with pytest.raises(psycopg2.Error, match="negative"):
        training_set(cursor, [], [], -1, midnight(0))
    cursor.connection.rollback()


def test_a_label_that_is_no_column_is_an_error_and_no_statement(cursor: Any) -> None:
    with pytest.raises(psycopg2.errors.UndefinedColumn):
        cursor.execute("SELECT * FROM own.training_set('pairs', 'x); DROP TABLE pairs; --', '1 day')")
    cursor.connection.rollback()
