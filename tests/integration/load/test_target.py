"""The target table: made from the contract, compared with it, and never bent to it in silence."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from psycopg2.extensions import TRANSACTION_STATUS_IDLE

from crmbet.contracts.table import FeatureColumn, TableContract
from crmbet.databases.statements import identifier
from crmbet.failures import AccessRefused, LoadRefused, LockHeld
from crmbet.load.backup import take_backup
from crmbet.load.restore import restore
from crmbet.load.staging import Staging
from crmbet.load.target import ensure_target, read_columns
from tests.integration.load.small_loads import BOTH_SERVERS, NOON, load_rows

if TYPE_CHECKING:
    from crmbet.load.session import LoadSession

pytestmark = pytest.mark.integration

Query = Callable[..., list[tuple[Any, ...]]]
MakeRow = Callable[..., dict[str, Any]]
Stage = Callable[..., Staging]

EVERY_TYPE: dict[str, dict[str, Any]] = {
    "a_text": {"type": "text"},
    "a_list": {"type": "text[]"},
    "a_name": {"type": "varchar(50)"},
    "a_currency": {"type": "char(3)"},
    "a_count": {"type": "integer"},
    "a_score": {"type": "smallint"},
    "a_real": {"type": "real"},
    "a_share": {"type": "r01"},
    "an_amount": {"type": "money"},
    "a_flag": {"type": "boolean"},
    "an_instant": {"type": "timestamptz"},
}


def with_columns(contract: TableContract, columns: dict[str, dict[str, Any]]) -> TableContract:
    """The contract with more columns."""
    more = {name: FeatureColumn(meaning=f"It's 100% {name}", **column) for name, column in columns.items()}
    return contract.model_copy(update={"columns": {**contract.columns, **more}})


def columns_of(session: LoadSession) -> dict[str, Any]:
    with session.transaction() as cursor:
        return read_columns(cursor, session, session.contract.name)


@BOTH_SERVERS
def test_the_first_use_makes_schema_table_key_index_and_comments(
    open_session: Callable[..., LoadSession], query: Query
) -> None:
    session = open_session()
    contract = session.contract

    assert ensure_target(session) == []

    columns = columns_of(session)
    assert list(columns) == list(contract.columns)
    assert {name: column.nullable for name, column in columns.items()} == {
        name: column.nullable for name, column in contract.columns.items()
    }
    assert [name for name, column in columns.items() if column.in_key] == ["user_id"]
    comments = query(
        "SELECT attname, col_description(attrelid, attnum) FROM pg_attribute "
        "WHERE attrelid = %s::regclass AND attnum > 0",
        session.table,
    )
    assert dict(comments) == {name: column.meaning for name, column in contract.columns.items()}
    indexed = query("SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = %s", contract.schema_name)
    assert sorted((table, definition.rpartition(" USING ")[2]) for table, definition in indexed) == [
        ("score_reasons", "btree (user_id)"),
        ("user_features", "btree (churn_risk_band)"),
        ("user_features", "btree (lifecycle_stage)"),
        ("user_features", "btree (rfm_segment)"),
        ("user_features", "btree (user_id)"),
        ("user_features_history", "brin (as_of) WITH (pages_per_range='16')"),
        ("user_features_history", "btree (user_id, as_of)"),
    ]
    assert session.connection.get_transaction_status() == TRANSACTION_STATUS_IDLE


def test_a_table_of_every_type_agrees_with_its_own_contract(open_session: Callable[..., LoadSession]) -> None:
    made = open_session()
    session = replace(made, contract=with_columns(made.contract, EVERY_TYPE))

    ensure_target(session)

    assert ensure_target(session) == []


def test_new_nullable_columns_are_added_and_the_rows_stay(session: LoadSession, query: Query) -> None:
    before = columns_of(session)
    session = replace(session, contract=with_columns(session.contract, EVERY_TYPE))

    assert ensure_target(session) == list(EVERY_TYPE)

    assert ensure_target(session) == []
    assert {name: column for name, column in columns_of(session).items() if name in before} == before
    comment = query("SELECT col_description(%s::regclass, %s)", session.table, len(before) + 1)
    assert comment == [("It's 100% a_text",)]


@pytest.mark.few(3)
@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (
            "ALTER TABLE {table} ALTER churn_risk_score TYPE real",
            "column churn_risk_score is real, not double precision",
        ),
        ("ALTER TABLE {table} ALTER user_id TYPE text", "column user_id is text, not character varying(50)"),
        ("ALTER TABLE {table} ALTER row_hash DROP NOT NULL", "column row_hash allows NULL"),
        (
            "ALTER TABLE {table} ALTER bet_volatility SET NOT NULL",
            "column bet_volatility does not allow NULL",
        ),
        ("ALTER TABLE {table} DROP COLUMN rfm_segment", "column rfm_segment is missing and may not be NULL"),
        ('ALTER TABLE {table} ADD COLUMN "Odd ""one""" text', 'column Odd "one" is not in the contract'),
        ("ALTER TABLE {table} DROP CONSTRAINT user_features_pkey", "the primary key is not user_id"),
    ],
)
def test_a_table_that_drifted_is_refused_with_the_statement_that_mends_it(
    session: LoadSession, query: Query, change: str, finding: str
) -> None:
    query(change.format(table=session.table))
    drifted = columns_of(session)

    with pytest.raises(LoadRefused) as refusal:
        ensure_target(session)

    assert finding in str(refusal.value)
    assert columns_of(session) == drifted
    query(re.sub(r"\(give every row a value\);", "", refusal.value.next_step.partition("or run: ")[2]))
    assert ensure_target(session) == []


