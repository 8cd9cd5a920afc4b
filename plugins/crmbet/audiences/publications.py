"""The table `audience_runs`: what was handed over, and what its receiver has confirmed. It names no player."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from crmbet.audiences.records import Publication
from crmbet.databases.statements import Fragment, render
from crmbet.load.side_tables import ensure_side_table

if TYPE_CHECKING:
    from crmbet.load.session import LoadSession

TABLE = "audience_runs"


@dataclass(frozen=True)
class Message:
    """A message that nobody has confirmed yet."""

    publication: str
    audience: str
    text: str


@dataclass(frozen=True)
class Publications:
    """The table, by a session. Each call is a transaction of its own."""

    session: LoadSession

    def ensure(self) -> None:
        """Make the table if it does not exist."""
        with self.session.transaction() as cursor:
            ensure_side_table(cursor, self.session, TABLE)

    def newest(self, audience: str) -> Publication | None:
        """What was handed over last of an audience."""
        with self.session.transaction() as cursor:
            cursor.execute(
                render("audiences/read_newest_publication", table=self._table), {"audience": audience}
            )
            found = cursor.fetchone()
        if found is None:
            return None
        names = (
            "publication", "definition", "as_of", "purpose", "members", "entered", "left", "excluded", "files",
            "baseline",
        )  # fmt: skip
        return Publication(audience=audience, **dict(zip(names, found, strict=True)))

    def add(self, published: Publication, run_id: str, now: datetime, message: str | None) -> None:
        """Let a publication count, and its message wait until it is confirmed."""
        row = published.model_dump() | {
            "excluded": json.dumps(published.excluded),
            "files": json.dumps(published.files),
            "execution_id": run_id,
            "published_at": now,
            "message": message,
        }
        with self.session.transaction() as cursor:
            cursor.execute(render("audiences/insert_publication", table=self._table), row)

    def undelivered(self) -> list[Message]:
        """Messages that nobody has confirmed, oldest first."""
        with self.session.transaction() as cursor:
            cursor.execute(render("audiences/list_undelivered", table=self._table))
            return [Message(*row) for row in cursor.fetchall()]

    def mark_delivered(self, publication: str, now: datetime) -> None:
        """Remember that the receiver has confirmed a message."""
        with self.session.transaction() as cursor:
            cursor.execute(
                render("audiences/mark_delivered", table=self._table),
                {"publication": publication, "delivered_at": now},
            )

    @property
    def _table(self) -> Fragment:
        return self.session.in_schema(TABLE)
