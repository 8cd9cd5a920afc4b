"""Staging: what arrives, what is refused before the database is touched, and that nothing is left behind."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import duckdb
import psycopg2
import pytest
from psycopg2.extensions import TRANSACTION_STATUS_IDLE

from crmbet.contracts.table import ENGINE_TYPES, FeatureColumn
from crmbet.databases.duckdb import attach_postgres, open_engine
from crmbet.failures import LoadRefused, LockHeld, LostConnection, PermanentFailure, SourceMissing
from crmbet.load.staging import PARALLEL_COPIES, Staging, staged, staging_name
from crmbet.run.settings import Settings
from tests.integration.load.small_loads import BOTH_SERVERS, load_rows

if TYPE_CHECKING:
    from pathlib import Path

    from crmbet.load.session import LoadSession

pytestmark = pytest.mark.integration

Query = Callable[..., list[tuple[Any, ...]]]
MakeRow = Callable[..., dict[str, Any]]
Engine = duckdb.DuckDBPyConnection
WriteParquet = Callable[..., list[str]]

HOSTILE_RUN_ID = """manual__x'; DROP SCHEMA public; -- "%s" {key} é"""


def staging_tables(query: Query) -> list[str]:
    return [name for (name,) in query(r"SELECT relname FROM pg_class WHERE relname LIKE '%\_staging\_%'")]


def load_after_losing_the_connection(session: LoadSession, staging: Staging, query: Query) -> None:
    query("SELECT pg_terminate_backend(%s)", session.connection.info.backend_pid)
    load_rows(session, staging)


@BOTH_SERVERS
def test_every_cell_of_every_file_arrives_in_an_unlogged_table(
    session: LoadSession,
    engine: Engine,
    postgres_url: str,
    query: Query,
    row: MakeRow,
    write_parquet: WriteParquet,
) -> None:
    rows = [
        row("a"),
        row("b", churn_risk_score=None, rfm_segment="campeões 'x'"),
        row("c", frequencia_jogo=1e-6),
    ]
    files = write_parquet(rows[:2]) + write_parquet(rows[2:])

    with staged(session, engine, postgres_url, files, 3) as staging:
        columns = list(session.contract.computed)
        listed = ", ".join(columns)
        found = query(f"SELECT {listed} FROM {session.in_schema(staging.table)} ORDER BY user_id")
        persistence = query("SELECT relpersistence::text FROM pg_class WHERE relname = %s", staging.table)

    assert [dict(zip(columns, values, strict=True)) for values in found] == rows
    assert persistence == [("u",)]
    assert staging_tables(query) == []


def test_all_types_are_copied_in_binary_by_copies_side_by_side(
    session: LoadSession,
    engine: Engine,
    postgres_url: str,
    row: MakeRow,
    write_parquet: WriteParquet,
    capfd: pytest.CaptureFixture[str],
) -> None:
    # One column that the engine cannot write in binary makes it copy the whole table as text.
    more = {
        "moeda": FeatureColumn(type="char(3)", meaning="x"),
        "gostos": FeatureColumn(type="text[]", meaning="x"),
    }
    contract = session.contract.model_copy(update={"columns": {**session.contract.columns, **more}})
    types = {name: ENGINE_TYPES[column.type] for name, column in contract.computed.items()}
    files = write_parquet([row(key, moeda="BRL", gostos=["x"]) for key in "abcdefgh"], types)
    # The setting comes with the extension, which is loaded by whoever needs it first.
    attach_postgres(engine, postgres_url, "watched", read_only=True)
    engine.execute("SET GLOBAL pg_debug_show_queries = true")

    with staged(replace(session, contract=contract), engine, postgres_url, files, 8):
        copies = [line for line in capfd.readouterr().err.splitlines() if line.startswith("COPY ")]

    assert len(copies) == PARALLEL_COPIES
    assert all("FORMAT BINARY" in copy.upper() for copy in copies)


