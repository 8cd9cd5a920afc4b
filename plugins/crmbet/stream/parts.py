"""Parts of what players have done: each batch adds its own, so that no batch sums the day again.

A part is what the statements of daily state and of sessions say of some rows: sums that add up, lists that follow on
one another, and sessions that join. The parts of all rows come to what the statements say of all rows at once. If a
held row has gone, because another one stands for it, the parts of its player are made again from all that is held of
them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from crmbet.contracts.source import SourceContract
from crmbet.contracts.typing import typed_columns
from crmbet.databases.statements import Fragment, date_literal, identifier, joined, render, statement
from crmbet.features.sessions import derived_sessions, joined_sessions
from crmbet.features.state import SOURCES
from crmbet.stream.held import ADDED_UNREADABLE, CORRECTED, UNREADABLE, HeldRows, added, held

STATE = identifier("part_state")
SESSIONS = identifier("part_sessions")
EVENTS = identifier("part_events")
SPARE_PARTS = 100_000
"""So many parts, and as many as there are players, may come before they are merged."""


@dataclass(kw_only=True)
class Parts:
    """The parts of the held rows."""

    rows: HeldRows
    sources: Mapping[str, SourceContract]
    """The contracts of all sources."""
    _merged: int = field(init=False, default=0)
    """How many parts there were when they were merged last."""

    def create(self) -> None:
        """Make the empty tables of the held rows and of the parts."""
        connection = self.rows.work.connection
        self.rows.create()
        for name in SOURCES:
            if name not in self.rows.contracts:
                columns = typed_columns(self.sources[name])
                connection.execute(render("stream/no_rows_held", name=identifier(name), columns=columns))
        self._show()
        for table, made in self._made().items():
            connection.execute(f"CREATE TABLE {table} AS {made}")

    def add(self) -> None:
        """Add the parts of the rows that have come."""
        connection = self.rows.work.connection
        corrected = self._count(CORRECTED)
        for table, made in self._made().items():
            if corrected:
                connection.execute(render("stream/delete_of_corrected", table=table))
            connection.execute(f"INSERT INTO {table} {made}")
        self.rows.forget_added()
        if self._count(EVENTS) > 2 * self._merged + SPARE_PARTS:
            self._merge()

    def drop(self) -> None:
        """Forget all rows and parts."""
        for table in (STATE, SESSIONS, EVENTS):
            self.rows.work.connection.execute(f"DROP TABLE {table}")
        self.rows.drop()

    def move_to(self, days: Sequence[date]) -> None:
        """Hold other days from now on, and forget the days before them."""
        self.rows.move_to(days)
        self._merge()

    def touch(self, day: date) -> None:
        """Count all live rows of a day as changed: the day has become today."""
        self.rows.work.connection.execute(render("stream/touch_day", day=date_literal(day)))

    def merged(self, parts: Mapping[Fragment, str]) -> dict[Fragment, str]:
        """SELECTs of what some parts come to. `parts` has SELECT of them by table."""
        plays = render("stream/play_parts", parts=Fragment(parts[SESSIONS]))
        return {
            STATE: render("stream/merge_state", parts=Fragment(parts[STATE])),
            SESSIONS: render(
                "stream/sum_sessions", sessions=Fragment(joined_sessions(Fragment(plays), self._days))
            ),
            EVENTS: render("stream/merge_events", parts=Fragment(parts[EVENTS])),
        }

    @property
    def _days(self) -> Fragment:
        return joined([date_literal(day) for day in self.rows.days])

    def _show(self) -> None:
        """The rows that make parts, under the names that the statements read."""
        shown = {identifier(source): (held(source), added(source)) for source in self.rows.contracts}
        for name, (of_all, of_added) in {
            **shown,
            identifier("unreadable"): (UNREADABLE, ADDED_UNREADABLE),
        }.items():
            self.rows.work.connection.execute(
                render("stream/show_rows_to_sum", name=name, held=of_all, added=of_added)
            )

    def _made(self) -> dict[Fragment, str]:
        """SELECT of the parts that the shown rows make, by table."""
        state = Fragment(statement("features/state/summarise_days"))
        sessions = Fragment(derived_sessions(self._days))
        return {
            STATE: render("stream/sum_state", state=state),
            SESSIONS: render("stream/sum_sessions", sessions=sessions),
            EVENTS: statement("stream/sum_events"),
        }

    def _count(self, table: Fragment) -> int:
        count = render("stream/count_rows", table=table)
        (rows,) = self.rows.work.connection.execute(count).fetchone() or (0,)
        return int(rows)

    def _merge(self) -> None:
        """Put the parts of a player together, so that there are no more than players need."""
        first = date_literal(min(self.rows.days))
        tables = (STATE, SESSIONS, EVENTS)
        parts = {table: render("stream/select_held_parts", table=table, first=first) for table in tables}
        for table, merged in self.merged(parts).items():
            self.rows.work.connection.execute(f"CREATE OR REPLACE TABLE {table} AS {merged}")
        self._merged = self._count(EVENTS)
