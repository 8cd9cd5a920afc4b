"""What each strategy writes, what it leaves alone, and that a load which goes wrong leaves no trace."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from psycopg2.extensions import TRANSACTION_STATUS_IDLE

from crmbet.failures import LoadRefused, TemporaryFailure
from crmbet.loading.load import LoadCounts, load
from crmbet.loading.staging import Staging, staged_columns
from crmbet.statements import identifier

if TYPE_CHECKING:
    from crmbet.loading.session import LoadSession

pytestmark = pytest.mark.integration

Query = Callable[..., list[tuple[Any, ...]]]
MakeRow = Callable[..., dict[str, Any]]
Stage = Callable[..., Staging]


def versions(query: Query, session: LoadSession) -> dict[str, tuple[Any, ...]]:
    """Player to what a write would change, down to the row's system columns."""
    found = query(
        f"SELECT user_id, as_of, row_hash, updated_at, xmin::text, xmax::text, ctid::text "
        f"FROM {session.table}"
    )
    return {values[0]: values[1:] for values in found}


def days(query: Query, session: LoadSession) -> dict[str, tuple[int, str]]:
    """Player to the day of as_of and the row's hash."""
    found = query(f"SELECT user_id, extract(day FROM as_of)::int, row_hash FROM {session.table}")
    return {user_id: (day, row_hash) for user_id, day, row_hash in found}


def test_a_first_load_inserts_every_row_with_every_cell(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage
) -> None:
    rows = [row("a"), row("b", frequencia_jogo=None, dias_semana_preferidos="0,5,6", balance_ratio=1000.0)]

    counts = load(session, stage(session, rows), "merge")

    assert counts == LoadCounts(staged=2, inserted=2, unchanged=0)
    columns = staged_columns(session.contract)
    listed = ", ".join(identifier(name) for name in columns)
    found = query(f"SELECT {listed} FROM {session.table} ORDER BY user_id")
    assert [dict(zip(columns, values, strict=True)) for values in found] == rows


@pytest.mark.parametrize("strategy", ["merge", "append"])
def test_the_same_rows_again_write_nothing(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage, strategy: Any
) -> None:
    rows = [row("a"), row("b", frequencia_jogo=None)]
    load(session, stage(session, rows), "merge")
    before = versions(query, session)
    told_later = [
        {**each, "known_at": each["as_of"].replace(hour=9), "execution_id": "another run"} for each in rows
    ]

    counts = load(session, stage(session, told_later), strategy)

    assert counts == LoadCounts(staged=2, unchanged=2)
    assert versions(query, session) == before


def test_a_merge_updates_inserts_and_leaves_alone_in_one_go(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage
) -> None:
    names = ("equal", "corrected", "next_day", "newer", "absent")
    load(session, stage(session, [row(name, day=20) for name in names]), "merge")
    load(session, stage(session, [row("newer", day=22, row_hash="h3")]), "merge")
    before = versions(query, session)

    counts = load(
        session,
        stage(
            session,
            [
                row("equal", day=20),
                row("corrected", day=20, row_hash="h2"),
                row("next_day", day=21),
                row("newer", day=21, row_hash="h2"),
                row("new", day=21),
            ],
        ),
        "merge",
    )

    assert counts == LoadCounts(staged=5, inserted=1, updated=2, unchanged=2)
    assert days(query, session) == {
        "equal": (20, "h1"),
        "corrected": (20, "h2"),
        "next_day": (21, "h1"),
        "newer": (22, "h3"),
        "absent": (20, "h1"),
        "new": (21, "h1"),
    }
    after = versions(query, session)
    untouched = ("equal", "newer", "absent")
    assert {name: after[name] for name in untouched} == {name: before[name] for name in untouched}
    assert after["corrected"][2] == after["new"][2] > before["corrected"][2]


def test_an_older_as_of_never_overwrites_a_newer_one(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage
) -> None:
    for day in (22, 20, 23, 21):
        load(session, stage(session, [row("a", day=day, row_hash=f"of day {day}")]), "merge")

    assert days(query, session) == {"a": (23, "of day 23")}


def test_values_become_null_and_null_becomes_a_value(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage
) -> None:
    load(session, stage(session, [row("a", churn_risk_score=None), row("b", churn_risk_score=0.25)]), "merge")

    changed = [row("a", row_hash="h2", churn_risk_score=0.75), row("b", row_hash="h2", churn_risk_score=None)]
    counts = load(session, stage(session, changed), "merge")

    assert counts.updated == 2
    assert query(f"SELECT user_id, churn_risk_score FROM {session.table} ORDER BY 1") == [
        ("a", 0.75),
        ("b", None),
    ]