@BOTH_SERVERS
def test_every_type_of_a_contract_survives_the_copy(
    session: LoadSession,
    engine: Engine,
    postgres_url: str,
    query: Query,
    row: MakeRow,
    write_parquet: WriteParquet,
) -> None:
    more = {
        "gostos": ("text[]", ["push", 'a,"b"', "{}"]),
        "moeda": ("char(3)", "BRL"),
        "saldo": ("money", 123456789012.34),
        "ativo": ("boolean", True),
    }
    columns = {name: FeatureColumn(type=type_, meaning=name) for name, (type_, _) in more.items()}
    contract = session.contract.model_copy(update={"columns": {**session.contract.columns, **columns}})
    wide = replace(session, contract=contract)
    types = {name: ENGINE_TYPES[contract.columns[name].type] for name in contract.computed}
    files = write_parquet(
        [row("a", **{name: value for name, (_, value) in more.items()}), row("b", **dict.fromkeys(more))],
        types,
    )

    with staged(wide, engine, postgres_url, files, 2) as staging:
        found = query(
            f"SELECT gostos, moeda, saldo::text, ativo FROM {wide.in_schema(staging.table)} ORDER BY user_id"
        )

    assert found == [(["push", 'a,"b"', "{}"], "BRL", "123456789012.34", True), (None, None, None, None)]


def test_staged_rows_can_be_loaded_whatever_the_run_is_called(
    open_session: Callable[..., LoadSession],
    session: LoadSession,
    engine: Engine,
    postgres_url: str,
    query: Query,
    row: MakeRow,
    write_parquet: WriteParquet,
) -> None:
    hostile = open_session(HOSTILE_RUN_ID)

    with staged(hostile, engine, postgres_url, write_parquet([row("a")]), 1) as staging:
        assert load_rows(hostile, staging).inserted == 1
        (comment,) = query("SELECT obj_description(%s::regclass)", hostile.in_schema(staging.table))[0]

    assert HOSTILE_RUN_ID in comment
    assert query(f"SELECT user_id FROM {session.table}") == [("a",)]


@pytest.mark.parametrize(
    ("rows", "expected_rows", "complaint"),
    [
        ([{"user_id": "a"}, {"user_id": "a", "row_hash": "h2"}], 2, "1 rows repeat a user_id"),
        ([{"user_id": None}], 1, "1 rows have no user_id"),
        ([{"user_id": "a", "rfm_segment": None}], 1, "1 rows have no rfm_segment"),
        ([{"user_id": "a"}], 2, "it has 1 rows where 2 were computed"),
    ],
    ids=["repeated key", "no key", "no required value", "row lost"],
)
def test_bad_rows_are_refused_before_the_database_is_touched(
    session: LoadSession,
    engine: Engine,
    row: MakeRow,
    write_parquet: WriteParquet,
    rows: list[dict[str, Any]],
    expected_rows: int,
    complaint: str,
) -> None:
    files = write_parquet([row(**columns) for columns in rows])
    session.connection.close()

    with (
        pytest.raises(LoadRefused, match=complaint),
        staged(session, engine, "host=nowhere", files, expected_rows),
    ):
        pass


@pytest.mark.parametrize(
    ("name", "type_", "complaint"),
    [
        ("rfm_segment", None, "rfm_segment is missing"),
        ("total_transactions", "DOUBLE", "total_transactions is DOUBLE, not INTEGER"),
        ("as_of", "TIMESTAMP", "as_of is TIMESTAMP, not TIMESTAMP WITH TIME ZONE"),
        ("segment_guess", "VARCHAR", "segment_guess is not in the contract"),
        ("updated_at", "TIMESTAMP WITH TIME ZONE", "updated_at is not in the contract"),
    ],
)
def test_other_columns_than_the_contracts_are_refused(
    session: LoadSession,
    engine: Engine,
    row: MakeRow,
    write_parquet: WriteParquet,
    name: str,
    type_: str | None,
    complaint: str,
) -> None:
    contract = session.contract
    types = {column: ENGINE_TYPES[contract.columns[column].type] for column in contract.computed}
    types.pop(name, None)
    if type_ is not None:
        types[name] = type_
    files = write_parquet([{name: None, **row("a")}], types)

    with pytest.raises(LoadRefused, match=complaint), staged(session, engine, "host=nowhere", files, 1):
        pass


def test_a_value_that_the_table_cannot_hold_fails_for_good_and_is_not_repeated(
    session: LoadSession,
    engine: Engine,
    postgres_url: str,
    query: Query,
    row: MakeRow,
    write_parquet: WriteParquet,
) -> None:
    files = write_parquet([row("player" * 10)])

    with (
        pytest.raises(PermanentFailure, match="value too long") as failure,
        staged(session, engine, postgres_url, files, 1),
    ):
        pass

    assert "playerplayer" not in str(failure.value)
    assert staging_tables(query) == []


def test_a_file_that_is_gone_is_named(session: LoadSession, engine: Engine, postgres_url: str) -> None:
    with (
        pytest.raises(SourceMissing, match=r"gone\.parquet"),
        staged(session, engine, postgres_url, ["gone.parquet"], 1),
    ):
        pass


