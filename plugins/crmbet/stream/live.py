"""Computes live rows from held rows: the statements of daily state and of sessions, and one of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from crmbet import FEATURE_SET_VERSION
from crmbet.contracts.source import SourceContract
from crmbet.contracts.typing import typed_columns
from crmbet.databases.statements import (
    Fragment,
    date_literal,
    identifier,
    joined,
    literal,
    render,
    statement,
)
from crmbet.features.state import SOURCES
from crmbet.learning.cut_offs import read_cut_offs
from crmbet.run.run import Run
from crmbet.run.window import midnight
from crmbet.storage.object_store import ObjectStore
from crmbet.stream.held import HeldRows, held

TYPES = {
    "user_id": "VARCHAR",
    "day": "DATE",
    "bets": "INTEGER",
    "wins": "INTEGER",
    "stake_sum": "DECIMAL(18, 4)",
    "ggr": "DECIMAL(18, 4)",
    "deposits": "INTEGER",
    "deposit_sum": "DECIMAL(18, 2)",
    "withdrawals": "INTEGER",
    "withdrawal_sum": "DECIMAL(18, 2)",
    "declined_deposits": "INTEGER",
    "session_started_at": "TIMESTAMPTZ",
    "session_last_bet_at": "TIMESTAMPTZ",
    "session_bets": "INTEGER",
    "session_stake_sum": "DECIMAL(18, 4)",
    "session_net": "DECIMAL(18, 4)",
    "session_deposits": "INTEGER",
    "largest_session_loss": "DECIMAL(18, 4)",
    "marketing_allowed": "BOOLEAN",
    "rg_live_markers": "VARCHAR",
    "last_event_at": "TIMESTAMPTZ",
    "positions": "VARCHAR",
}
"""The columns of a live row in a file, in order, with the engine's types. Lists are spelled as PostgreSQL does."""
COLUMNS = tuple(TYPES)
"""Without the time at which a row was committed."""
LOSS = "max_daily_loss"
"""The marker whose frozen cut-off a day's loss is compared with."""


@dataclass(frozen=True, kw_only=True)
class Markers:
    """From which values on a live marker counts."""

    long_session_minutes: int
    session_deposits: int
    loss_cut_offs: Mapping[date, float | None]
    """By day: the cut-off that was frozen before it began; None if there was none."""


def read_markers(store: ObjectStore, run: Run, days: Sequence[date]) -> Markers:
    """What counts for some days. Raises `DamagedObject` if frozen cut-offs cannot be read."""
    cut_offs: dict[date, float | None] = {}
    for day in days:
        begins_at = midnight(day, run.settings.zone)
        frozen = read_cut_offs(store, run.layout, FEATURE_SET_VERSION, as_of_date=day, known_at=begins_at)
        cut_offs[day] = frozen.cut_offs.get(LOSS) if frozen else None
    settings = run.settings.responsible_gambling
    return Markers(
        long_session_minutes=settings.rg_live_session_minutes,
        session_deposits=settings.rg_live_session_deposits,
        loss_cut_offs=cut_offs,
    )


def write_live(rows: HeldRows, sources: Mapping[str, SourceContract], markers: Markers, path: Path) -> int:
    """Write the live rows that may have changed into a CSV file; returns how many.

    These are rows of the players in `touched`, of the affected days among those of `markers`. `sources` are the
    contracts of all sources.
    """
    days = sorted(rows.affected & markers.loss_cut_offs.keys())
    if not days:
        path.touch()
        return 0
    connection = rows.work.connection
    # A session that is under way on the first day may have begun on the day before it.
    around = sorted({*days, *(day - timedelta(days=1) for day in days)})
    first = date_literal(around[0])
    unreadable = identifier("unreadable_exclusions")
    _hold(rows, "live_unreadable", unreadable, first)
    for name in SOURCES:
        if name in rows.contracts:
            _hold(rows, f"touched_{name}", held(name), first)
            _show(rows, name, rows.days)
        else:
            columns = typed_columns(sources[name])
            connection.execute(render("stream/no_rows_held", name=identifier(name), columns=columns))
    _create(rows, "live_events", statement("stream/list_events"))
    _create(rows, "live_sessions", render("features/sessions/derive_sessions", days=_list(around)))
    if "bets" in rows.contracts:
        # State is wanted of these days alone. Deposits of a session may be of the day before them.
        _show(rows, "bets", days)
    _create(rows, "live_state", statement("features/state/summarise_days"))
    query = render(
        "stream/summarise_live",
        days=_list(days),
        long_session_minutes=Fragment(str(markers.long_session_minutes)),
        session_deposits=Fragment(str(markers.session_deposits)),
        loss_cut_offs=joined(
            [
                Fragment(f"({date_literal(day)}, {'NULL' if value is None else repr(value)}::DOUBLE)")
                for day, value in markers.loss_cut_offs.items()
            ]
        ),
    )
    copy = render("stream/copy_live", rows=Fragment(f"({query})"), path=literal(str(path)))
    (written,) = connection.execute(copy).fetchone() or (0,)
    return int(written)


def _hold(rows: HeldRows, name: str, table: Fragment, first: Fragment) -> None:
    rows.work.connection.execute(
        render("stream/hold_of_touched", name=identifier(name), held=table, first=first)
    )


def _show(rows: HeldRows, source: str, days: Sequence[date]) -> None:
    touched = identifier(f"touched_{source}")
    rows.work.connection.execute(
        render("stream/show_days", name=identifier(source), touched=touched, days=_list(days))
    )


def _create(rows: HeldRows, name: str, query: str) -> None:
    rows.work.connection.execute(f"CREATE OR REPLACE TEMPORARY TABLE {identifier(name)} AS {query}")


def _list(days: Sequence[date]) -> Fragment:
    return joined([date_literal(day) for day in days])
