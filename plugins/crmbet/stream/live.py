"""Computes live rows from the parts of held rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from crmbet import FEATURE_SET_VERSION
from crmbet.databases.statements import (
    Fragment,
    date_literal,
    joined,
    literal,
    render,
    statement,
)
from crmbet.learning.cut_offs import read_cut_offs
from crmbet.run.run import Run
from crmbet.run.window import midnight
from crmbet.storage.object_store import ObjectStore
from crmbet.stream.held import UNREADABLE
from crmbet.stream.parts import EVENTS, SESSIONS, STATE, Parts

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


@dataclass(frozen=True, kw_only=True)
class LiveChange:
    """What has become of the live rows that a batch may have changed."""

    rows: int
    """Live rows in the file."""
    gone: list[tuple[str, str]]
    """Players and days of live rows of which no event is left."""


def write_live(parts: Parts, markers: Markers, path: Path) -> LiveChange:
    """Write the live rows that may have changed into a CSV file: those in `touched`, of the days of `markers`."""
    connection = parts.rows.work.connection
    days = sorted(markers.loss_cut_offs)
    connection.execute(render("stream/create_changed", days=joined([date_literal(day) for day in days])))
    # A session that is under way on the first day may have begun on the day before it.
    first = date_literal(days[0] - timedelta(days=1))
    names = {STATE: "live_state", SESSIONS: "live_sessions", EVENTS: "live_events"}
    of_changed = {table: render("stream/select_parts", table=table, first=first) for table in names}
    connection.execute(f"CREATE OR REPLACE TEMPORARY VIEW {names[SESSIONS]} AS {of_changed[SESSIONS]}")
    for table, merged in parts.merged(of_changed).items():
        connection.execute(f"CREATE OR REPLACE TEMPORARY TABLE {names[table]} AS {merged}")
    query = render(
        "stream/summarise_live",
        unreadable=UNREADABLE,
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
    gone = connection.execute(statement("stream/select_gone")).fetchall()
    return LiveChange(rows=int(written), gone=gone)
