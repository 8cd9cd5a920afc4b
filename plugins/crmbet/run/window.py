"""From the way a run was started to the one instant it is about.

A run is about **as_of**: midnight in the operator's zone, the first instant that does not count any more. Airflow
starts runs in six ways and gives each another context (docs/adr/0003); this module is the only place that knows.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from crmbet.failures import BadParam

AUTOMATIC_RUN_TYPES = frozenset({"scheduled", "backfill"})


@dataclass(frozen=True, kw_only=True)
class Start:
    """What Airflow says of a run's start; instants are aware, absent ones None."""

    run_type: str
    started_at: datetime
    """The instant of the run's first try."""
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

    The `as_of` param wins. A scheduled or backfill run of day D is about D's end, midnight of D+1; `dags test D` and a
    run of D from the UI or REST are about midnight of D; a run without a logical date is about the last midnight
    before it started.

    Raises `BadParam` for an unreadable or future as_of, and for `airflow dags trigger --logical-date D`, whose
    interval Airflow takes from the clock and not from D (apache/airflow issue 54119).
    """
    if start.as_of:
        as_of_date = _parse_date(start.as_of)
    elif start.logical_date is None:
        as_of_date = start.started_at.astimezone(zone).date()
    elif start.run_type == "scheduled" and start.data_interval_end is not None:
        # Of a day or of a week.
        as_of_date = start.data_interval_end.astimezone(zone).date()
    elif start.run_type in AUTOMATIC_RUN_TYPES:
        # A backfill may reuse a manual run, with the manual run's interval: only the start day can be trusted.
        as_of_date = start.logical_date.astimezone(zone).date() + timedelta(days=1)
    else:
        _refuse_interval_from_the_clock(start, zone)
        as_of_date = _named_day(start.logical_date, zone)
    as_of = midnight(as_of_date, zone)
    if as_of > start.started_at:
        raise BadParam(
            f"as_of {as_of_date} is in the future",
            why=f"the run started at {start.started_at.isoformat()}, so the facts before {as_of_date} are not complete",
            next_step="choose an as_of of today or earlier",
        )
    return Window(as_of_date=as_of_date, as_of=as_of)


def resolve_known_at(known_at: str | None, started_at: datetime) -> datetime:
    """Find the instant up to which the run has been told facts: the `known_at` param, else its first try's start.

    Raises `BadParam` for an unreadable, zoneless or future instant.
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
    if instant > started_at:
        raise BadParam(
            f"known_at {known_at} is after the run's start at {started_at.isoformat()}",
            next_step="leave it empty for 'all that is known now'",
        )
    return instant.astimezone(UTC)


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """The first instant of a local day, in UTC. Where daylight saving skips 00:00, the day starts at 01:00."""
    return datetime.combine(day, time.min, tzinfo=zone).astimezone(UTC)


def _named_day(instant: datetime, zone: ZoneInfo) -> date:
    """The day that somebody meant: a bare date reaches us as midnight UTC, whatever the operator's zone."""
    in_utc = instant.astimezone(UTC)
    if in_utc.time() == time.min:
        return in_utc.date()
    return instant.astimezone(zone).date()


def _refuse_interval_from_the_clock(start: Start, zone: ZoneInfo) -> None:
    if start.logical_date is None or start.data_interval_end is None:
        return
    expected = start.logical_date.astimezone(zone).date()
    found = start.data_interval_end.astimezone(zone).date()
    # A week's interval may have ended days before the date; the clock's ends after any date in the past.
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