def test_staging_is_dropped_when_the_load_fails(
    session: LoadSession,
    engine: Engine,
    postgres_url: str,
    query: Query,
    row: MakeRow,
    write_parquet: WriteParquet,
) -> None:
    with (
        pytest.raises(KeyError, match="anything"),
        staged(session, engine, postgres_url, write_parquet([row("a")]), 1),
    ):
        raise KeyError("anything")

    assert staging_tables(query) == []
    assert session.connection.get_transaction_status() == TRANSACTION_STATUS_IDLE


def test_a_lost_connection_is_what_the_person_on_call_sees(
    session: LoadSession,
    open_session: Callable[..., LoadSession],
    engine: Engine,
    postgres_url: str,
    query: Query,
    row: MakeRow,
    write_parquet: WriteParquet,
) -> None:
    files = write_parquet([row("a")])

    with (
        pytest.raises(LostConnection, match="cannot be reached or went away"),
        staged(session, engine, postgres_url, files, 1) as staging,
    ):
        load_after_losing_the_connection(session, staging, query)

    assert staging_tables(query) == [staging.table]
    with staged(open_session(session.run_id), engine, postgres_url, files, 1) as staging:
        assert query(f"SELECT count(*) FROM {session.in_schema(staging.table)}") == [(1,)]
    assert staging_tables(query) == []


@pytest.mark.full
def test_a_server_that_goes_away_within_the_copy_is_temporary(
    session: LoadSession,
    postgres_url: str,
    query: Query,
    row: MakeRow,
    write_parquet: WriteParquet,
    tmp_path: Path,
) -> None:
    (one,) = write_parquet([row("u")])
    many = str(tmp_path / "many.parquet")
    copies = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'COPY%'"
    )

    def end_the_copy() -> None:
        deadline = time.monotonic() + 30
        while not query(copies):
            assert time.monotonic() < deadline, "no copy was seen"

    with open_engine(Settings(lake_bucket="unused")) as own, ThreadPoolExecutor(1) as pool:
        own.execute(
            f"COPY (SELECT one.* REPLACE (one.user_id || i AS user_id) "
            f"FROM read_parquet('{one}') AS one, range(200000) AS copies(i)) TO '{many}' (FORMAT parquet)"
        )
        ending = pool.submit(end_the_copy)
        with (
            pytest.raises(LostConnection, match="could not be copied completely"),
            staged(session, own, postgres_url, [many], 200_000),
        ):
            pass
        ending.result()

    assert staging_tables(query) == []


def test_what_a_killed_try_left_is_replaced(
    session: LoadSession,
    engine: Engine,
    postgres_url: str,
    query: Query,
    row: MakeRow,
    write_parquet: WriteParquet,
) -> None:
    leftover = session.in_schema(staging_name(session.contract, session.run_id))
    query(f"CREATE TABLE {leftover} AS SELECT 1 AS half_a_row")

    with staged(session, engine, postgres_url, write_parquet([row("a")]), 1) as staging:
        assert load_rows(session, staging).inserted == 1

    assert staging_tables(query) == []


