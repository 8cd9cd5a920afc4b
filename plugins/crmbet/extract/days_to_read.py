"""Which UTC days of PostgreSQL a run looks at. Any change is found within thirty as_of dates, at a bounded cost. Pure.

A run looks at the recent days, and at some of the older ones: each older day belongs to one of thirty turns, and the
as_of date says which turn it is. Ten neighbouring days have the same turn, because an index by block ranges (BRIN)
finds ten days in a row quickly, and would read most of the table to find every thirtieth day.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

from crmbet.extract.records import UNDATED
from crmbet.run.shards import Shard

TURNS = 30
GROUP_DAYS = 10
"""So many neighbouring days have the same turn."""
TURN_BEFORE_ALL = 0
"""The turn of the days before the earliest captured day."""
TURN_WITHOUT_DAY = 1
"""The turn of rows without a day."""


@dataclass(frozen=True, order=True)
class Span:
    """Neighbouring days, both ends included."""

    first: date
    last: date


@dataclass(frozen=True)
class DaysToRead:
    """The days that a run looks at."""

    spans: tuple[Span, ...]
    """In order, with at least one day between two of them."""
    undated: bool
    """Whether the run also looks at the rows without a day."""

    def covers(self, chunk: str) -> bool:
        """Whether the run looks at a chunk: a day (ISO) or UNDATED."""
        if chunk == UNDATED:
            return self.undated
        day = date.fromisoformat(chunk)
        return any(span.first <= day <= span.last for span in self.spans)


def days_of_shard(days: DaysToRead, shard: Shard, quantiles: Sequence[date]) -> DaysToRead:
    """Those of some days that a part looks at. Together the parts look at all of them.

    `quantiles` are days, in order, between which the table has about as many rows. With fewer of them than parts, some
    parts look at nothing. The first part has the rows without a day.
    """
    bounds = [date.min.toordinal(), *(_cut(quantiles, shard.of)), date.max.toordinal() + 1]
    first, end = bounds[shard.number - 1 : shard.number + 1] if shard.number < len(bounds) else (0, 0)
    clipped = [
        (max(span.first.toordinal(), first), min(span.last.toordinal() + 1, end)) for span in days.spans
    ]
    spans = [
        Span(date.fromordinal(start), date.fromordinal(stop - 1)) for start, stop in clipped if start < stop
    ]
    return DaysToRead(tuple(spans), undated=days.undated and shard.number == 1)


def _cut(quantiles: Sequence[date], parts: int) -> list[int]:
    """The first days of all parts but the first one."""
    cuts = {quantiles[len(quantiles) * number // parts] for number in range(1, parts)} if quantiles else set()
    return sorted(day.toordinal() for day in cuts)


def all_days(last: date) -> DaysToRead:
    """All days up to the last one, and the rows without a day."""
    return DaysToRead((Span(date.min, last),), undated=True)


def days_to_read(
    *, as_of_date: date, last: date, verify_days: int, earliest: date | None, known: Collection[str]
) -> DaysToRead:
    """The days that a run with this as_of looks at.

    Args:
        as_of_date: says which turn it is among the older days.
        last: the last UTC day that counts for as_of.
        verify_days: every run looks at so many days, up to the last one.
        earliest: the earliest captured day; None before the first run.
        known: chunks that have been captured as this run would capture them. The run looks at all other days since
            `earliest`: a first run died before it captured them, or they are empty and cost nothing.
    """
    if earliest is None:
        return all_days(last)
    turn = as_of_date.toordinal() % TURNS
    recent = max(date.min.toordinal(), last.toordinal() - verify_days + 1)
    start = min(earliest.toordinal(), recent)
    captured = {date.fromisoformat(chunk).toordinal() for chunk in known if chunk != UNDATED}
    wanted = [
        *_between(start, sorted(day for day in captured if start <= day < recent), recent),
        *_groups(start, turn, recent),
        (recent, last.toordinal() + 1),
    ]
    if turn == TURN_BEFORE_ALL:
        wanted.append((date.min.toordinal(), start))
    spans = [Span(date.fromordinal(first), date.fromordinal(end - 1)) for first, end in wanted if first < end]
    return DaysToRead(joined_spans(spans), undated=turn == TURN_WITHOUT_DAY or UNDATED not in known)


def turn_of(day: date) -> int:
    """The turn that an older day belongs to, from 0."""
    return day.toordinal() // GROUP_DAYS % TURNS


def _between(start: int, days: Iterable[int], end: int) -> Iterator[tuple[int, int]]:
    """The gaps between days, from the start to the end. Ends are excluded, here and below."""
    for before, after in pairwise([start - 1, *days, end]):
        yield before + 1, after


def _groups(start: int, turn: int, end: int) -> Iterator[tuple[int, int]]:
    """The groups of neighbouring days that a turn has, from the start to the end."""
    first = start // GROUP_DAYS
    for group in range(first + (turn - first) % TURNS, end // GROUP_DAYS + 1, TURNS):
        yield max(start, group * GROUP_DAYS), min(end, (group + 1) * GROUP_DAYS)


def joined_spans(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Spans in order; those that touch or overlap become one."""
    joined: list[Span] = []
    for span in sorted(spans):
        if joined and span.first.toordinal() - joined[-1].last.toordinal() <= 1:
            joined[-1] = Span(joined[-1].first, max(joined[-1].last, span.last))
        else:
            joined.append(span)
    return tuple(joined)
