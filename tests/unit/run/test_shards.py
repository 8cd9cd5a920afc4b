"""Parts of a step: together they are all of it, none has what another has, and they are about equally large."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmbet.run.shards import Shard

pytestmark = pytest.mark.unit

FIRST = date(2024, 1, 1)
COUNTS = st.integers(1, 12)


@given(names=st.sets(st.text(max_size=20)), count=COUNTS)
def test_each_name_is_in_one_part(names: set[str], count: int) -> None:
    for name in names:
        assert sum(shard.has(name) for shard in Shard.all_of(count)) == 1


@given(rows=st.lists(st.integers(0, 1000), max_size=60), count=COUNTS)
def test_parts_are_neighbouring_ranges_of_all_days(rows: list[int], count: int) -> None:
    by_day = {FIRST + timedelta(days=number): some for number, some in enumerate(rows)}

    assert [day for shard in Shard.all_of(count) for day in shard.days(by_day)] == sorted(by_day)


@given(count=COUNTS, large=st.integers(0, 99))
def test_parts_have_about_as_many_rows_as_one_day_allows(count: int, large: int) -> None:
    rows = {FIRST + timedelta(days=number): 5000 if number == large else 100 for number in range(100)}

    for shard in Shard.all_of(count):
        assert sum(rows[day] for day in shard.days(rows)) <= sum(rows.values()) / count + 5000


@given(count=COUNTS)
def test_a_part_is_read_as_it_is_written(count: int) -> None:
    assert [Shard.parse(str(shard)) for shard in Shard.all_of(count)] == Shard.all_of(count)
