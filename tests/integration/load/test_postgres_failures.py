"""What a real server says, in our words: the class decides whether Airflow tries again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg2
import pytest
from psycopg2.extensions import TRANSACTION_STATUS_IDLE, connection, make_dsn

from crmbet.databases.postgres import failures_explained, transaction
from crmbet.failures import (
    AccessRefused,
    CrmbetError,
    LockHeld,
    LostConnection,
    PermanentFailure,
    SourceMissing,
    TemporaryFailure,
)

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.integration

WHERE = "table tbl_transactions through the Airflow connection crmbet_source"


def failure_of(action: Callable[[], Any]) -> CrmbetError:
    with pytest.raises(CrmbetError) as failure, failures_explained(WHERE):
        action()
    assert WHERE in str(failure.value)
    assert failure.value.next_step
    assert failure.value.__suppress_context__, "the original would be logged below ours"
    return failure.value


def run(connection: connection, sql: str) -> Callable[[], None]:
    def action() -> None:
        with connection, connection.cursor() as cursor:
            cursor.execute(sql)

    return action


@pytest.mark.parametrize(
    ("part", "value", "failure"),
    [
        ("user", "nobody_at_all", AccessRefused),
        ("dbname", "no_such_database", SourceMissing),
        ("host", "/nowhere", LostConnection),
    ],
)
def test_failures_to_connect(postgres_url: str, part: str, value: str, failure: type[CrmbetError]) -> None:
    dsn = make_dsn(postgres_url, **{part: value})
    assert type(failure_of(lambda: psycopg2.connect(dsn))) is failure


@pytest.mark.parametrize(
    ("sql", "failure", "said"),
    [
        ("SELECT * FROM no_such_table", SourceMissing, 'relation "no_such_table" does not exist'),
        ("SELECT no_such_column FROM pg_class", SourceMissing, 'column "no_such_column" does not exist'),
        ("CREATE TABLE no_such_schema.t ()", SourceMissing, 'schema "no_such_schema" does not exist'),
        (
            "SET ROLE restricted; SELECT * FROM pg_authid",
            AccessRefused,
            "permission denied for table pg_authid",
        ),
        ("SELEKT 1", PermanentFailure, "syntax error"),
        ("SELECT 1/0", PermanentFailure, "DivisionByZero, SQLSTATE 22012"),
        ("SET statement_timeout = '50ms'; SELECT pg_sleep(5)", TemporaryFailure, "statement_timeout"),
        ("SELECT pg_terminate_backend(pg_backend_pid())", LostConnection, "went away"),
    ],
)
def test_failures_of_statements(
    connect: Callable[[], connection], sql: str, failure: type[CrmbetError], said: str
) -> None:
    admin = connect()
    run(admin, "CREATE ROLE restricted")()
    try:
        found = failure_of(run(connect(), sql))
    finally:
        run(admin, "DROP ROLE restricted")()

    assert type(found) is failure
    assert said in str(found)


def test_a_connection_that_is_closed_already_is_lost(connect: Callable[[], connection]) -> None:
    closed = connect()
    closed.close()

    assert type(failure_of(closed.cursor)) is LostConnection


def test_a_lock_that_is_not_given_in_time_is_held(connect: Callable[[], connection]) -> None:
    holder = connect()
    run(holder, "CREATE TABLE wanted ()")()
    with holder.cursor() as cursor:
        cursor.execute("LOCK TABLE wanted")

    assert type(failure_of(run(connect(), "SET lock_timeout = '50ms'; SELECT * FROM wanted"))) is LockHeld


def test_a_row_is_never_quoted(connect: Callable[[], connection]) -> None:
    own = connect()
    run(own, "CREATE TABLE players (cpf text PRIMARY KEY, age smallint NOT NULL)")()
    run(own, "INSERT INTO players VALUES ('12345678909', 40)")()

    failures = [
        failure_of(run(own, "INSERT INTO players VALUES ('12345678909', 41)")),
        failure_of(run(own, "INSERT INTO players VALUES ('98765432100', NULL)")),
        failure_of(run(own, "SELECT '98765432100'::smallint")),
    ]

    assert [type(failure) for failure in failures] == [PermanentFailure] * 3
    assert "constraint players_pkey" in str(failures[0])
    assert "column age" in str(failures[1])
    for failure in failures:
        assert "12345678909" not in str(failure)
        assert "98765432100" not in str(failure)


def test_a_transaction_commits_or_rolls_back_and_is_never_left_open(
    connect: Callable[[], connection],
) -> None:
    own = connect()
    with transaction(own, where=WHERE) as cursor:
        cursor.execute("CREATE TABLE kept (isolation text)")
        cursor.execute("INSERT INTO kept SELECT current_setting('transaction_isolation')")
    with pytest.raises(PermanentFailure), transaction(own, where=WHERE) as cursor:
        cursor.execute("INSERT INTO kept VALUES ('not kept'); SELECT 1/0")

    assert own.get_transaction_status() == TRANSACTION_STATUS_IDLE
    with own.cursor() as cursor:
        cursor.execute("SELECT isolation FROM kept")
        assert cursor.fetchall() == [("read committed",)]


def test_a_transaction_is_read_committed_whatever_the_server_prefers(
    connect: Callable[[], connection],
) -> None:
    own = connect()
    run(own, "SET default_transaction_isolation = 'serializable'")()

    with transaction(own, where=WHERE) as cursor:
        cursor.execute("SELECT current_setting('transaction_isolation')")
        assert cursor.fetchone() == ("read committed",)


def test_a_transaction_inside_another_is_an_error(connect: Callable[[], connection]) -> None:
    own = connect()
    with own.cursor() as cursor:
        cursor.execute("SELECT 1")

    with pytest.raises(RuntimeError, match="in a transaction already"), transaction(own, where=WHERE):
        pass
