"""Which UTC days of PostgreSQL a run looks at, so that any change is found within a month at a bounded cost. Pure.

Recent days are looked at in every run, older ones by turns: each belongs to one of thirty, and the as_of date says
whose turn it is. Turns go by blocks of neighbouring days, since an index by block ranges (BRIN) finds ten days in a row
and would read most of the table for every thirtieth one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

from crmbet.extract.records import UNDATED

TURNS = 30
BLOCK_DAYS = 10
TURN_BEFORE_ALL = 0
"""The turn of what lies before the earliest captured day."""
TURN_WITHOUT_DAY = 1
"""The turn of rows without a day."""


@dataclass(frozen=True, order=True)
class Span:
    """Neighbouring days, both ends included."""

    first: date
    last: date


@dataclass(frozen=True)
class Look:
    """What a run looks at."""

    spans: tuple[Span, ...]
    """In order, with a day or more between them."""
    undated: bool
    """Whether the rows without a day are looked at too."""

    def covers(self, chunk: str) -> bool:
        """Whether a chunk, a day (ISO) or UNDATED, is looked at."""
        if chunk == UNDATED:
            return self.undated
        day = date.fromisoformat(chunk)
        return any(span.first <= day <= span.last for span in self.spans)


def everything(last: date) -> Look:
    """All days up to the last one, and the rows without a day."""
    return Look((Span(date.min, last),), undated=True)


def days_to_look_at(
    *, as_of_date: date, last: date, verify_days: int, earliest: date | None, known: Collection[str]
) -> Look:
    """The days that a run with this as_of looks at.

    Args:
        as_of_date: says whose turn it is among the older days.
        last: the last UTC day that counts for as_of.
        verify_days: so many days, up to the last one, are looked at in every run.
        earliest: the earliest captured day; None before the first run.
        known: chunks that have been captured as this run would capture them. Others since `earliest` are looked at: a
            first run that died left them, or an empty day, which costs nothing to look at.
    """
    if earliest is None:
        return everything(last)
    turn = as_of_date.toordinal() % TURNS
    recent = max(date.min.toordinal(), last.toordinal() - verify_days + 1)
    start = min(earliest.toordinal(), recent)
    captured = {date.fromisoformat(chunk).toordinal() for chunk in known if chunk != UNDATED}
    wanted = [
        *_between(start, sorted(day for day in captured if start <= day < recent), recent),
        *_blocks(start, turn, recent),
        (recent, last.toordinal() + 1),
    ]
    if turn == TURN_BEFORE_ALL:
        wanted.append((date.min.toordinal(), start))
    spans = [Span(date.fromordinal(first), date.fromordinal(end - 1)) for first, end in wanted if first < end]
    return Look(joined_spans(spans), undated=turn == TURN_WITHOUT_DAY or UNDATED not in known)


def turn_of(day: date) -> int:
    """Whose turn an older day belongs to."""
    return day.toordinal() // BLOCK_DAYS % TURNS


def _between(start: int, days: Iterable[int], end: int) -> Iterator[tuple[int, int]]:
    """What lies between days, from the start to the end; ends are excluded here and below."""
    for before, after in pairwise([start - 1, *days, end]):
        yield before + 1, after


def _blocks(start: int, turn: int, end: int) -> Iterator[tuple[int, int]]:
    """The blocks of a turn, from the start to the end."""
    first = start // BLOCK_DAYS
    for block in range(first + (turn - first) % TURNS, end // BLOCK_DAYS + 1, TURNS):
        yield max(start, block * BLOCK_DAYS), min(end, (block + 1) * BLOCK_DAYS)


def joined_spans(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Spans in order, those that touch or overlap made one."""
    found: list[Span] = []
    for span in sorted(spans):
        if found and span.first.toordinal() - found[-1].last.toordinal() <= 1:
            found[-1] = Span(found[-1].first, max(found[-1].last, span.last))
        else:
            found.append(span)
    return tuple(found)
