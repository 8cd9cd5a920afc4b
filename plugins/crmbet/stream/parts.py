"""Parts of what players have done: each batch adds its own, so that no batch sums the day again.

A part is what the statement of daily state says of some rows: sums that add up, and lists that follow on one another.
The parts of all rows come to what the statement says of all rows at once. Sessions are kept whole: the bets of a batch
join those that they are near, and the others stay as they are. If a held row has gone, because another one stands for
it, the parts and the sessions of its player are made again from all that is held of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date

from crmbet.contracts.source import SourceContract
from crmbet.contracts.typing import typed_columns
from crmbet.databases.statements import Fragment, date_literal, identifier, joined, render, statement
from crmbet.features.sessions import joined_sessions
from crmbet.features.state import SOURCES
from crmbet.stream.held import ADDED_UNREADABLE, CORRECTED, LAST_DAYS, UNREADABLE, HeldRows, added, held

STATE = identifier(LAST_DAYS, "part_state")
SESSIONS = identifier(LAST_DAYS, "whole_sessions")
EVENTS = identifier(LAST_DAYS, "part_events")
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

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Empty tables of the held rows and of the parts, for the length of the `with` block."""
        connection = self.rows.work.connection
        with self.rows.opened():
            for name in SOURCES:
                if name not in self.rows.contracts:
                    columns = typed_columns(self.sources[name])
                    connection.execute(render("stream/no_rows_held", name=identifier(name), columns=columns))
            self._show()
            connection.execute(statement("stream/create_near_sessions"))
            for table, made in self._made().items():
                connection.execute(f"CREATE TABLE {table} AS {made}")
            yield

    def add(self) -> None:
        """Add the parts of the rows that have come."""
        connection = self.rows.work.connection
        corrected = self._count(CORRECTED)
        for table, made in self._made().items():
            if corrected:
                connection.execute(render("stream/delete_of_corrected", table=table))
            if table == SESSIONS:
                connection.execute(render("stream/take_near_sessions", sessions=SESSIONS))
                connection.execute(render("stream/delete_near_sessions", sessions=SESSIONS))
            connection.execute(f"INSERT INTO {table} {made}")
        self.rows.forget_added()
        if self._count(EVENTS) > 2 * self._merged + SPARE_PARTS:
            self._merge()

    def move_to(self, days: Sequence[date]) -> None:
        """Hold other days from now on, and forget the days before them."""
        self.rows.move_to(days)
        forget = render("stream/forget_days", held=SESSIONS, first=date_literal(min(days)))
        self.rows.work.connection.execute(forget)
        self._merge()

    def touch(self, day: date) -> None:
        """Count all live rows of a day as changed: the day has become today."""
        self.rows.work.connection.execute(render("stream/touch_day", events=EVENTS, day=date_literal(day)))

    def merged(self, parts: Mapping[Fragment, str]) -> dict[Fragment, str]:
        """SELECTs of what some parts come to. `parts` has SELECT of them by table; sessions are no parts."""
        return {
            STATE: render("stream/merge_state", parts=Fragment(parts[STATE])),
            EVENTS: render("stream/merge_events", parts=Fragment(parts[EVENTS])),
        }

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
        """SELECT of what the shown rows make, by table."""
        state = Fragment(statement("features/state/summarise_days"))
        days = joined([date_literal(day) for day in self.rows.days])
        return {
            STATE: render("stream/sum_state", state=state),
            SESSIONS: sessions_with_near(days),
            EVENTS: statement("stream/sum_events"),
        }

    def _count(self, table: Fragment) -> int:
        count = render("stream/count_rows", table=table)
        (rows,) = self.rows.work.connection.execute(count).fetchone() or (0,)
        return int(rows)

    def _merge(self) -> None:
        """Put the parts of a player together, so that there are no more than players need."""
        first = date_literal(min(self.rows.days))
        tables = (STATE, EVENTS)
        parts = {table: render("stream/select_held_parts", table=table, first=first) for table in tables}
        for table, merged in self.merged(parts).items():
            self.rows.work.connection.execute(f"CREATE OR REPLACE TABLE {table} AS {merged}")
        self._merged = self._count(EVENTS)


def sessions_with_near(days: Fragment) -> str:
    """SELECT of the sessions, of some days (a list of date literals), that `bets` make with those that they are near.

    Those of `near_sessions`, that is. They are whole: no bet can join two of them without being near both.
    """
    bets = Fragment(statement("features/sessions/play_bets"))
    plays = Fragment(render("stream/play_with_near", bets=bets))
    return render("stream/sum_sessions", sessions=Fragment(joined_sessions(plays, days)))
