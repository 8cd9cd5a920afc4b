from __future__ import annotations

from datetime import UTC, date, datetime
from itertools import permutations

import pytest

from crmbet.learning.cut_offs import FrozenCutOffs, choose

pytestmark = pytest.mark.unit


def frozen_on(day: int, hour: int = 0, *, deliberate: bool = False, intensity: float = 1.0) -> FrozenCutOffs:
    return FrozenCutOffs(
        feature_set_version="2",
        as_of=date(2026, 3, day),
        frozen_at=datetime(2026, 4, 1, hour, tzinfo=UTC),
        deliberate=deliberate,
        cut_offs={"intensity": intensity},
    )


def test_nothing_is_frozen_before_the_first_run() -> None:
    assert choose([]) is None


def test_the_first_ones_count_until_a_person_freezes_new_ones() -> None:
    first, later, deliberate, again = (
        frozen_on(1),
        frozen_on(2),
        frozen_on(3, deliberate=True),
        frozen_on(4, deliberate=True),
    )

    assert choose([later, first]) == first
    assert choose([later, first, deliberate]) == deliberate
    assert choose([again, later, first, deliberate]) == again
    assert choose([frozen_on(5), deliberate]) == deliberate


def test_a_later_backfill_of_an_earlier_day_displaces_nothing() -> None:
    loaded, backfill = frozen_on(30, 1), frozen_on(2, 5)

    assert choose([backfill, loaded]) == loaded


def test_everybody_chooses_the_same_ones_in_any_order() -> None:
    candidates = [frozen_on(1, 2), frozen_on(1, 1, intensity=3.0), frozen_on(1, 1, intensity=2.0)]

    chosen = {each.model_dump_json() for order in permutations(candidates) if (each := choose(order))}
    assert len(chosen) == 1
    assert FrozenCutOffs.model_validate_json(*chosen).frozen_at.hour == 1


def test_the_store_of_an_earlier_version_is_read_and_written_alike() -> None:
    stored = """{
 "feature_set_version": "2",
 "as_of": "2026-03-01",
 "frozen_at": "2026-04-01T00:00:00Z",
 "deliberate": false,
 "thresholds": {
  "intensity": 1.0
 }
}"""

    assert FrozenCutOffs.model_validate_json(stored) == frozen_on(1)
    assert frozen_on(1).model_dump_json(indent=1) == stored
