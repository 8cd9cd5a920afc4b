from __future__ import annotations

from datetime import UTC, date, datetime
from itertools import permutations

import pytest

from crmbet.learning.thresholds import FrozenThresholds, choose

pytestmark = pytest.mark.unit


def act(day: int, hour: int = 0, *, deliberate: bool = False, intensity: float = 1.0) -> FrozenThresholds:
    return FrozenThresholds(
        feature_set_version="2",
        as_of=date(2026, 3, day),
        frozen_at=datetime(2026, 4, 1, hour, tzinfo=UTC),
        deliberate=deliberate,
        thresholds={"intensity": intensity},
    )


def test_nothing_is_frozen_before_the_first_run() -> None:
    assert choose([]) is None


def test_the_first_act_stands_until_somebody_freezes_anew() -> None:
    first, later, anew, again = act(1), act(2), act(3, deliberate=True), act(4, deliberate=True)

    assert choose([later, first]) == first
    assert choose([later, first, anew]) == anew
    assert choose([again, later, first, anew]) == again
    assert choose([act(5), anew]) == anew


def test_everybody_chooses_the_same_act_whatever_the_order() -> None:
    acts = [act(1, 2), act(1, 1, intensity=3.0), act(1, 1, intensity=2.0)]

    assert len({choose(order).model_dump_json() for order in permutations(acts)}) == 1
    assert choose(acts).frozen_at.hour == 1
