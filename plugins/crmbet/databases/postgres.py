"""PostgreSQL's errors as errors of ours, so that the retry policy can tell a wrong password from a lost server.

A message of the server may quote a row (`Key (user_id)=(...) already exists`), and a connection error may quote a
login. Neither may appear in a log. So our errors say what kind of error it was, and the traceback leaves out the
original.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
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
    from collections.abc import Iterator

    import psycopg2
    from psycopg2 import extensions

RETRIED_BY_ITSELF = "the task retries by itself"
TOO_MANY = ("too many connections", "remaining connection slots", "too many clients")
"""A server that has no connection left says so without an SQLSTATE."""


@dataclass(frozen=True, kw_only=True)
class _Meaning:
    """What a kind of error means for the person on call."""

    failure: type[CrmbetError]
    what: str
    next_step: str
    quotable: bool = False
    """Whether the first line of the server's message may be repeated: it names objects, never values."""


_REFUSED = _Meaning(
    failure=AccessRefused,
    what="PostgreSQL refuses access",
    next_step="grant the connection's login the right, or correct login and password of the connection",
    quotable=True,
)
_MISSING = _Meaning(
    failure=SourceMissing,
    what="PostgreSQL does not have what the contract names",
    next_step="compare table and contract (include/contracts/), and the connection with its database",
    quotable=True,
)
_LOCKED = _Meaning(
    failure=LockHeld,
    what="PostgreSQL did not give a lock in time, because another session holds one that conflicts",
    next_step=f"{RETRIED_BY_ITSELF}; if it goes on, look for that session in pg_locks and pg_stat_activity",
)
_LOST = _Meaning(
    failure=LostConnection,
    what="PostgreSQL cannot be reached or went away",
    next_step=f"{RETRIED_BY_ITSELF}; if it goes on, test the connection from the worker",
)
_REJECTED = _Meaning(
    failure=PermanentFailure,
    what="PostgreSQL refused a statement",
    next_step="read the message in the server's log; it may quote a player's row, so it is not repeated here",
)

_MEANINGS = {
    "08": _LOST,
    "25": replace(_REJECTED, quotable=True),
    "28": _REFUSED,
    "3D": _MISSING,
    "3F": _MISSING,
    "40": _LOCKED,
    "42": replace(_REJECTED, quotable=True),
    "42501": _REFUSED,
    "42703": _MISSING,
    "42P01": _MISSING,
    "53": _Meaning(
        failure=TemporaryFailure,
        what="PostgreSQL is short of resources",
        next_step=f"{RETRIED_BY_ITSELF}; look at its disk, memory and max_connections",
        quotable=True,
    ),
    "55P03": _LOCKED,
    "57014": _Meaning(
        failure=TemporaryFailure,
        what="PostgreSQL cancelled a statement: somebody did, or the login's statement_timeout",
        next_step=f"{RETRIED_BY_ITSELF}; if it goes on, raise statement_timeout of the connection's login",
    ),
    "57P": _LOST,
}
"""By SQLSTATE or the beginning of one; the longest that fits is used."""


@contextmanager
def failures_explained(where: str) -> Iterator[None]:
    """Turn every psycopg2 error into one of ours. `where` names the table and the connection.

    Raises `LostConnection` (unreachable, gone), `AccessRefused` (password, rights), `SourceMissing`
    (database, schema, table, column), `LockHeld` (lock time-out, deadlock), `TemporaryFailure` (out of
    resources, cancelled) and `PermanentFailure` for all others, such as a violated constraint.
    """
    import psycopg2

    try:
        yield
    except psycopg2.Error as error:
        raise _explain(error, where) from None


@contextmanager
def transaction(connection: extensions.connection, *, where: str) -> Iterator[extensions.cursor]:
    """A READ COMMITTED transaction. It is committed at the end, and rolled back if there is an exception.

    Errors are those of `failures_explained`. Raises `RuntimeError` if the connection is in a transaction already.
    """
    from psycopg2.extensions import TRANSACTION_STATUS_INERROR, TRANSACTION_STATUS_INTRANS

    if connection.get_transaction_status() in (TRANSACTION_STATUS_INTRANS, TRANSACTION_STATUS_INERROR):
        raise RuntimeError("the connection is in a transaction already, which this one would commit")
    with failures_explained(where), connection, connection.cursor() as cursor:
        # The server, the database or the role may have another default.
        cursor.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        yield cursor


def single_row(cursor: extensions.cursor) -> tuple[Any, ...]:
    """The row of a query that always has one, such as an aggregate without GROUP BY."""
    row: tuple[Any, ...] | None = cursor.fetchone()
    if row is None:
        raise ValueError("the query returned no row")
    return row


def _explain(error: psycopg2.Error, where: str) -> CrmbetError:
    import psycopg2

    if error.pgcode is None and isinstance(error, (psycopg2.OperationalError, psycopg2.InterfaceError)):
        return _explain_connection(str(error), where)
    state = error.pgcode or ""
    beginnings = [beginning for beginning in _MEANINGS if state.startswith(beginning)]
    meaning = _MEANINGS[max(beginnings, key=len)] if beginnings else _REJECTED
    details = [f"{type(error).__name__}, SQLSTATE {state}" if state else type(error).__name__]
    if meaning.quotable and error.diag.message_primary:
        details.append(error.diag.message_primary)
    details += _named_objects(error)
    return meaning.failure(meaning.what, where=where, why="; ".join(details), next_step=meaning.next_step)


def _explain_connection(message: str, where: str) -> CrmbetError:
    """A failed login has no SQLSTATE, only the server's message, in the language of its lc_messages."""
    lowered = message.lower()
    if any(sign in lowered for sign in TOO_MANY):
        no_room = _MEANINGS["53"]
        return no_room.failure(no_room.what, where=where, next_step=no_room.next_step)
    if any(sign in lowered for sign in ("password", "pg_hba.conf", "permission denied")):
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
    return LostConnection(_LOST.what, where=where, next_step=_LOST.next_step)


def _named_objects(error: psycopg2.Error) -> list[str]:
    """The table, column and name of a violated constraint, without the row."""
    names = {
        "table": error.diag.table_name,
        "column": error.diag.column_name,
        "constraint": error.diag.constraint_name,
    }
    return [f"{kind} {name}" for kind, name in names.items() if name]
