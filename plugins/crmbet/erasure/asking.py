"""Asking for erasures by the form: ids go into the table of requests, and nowhere else.

The login is one of the privacy office, which may add requests and read them. Nothing here logs an id or shows one.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from crmbet.contracts.alike_ids import fold
from crmbet.databases import postgres
from crmbet.databases.sessions import open_session
from crmbet.databases.statements import identifier, render
from crmbet.erasure.ledger import REQUESTS
from crmbet.failures import SourceMissing
from crmbet.run.settings import TimeoutSettings

if TYPE_CHECKING:
    from psycopg2 import extensions

MOST_IDS = 1_000
"""Ids that one form may have."""
LONGEST_ID = 200
"""As the table has it."""
SHOWN = 100
"""Requests that the page lists."""
TIMEOUTS = TimeoutSettings(
    connect_timeout_seconds=5,
    answer_timeout_seconds=20,
    statement_timeout_seconds=20,
    idle_timeout_seconds=20,
)
"""Somebody waits in front of the page."""


class NotIds(ValueError):
    """Lines of the form that are no ids of players."""

    def __init__(self, why: str, line: int = 0) -> None:
        """`why` is a word of the page's sentences. No id is repeated."""
        super().__init__(why)
        self.why = why
        self.line = line


@dataclass(frozen=True)
class Asked:
    """A request as the page shows it. It has no id."""

    request_id: int
    requested_at: datetime
    asked_by: str
    """The user of Airflow who filled in the form, or else the login of PostgreSQL that wrote the request."""
    state: str
    reason: str | None
    ended_at: datetime | None
    certificate_id: str | None


@dataclass(frozen=True)
class RequestTable:
    """The table of requests of one brand, as the privacy office may use it."""

    connection: extensions.connection
    schema: str

    def add(self, user_ids: Sequence[str], asked_by: str) -> list[int]:
        """Write a request for each id; returns their numbers. All of them are written, or none is.

        Raises our failures in place of psycopg2's: they quote no value.
        """
        with self._transaction() as cursor:
            cursor.execute(
                render("erasure/insert_requests", table=identifier(self.schema, REQUESTS)),
                {"user_ids": list(user_ids), "entered_by": asked_by},
            )
            return [request_id for (request_id,) in cursor.fetchall()]

    def newest(self) -> list[Asked]:
        """The newest requests, the newest first."""
        with self._transaction() as cursor:
            cursor.execute(
                render("erasure/list_newest_requests", table=identifier(self.schema, REQUESTS)),
                {"most": SHOWN},
            )
            return [Asked(*row) for row in cursor.fetchall()]

    @contextmanager
    def _transaction(self) -> Iterator[extensions.cursor]:
        with postgres.transaction(self.connection, where=_where(self.schema)) as cursor:
            cursor.execute(render("load/find_table"), {"schema": self.schema, "table": REQUESTS})
            if cursor.fetchone() is None:
                raise SourceMissing(
                    "there is no table of requests yet",
                    where=_where(self.schema),
                    next_step="trigger user_features_erasure once: its first task makes the table",
                )
            yield cursor


@contextmanager
def open_requests(dsn: str, schema: str) -> Iterator[RequestTable]:
    """Open a connection of the privacy office, and close it at the end."""
    with postgres.failures_explained(_where(schema)):
        connection = open_session(dsn, TIMEOUTS, firm=True, application_name="crmbet requests for erasure")
    with closing(connection):
        yield RequestTable(connection, schema)


def distinct_ids(lines: Iterable[str]) -> list[str]:
    """The ids of some lines, each player once. Raises `NotIds`."""
    found: dict[str, str] = {}
    for place, line in enumerate(lines, 1):
        user_id = line.strip()
        if not user_id:
            continue
        if len(user_id) > LONGEST_ID or any(
            unicodedata.category(letter) in ("Cc", "Cs") for letter in user_id
        ):
            raise NotIds("unreadable", place)
        found.setdefault(fold(user_id), user_id)
    if not found:
        raise NotIds("none")
    if len(found) > MOST_IDS:
        raise NotIds("many")
    return list(found.values())


def _where(schema: str) -> str:
    return f"table {schema}.{REQUESTS}"
