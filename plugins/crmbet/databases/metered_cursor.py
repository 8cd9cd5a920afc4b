"""A cursor of psycopg2 that counts what it asks PostgreSQL for, and how long that takes."""

from __future__ import annotations

from typing import Any

from psycopg2.extensions import cursor

from crmbet import metering

FOR_THE_CLIENT = ("SELECT", "FETCH", "SHOW")


class MeteredCursor(cursor):
    """A cursor on the client, whose rows have come when a statement ends."""

    def execute(self, query: Any, variables: Any = None) -> None:
        """Run a statement."""
        with metering.in_postgres():
            super().execute(query, variables)
        verb, rows = self._told()
        # CREATE TABLE AS is told as a SELECT, and has no columns for us.
        if verb in FOR_THE_CLIENT and self.description:
            metering.count_rows(read=rows)
        else:
            metering.count_rows(written=rows)

    def copy_expert(self, sql: Any, file: Any, size: int = 8192) -> None:
        """Run a COPY from or to a file of the client."""
        with metering.in_postgres():
            super().copy_expert(sql, file, size)
        # The server's last word is not told after a COPY, only the number of rows.
        if "STDIN" in str(sql).upper():
            metering.count_rows(written=max(0, self.rowcount))
        else:
            metering.count_rows(read=max(0, self.rowcount))

    def _told(self) -> tuple[str, int]:
        """What the server said it did, such as INSERT 0 5, and with how many rows."""
        verb, *numbers = (self.statusmessage or "-").split()
        return verb, int(numbers[-1]) if numbers and numbers[-1].isdecimal() else 0