def test_a_history_that_drifted_is_refused_before_anything_is_changed(
    session: LoadSession, query: Query
) -> None:
    query(f"ALTER TABLE {session.history} DROP COLUMN row_hash")
    session = replace(session, contract=with_columns(session.contract, {"a_text": {"type": "text"}}))

    with pytest.raises(
        LoadRefused, match=r"user_features_history does not match its contract.*row_hash is missing"
    ):
        ensure_target(session)

    assert "a_text" not in columns_of(session)


def test_drift_is_refused_before_anything_else_is_changed(session: LoadSession, query: Query) -> None:
    query(f"ALTER TABLE {session.table} ADD COLUMN somebodys text")
    session = replace(session, contract=with_columns(session.contract, {"a_text": {"type": "text"}}))

    with pytest.raises(LoadRefused, match="somebodys"):
        ensure_target(session)

    assert "a_text" not in columns_of(session)


def test_adding_a_column_does_not_queue_readers_behind_a_long_one(
    session: LoadSession, open_session: Callable[..., LoadSession], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crmbet.load.target.DDL_WAIT_SECONDS", 1)
    reader = open_session().connection
    with reader.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {session.table}")
    session = replace(session, contract=with_columns(session.contract, {"a_text": {"type": "text"}}))

    started = time.monotonic()
    with pytest.raises(LockHeld):
        ensure_target(session)

    assert time.monotonic() - started < session.lock_timeout_seconds / 2
    reader.rollback()
    assert ensure_target(session) == ["a_text"]


def test_a_loader_without_the_right_to_make_schemas_uses_the_one_that_is_there(
    open_session: Callable[..., LoadSession], query: Query
) -> None:
    session = open_session()
    schema = identifier(session.contract.schema_name)
    query("CREATE ROLE restricted_loader")
    query(f"CREATE SCHEMA {schema}")
    query(f"GRANT USAGE, CREATE ON SCHEMA {schema} TO restricted_loader")
    try:
        with session.connection, session.connection.cursor() as cursor:
            cursor.execute("SET ROLE restricted_loader")

        assert ensure_target(session) == []
        assert ensure_target(session) == []

        query(f"REVOKE CREATE ON SCHEMA {schema} FROM restricted_loader")
        query(f"DROP TABLE {session.table}")
        with pytest.raises(AccessRefused, match="permission denied for schema"):
            ensure_target(session)
    finally:
        session.connection.close()
        query("DROP OWNED BY restricted_loader")
        query("DROP ROLE restricted_loader")


PLACES = {
    "a view": "CREATE VIEW {place} AS SELECT * FROM {kept}",
    "a materialized view": "CREATE MATERIALIZED VIEW {place} AS SELECT * FROM {kept}",
    "a sequence": "CREATE SEQUENCE {place}",
    "a type": "CREATE TYPE {place} AS (user_id text)",
    "an index": "CREATE INDEX {bare} ON {kept} (user_id)",
}


@pytest.mark.few(6)
@BOTH_SERVERS
@pytest.mark.parametrize("table", ["table", "history"])
@pytest.mark.parametrize("kind", PLACES)
def test_what_stands_in_a_tables_place_is_named(
    session: LoadSession, query: Query, table: str, kind: str
) -> None:
    place = getattr(session, table)
    bare = place.rpartition(".")[2]
    query(f"ALTER TABLE {place} RENAME TO kept")
    query(PLACES[kind].format(place=place, bare=bare, kept=session.in_schema("kept")))

    for step in (ensure_target, lambda own: take_backup(own, NOON), lambda own: restore(own, "newest", NOON)):
        if table == "history" and step is not ensure_target:
            continue
        with pytest.raises(LoadRefused) as refusal:
            step(session)
        assert f"{bare.strip(chr(34))} is {kind}, and a load needs" in str(refusal.value)
        assert refusal.value.next_step

    dropped = "INDEX" if kind == "an index" else kind.partition(" ")[2]
    query(f"DROP {dropped} {place}")
    assert ensure_target(session) == []


def test_a_history_that_is_not_partitioned_is_named(session: LoadSession, query: Query) -> None:
    query(f"DROP TABLE {session.history}")
    query(f"CREATE TABLE {session.history} AS SELECT * FROM {session.table}")

    with pytest.raises(LoadRefused, match="user_features_history is a table that is not partitioned"):
        ensure_target(session)


@BOTH_SERVERS
def test_an_unlogged_target_is_refused_with_the_statement_that_mends_it(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage
) -> None:
    load_rows(session, stage(session, [row("a")]))
    staging = stage(session, [row("a", day=21)])
    part = session.in_schema("user_features_history_2026_11")
    for table in (session.table, part):
        query(f"ALTER TABLE {table} SET UNLOGGED")
        with pytest.raises(LoadRefused, match="UNLOGGED: PostgreSQL would empty it after a crash") as refusal:
            load_rows(session, staging)
        query(refusal.value.next_step.partition("run: ")[2].rstrip("."))

    assert load_rows(session, staging).updated == 1


def test_an_unlogged_partition_is_found_at_every_level(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage
) -> None:
    month, leaf = session.in_schema("user_features_history_2026_11"), session.in_schema("leaf")
    query(
        f"CREATE TABLE {month} PARTITION OF {session.history} FOR VALUES FROM ('2026-11-01 00:00+00') "
        "TO ('2026-12-01 00:00+00') PARTITION BY HASH (user_id)"
    )
    query(f"CREATE UNLOGGED TABLE {leaf} PARTITION OF {month} FOR VALUES WITH (MODULUS 1, REMAINDER 0)")
    staging = stage(session, [row("a")])

    with pytest.raises(LoadRefused, match="leaf is UNLOGGED") as refusal:
        load_rows(session, staging)

    query(refusal.value.next_step.partition("run: ")[2].rstrip("."))
    assert load_rows(session, staging).inserted == 1


def test_a_child_by_inheritance_is_refused_with_the_statement_that_mends_it(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage
) -> None:
    load_rows(session, stage(session, [row("a")]))
    child = session.in_schema("child")
    query(f"CREATE TABLE {child} () INHERITS ({session.table})")
    query(f"INSERT INTO {child} SELECT * FROM ONLY {session.table}")
    staging = stage(session, [row("a", day=21)])

    with pytest.raises(
        LoadRefused, match="child inherits from user_features: its rows would count"
    ) as refusal:
        load_rows(session, staging)

    query(refusal.value.next_step.partition("run: ")[2].rstrip("."))
    assert load_rows(session, staging).updated == 1


@BOTH_SERVERS
def test_a_removed_feature_needs_one_message(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage
) -> None:
    load_rows(session, stage(session, [row("a")]))
    columns = {
        name: column
        for name, column in session.contract.columns.items()
        if name not in ("churn_risk_score", "rfm_segment")
    }
    narrow = replace(session, contract=session.contract.model_copy(update={"columns": columns}))

    with pytest.raises(LoadRefused) as refusal:
        ensure_target(narrow)

    assert refusal.value.what.count("column churn_risk_score is not in the contract") == 1
    assert "the tables user_features and user_features_history do not match their contract" in str(
        refusal.value
    )
    query(refusal.value.next_step.partition("or run: ")[2])
    assert ensure_target(narrow) == []
    assert load_rows(narrow, stage(narrow, [row("a", day=21)])).updated == 1


def test_a_difference_of_one_table_names_it(session: LoadSession, query: Query) -> None:
    query(f"ALTER TABLE {session.table} ADD COLUMN one text, ADD COLUMN shared text")
    query(f"ALTER TABLE {session.history} ADD COLUMN shared text")

    with pytest.raises(LoadRefused) as refusal:
        ensure_target(session)

    assert "column one is not in the contract (user_features); column shared is not in the contract" in str(
        refusal.value
    )


@BOTH_SERVERS
@pytest.mark.parametrize("strategy", ["merge", "replace", "append"])
def test_a_detached_partition_is_named_with_the_statement_that_attaches_it(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage, strategy: Any
) -> None:
    load_rows(session, stage(session, [row("a")]))
    staging = stage(session, [row("a", day=21), row("b", day=21)])
    query(
        f"ALTER TABLE {session.history} DETACH PARTITION {session.in_schema('user_features_history_2026_11')}"
    )

    with pytest.raises(LoadRefused, match="user_features_history_2026_11 is no partition of") as refusal:
        load_rows(session, staging, strategy)

    query(refusal.value.next_step.partition("run: ")[2].partition(";")[0])
    assert load_rows(session, staging, strategy).recorded == 2
    assert query(f"SELECT count(*) FROM {session.history}") == [(3,)]


def test_a_partition_with_another_name_serves(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage
) -> None:
    load_rows(session, stage(session, [row("a")]))
    query(f"ALTER TABLE {session.in_schema('user_features_history_2026_11')} RENAME TO november")

    assert load_rows(session, stage(session, [row("a", day=21)])).recorded == 1


def test_partitions_that_overlap_a_month_are_explained(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage
) -> None:
    query(
        f"CREATE TABLE {session.in_schema('winter')} PARTITION OF {session.history} "
        "FOR VALUES FROM ('2026-11-25') TO ('2027-03-01')"
    )

    with pytest.raises(LoadRefused, match="cannot have a partition for 2026-11"):
        load_rows(session, stage(session, [row("a")]))


def test_a_load_without_its_tables_says_which_task_makes_them(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage
) -> None:
    staging = stage(session, [row("a")])
    query(f"DROP TABLE {session.table}; DROP TABLE {session.history}")

    with pytest.raises(LoadRefused, match="no table user_features and no table user_features_history"):
        load_rows(session, staging)
