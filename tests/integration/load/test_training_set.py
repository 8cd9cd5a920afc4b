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
from tests.tiers import examples

pytestmark = pytest.mark.integration

# Its clocks went forward on 2018-11-04, so that the days from then on begin an hour earlier in UTC.
ZONE = ZoneInfo("America/Sao_Paulo")
FIRST = date(2018, 10, 30)
HISTORY = """
CREATE SCHEMA own;
CREATE TABLE own.user_features_history (
    user_id varchar(50), as_of timestamptz, known_at timestamptz, active_days_30d integer,
    marketing_reason text, reconstructed boolean, PRIMARY KEY (user_id, as_of)
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
        execute_values(
            cursor,
            "INSERT INTO own.user_features_history (user_id, as_of, known_at, active_days_30d) VALUES %s",
            rows,
        )
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
@settings(max_examples=examples(30, full=120), deadline=None)
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


NOW = midnight(400)
"""When a backfill computed days of long ago."""

Marked = tuple[str, datetime, datetime, int | None, str | None, bool | None]


def ask(cursor: Any, rows: list[Marked], pairs: list[Pair], *, admit: bool | None) -> list[tuple[Any, ...]]:
    """Player, day of the features, value and label of a training set of three days, from marked rows."""
    cursor.execute("TRUNCATE own.user_features_history, pairs")
    execute_values(cursor, "INSERT INTO own.user_features_history VALUES %s", rows)
    execute_values(cursor, "INSERT INTO pairs VALUES %s", pairs)
    argument = "" if admit is None else f", admit_reconstructed => {admit}"
    cursor.execute(
        "SELECT user_id, (features).as_of, (features).active_days_30d, label_value "
        f"FROM own.training_set('pairs', 'active_days_30d', '3 days'{argument})"
    )
    return sorted((user, at.astimezone(UTC), value, label) for user, at, value, label in cursor.fetchall())


@pytest.mark.parametrize(
    ("mark", "admit", "found"),
    [
        (True, None, False), (True, False, False), (True, True, True),
        (None, True, False), (False, True, False), (None, None, False),
    ],
)  # fmt: skip
def test_a_backfilled_day_counts_only_if_it_is_marked_and_admitted(
    cursor: Any, mark: bool | None, admit: bool | None, found: bool
) -> None:
    rows: list[Marked] = [
        ("a", midnight(0), NOW, 1, None, mark),
        ("a", midnight(3), NOW, 2, None, mark),
    ]

    assert ask(cursor, rows, [("a", midnight(0))], admit=admit) == (
        [("a", midnight(0), 1, 2)] if found else []
    )


def test_a_notice_says_how_many_rows_were_reconstructed(cursor: Any) -> None:
    rows: list[Marked] = [
        ("a", midnight(0), NOW, 1, None, True), ("a", midnight(3), midnight(3), 2, None, False),
        ("b", midnight(0), midnight(0), 3, None, False), ("b", midnight(3), midnight(3), 4, None, None),
        ("c", midnight(0), midnight(0), 5, None, None), ("c", midnight(1), NOW, 6, None, True),
        ("c", midnight(4), midnight(4), 7, None, False),
    ]  # fmt: skip
    pairs = [("a", midnight(0)), ("b", midnight(0)), ("c", midnight(1))]
    cursor.connection.notices.clear()

    found = ask(cursor, rows, pairs, admit=True)

    # Of c, the newest row that is admitted is the reconstructed one.
    assert found == [("a", midnight(0), 1, 2), ("b", midnight(0), 3, 4), ("c", midnight(1), 6, 7)]
    [notice] = cursor.connection.notices
    assert "the features of 2 of 3 pairs are reconstructed" in notice
    cursor.connection.notices.clear()
    assert ask(cursor, rows, pairs, admit=False) == [("b", midnight(0), 3, 4), ("c", midnight(0), 5, 7)]
    assert cursor.connection.notices == []


def test_the_row_of_a_player_who_is_gone_is_neither_features_nor_label(cursor: Any) -> None:
    rows: list[Marked] = [
        ("a", midnight(0), midnight(0), 1, None, False),
        ("a", midnight(1), midnight(1), 1, "gone", None),
        ("a", midnight(4), midnight(4), 1, "gone", None),
    ]

    assert ask(cursor, rows, [("a", midnight(1))], admit=True) == []
    rows.append(("a", midnight(4) + timedelta(hours=1), midnight(5), 9, None, False))
    assert ask(cursor, rows, [("a", midnight(1))], admit=True) == [("a", midnight(0), 1, 9)]


OLDER = """
CREATE FUNCTION {}.training_set(
    spine regclass, label text, maturity interval, mature_by timestamptz DEFAULT 'infinity'
) RETURNS TABLE (user_id text) LANGUAGE sql AS $$ SELECT 'of an earlier release' $$
"""


@pytest.fixture
def older(cursor: Any) -> Iterator[str]:
    """A schema with the function of an earlier release."""
    cursor.execute(
        HISTORY.replace(" own", " older").replace("CREATE TEMP TABLE", "CREATE TEMP TABLE IF NOT EXISTS")
    )
    cursor.execute(OLDER.format("older"))
    yield "older"
    cursor.connection.rollback()


def test_the_function_of_an_earlier_release_makes_way(cursor: Any, older: str) -> None:
    create_training_set(cursor, older, ZONE.key)

    cursor.execute(f"SELECT count(*) FROM {older}.training_set('pairs', 'active_days_30d', '30 days')")
    cursor.execute(
        "SELECT proname FROM pg_proc WHERE proname = 'training_set' AND pronamespace = 'older'::regnamespace"
    )
    assert cursor.fetchall() == [("training_set",)]


def test_a_view_of_an_earlier_function_stops_no_load(
    cursor: Any, older: str, caplog: pytest.LogCaptureFixture
) -> None:
    cursor.execute(f"CREATE VIEW older.used AS SELECT * FROM {older}.training_set('pairs', 'x', '1 day')")

    create_training_set(cursor, older, ZONE.key)

    cursor.execute("SELECT * FROM older.used")
    assert cursor.fetchall() == [("of an earlier release",)]
    assert "without the argument admit_reconstructed" in caplog.text
