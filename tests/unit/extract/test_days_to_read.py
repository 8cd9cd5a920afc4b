"""Which days of PostgreSQL a run looks at: no change stays unseen for longer than thirty as_of dates."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmbet.extract.days_to_read import (
    GROUP_DAYS,
    TURNS,
    DaysToRead,
    Span,
    all_days,
    days_of_shard,
    days_to_read,
    joined_spans,
    turn_of,
)
from crmbet.extract.records import UNDATED
from crmbet.run.shards import Shard
from tests.tiers import examples

pytestmark = pytest.mark.unit

AS_OF = date(2026, 8, 12)
CAPTURED = frozenset({UNDATED, *(str(date(2015, 1, 1) + timedelta(days=n)) for n in range(4500))})
days = st.dates(date(2015, 1, 1), date(2026, 8, 12))


def look(
    as_of: date = AS_OF,
    *,
    earliest: date | None = date(2020, 1, 1),
    unknown: tuple[date, ...] = (),
    verify_days: int = 45,
) -> DaysToRead:
    """What a run looks at if every day since the earliest has been captured, but some."""
    known = CAPTURED - {str(day) for day in unknown} if unknown else CAPTURED
    return days_to_read(as_of_date=as_of, last=as_of, verify_days=verify_days, earliest=earliest, known=known)


def looked_at(found: DaysToRead) -> int:
    """Days that a run looks at, those before all captures left out."""
    return sum((span.last - span.first).days + 1 for span in found.spans if span.first > date.min)


@settings(max_examples=examples(10, full=40))
@given(day=days, first=days, earliest=days, verify_days=st.integers(1, 60))
def test_every_day_before_as_of_is_looked_at_within_thirty_dates(
    day: date, first: date, earliest: date, verify_days: int
) -> None:
    dates = [max(day, first) + timedelta(days=n) for n in range(TURNS)]

    assert any(
        look(as_of, earliest=min(earliest, as_of), verify_days=verify_days).covers(str(day))
        for as_of in dates
    )
    assert any(look(as_of, verify_days=verify_days).covers(UNDATED) for as_of in dates)


@given(as_of=days.filter(lambda day: day > date(2020, 1, 1)), verify_days=st.integers(1, 400))
def test_a_run_looks_at_the_recent_days_and_at_about_a_thirtieth_of_the_older_ones(
    as_of: date, verify_days: int
) -> None:
    found = look(as_of, verify_days=verify_days)
    older = max(0, (as_of - date(2020, 1, 1)).days + 1 - verify_days)

    assert all(found.covers(str(as_of - timedelta(days=n))) for n in range(min(verify_days, older)))
    assert looked_at(found) - verify_days <= older / TURNS + GROUP_DAYS
    assert not found.covers(str(as_of + timedelta(days=1)))


def test_older_days_are_looked_at_in_groups_of_neighbours() -> None:
    spans = look().spans

    assert [(span.last - span.first).days + 1 for span in spans] == [10] * 8 + [45]
    assert spans[-1] == Span(date(2026, 6, 29), date(2026, 8, 12))
    assert all(span.first.toordinal() % GROUP_DAYS == 0 for span in spans[:-1])


@given(unknown=days.filter(lambda day: day >= date(2020, 1, 1)))
def test_a_day_that_was_never_captured_is_looked_at_at_once(unknown: date) -> None:
    assert look(unknown=(unknown,)).covers(str(unknown))


def test_rows_without_a_day_that_were_never_captured_are_looked_at_at_once() -> None:
    found = [
        days_to_read(
            as_of_date=AS_OF + timedelta(days=n), last=AS_OF, verify_days=45, earliest=AS_OF, known=set()
        )
        for n in range(TURNS)
    ]

    assert all(each.undated for each in found)


def test_what_lies_before_all_captures_has_one_turn_and_rows_without_a_day_another() -> None:
    runs = [look(AS_OF + timedelta(days=n)) for n in range(TURNS)]

    assert [run.covers("0001-01-01") and run.covers("2019-12-31") for run in runs].count(True) == 1
    assert [run.covers(UNDATED) for run in runs].count(True) == 1
    assert not any(run.covers("0001-01-01") and run.covers(UNDATED) for run in runs)


def test_a_first_run_looks_at_everything() -> None:
    assert look(earliest=None) == all_days(AS_OF) == DaysToRead((Span(date.min, AS_OF),), undated=True)


@pytest.mark.parametrize("verify_days", [1, 10_000_000])
def test_any_number_of_days_can_be_verified(verify_days: int) -> None:
    found = look(verify_days=verify_days)

    assert found.covers(str(AS_OF))
    assert found.covers("2020-01-01") is (verify_days > 1)


def test_an_as_of_before_all_captures_looks_at_its_own_recent_days() -> None:
    found = look(date(2019, 6, 1), earliest=date(2020, 1, 1))

    assert found.spans[-1] == Span(date(2019, 4, 18), date(2019, 6, 1))
    assert not found.covers("2020-01-01")


def test_spans_that_touch_are_one() -> None:
    one, two, three, five = (date(2026, 8, day) for day in (1, 2, 3, 5))

    assert joined_spans([Span(one, one), Span(two, three), Span(five, five)]) == (
        Span(one, three),
        Span(five, five),
    )
    assert joined_spans([Span(two, five), Span(one, three)]) == (Span(one, five),)
    assert joined_spans([]) == ()


@given(day=days, as_of=days, earliest=days)
def test_an_older_day_is_looked_at_if_it_is_its_turn_and_only_then(
    day: date, as_of: date, earliest: date
) -> None:
    older = earliest <= day <= as_of - timedelta(days=45)
    seen = look(as_of, earliest=earliest).covers(str(day))

    assert not older or seen is (turn_of(day) == as_of.toordinal() % TURNS)


@given(
    count=st.integers(1, 12),
    quantiles=st.sets(st.dates(date(2010, 1, 1), AS_OF), max_size=30).map(sorted),
    first=st.dates(max_value=AS_OF),
    undated=st.booleans(),
)
def test_parts_look_at_every_day_once(count: int, quantiles: list[date], first: date, undated: bool) -> None:
    wanted = DaysToRead((Span(first, AS_OF),), undated=undated)

    parts = [days_of_shard(wanted, shard, quantiles) for shard in Shard.all_of(count)]

    spans = [span for part in parts for span in part.spans]
    assert spans == sorted(spans)
    assert sum((span.last - span.first).days + 1 for span in spans) == (AS_OF - first).days + 1
    assert joined_spans(spans) == wanted.spans
    assert [part.undated for part in parts] == [undated, *[False] * (count - 1)]


@pytest.mark.parametrize("count", [2, 3, 8])
def test_parts_have_equal_shares_of_the_rows(count: int) -> None:
    quantiles = [AS_OF - timedelta(days=239 - number) for number in range(240)]

    parts = [days_of_shard(all_days(AS_OF), shard, quantiles) for shard in Shard.all_of(count)]

    firsts = [max(part.spans[0].first, quantiles[0]) for part in parts]
    assert [(part.spans[0].last - first).days + 1 for part, first in zip(parts, firsts, strict=True)] == [
        240 // count
    ] * count
