"""Cells that somebody edits by hand: found whatever the load, put back, counted, and kept in a backup."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crmbet.contracts.table import ENGINE_TYPES, TableContract
from crmbet.databases.statements import identifier, statement
from crmbet.failures import LoadRefused
from crmbet.load.edits import fits_hash, hash_cells
from crmbet.load.load import LoadCounts, LoadRules, load
from crmbet.load.staging import Staging
from crmbet.load.target import ensure_target
from tests.integration.load.small_loads import BOTH_SERVERS, NOON, load_rows, next_second
from tests.tiers import examples, now

if TYPE_CHECKING:
    import duckdb

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
def hashed(engine: duckdb.DuckDBPyConnection, contract: TableContract) -> Callable[..., dict[str, Any]]:
    """Gives a row the row_hash that a run computes, by the engine and its statement."""
    hashing = statement("features/themes/assemble_features").partition("md5(")[2].partition(" AS row_hash")[0]

    def give(row: dict[str, Any]) -> dict[str, Any]:
        cells = [
            f"{identifier(name)} := ?::{ENGINE_TYPES[column.type]}"
            for name, column in contract.features.items()
        ]
        text = f"SELECT md5({hashing.format(hashed=', '.join(cells))}"
        [(row_hash,)] = engine.execute(text, [row[name] for name in contract.features]).fetchall()
        return {**row, "row_hash": row_hash}

    return give


@pytest.fixture
def rows(row: MakeRow, hashed: Any) -> Callable[[int], list[dict[str, Any]]]:
    """The rows of a day, in which one cell is empty and one player may not be written to."""
    return lambda day: [
        hashed(row("a", day=day, bet_volatility=None, bets_count_30d=100 + day)),
        hashed(row("b", day=day, bet_volatility=None, bets_count_30d=200 + day, marketing_allowed=False)),
        hashed(row("c", day=day, bet_volatility=None, bets_count_30d=300 + day)),
    ]


@pytest.mark.few(4)
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


@pytest.mark.few(2)
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


@pytest.mark.few(2)
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

    with pytest.raises(LoadRefused, match="3 rows of the table, 0 of its history"):
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


@pytest.mark.full
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
        assert dict(query(hashes.format(table))) == {each["user_id"]: each["row_hash"] for each in rows(20)}


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


def told(counts: LoadCounts) -> tuple[int, int, int, int]:
    """What a load says of edits: rows of the table, rows of the history, deleted rows, rows that nobody can judge."""
    return counts.edited, counts.edited_history, counts.deleted, counts.disputed


@pytest.mark.parametrize("edit", now(None, EDITS["double"], full=[*EDITS.values()]))
def test_the_loader_computes_the_hash_that_a_run_computes(
    session: LoadSession, query: Query, stage: Stage, rows: Any, edit: str | None
) -> None:
    """Of every type of cell, with and without a value. An edited row does not have its hash."""
    load_rows(session, stage(session, rows(20)))
    if edit is not None:
        query(f"UPDATE {session.table} SET {edit}")
    fits = fits_hash(session.contract.features, "held")

    assert query(f"SELECT DISTINCT {fits} FROM {session.table} AS held") == [(edit is None,)]


REALS = st.floats(min_value=-1e14, max_value=1e14).map(lambda value: round(value, 6) + 0.0)
MONEY = st.decimals(min_value=1 - 10**12, max_value=10**12 - 1, places=2)
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "bet_volatility": st.none()
                | REALS
                | st.floats(0, 1).map(lambda value: round(value, 6) + 0.0),
                "bet_sum_30d": st.none() | MONEY,
                "bets_count_30d": st.none() | st.integers(-(2**31), 2**31 - 1),
                "lifecycle_stage": st.none() | TEXTS,
                "canais_permitidos": st.lists(TEXTS, max_size=3),
            }
        ),
        min_size=20,
        max_size=20,
    )
)
@settings(
    max_examples=examples(3, full=10),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_the_loader_spells_every_value_as_a_run_does(
    session: LoadSession, query: Query, stage: Stage, row: MakeRow, hashed: Any, cells: Any
) -> None:
    names = [name for name in cells[0] if name in session.contract.features]
    given = [hashed(row(f"u{n}", **{name: each[name] for name in names})) for n, each in enumerate(cells)]
    staged = session.in_schema(stage(session, given).table)
    query("SET extra_float_digits = 1")
    found = query(
        f"SELECT user_id FROM {staged} AS held WHERE row_hash <> {hash_cells(session.contract.features, 'held')}"
    )

    assert [each for each in given if (each["user_id"],) in found] == []


@pytest.mark.parametrize("strategy", now("merge", full=["append"]))
@pytest.mark.parametrize("day", [20, 22, 23])
def test_an_edit_of_the_history_never_reaches_the_table(
    session: LoadSession, query: Query, stage: Stage, rows: Any, day: int, strategy: Any
) -> None:
    load_rows(session, stage(session, rows(22)))
    before = cells(query, session, session.table)
    query(f"UPDATE {session.history} SET marketing_allowed = true, churn_risk_score = 0.99")

    counts = load_rows(session, stage(session, rows(day)), strategy)

    assert told(counts) == (0, 3, 0, 0)
    assert cells(query, session, session.history, 22) == before
    expected = cells(query, session, session.history, 23) if (day, strategy) == (23, "merge") else before
    assert cells(query, session, session.table) == expected
    assert told(load_rows(session, stage(session, rows(day)), strategy)) == (0, 0, 0, 0)


@pytest.mark.parametrize("tables", [["history"], ["table"]], ids=str)
def test_a_column_dropped_from_one_of_them_is_filled_from_the_other(
    session: LoadSession, query: Query, stage: Stage, rows: Any, tables: list[str]
) -> None:
    load_rows(session, stage(session, rows(22)))
    before = cells(query, session, session.table)
    for table in tables:
        query(f"ALTER TABLE {getattr(session, table)} DROP COLUMN churn_risk_score")
    ensure_target(session)

    counts = load_rows(session, stage(session, rows(20)))

    assert told(counts) == ((3, 0, 0, 0) if tables == ["table"] else (0, 3, 0, 0))
    assert cells(query, session, session.table) == cells(query, session, session.history, 22) == before


@pytest.mark.few(1)
@pytest.mark.parametrize("gone_users", ["mark", "keep"])
@pytest.mark.parametrize("allowed", [True, False])
def test_an_edit_of_the_history_of_one_who_is_gone_is_put_back_from_the_table(
    session: LoadSession,
    query: Query,
    stage: Stage,
    row: MakeRow,
    rows: Any,
    hashed: Any,
    gone_users: str,
    allowed: bool,
) -> None:
    gone = hashed(row("z", churn_risk_score=0.25, marketing_allowed=allowed))
    load_rows(session, stage(session, [*rows(20), gone]), gone_users=gone_users)
    load_rows(session, stage(session, rows(21)), gone_users=gone_users)
    before = [cells(query, session, session.table)["z"], cells(query, session, session.history, 20)["z"]]
    query(
        f"UPDATE {session.history} SET churn_risk_score = 0.99, marketing_allowed = NOT {allowed} "
        "WHERE user_id = 'z' AND marketing_reason IS NULL"
    )

    counts = load_rows(session, stage(session, rows(22)), gone_users=gone_users)

    assert told(counts) == (0, 1, 0, 0)
    assert [
        cells(query, session, session.table)["z"], cells(query, session, session.history, 20)["z"]
    ] == before  # fmt: skip


def test_where_neither_has_its_hash_neither_is_believed(
    session: LoadSession, query: Query, stage: Stage, rows: Any
) -> None:
    load_rows(session, stage(session, rows(22)))
    query(f"UPDATE {session.table} SET churn_risk_score = 0.25")
    query(f"UPDATE {session.history} SET churn_risk_score = 0.75")

    counts = load_rows(session, stage(session, rows(20)))

    assert told(counts) == (0, 0, 0, 3)
    assert query(f"SELECT DISTINCT churn_risk_score FROM {session.table}") == [(0.25,)]
    assert query(
        f"SELECT DISTINCT churn_risk_score FROM {session.history} WHERE extract(day FROM as_of) = 22"
    ) == [(0.75,)]
    # Whoever stages the day again, knows.
    assert told(load_rows(session, stage(session, rows(22)))) == (3, 3, 0, 0)


FORGED = {
    "a later as_of": ("marketing_allowed = true, as_of = '2030-01-01'", 3),
    "as_of alone": ("as_of = '2030-01-01'", 3),
    "a second later": ("marketing_allowed = true, as_of = as_of + interval '1 second'", 3),
    "a second earlier": ("marketing_allowed = true, as_of = as_of - interval '1 second'", 1),
    "a hash": ("marketing_allowed = true, row_hash = 'x'", 3),
    "a hash and more": ("churn_risk_score = 0.1, row_hash = 'x', marketing_reason = 'x', gone = true", 3),
}


@pytest.mark.few(3)
@pytest.mark.parametrize(("edit", "edited"), FORGED.values(), ids=FORGED)
@pytest.mark.parametrize(
    ("strategy", "day"),
    now(
        ("merge", 21), ("merge", 22), ("merge", 23),
        full=[("append", 21), ("append", 22), ("append", 23), ("replace", 22), ("replace", 23)],
    ),
)  # fmt: skip
def test_forged_bookkeeping_hides_no_edit(
    session: LoadSession,
    query: Query,
    stage: Stage,
    rows: Any,
    edit: str,
    edited: int,
    day: int,
    strategy: Any,
) -> None:
    load_rows(session, stage(session, rows(20)))
    load_rows(session, stage(session, rows(22)))
    held = f"SELECT user_id, as_of, row_hash, marketing_reason, gone, execution_id FROM {session.table} ORDER BY 1"
    before, held_before = cells(query, session, session.table), query(held)
    query(f"UPDATE {session.table} SET {edit}")

    counts = load_rows(session, stage(session, rows(day)), strategy)

    assert told(counts) == (edited, 0, 0, 0)
    is_written = day == 23 and strategy != "append"
    assert cells(query, session, session.table) == (
        cells(query, session, session.history, 23) if is_written else before
    )
    assert is_written or edited == 1 or query(held) == held_before
    assert told(load_rows(session, stage(session, rows(day)), strategy)) == (0, 0, 0, 0)


@pytest.mark.few(2)
@pytest.mark.parametrize("strategy", now("merge", "append", full=["replace"]))
@pytest.mark.parametrize(
    "edit",
    [
        "marketing_allowed = false, marketing_reason = 'gone', gone = true",
        "marketing_allowed = false, marketing_reason = 'asked by phone'",
    ],
)
@pytest.mark.parametrize("day", [20, 21])
def test_a_mass_opt_out_by_hand_is_told_and_taken_back(
    session: LoadSession, query: Query, stage: Stage, rows: Any, edit: str, day: int, strategy: Any
) -> None:
    load_rows(session, stage(session, rows(20)))
    before = cells(query, session, session.table)
    query(f"UPDATE {session.table} SET {edit}")

    counts = load_rows(session, stage(session, rows(day)), strategy)

    assert told(counts) == (3, 0, 0, 0)
    expected = before if day == 20 or strategy == "append" else cells(query, session, session.history, 21)
    assert cells(query, session, session.table) == expected
    assert query(f"SELECT DISTINCT marketing_reason, gone IS TRUE FROM {session.table}") == [(None, False)]


@pytest.mark.few(2)
@pytest.mark.parametrize("gone_users", ["mark", "keep"])
@pytest.mark.parametrize(("day", "strategy"), [(22, "merge"), (21, "append"), (19, "merge"), (21, "merge")])
def test_one_who_is_gone_and_was_allowed_again_by_hand_is_silenced(
    session: LoadSession, query: Query, stage: Stage, rows: Any, gone_users: str, day: int, strategy: Any
) -> None:
    load_rows(session, stage(session, rows(20)), gone_users=gone_users)
    load_rows(session, stage(session, rows(21)[:2]), gone_users=gone_users)
    query(
        f"UPDATE {session.table} SET marketing_allowed = true, marketing_reason = NULL, gone = false "
        "WHERE user_id = 'c'"
    )

    counts = load_rows(
        session, stage(session, rows(day) if day == 19 else rows(day)[:2]), strategy, gone_users=gone_users
    )

    assert told(counts) == (1, 0, 0, 0)
    assert query(
        f"SELECT marketing_allowed, marketing_reason, gone FROM {session.table} WHERE user_id = 'c'"
    ) == [(False, "gone", gone_users == "mark")]


@pytest.mark.few(2)
@pytest.mark.parametrize("delete", ["DELETE FROM {} WHERE user_id = 'a'", "TRUNCATE {}"])
@pytest.mark.parametrize("strategy", now("merge", full=["append", "replace"]))
@pytest.mark.parametrize("day", [20, 21, 22])
def test_rows_that_somebody_deleted_come_back_and_are_told(
    session: LoadSession, query: Query, stage: Stage, rows: Any, delete: str, day: int, strategy: Any
) -> None:
    load_rows(session, stage(session, rows(21)))
    before = cells(query, session, session.table)
    query(delete.format(session.table))
    if (day, strategy) == (20, "replace"):
        with pytest.raises(LoadRefused, match="back from as_of 2026-11-21"):
            load_rows(session, stage(session, rows(day)), strategy)
        return

    counts = load_rows(session, stage(session, rows(day)), strategy)

    assert told(counts) == (0, 0, 1 if "DELETE" in delete else 3, 0)
    expected = cells(query, session, session.history, 22) if day == 22 and strategy != "append" else before
    assert cells(query, session, session.table) == expected
