"""PostgreSQL's failures in our words, so that the retry policy can tell a wrong password from a server that went away.

A message of the server may quote a row (`Key (user_id)=(...) already exists`), and a connection error may quote a login.
Neither belongs into a log, so ours say what kind of thing happened, and the original is cut off from the traceback.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

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
    import psycopg2
    from psycopg2.extensions import connection as Connection
    from psycopg2.extensions import cursor as Cursor

MISSING = frozenset({"3D000", "3F000", "42P01", "42703"})
"""SQLSTATEs of a database, schema, table or column that is not there."""
LOCKED = frozenset({"55P03", "40P01", "40001"})
"""SQLSTATEs of a lock time-out, a deadlock and a lost race."""
RETRIED_BY_ITSELF = "the task retries by itself"


@contextmanager
def failures_explained(where: str) -> Iterator[None]:
    """Turn every psycopg2 error inside into one of ours. `where` names the table and the connection.

    Raises `LostConnection` (unreachable, gone), `AccessRefused` (password, rights), `SourceMissing` (database, schema,
    table, column), `LockHeld` (lock time-out, deadlock), `TemporaryFailure` (out of resources, cancelled) and
    `PermanentFailure` for what is left, such as a broken constraint.
    """
    import psycopg2

    try:
        yield
    except psycopg2.Error as error:
        raise _explain(error, where) from None


@contextmanager
def transaction(connection: Connection, *, where: str) -> Iterator[Cursor]:
    """A READ COMMITTED transaction: committed at the end, rolled back by any exception, failures explained.

    The connection must not be in a transaction yet, and is in none afterwards.
    """
    with failures_explained(where), connection, connection.cursor() as cursor:
        # The default may be set otherwise for a server, a database or a role; this fails inside a transaction.
        cursor.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        yield cursor


def single_row(cursor: Cursor) -> tuple[Any, ...]:
    """The row of a query that always has one, such as an aggregate without GROUP BY."""
    row: tuple[Any, ...] | None = cursor.fetchone()
    if row is None:
        raise ValueError("the query returned no row")
    return row


def _explain(error: psycopg2.Error, where: str) -> CrmbetError:
    import psycopg2

    state: str | None = error.pgcode
    if state is None:
        if isinstance(error, (psycopg2.OperationalError, psycopg2.InterfaceError)):
            return _explain_connection(str(error), where)
        return PermanentFailure(f"psycopg2 failed ({type(error).__name__})", where=where)
    if state.startswith(("08", "57P")):
        return _lost(where, f"SQLSTATE {state}")
    if state.startswith("28") or state == "42501":
        return AccessRefused(
            "PostgreSQL refuses access",
            where=where,
            why=_primary(error),
            next_step="grant the right to the connection's login (include/sql/ holds the statement that was refused)",
        )
    if state in MISSING:
        return SourceMissing(
            "PostgreSQL does not have what the contract names",
            where=where,
            why=_primary(error),
            next_step="compare the table with its contract in include/contracts/, and the connection with its database",
        )
    if state in LOCKED:
        return LockHeld(
            "PostgreSQL did not give a lock in time",
            where=where,
            why=f"another session holds one that conflicts (SQLSTATE {state})",
            next_step=f"{RETRIED_BY_ITSELF}; if it goes on, look for the session in pg_locks and pg_stat_activity",
        )
    if state.startswith("53"):
        return TemporaryFailure(
            "PostgreSQL is short of resources",
            where=where,
            why=_primary(error),
            next_step=f"{RETRIED_BY_ITSELF}; look at its disk, memory and max_connections",
        )
    if state == "57014":
        return TemporaryFailure(
            "PostgreSQL cancelled a statement",
            where=where,
            why="somebody cancelled it, or the role's statement_timeout did",
            next_step=f"{RETRIED_BY_ITSELF}; if it goes on, raise statement_timeout of the connection's login",
        )
    return PermanentFailure(
        f"PostgreSQL refused a statement ({type(error).__name__}, SQLSTATE {state})",
        where=where,
        why=_named_objects(error) or (_primary(error) if state.startswith(("25", "42")) else ""),
        next_step="the server's log holds the whole message, which may quote a player's row and so is not repeated here",
    )


def _explain_connection(message: str, where: str) -> CrmbetError:
    """A failed login carries no SQLSTATE, only the server's text (in English, if its lc_messages is)."""
    lowered = message.lower()
    if "password" in lowered or "pg_hba.conf" in lowered or "permission denied" in lowered:
        return AccessRefused(
            "PostgreSQL refuses the login",
            where=where,
            next_step="correct login and password of the connection",
        )
    if "role" in lowered and "does not exist" in lowered:
        return AccessRefused(
            "PostgreSQL does not know the login", where=where, next_step="correct the login of the connection"
        )
    if "database" in lowered and "does not exist" in lowered:
        return SourceMissing(
            "PostgreSQL does not have the database",
            where=where,
            next_step="correct the schema field of the connection: it names the database",
        )
    return _lost(where, "the server is down, restarted, or its host, port or network path is wrong")


def _lost(where: str, why: str) -> LostConnection:
    return LostConnection(
        "PostgreSQL cannot be reached or went away",
        where=where,
        why=why,
        next_step=f"{RETRIED_BY_ITSELF}; if it goes on, test the connection from the worker",
    )


def _primary(error: psycopg2.Error) -> str:
    """The server's first line: for the kinds of error that name objects and never values."""
    return error.diag.message_primary or ""


def _named_objects(error: psycopg2.Error) -> str:
    """Table, column and constraint of a broken constraint, without the row."""
    found = {
        "table": error.diag.table_name,
        "column": error.diag.column_name,
        "constraint": error.diag.constraint_name,
    }
    return ", ".join(f"{kind} {name}" for kind, name in found.items() if name)
