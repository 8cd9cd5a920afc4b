"""Sessions of the last 30 days: recorded ones with their bets, or sessions derived from bets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING

from crmbet.clean.records import CleanManifest
from crmbet.contracts.source import SourceContract
from crmbet.databases.statements import Fragment, identifier, joined, literal, render, statements_digest
from crmbet.datasets.days import ensure_days
from crmbet.datasets.prefetch import Fetched
from crmbet.datasets.records import DayFiles
from crmbet.run.run import Run
from crmbet.storage.object_store import ObjectStore

if TYPE_CHECKING:
    import duckdb


from crmbet.features.days import _by_day, _create_view, _digest, _rows_of, _write

SESSION_DAYS = 30
"""Days of sessions that features go over, and the longest that a recorded session takes bets."""


def _ensure_sessions(
    connection: duckdb.DuckDBPyConnection,
    store: ObjectStore,
    run: Run,
    contracts: Mapping[str, SourceContract],
    cleaned: CleanManifest,
) -> tuple[list[DayFiles], Fragment, list[date]]:
    """Sessions of the last 30 days before as_of: their days, a table expression, and the days made now.

    They are the recorded ones where any before as_of is known, else derived from bets. A feed that starts later is
    none yet: it must not change an earlier table.
    """
    recorded = cleaned.sources.get("sessions")
    if recorded is None or not recorded.accepted:
        days, made = _derive_sessions(connection, store, run, contracts, cleaned)
        return days, _rows_of(store, days, "features/sessions/no_sessions"), made
    days, made = _assign_bets(connection, store, run, contracts, cleaned)
    sessions = [day for day in recorded.days if _is_recent(day.day, run)]
    _create_view(
        connection, store, "recorded", [key for day in sessions for key in day.files], contracts["sessions"]
    )
    query = render(
        "features/sessions/add_bets",
        recorded=identifier("recorded"),
        session_bets=_rows_of(store, days, "features/sessions/no_session_bets"),
    )
    return [*sessions, *days], Fragment(f"({query})"), made


def _derive_sessions(
    connection: duckdb.DuckDBPyConnection,
    store: ObjectStore,
    run: Run,
    contracts: Mapping[str, SourceContract],
    cleaned: CleanManifest,
) -> tuple[list[DayFiles], list[date]]:
    """A derived day depends on its neighbours, since a session may run past midnight until 06:00."""
    bets = _by_day(cleaned.sources.get("bets"))
    sql = statements_digest("features/sessions")

    def around(day: date) -> list[date]:
        return [near for near in (day - timedelta(days=1), day, day + timedelta(days=1)) if near in bets]

    def reads(day: date) -> list[str]:
        return [key for near in around(day) for key in bets[near].files]

    def make(batch: Sequence[date], fetched: Fetched) -> Iterable[DayFiles]:
        files = sorted({key for day in batch for key in reads(day)})
        _create_view(connection, fetched, "bets", files, contracts["bets"])
        query = render("features/sessions/derive_sessions", days=_date_list(batch))
        return _write(connection, store, run, "sessions", query, batch, wanted)

    recent = [day for day in bets if _is_recent(day, run)]
    wanted = {day: _digest(sql, run, *(bets[near].digest for near in around(day))) for day in recent}
    rows = {day: bets[day].rows for day in recent}
    return ensure_days(store, run, "sessions", wanted, make, rows, reads)


def _assign_bets(
    connection: duckdb.DuckDBPyConnection,
    store: ObjectStore,
    run: Run,
    contracts: Mapping[str, SourceContract],
    cleaned: CleanManifest,
) -> tuple[list[DayFiles], list[date]]:
    """Bets by recorded session. A day of bets depends on the sessions that may hold them."""
    bets, sessions = _by_day(cleaned.sources.get("bets")), _by_day(cleaned.sources.get("sessions"))
    sql = statements_digest("features/sessions")

    def reach(day: date) -> list[date]:
        days = (day + timedelta(days=offset) for offset in range(1 - SESSION_DAYS, 2))
        return [near for near in days if near in sessions]

    def sessions_near(day: date) -> list[str]:
        return [key for near in reach(day) for key in sessions[near].files]

    def reads(day: date) -> list[str]:
        return [*bets[day].files, *sessions_near(day)]

    def make(batch: Sequence[date], fetched: Fetched) -> Iterable[DayFiles]:
        for name, source, files in (
            ("bets", "bets", [key for day in batch for key in bets[day].files]),
            ("recorded", "sessions", sorted({key for day in batch for key in sessions_near(day)})),
        ):
            _create_view(connection, fetched, name, files, contracts[source])
        query = render("features/sessions/assign_bets", days=_date_list(batch))
        return _write(connection, store, run, "session_bets", query, batch, wanted)

    recent = [day for day in bets if _is_recent(day, run)]
    wanted = {
        day: _digest(sql, run, bets[day].digest, *(sessions[near].digest for near in reach(day)))
        for day in recent
    }
    rows = {day: bets[day].rows for day in recent}
    return ensure_days(store, run, "session_bets", wanted, make, rows, reads)


def _is_recent(day: date, run: Run) -> bool:
    return (run.window.last_day - day).days < SESSION_DAYS


def _date_list(days: Iterable[date]) -> Fragment:
    return joined([Fragment(f"DATE {literal(day.isoformat())}") for day in days])