def test_what_a_dead_run_left_is_swept_and_what_a_living_one_uses_is_not(
    session: LoadSession,
    open_session: Callable[..., LoadSession],
    engine: Engine,
    postgres_url: str,
    query: Query,
    row: MakeRow,
    write_parquet: WriteParquet,
) -> None:
    files = write_parquet([row("a")])
    dead, living = open_session("a run that dies"), open_session("a run that takes its time")
    theirs = session.in_schema(staging_name(session.contract, "somebody's own"))
    query(f"CREATE UNLOGGED TABLE {theirs} ()")

    with (
        suppress(LostConnection),
        staged(dead, engine, postgres_url, files, 1),
        staged(living, engine, postgres_url, files, 1) as used,
    ):
        query("SELECT pg_terminate_backend(%s, 10000)", dead.connection.info.backend_pid)
        with staged(session, engine, postgres_url, files, 1):
            names = {staging_name(session.contract, run) for run in (session.run_id, living.run_id)}
            assert set(staging_tables(query)) == names | {staging_name(session.contract, "somebody's own")}
        assert query(f"SELECT count(*) FROM {living.in_schema(used.table)}") == [(1,)]

    query(f"DROP TABLE {theirs}")
    assert staging_tables(query) == []
    assert query("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [(0,)]


@pytest.mark.full
@BOTH_SERVERS
def test_a_second_try_of_a_run_says_that_the_first_still_lives_and_touches_nothing_of_it(
    session: LoadSession,
    open_session: Callable[..., LoadSession],
    engine: Engine,
    postgres_url: str,
    query: Query,
    row: MakeRow,
    write_parquet: WriteParquet,
) -> None:
    files = write_parquet([row("a")])
    second = open_session(session.run_id, lock_timeout_seconds=1)

    with staged(session, engine, postgres_url, files, 1) as staging:
        with (
            pytest.raises(LockHeld, match="another try of this run is under way") as failure,
            staged(second, engine, postgres_url, files, 1),
        ):
            pass
        assert f"pg_terminate_backend({session.connection.info.backend_pid})" in str(failure.value)
        assert load_rows(session, staging).inserted == 1

    with staged(second, engine, postgres_url, files, 1) as staging:
        assert load_rows(second, staging).unchanged == 1
    assert staging_tables(query) == []
    assert query("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [(0,)]


@pytest.mark.full
def test_a_try_that_waited_for_the_first_one_loads_after_it(
    session: LoadSession,
    open_session: Callable[..., LoadSession],
    engine: Engine,
    postgres_url: str,
    query: Query,
    row: MakeRow,
    write_parquet: WriteParquet,
    caplog: pytest.LogCaptureFixture,
) -> None:
    files = write_parquet([row("a")])
    second = open_session(session.run_id)

    def load_again() -> int:
        with (
            open_engine(Settings(lake_bucket="unused")) as own,
            staged(second, own, postgres_url, files, 1) as staging,
        ):
            return load_rows(second, staging).unchanged

    with ThreadPoolExecutor(1) as pool:
        with staged(session, engine, postgres_url, files, 1) as staging:
            again = pool.submit(load_again)
            deadline = time.monotonic() + 30
            while "this try waits up to" not in caplog.text:
                assert time.monotonic() < deadline, "the second try did not say that it waits"
                time.sleep(0.01)
            assert load_rows(session, staging).inserted == 1
        assert again.result() == 1
    assert staging_tables(query) == []


def test_an_unreachable_server_is_temporary_and_its_password_stays_secret(
    session: LoadSession, engine: Engine, row: MakeRow, write_parquet: WriteParquet
) -> None:
    dsn = "postgresql://loader:hunter2@127.0.0.1:1/nowhere"

    with (
        pytest.raises(LostConnection) as failure,
        staged(session, engine, dsn, write_parquet([row("a")]), 1),
    ):
        pass

    assert "hunter2" not in str(failure.value)


def test_the_engine_leaves_no_connection_behind(
    session: LoadSession,
    engine: Engine,
    postgres_url: str,
    query: Query,
    row: MakeRow,
    write_parquet: WriteParquet,
) -> None:
    sessions = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() ORDER BY pid"
    before = query(sessions)

    for user_id in ("a", "b"):
        with staged(session, engine, postgres_url, write_parquet([row(user_id)]), 1):
            # A server's process ends a moment after its connection.
            deadline = time.monotonic() + 30
            while query(sessions) != before:
                assert time.monotonic() < deadline, "the engine is still connected"
                time.sleep(0.01)

    with psycopg2.connect(postgres_url) as other:
        assert (other.info.backend_pid,) not in before


@pytest.mark.parametrize(
    ("error", "family"),
    [
        # As the engine says it when the server dies between the last row and the commit: too short a time to be hit.
        (
            duckdb.TransactionException(
                'TransactionContext Error: Failed to commit: Failed to execute query "COMMIT": server closed the '
                "connection unexpectedly"
            ),
            LostConnection,
        ),
        (
            duckdb.TransactionException(
                'TransactionContext Error: Failed to commit: Failed to execute query "COMMIT": ERROR:  no'
            ),
            PermanentFailure,
        ),
    ],
)
def test_a_commit_that_the_server_did_not_answer_is_tried_again(
    session: LoadSession,
    engine: Engine,
    postgres_url: str,
    row: MakeRow,
    write_parquet: WriteParquet,
    monkeypatch: pytest.MonkeyPatch,
    error: duckdb.Error,
    family: type[Exception],
) -> None:
    def die(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("crmbet.load.staging.attach_postgres", lambda *_, **__: None)
    monkeypatch.setattr(ThreadPoolExecutor, "map", die)
    with (
        pytest.raises(family),
        staged(session, engine, postgres_url, write_parquet([row("a")]), 1),
    ):
        pass