def test_append_adds_new_players_and_touches_no_other(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage
) -> None:
    load(session, stage(session, [row("a", day=20)]), "merge")
    before = versions(query, session)

    counts = load(session, stage(session, [row("a", day=21, row_hash="h2"), row("b", day=21)]), "append")

    assert counts == LoadCounts(staged=2, inserted=1, unchanged=1)
    assert versions(query, session)["a"] == before["a"]
    assert days(query, session)["b"] == (21, "h1")


def test_replace_leaves_exactly_what_was_staged(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage
) -> None:
    load(session, stage(session, [row(name) for name in "abc"]), "merge")

    counts = load(session, stage(session, [row("b", row_hash="h2"), row("d")]), "replace")

    assert counts == LoadCounts(staged=2, inserted=2, unchanged=0, removed=3)
    assert days(query, session) == {"b": (20, "h2"), "d": (20, "h1")}


@pytest.mark.parametrize("staged_days", [[21], [23, 21], []], ids=["older", "partly older", "empty"])
def test_replace_refuses_to_lose_a_later_state(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage, staged_days: list[int]
) -> None:
    load(session, stage(session, [row("a", day=20), row("b", day=22)]), "merge")
    before = versions(query, session)

    with pytest.raises(LoadRefused, match=r"replace would (take the table back|leave an empty table)"):
        load(session, stage(session, [row(f"u{day}", day=day) for day in staged_days]), "replace")

    assert versions(query, session) == before


@pytest.mark.parametrize(
    ("strategy", "event", "act", "complaint"),
    [
        (
            "merge",
            "UPDATE",
            "NEW.churn_risk_score := 0; RETURN NEW;",
            "1 rows were written with other values than staged",
        ),
        ("merge", "UPDATE", "RETURN NULL;", "1 rows are not as new as staged"),
        ("merge", "INSERT", "RETURN NULL;", "1 staged players are not in the table"),
        (
            "merge",
            "INSERT",
            "NEW.updated_at := 'epoch'; RETURN NEW;",
            "1 rows carry the load's instant instead of 2",
        ),
        (
            "append",
            "INSERT",
            "NEW.user_id := 'someone else'; RETURN NEW;",
            "1 staged players are not in the table",
        ),
        (
            "replace",
            "DELETE",
            "RETURN CASE WHEN OLD.user_id = 'z' THEN NULL ELSE OLD END;",
            "3 rows instead of 2",
        ),
    ],
)
def test_a_load_that_does_not_become_what_was_staged_is_rolled_back(
    session: LoadSession,
    query: Query,
    row: MakeRow,
    stage: Stage,
    strategy: Any,
    event: str,
    act: str,
    complaint: str,
) -> None:
    load(session, stage(session, [row("a"), row("z")]), "merge")
    schema = identifier(session.contract.schema_name)
    query(f"CREATE FUNCTION {schema}.meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {act} END $$")
    query(
        f"CREATE TRIGGER meddle BEFORE {event} ON {session.table} "
        f"FOR EACH ROW EXECUTE FUNCTION {schema}.meddle()"
    )
    before = query(f"SELECT * FROM {session.table} ORDER BY user_id")

    with pytest.raises(LoadRefused, match="rolled back") as refusal:
        load(session, stage(session, [row("a", row_hash="h2"), row("b")]), strategy)

    assert complaint in str(refusal.value)
    assert query(f"SELECT * FROM {session.table} ORDER BY user_id") == before
    assert session.connection.get_transaction_status() == TRANSACTION_STATUS_IDLE


def test_staging_that_changed_since_it_was_checked_is_not_loaded(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage
) -> None:
    staging = stage(session, [row("a"), row("b")])
    query(f"DELETE FROM {session.in_schema(staging.table)} WHERE user_id = 'b'")

    with pytest.raises(TemporaryFailure, match="holds 1 rows where 2 were checked"):
        load(session, staging, "merge")

    assert versions(query, session) == {}


def test_a_load_leaves_its_connection_outside_a_transaction_and_without_its_name(
    session: LoadSession, row: MakeRow, stage: Stage
) -> None:
    load(session, stage(session, [row("a")]), "merge")

    assert session.connection.get_transaction_status() == TRANSACTION_STATUS_IDLE
    with session.connection, session.connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('application_name'), current_setting('lock_timeout')")
        assert cursor.fetchone() == ("", "0")
