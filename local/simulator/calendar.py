"""Operator days, zone offsets and match days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

SECOND = 1_000_000
"""Instants are microseconds since 1970-01-01T00:00:00Z, in int64."""

DAY = 86_400 * SECOND

KICK_OFF_HOURS: dict[int, tuple[float, ...]] = {2: (19.0, 21.5), 5: (16.0, 18.5, 21.0), 6: (16.0, 18.5, 20.5)}
"""Operator-local hours at which football starts, by weekday: Wednesday, Saturday and Sunday."""


def microseconds(moment: datetime) -> int:
    """The instant of an aware datetime, in microseconds since 1970."""
    return round((moment - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1))


def midnight(day: date, zone: str) -> int:
    """First instant of `day` in `zone`, in microseconds; for a skipped midnight, that of the change."""
    return microseconds(datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC))


def offset_hours(zone: str, instant: int) -> float:
    """Hours that `zone` is ahead of UTC at `instant`."""
    moment = datetime.fromtimestamp(instant / SECOND, UTC).astimezone(ZoneInfo(zone))
    return (moment.utcoffset() or timedelta()).total_seconds() / 3600


@dataclass(frozen=True)
class OperatorDay:
    """One day of the operator: the instants in [start, end)."""

    day: date
    number: int
    start: int
    end: int

    @classmethod
    def of(cls, day: date, first: date, zone: str) -> OperatorDay:
        """`number` counts days from `first`, which is 0."""
        return cls(day, (day - first).days, midnight(day, zone), midnight(day + timedelta(days=1), zone))

    @property
    def weekday(self) -> int:
        """Monday is 0."""
        return self.day.weekday()

    @property
    def is_weekend(self) -> bool:
        """Saturday or Sunday."""
        return self.weekday >= 5

    @property
    def kick_offs(self) -> tuple[float, ...]:
        """Hours of the day's football matches; none on most days."""
        return KICK_OFF_HOURS.get(self.weekday, ())

    @property
    def seconds(self) -> float:
        """Length: 23, 24 or 25 hours."""
        return (self.end - self.start) / SECOND
