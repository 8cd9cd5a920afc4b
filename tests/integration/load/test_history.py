"""What the history keeps: a row a player and as_of, of what was known last, whatever became of the table."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from crmbet.databases.statements import identifier
from crmbet.failures import LoadRefused
from crmbet.load.load import LoadCounts
from crmbet.load.staging import Staging
from tests.integration.load.small_loads import BOTH_SERVERS, load_rows

if TYPE_CHECKING:
    from crmbet.load.session import LoadSession

pytestmark = pytest.mark.integration

Query = Callable[..., list[tuple[Any, ...]]]
MakeRow = Callable[..., dict[str, Any]]
Stage = Callable[..., Staging]


def told(row: dict[str, Any], hour: int, row_hash: str) -> dict[str, Any]:
    """A row of the same as_of, known at another hour of that day."""
    return {**row, "known_at": row["as_of"].replace(hour=hour), "row_hash": row_hash}


def recorded(query: Query, session: LoadSession) -> dict[tuple[str, int], str]:
    """Player and day of as_of to the row's hash."""
    found = query(f"SELECT user_id, extract(day FROM as_of)::int, row_hash FROM {session.history}")
    return {(user_id, day): row_hash for user_id, day, row_hash in found}


@pytest.mark.few(2)
@BOTH_SERVERS
@pytest.mark.parametrize("strategy", ["merge", "append", "replace"])
def test_every_staged_row_is_recorded_with_every_cell(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage, strategy: Any
) -> None:
    rows = [row("a"), row("b", bet_volatility=None)]
    load_rows(session, stage(session, [row("a", day=19)]))

    counts = load_rows(session, stage(session, rows), strategy)

    assert counts.recorded == 2
    columns = list(session.contract.computed)
    listed = ", ".join(identifier(name) for name in columns)
    found = query(
        f"SELECT {listed} FROM {session.history} WHERE as_of = %s ORDER BY user_id", rows[0]["as_of"]
    )
    assert [dict(zip(columns, values, strict=True)) for values in found] == rows
    assert ("a", 19) in recorded(query, session)


def test_a_backfill_older_than_the_table_reaches_the_history_alone(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage
) -> None:
    load_rows(session, stage(session, [row("a", day=22)]))

    counts = load_rows(session, stage(session, [row("a", day=20, row_hash="of the 20th")]))

    assert counts == LoadCounts(staged=1, unchanged=1, recorded=1)
    assert recorded(query, session) == {("a", 22): "h1", ("a", 20): "of the 20th"}
    assert query(f"SELECT row_hash FROM {session.table}") == [("h1",)]


def test_a_refused_replace_reaches_nothing(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage
) -> None:
    load_rows(session, stage(session, [row("a", day=22)]))

    with pytest.raises(LoadRefused, match="take the table back"):
        load_rows(session, stage(session, [row("a", day=20)]), "replace")

    assert recorded(query, session) == {("a", 22): "h1"}


@pytest.mark.parametrize("order", [(5, 9, 7), (9, 7, 5), (7, 9, 5), (5, 7, 9)])
def test_what_was_known_last_wins_in_any_order(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage, order: tuple[int, ...]
) -> None:
    for hour in order:
        load_rows(session, stage(session, [told(row("a"), hour, f"known at {hour}")]))

    assert recorded(query, session) == {("a", 20): "known at 9"}


def test_what_says_the_same_writes_nothing(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage
) -> None:
    load_rows(session, stage(session, [told(row("a"), 5, "h1"), told(row("b"), 5, "h1")]))
    look = f"SELECT user_id, ctid::text, xmin::text, xmax::text, known_at FROM {session.history} ORDER BY 1"
    before = query(look)

    counts = load_rows(session, stage(session, [told(row("a"), 9, "h1"), told(row("b"), 9, "h1")]))

    assert counts == LoadCounts(staged=2, unchanged=2)
    assert query(look) == before


def test_what_a_retry_computed_anew_by_corrected_formulas_wins(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage
) -> None:
    load_rows(session, stage(session, [told(row("a"), 5, "wrong")]))

    load_rows(session, stage(session, [told(row("a"), 5, "right")]))

    assert recorded(query, session) == {("a", 20): "right"}


