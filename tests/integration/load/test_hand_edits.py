"""Cells that somebody edits by hand: found whatever the load, put back, counted, and kept in a backup."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crmbet.databases.statements import identifier
from crmbet.failures import LoadRefused
from crmbet.load.load import LoadCounts, LoadRules, load
from crmbet.load.staging import Staging
from crmbet.load.target import ensure_target
from tests.integration.load.small_loads import BOTH_SERVERS, NOON, load_rows, next_second
from tests.tiers import now

if TYPE_CHECKING:
    from crmbet.load.session import LoadSession

pytestmark = pytest.mark.integration

Query = Callable[..., list[tuple[Any, ...]]]
MakeRow = Callable[..., dict[str, Any]]
Stage = Callable[..., Staging]

PLAYERS = ("a", "b", "c")
EDITS = {
    "boolean": "marketing_allowed = NOT marketing_allowed",
    "null": "churn_risk_score = NULL",
    "a value in place of nothing": "bet_volatility = 0",
    "double": "churn_risk_score = churn_risk_score + 0.000001",
    "money": "bet_sum_30d = bet_sum_30d + 0.01",
    "integer": "bets_count_30d = bets_count_30d + 1",
    "smallint": "recency_score = 1",
    "text": "rfm_segment = 'champions'",
    "char": "rfm_code = '111'",
    "list": "canais_permitidos = ARRAY['email']",
    "empty list": "canais_permitidos = ARRAY[]::text[]",
    "protection": "rg_risk_band = 'low', rg_self_exclusion_status = 'none'",
}


def cells(query: Query, session: LoadSession, table: str, as_of_day: int | None = None) -> dict[str, Any]:
    """Player to all features, as of a day."""
    names = ", ".join(identifier(name) for name in session.contract.features)
    day = "" if as_of_day is None else f"WHERE extract(day FROM as_of) = {as_of_day}"
    return {row[0]: row[1:] for row in query(f"SELECT user_id, {names} FROM {table} {day}")}


@pytest.fixture
def rows(row: MakeRow) -> Callable[[int], list[dict[str, Any]]]:
    """The rows of a day, in which one cell is empty and one player may not be written to."""
    return lambda day: [
        row("a", day=day, bet_volatility=None, row_hash=f"a of {day}"),
        row("b", day=day, bet_volatility=None, marketing_allowed=False, row_hash=f"b of {day}"),
        row("c", day=day, bet_volatility=None, row_hash=f"c of {day}"),
    ]


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
@pytest.mark.parametrize("strategy", now("merge", "replace", full=["append"]))
def test_the_same_day_again_puts_the_cells_back(
    session: LoadSession, query: Query, stage: Stage, rows: Any, edit: str, strategy: Any
) -> None:
    load_rows(session, stage(session, rows(20)))
    before = cells(query, session, session.table)
    query(f"UPDATE {session.table} SET {edit}")
    edited = len(PLAYERS)

    counts = load_rows(session, stage(session, rows(20)), strategy)

    assert (counts.edited, counts.edited_history) == (edited, 0)
    assert cells(query, session, session.table) == before
    again = load_rows(session, stage(session, rows(20)), strategy)
    assert again == LoadCounts(staged=3, unchanged=3), "what was put back is left alone"


@BOTH_SERVERS
@pytest.mark.parametrize("strategy", ["merge", "replace", "append"])
def test_the_next_day_tells_of_the_edits_that_it_writes_over(
    session: LoadSession, query: Query, stage: Stage, rows: Any, strategy: Any
) -> None:
    load_rows(session, stage(session, rows(20)))
    yesterday = cells(query, session, session.table)
    query(f"UPDATE {session.table} SET marketing_allowed = true WHERE user_id IN ('b', 'c')")

    counts = load_rows(session, stage(session, rows(21)), strategy)

    assert counts.edited == 1, "c was allowed before"
    expected = yesterday if strategy == "append" else cells(query, session, session.history, 21)
    assert cells(query, session, session.table) == expected


def test_a_backup_holds_what_was_edited(session: LoadSession, query: Query, stage: Stage, rows: Any) -> None:
    load_rows(session, stage(session, rows(20)))
    query(f"UPDATE {session.table} SET churn_risk_score = 0.875")

    counts = load(
        session,
        stage(session, rows(20)),
        LoadRules(strategy="merge", gone_users="mark", max_shrink=0.1),
        NOON,
    )

    assert counts.backup is not None
    held = query(f"SELECT DISTINCT churn_risk_score FROM {session.in_schema(counts.backup)}")
    assert held == [(0.875,)]


@pytest.mark.parametrize(
    "edit", ["marketing_allowed = true", "churn_risk_score = 0, marketing_allowed = true"]
)
@pytest.mark.parametrize("gone_users", ["mark", "keep"])
def test_the_row_of_a_player_who_is_gone_is_put_back_without_marketing(
    session: LoadSession, query: Query, stage: Stage, rows: Any, edit: str, gone_users: str
) -> None:
    load_rows(session, stage(session, rows(20)))
    load_rows(session, stage(session, rows(21)[1:]), gone_users=gone_users)
    before = cells(query, session, session.table)
    query(f"UPDATE {session.table} SET {edit} WHERE user_id = 'a'")

    counts = load_rows(session, stage(session, rows(22)[1:]), gone_users=gone_users)

    assert counts.edited == 1
    assert cells(query, session, session.table)["a"] == before["a"]
    [(allowed, reason)] = query(
        f"SELECT marketing_allowed, marketing_reason FROM {session.table} WHERE user_id = 'a'"
    )
    assert (allowed, reason) == (False, "gone")


def test_a_backfill_puts_newer_rows_back(session: LoadSession, query: Query, stage: Stage, rows: Any) -> None:
    load_rows(session, stage(session, rows(22)))
    before = cells(query, session, session.table)
    query(f"UPDATE {session.table} SET marketing_allowed = true, churn_risk_score = 0")

    counts = load_rows(session, stage(session, rows(20)))

    assert (counts.edited, counts.unchanged) == (3, 3)
    assert cells(query, session, session.table) == before
    assert load_rows(session, stage(session, rows(20))).edited == 0


@BOTH_SERVERS
def test_the_history_is_put_back_too_and_does_not_spoil_the_table(
    session: LoadSession, query: Query, stage: Stage, rows: Any
) -> None:
    load_rows(session, stage(session, rows(20)))
    before = cells(query, session, session.table)
    known = f"SELECT user_id, known_at, execution_id, row_hash FROM {session.history} ORDER BY 1"
    known_before = query(known)
    for table in (session.table, session.history):
        query(f"UPDATE {table} SET marketing_allowed = true, churn_risk_score = NULL")
    told_later = [{**each, "known_at": each["as_of"].replace(hour=9)} for each in rows(20)]

    counts = load_rows(session, stage(session, told_later))

    assert (counts.edited, counts.edited_history, counts.recorded) == (3, 3, 0)
    assert cells(query, session, session.table) == cells(query, session, session.history) == before
    assert query(known) == known_before, "it says of the run that computed it what it said"
    assert load_rows(session, stage(session, told_later)) == LoadCounts(staged=3, unchanged=3)


@pytest.mark.parametrize("tables", [["table"], ["history"], ["table", "history"]], ids=str)
def test_a_dropped_column_that_comes_back_is_filled(
    session: LoadSession, query: Query, stage: Stage, rows: Any, tables: list[str]
) -> None:
    load_rows(session, stage(session, rows(20)))
    before = cells(query, session, session.table)
    for table in tables:
        query(f"ALTER TABLE {getattr(session, table)} DROP COLUMN churn_risk_score")
    assert ensure_target(session) == ["churn_risk_score"]

    counts = load_rows(session, stage(session, rows(20)))

    assert (counts.edited, counts.edited_history) == (3 * ("table" in tables), 3 * ("history" in tables))
    assert cells(query, session, session.table) == cells(query, session, session.history) == before


@pytest.mark.parametrize(
    "no_edit",
    [
        "known_at = known_at + interval '1 hour'",
        "execution_id = 'another run'",
        "updated_at = clock_timestamp()",
        "churn_risk_score = churn_risk_score",
        "gone = NULL",
    ],
)
def test_what_is_no_feature_is_no_edit(
    session: LoadSession, query: Query, stage: Stage, rows: Any, no_edit: str
) -> None:
    load_rows(session, stage(session, rows(20)))
    query(f"UPDATE {session.table} SET {no_edit}")

    assert load_rows(session, stage(session, rows(20))) == LoadCounts(staged=3, unchanged=3)


def test_rows_that_the_history_does_not_have_are_left_alone(
    session: LoadSession, query: Query, stage: Stage, rows: Any
) -> None:
    """Whoever drops old partitions, or restores a backup from before a restatement, has edited nothing."""
    load_rows(session, stage(session, rows(20)))
    load_rows(session, stage(session, rows(21)[1:]), gone_users="mark")
    query(f"DELETE FROM {session.history}")
    before = cells(query, session, session.table)

    counts = load_rows(session, stage(session, rows(22)[1:]), gone_users="mark")

    assert counts.edited == 0
    assert cells(query, session, session.table)["a"] == before["a"]


def test_a_trigger_that_keeps_the_edit_rolls_the_load_back(
    session: LoadSession, query: Query, stage: Stage, rows: Any
) -> None:
    load_rows(session, stage(session, rows(20)))
    query(f"UPDATE {session.table} SET churn_risk_score = 0")
    schema = identifier(session.contract.schema_name)
    query(
        f"CREATE FUNCTION {schema}.keep() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN NEW.churn_risk_score := 0; RETURN NEW; END $$"
    )
    query(
        f"CREATE TRIGGER keep BEFORE UPDATE ON {session.table} FOR EACH ROW EXECUTE FUNCTION {schema}.keep()"
    )

    with pytest.raises(LoadRefused, match="3 rows were written with other values"):
        load_rows(session, stage(session, rows(20)))


def test_an_edit_in_a_backup_that_is_restored_is_found(
    session: LoadSession, query: Query, stage: Stage, rows: Any
) -> None:
    from crmbet.load.backup import take_backup
    from crmbet.load.restore import restore

    load_rows(session, stage(session, rows(20)))
    query(f"UPDATE {session.table} SET marketing_allowed = true")
    taken = take_backup(session, next_second())
    assert taken is not None
    load_rows(session, stage(session, rows(20)))
    restore(session, taken.name, next_second())

    assert load_rows(session, stage(session, rows(21))).edited == 1


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(PLAYERS),
        st.sampled_from(["table", "history"]),
        st.sampled_from([*EDITS.values(), "row_hash = 'forged'"]),
    ),
    max_size=4,
)


@given(CHANGES, st.sampled_from(["merge", "replace"]))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_edited_the_next_load_of_the_day_makes_it_what_was_computed(
    session: LoadSession, query: Query, stage: Stage, rows: Any, changes: Any, strategy: Any
) -> None:
    staging = stage(session, rows(20))
    load_rows(session, staging, strategy)
    before = cells(query, session, session.table)
    for player, table, edit in changes:
        query(f"UPDATE {getattr(session, table)} SET {edit} WHERE user_id = '{player}'")

    load_rows(session, staging, strategy)

    hashes = "SELECT user_id, row_hash FROM {} ORDER BY 1"
    for table in (session.table, session.history):
        assert cells(query, session, table) == before
        assert dict(query(hashes.format(table))) == {name: f"{name} of 20" for name in PLAYERS}


def test_a_wider_contract_is_no_edit(session: LoadSession, query: Query, stage: Stage, rows: Any) -> None:
    """Rows that no later load writes have nothing in a column that was added since."""
    columns = {
        name: column for name, column in session.contract.columns.items() if name != "churn_risk_score"
    }
    narrow = replace(session, contract=session.contract.model_copy(update={"columns": columns}))
    for table in (session.table, session.history):
        query(f"ALTER TABLE {table} DROP COLUMN churn_risk_score")
    load_rows(narrow, stage(narrow, rows(20)))
    ensure_target(session)

    counts = load_rows(session, stage(session, rows(21)[1:]), gone_users="mark")

    assert (counts.edited, counts.marked) == (0, 1)
