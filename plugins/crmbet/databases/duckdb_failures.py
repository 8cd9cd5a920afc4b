"""The data engine's errors as errors of ours, so that the retry policy can tell a server that is down from bad data.

The engine raises the same class for a truncated file and for an unreachable server, so its messages have to be read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from crmbet.databases.postgres import TOO_MANY
from crmbet.failures import (
    AccessRefused,
    CrmbetError,
    LostConnection,
    PermanentFailure,
    SourceMissing,
    TemporaryFailure,
)
from crmbet.redaction import redact, without_secrets

if TYPE_CHECKING:
    import duckdb

S3_UNREACHABLE = " error for http "
POSTGRES_GONE = (
    "server closed the connection",
    "terminating connection",
    "connection to server",
    "could not receive data from server",
    "no connection to the server",
    "ssl syscall",
    "ssl connection has been closed",
    "the database system is ",
)
LOGIN_REFUSED = (
    "password authentication failed",
    "no password supplied",
    "pg_hba.conf",
    "permission denied for database",
)
DISK_FULL = ("could not write", "no space left on device")
QUOTED_PATH = r"""\s?["']?{folder}[\w./-]*["']?"""
QUOTE = re.compile(r"""(?<!\w)["']""")
"""A quote after which the message may repeat data. An apostrophe within a word is none."""
LONGEST_QUOTE = 200
"""So many letters of an engine's message are repeated in one of ours."""


@contextmanager
def failures_explained(where: str) -> Iterator[None]:
    """Turn the engine's errors that are about a server, and not about data or SQL, into errors of ours.

    Raises `LostConnection`, `TemporaryFailure`, `AccessRefused` or `SourceMissing`; any other error passes, without the
    secrets that its text may quote.
    """
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        raised = explain(error, where) or without_secrets(error)
        if raised is error:
            raise
        raise raised from None


def explain(error: duckdb.Error, where: str) -> CrmbetError | None:
    """Our error for an engine's error about S3 or PostgreSQL; None if it is about neither."""
    import duckdb

    words = str(error).lower()
    if isinstance(error, duckdb.HTTPException):
        return _explain_status(error, where)
    if S3_UNREACHABLE in words:
        return LostConnection(
            "S3 cannot be reached",
            where=where,
            why=first_line(error),
            next_step="the task retries by itself; if it goes on, test the connection crmbet_lake from the worker",
        )
    if "permission denied for" in words:
        return AccessRefused(
            "PostgreSQL refuses access",
            where=where,
            why=first_line(error),
            next_step="grant the connection's login the right to read it",
        )
    if "canceling statement due to" in words:
        return TemporaryFailure(
            "PostgreSQL cancelled a query",
            where=where,
            why=_cancellation(words),
            next_step="the task retries by itself; if it goes on, raise statement_timeout of the login, or "
            "max_standby_streaming_delay where the source is a replica",
        )
    if any(sign in words for sign in TOO_MANY):
        return _no_connection_left(where)
    if any(sign in words for sign in POSTGRES_GONE):
        return LostConnection(
            "PostgreSQL went away",
            where=where,
            why=first_line(error),
            next_step="the task retries by itself; if it goes on, test the connection from the worker",
        )
    return None


def explain_attach(
    error: duckdb.Error, where: str
) -> AccessRefused | LostConnection | SourceMissing | TemporaryFailure:
    """Why a PostgreSQL database cannot be attached. Repeats none of the engine's words, since they quote options."""
    words = str(error).lower()
    if any(sign in words for sign in TOO_MANY):
        return _no_connection_left(where)
    if any(sign in words for sign in LOGIN_REFUSED):
        return AccessRefused(
            "PostgreSQL refuses the login",
            where=where,
            next_step="correct login and password of the connection",
        )
    if "does not exist" in words:
        return SourceMissing(
            "PostgreSQL does not know the database or role",
            where=where,
            next_step="correct schema and login there",
        )
    return LostConnection(
        "PostgreSQL cannot be reached",
        where=where,
        why="the server is down, or its host, port or network path is wrong",
        next_step="the task retries by itself; if it goes on, test the connection from the worker",
    )


def explain_copy(error: duckdb.Error, *, what: str, where: str, remake: str) -> CrmbetError:
    """Why Parquet files on S3 cannot be copied into PostgreSQL.

    `what` names the files' content, such as "the run's feature table"; `remake` says what to do if the files are gone
    or wrong. Only the first line of the engine's message is repeated: the lines below may quote a row.
    """
    import duckdb

    text = redact(str(error))
    message = next(iter(text.splitlines()), type(error).__name__)
    if any(sign in text for sign in TOO_MANY):
        return _no_connection_left(where)
    if "No files found" in text or "HTTP 404" in text:
        return SourceMissing(
            f"a file of {what} is not there any more", where=where, why=message, next_step=remake
        )
    if is_lack_of_resources(error) or "No space left" in text:
        return TemporaryFailure(
            "the engine has too little memory, or the disk that it spills to is full",
            where=where,
            why=message,
            next_step="the task retries by itself; if it goes on, make room on that disk or raise CRMBET_MEMORY_LIMIT",
        )
    # An answer of PostgreSQL comes as the bare base class, with ERROR in it. Without ERROR the connection ended: within
    # the copy as the base class, or the whole engine broke; at the commit as a TransactionException. S3 that goes away
    # comes as an IOException.
    unanswered = type(error) in (duckdb.Error, duckdb.TransactionException) and "ERROR:" not in text
    broken = isinstance(error, (duckdb.IOException, duckdb.InternalException, duckdb.FatalException))
    if unanswered or broken:
        return LostConnection(
            f"{what} could not be copied completely",
            where=where,
            why=message,
            next_step="the task retries by itself",
        )
    return PermanentFailure(
        f"{what} cannot be copied into PostgreSQL",
        where=where,
        why=message,
        next_step=f"compare the feature statements with the contract, then {remake}",
    )


def first_line(error: Exception) -> str:
    """The beginning of an engine's message. The lines below the first may quote data."""
    # Secrets go first: of one that is cut in two, the rest would not be recognised.
    return (redact(str(error)).splitlines() or [type(error).__name__])[0][:LONGEST_QUOTE]


def is_lack_of_resources(error: duckdb.Error) -> bool:
    """Whether the engine lacks memory or disk space. Such an error means nothing about the data that it was reading."""
    import duckdb

    return isinstance(error, duckdb.OutOfMemoryException) or (
        isinstance(error, duckdb.IOException) and any(sign in str(error).lower() for sign in DISK_FULL)
    )


def describe_file_error(error: Exception, folder: Path) -> str:
    """An engine's message about a local file in a folder, without the file's path and without data that it quotes."""
    message = re.sub(QUOTED_PATH.format(folder=re.escape(str(folder))), "", first_line(error))
    return QUOTE.split(message, maxsplit=1)[0].rstrip()


def _no_connection_left(where: str) -> TemporaryFailure:
    return TemporaryFailure(
        "PostgreSQL has no connection left for the login",
        where=where,
        why="the login's CONNECTION LIMIT or the server's max_connections is reached",
        next_step="the task retries by itself; if it goes on, allow the login more connections: a task takes one, and "
        "one more for each thread of the engine (CRMBET_THREADS)",
    )


def _cancellation(words: str) -> str:
    """PostgreSQL's reason, which follows the query in the engine's message."""
    return redact(words[words.index("canceling statement due to") :].splitlines()[0])[:LONGEST_QUOTE]


def _explain_status(error: duckdb.HTTPException, where: str) -> CrmbetError:
    status: int = error.status_code
    if status in (401, 403):
        return AccessRefused(
            f"S3 refuses our key (HTTP {status})",
            where=where,
            next_step="correct login, password and rights of the Airflow connection crmbet_lake",
        )
    if status == 404:
        return SourceMissing(
            "an object is not there any more",
            where=where,
            why=first_line(error),
            next_step="find out who deletes objects of ours, or changes a feed while it is read; then clear the task",
        )
    return LostConnection(
        f"S3 answered HTTP {status}",
        where=where,
        why=first_line(error),
        next_step="the task retries by itself",
    )