@BOTH_SERVERS
def test_rows_lie_in_partitions_by_month_and_one_day_reads_one_of_them(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage
) -> None:
    instants = [row("a")["as_of"].replace(month=month) for month in (11, 9, 10)]
    for instant in instants:
        load_rows(session, stage(session, [row("a", as_of=instant, known_at=instant)]))

    found = query(
        f"SELECT tableoid::regclass::text, extract(month FROM as_of)::int FROM {session.history} ORDER BY 2"
    )
    assert [(name.rpartition(".")[2], month) for name, month in found] == [
        ("user_features_history_2026_09", 9),
        ("user_features_history_2026_10", 10),
        ("user_features_history_2026_11", 11),
    ]
    plan = query(f"EXPLAIN SELECT * FROM {session.history} WHERE as_of = %s", instants[0])
    assert "user_features_history_2026_11" in str(plan)
    assert "user_features_history_2026_10" not in str(plan)


def test_a_reader_of_the_history_is_not_kept_waiting_by_a_new_month(
    session: LoadSession, open_session: Callable[..., LoadSession], query: Query, row: MakeRow, stage: Stage
) -> None:
    load_rows(session, stage(session, [row("a")]))
    reader = open_session().connection
    with reader.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {session.history}")
        december = row("a")["as_of"].replace(month=12)

        load_rows(open_session(lock_timeout_seconds=2), stage(session, [row("a", as_of=december)]))

        cursor.execute(f"SELECT count(*) FROM {session.history}")
        assert cursor.fetchone() == (2,)
    reader.rollback()


def test_a_history_that_does_not_become_what_was_staged_rolls_the_load_back(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage
) -> None:
    load_rows(session, stage(session, [row("a")]))
    schema = identifier(session.contract.schema_name)
    query(
        f"CREATE FUNCTION {schema}.meddle() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN NEW.churn_risk_score := 0; RETURN NEW; END $$"
    )
    query(
        f"CREATE TRIGGER meddle BEFORE INSERT ON {session.history} FOR EACH ROW EXECUTE FUNCTION {schema}.meddle()"
    )

    with pytest.raises(
        LoadRefused, match=r"the history does not hold what was staged.*1 of them with other values"
    ):
        load_rows(session, stage(session, [row("a", day=21)]))

    assert recorded(query, session) == {("a", 20): "h1"}
    assert query(f"SELECT extract(day FROM as_of)::int FROM {session.table}") == [(20,)]


WHY = "players do not say when their rows were known"


def marks(query: Query, session: LoadSession) -> dict[tuple[str, int], tuple[bool | None, str | None]]:
    """Player and day to whether the row is a reconstruction, and why."""
    found = query(
        "SELECT user_id, extract(day FROM as_of)::int, reconstructed, reconstructed_because "
        f"FROM {session.history}"
    )
    return {(user_id, day): (mark, why) for user_id, day, mark, why in found}


@BOTH_SERVERS
@pytest.mark.parametrize("strategy", ["merge", "append", "replace"])
def test_rows_of_a_reconstruction_say_so(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage, strategy: Any
) -> None:
    load_rows(session, stage(session, [row("a", day=19)]), strategy, reconstructed=WHY)
    load_rows(session, stage(session, [row("a", day=20)]), strategy)

    assert marks(query, session) == {("a", 19): (True, WHY), ("a", 20): (False, None)}


def test_the_row_that_was_known_last_says_what_it_is(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage
) -> None:
    load_rows(session, stage(session, [told(row("a"), 5, "daily")]))
    load_rows(session, stage(session, [told(row("a"), 9, "backfill")]), reconstructed=WHY)
    assert marks(query, session) == {("a", 20): (True, WHY)}

    load_rows(session, stage(session, [told(row("a"), 11, "exact")]))
    assert marks(query, session) == {("a", 20): (False, None)}


def test_a_backfill_again_marks_the_rows_of_a_release_that_did_not(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage
) -> None:
    late = [{**row(name), "known_at": row(name)["as_of"].replace(day=25)} for name in ("late", "daily")]
    late[1]["known_at"] = row("daily")["as_of"].replace(hour=9)
    load_rows(session, stage(session, late))
    query(f"UPDATE {session.history} SET reconstructed = NULL")
    before = query(f"SELECT updated_at FROM {session.history} ORDER BY user_id")

    counts = load_rows(session, stage(session, late), reconstructed=WHY)

    assert counts == LoadCounts(staged=2, unchanged=2)
    assert marks(query, session) == {("late", 20): (True, WHY), ("daily", 20): (None, None)}
    assert query(f"SELECT updated_at FROM {session.history} ORDER BY user_id") == before
