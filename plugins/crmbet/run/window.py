"""Finds the as_of of a run from the way it was started.

A run is about **as_of**: a midnight in the operator's zone. Facts before it count, facts from it on do not. Airflow
starts runs in six ways, and each way gives the run another context (docs/adr/0003). Only this module knows of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from crmbet.failures import BadParam

AUTOMATIC_RUN_TYPES = frozenset({"scheduled", "backfill"})
EARLIEST = date(1970, 1, 1)
"""No player has a fact before it. The calendar ends not far beyond, and zones and windows could not be computed."""
LATEST = date(9998, 12, 31)


@dataclass(frozen=True, kw_only=True)
class Start:
    """What Airflow knows about the start of a run. Instants have a time zone; None means that there is none."""

    run_type: str
    started_at: datetime
    """When the first try of the run began. Never later than the clock."""
    logical_date: datetime | None = None
    data_interval_end: datetime | None = None
    as_of: str | None = None
    """The `as_of` param, a date such as 2026-11-22."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """The instant that a run is about."""

    as_of_date: date
    as_of: datetime
    """Midnight of `as_of_date` in the operator's zone, in UTC."""

    @property
    def last_day(self) -> date:
        """The last day that counts, in the operator's zone."""
        return self.as_of_date - timedelta(days=1)


def resolve_window(start: Start, zone: ZoneInfo) -> Window:
    """Find a run's as_of.

    The param `as_of` wins. A scheduled or backfill run of day D is about the end of D, which is midnight of D+1. A run
    of D by `dags test`, from the UI or by REST is about midnight of D. A run without a logical date is about the last
    midnight before it started.

    Raises `BadParam` for an as_of that is unreadable, before 1970 or in the future. Raises it too for a run by `airflow
    dags trigger --logical-date D`, because Airflow takes its interval from the clock and not from D (apache/airflow
    issue 54119).
    """
    if start.as_of:
        as_of_date = _parse_date(start.as_of)
    elif start.logical_date is None:
        as_of_date = _local_day(start.started_at, zone)
    elif start.run_type == "scheduled" and start.data_interval_end is not None:
        # The interval is a day or a week.
        as_of_date = _local_day(start.data_interval_end, zone)
    elif start.run_type in AUTOMATIC_RUN_TYPES:
        # A backfill may reuse a manual run, and keeps the interval of that run. Only the start day can be trusted.
        as_of_date = min(_local_day(start.logical_date, zone), LATEST) + timedelta(days=1)
    else:
        _refuse_interval_from_the_clock(start, zone)
        as_of_date = _named_day(start.logical_date, zone)
    if as_of_date < EARLIEST:
        raise BadParam(
            f"as_of {as_of_date.isoformat()} is before {EARLIEST.isoformat()}",
            why="no facts can be that old, so the date is a slip or a placeholder",
            next_step="choose an as_of from the first day of the data on",
        )
    # Beyond LATEST there is no midnight in every zone.
    if as_of_date > LATEST or midnight(as_of_date, zone) > start.started_at:
        raise BadParam(
            f"as_of {as_of_date.isoformat()} is in the future",
            why=f"the run started at {start.started_at.isoformat()}, so the facts before it are not complete",
            next_step="choose an as_of of today or earlier",
        )
    return Window(as_of_date=as_of_date, as_of=midnight(as_of_date, zone))


def resolve_known_at(known_at: str | None, started_at: datetime) -> datetime:
    """Find the instant up to which the run knows facts: the param `known_at`, or the start of the run's first try.

    Raises `BadParam` for an instant that is unreadable, has no time zone or is in the future.
    """
    if not known_at:
        return started_at.astimezone(UTC)
    try:
        instant = datetime.fromisoformat(known_at)
    except ValueError:
        raise BadParam(
            f"known_at {known_at!r} is not an instant", next_step="use ISO 8601, such as 2026-11-22T03:00:00Z"
        ) from None
    if instant.tzinfo is None:
        raise BadParam(
            f"known_at {known_at!r} has no time zone",
            next_step="add Z or an offset, such as 2026-11-22T03:00:00Z",
        )
    if instant.date() < EARLIEST:
        raise BadParam(
            f"known_at {known_at} is before {EARLIEST.isoformat()}",
            why="nothing had been captured then",
            next_step="choose an instant after the first run",
        )
    if instant.date() > LATEST or instant > started_at:
        raise BadParam(
            f"known_at {known_at} is after the run's start at {started_at.isoformat()}",
            next_step="leave it empty for 'all that is known now'",
        )
    return instant.astimezone(UTC)


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """The first instant of a local day, in UTC. If daylight saving skips 00:00, the day starts at 01:00."""
    return datetime.combine(day, time.min, tzinfo=zone).astimezone(UTC)


def _named_day(instant: datetime, zone: ZoneInfo) -> date:
    """The day that somebody meant. A date without a time arrives as midnight UTC, whatever the operator's zone is."""
    try:
        in_utc = instant.astimezone(UTC)
    except OverflowError:
        return instant.date()
    if in_utc.time() == time.min:
        return in_utc.date()
    return _local_day(instant, zone)


def _local_day(instant: datetime, zone: ZoneInfo) -> date:
    """The day of an instant on the operator's clock. At the ends of the calendar, the day that it is written as."""
    try:
        return instant.astimezone(zone).date()
    except OverflowError:
        return instant.date()


def _refuse_interval_from_the_clock(start: Start, zone: ZoneInfo) -> None:
    if start.logical_date is None or start.data_interval_end is None:
        return
    expected = _local_day(start.logical_date, zone)
    found = _local_day(start.data_interval_end, zone)
    # A week's interval may have ended days before the date. An interval from the clock ends after any past date.
    if found > expected:
        day = _named_day(start.logical_date, zone)
        raise BadParam(
            f"the run was triggered for {day}, but Airflow gave it the interval that ends on {found}",
            where="airflow dags trigger --logical-date",
            why="the command line takes the interval from the clock, not from the date",
            next_step=f"""trigger it with --conf '{{"as_of": "{day}"}}' and without --logical-date""",
        )


def _parse_date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise BadParam(
            f"as_of {text!r} is not a date", next_step="use year-month-day, such as 2026-11-22"
        ) from None
