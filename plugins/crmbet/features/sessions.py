"""Sessions of the last 30 days: recorded ones with their bets, or sessions that are derived from bets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import ClassVar

from crmbet.databases.parquet import Located
from crmbet.databases.statements import (
    Fragment,
    date_literal,
    identifier,
    joined,
    render,
    statement,
    statements_digest,
)
from crmbet.datasets.days import EnsuredDays, WantedDay, write_days
from crmbet.datasets.prefetch import Fetched
from crmbet.datasets.records import DayFiles
from crmbet.datasets.sending import Sending
from crmbet.features.cleaned_days import CleanedDays, rows_of

DAYS = 30
"""Days of sessions that features look at, and the longest time for which a recorded session takes bets."""


@dataclass(frozen=True, kw_only=True)
class Sessions:
    """The sessions that a run's features look at."""

    days: list[DayFiles]
    """The days that they are made from."""
    rows: Callable[[Located], Fragment]
    """A table expression, of copies of the days' files: one row per session."""
    made: list[date]
    """Days that were missing and are made now."""


def sessions_dataset(cleaned: CleanedDays) -> DerivedSessions | SessionBets:
    """The dataset that a run's sessions are made from.

    Recorded sessions are used if any lies before as_of; else sessions are derived from bets. A feed of sessions that
    starts at as_of or later is ignored, because it must not change an earlier table.
    """
    source = cleaned.cleaned.sources.get("sessions")
    are_recorded = source is not None and source.accepted > 0
    return SessionBets(cleaned) if are_recorded else DerivedSessions(cleaned)


def sessions_of(dataset: DerivedSessions | SessionBets, ensured: EnsuredDays) -> Sessions:
    """The sessions of the last 30 days, from the days of their dataset."""
    cleaned = dataset.cleaned
    if isinstance(dataset, DerivedSessions):
        return Sessions(
            days=ensured.days,
            rows=lambda files: rows_of(files, ensured.days, "features/sessions/no_sessions"),
            made=ensured.made,
        )
    recorded = [day for day in cleaned.of("sessions").values() if _is_recent(day.day, cleaned)]

    def rows(files: Located) -> Fragment:
        cleaned.create_view("recorded", "sessions", recorded, files)
        query = render(
            "features/sessions/add_bets",
            recorded=identifier("recorded"),
            session_bets=rows_of(files, ensured.days, "features/sessions/no_session_bets"),
        )
        return Fragment(f"({query})")

    return Sessions(days=[*recorded, *ensured.days], rows=rows, made=ensured.made)


def derived_sessions(days: Fragment) -> str:
    """SELECT of the sessions that the bets of the view `bets` make, of some days (a list of date literals)."""
    return render(
        "features/sessions/join_plays",
        plays=Fragment(statement("features/sessions/play_bets")),
        # A single bet ends where it starts, so the one before is the latest.
        latest_end=Fragment("lag(ended_at)"),
        before=Fragment(""),
        days=days,
        # As they are kept.
        order=Fragment("ORDER BY _day, user_id, started_at"),
    )


def joined_sessions(parts: Fragment, days: Fragment) -> str:
    """SELECT of the sessions that parts of them make, such as single bets and what `derived_sessions` gave for others.

    `parts` is SELECT of such rows as plays. It comes to the sessions of all their bets.
    """
    return render(
        "features/sessions/join_plays",
        plays=parts,
        latest_end=Fragment("max(ended_at)"),
        before=Fragment("ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING"),
        days=days,
        order=Fragment(""),
    )


@dataclass(frozen=True)
class DerivedSessions:
    """The dataset of sessions that are derived from bets.

    A day depends on its neighbours, since a session may run past midnight until 06:00.
    """

    cleaned: CleanedDays
    name: ClassVar[str] = "sessions"

    def wanted(self) -> Mapping[date, WantedDay]:
        """The last 30 days, each made from the bets of three days."""
        bets, statements = self.cleaned.of("bets"), statements_digest("features/sessions")
        wanted = {}
        for day in bets:
            if _is_recent(day, self.cleaned):
                around = [bets[near] for near in _days_from(day, -1, 1) if near in bets]
                wanted[day] = WantedDay(
                    digest=self.cleaned.digest(statements, (near.digest for near in around)),
                    rows=bets[day].rows,
                    reads=[key for near in around for key in near.files],
                )
        return wanted

    def make(self, days: Mapping[date, WantedDay], files: Fetched, outgoing: Sending) -> Iterable[DayFiles]:
        """Derive the sessions of some days."""
        bets = self.cleaned.of("bets")
        around = {near for day in days for near in _days_from(day, -1, 1) if near in bets}
        self.cleaned.create_view("bets", "bets", [bets[day] for day in sorted(around)], files)
        query = derived_sessions(_date_list(days))
        return write_days(self.cleaned.work, self.name, query, days, outgoing)


@dataclass(frozen=True)
class SessionBets:
    """The dataset of bets by recorded session. A day of bets depends on all sessions that may hold them."""

    cleaned: CleanedDays
    name: ClassVar[str] = "session_bets"

    def wanted(self) -> Mapping[date, WantedDay]:
        """The last 30 days, each made from its bets and from the sessions that may hold them."""
        bets, statements = self.cleaned.of("bets"), statements_digest("features/sessions")
        wanted = {}
        for day in bets:
            if _is_recent(day, self.cleaned):
                sources = [bets[day], *self._sessions_around(day)]
                wanted[day] = WantedDay(
                    digest=self.cleaned.digest(statements, (source.digest for source in sources)),
                    rows=bets[day].rows,
                    reads=[key for source in sources for key in source.files],
                )
        return wanted

    def make(self, days: Mapping[date, WantedDay], files: Fetched, outgoing: Sending) -> Iterable[DayFiles]:
        """Assign the bets of some days to their sessions."""
        bets = self.cleaned.of("bets")
        sessions = {near.day: near for day in days for near in self._sessions_around(day)}
        self.cleaned.create_view("bets", "bets", [bets[day] for day in days], files)
        self.cleaned.create_view("recorded", "sessions", sessions.values(), files)
        query = render("features/sessions/assign_bets", days=_date_list(days))
        return write_days(self.cleaned.work, self.name, query, days, outgoing)

    def _sessions_around(self, day: date) -> list[DayFiles]:
        sessions = self.cleaned.of("sessions")
        return [sessions[near] for near in _days_from(day, 1 - DAYS, 1) if near in sessions]


def _days_from(day: date, first: int, last: int) -> list[date]:
    return [day + timedelta(days=offset) for offset in range(first, last + 1)]


def _is_recent(day: date, cleaned: CleanedDays) -> bool:
    return (cleaned.work.run.window.last_day - day).days < DAYS


def _date_list(days: Iterable[date]) -> Fragment:
    return joined([date_literal(day) for day in days])
