"""Distances from a baseline: large moves show, chance does not."""

from __future__ import annotations

import pytest

from crmbet.quality.measures.drift import compare
from crmbet.quality.measures.profile import Distribution, Profile

pytestmark = pytest.mark.unit


def numbers(*bins: int, variance: float = 1.0, skew: float = 0.0, shift: float = 0.0) -> Distribution:
    return Distribution(
        kind="numbers",
        bins={str(place): rows for place, rows in enumerate(bins)} | {"NULL": 0},
        edges=[float(edge) for edge in range(1, 10)],
        quartiles=[2.5 + shift, 5.0 + shift, 7.5 + shift],
        variance=variance,
        skew=skew,
    )


def baseline(then: Distribution, units: int = 1_000_000) -> Profile:
    return Profile(units=units, columns={"x": then})


EVEN = numbers(*(100_000,) * 10)
SHIFTED = numbers(*(40_000,) * 5, *(160_000,) * 5)


def test_equal_distributions_have_no_distance() -> None:
    drift = compare("x", EVEN, 1_000_000, baseline(EVEN))
    assert (drift.psi, drift.ks, drift.quartile_shift, drift.skew_shift) == (0, 0, 0, 0)
    assert drift.variance_ratio == 1


def test_a_move_of_many_players_is_measured_as_the_formulas_have_it() -> None:
    drift = compare("x", SHIFTED, 1_000_000, baseline(EVEN))
    # 5 (0.04 - 0.1) ln 0.4 + 5 (0.16 - 0.1) ln 1.6, and 0.5 - 0.2.
    assert drift.psi == pytest.approx(0.41589, abs=2e-4)
    assert drift.ks == pytest.approx(0.3, abs=5e-3)


def test_the_same_move_of_few_players_is_chance() -> None:
    drift = compare("x", SHIFTED, 20, baseline(EVEN, units=20))
    assert (drift.psi, drift.ks) == (0, 0)


def test_quartiles_variance_and_skew() -> None:
    moved = numbers(*(100_000,) * 10, variance=4, skew=2, shift=2.5)
    drift = compare("x", moved, 1_000_000, baseline(EVEN))
    assert drift.quartile_shift == pytest.approx(0.5, abs=0.01)
    assert drift.variance_ratio == pytest.approx(4, rel=0.02)
    assert drift.skew_shift == pytest.approx(2, abs=0.02)


def test_a_move_of_a_value_that_few_have_is_chance() -> None:
    """Of a million rows all but 40 are empty: the distance is that of 40 numbers."""
    then, now = (
        each.model_copy(update={"bins": {name: rows // 25_000 for name, rows in each.bins.items()}})
        for each in (EVEN, SHIFTED)
    )
    empty = {"NULL": 1_000_000 - 40}
    then, now = (each.model_copy(update={"bins": {**each.bins, **empty}}) for each in (then, now))
    drift = compare("x", now, 1_000_000, baseline(then))
    assert drift.ks == 0


def test_a_heavy_tail_has_a_skew_of_great_chance() -> None:
    """The errors of variance and skewness are the distribution's, where the baseline has them."""
    moved = numbers(*(100_000,) * 10, variance=4, skew=2)
    heavy = {"variance_error": 400.0, "skew_error": 600.0}
    then, now = EVEN.model_copy(update=heavy), moved.model_copy(update=heavy)
    drift = compare("x", now, 1_000_000, baseline(then))
    assert (drift.variance_ratio, drift.skew_shift) == (1, 0)


@pytest.mark.parametrize(
    ("then", "now", "shift"),
    [
        # Of [ln 71, ln 561] by ln(1501 / 561), where on the plain scale nearly two ranges.
        ((70, 145, 560), (70, 145, 1500), 0.476),
        # The middle crosses zero: 8 of 400, where on the log scale 0.33.
        ((-200, -4, 200), (-200, 4, 200), 0.02),
        # Another unit shows on both: of [ln 71, ln 561] by ln(2241 / 561).
        ((70, 145, 560), (280, 580, 2240), 0.67),
    ],
)
def test_a_quartile_has_moved_if_it_has_on_both_scales(
    then: tuple[float, ...], now: tuple[float, ...], shift: float
) -> None:
    before, after = (EVEN.model_copy(update={"quartiles": list(map(float, each))}) for each in (then, now))
    drift = compare("x", after, 10**9, baseline(before, units=10**9))
    assert drift.quartile_shift == pytest.approx(shift, abs=0.01)


def test_new_words_are_another() -> None:
    then = Distribution(kind="words", bins={"a": 900, "b": 100, "other": 0, "NULL": 0})
    now = Distribution(kind="words", bins={"a": 100, "c": 900, "other": 0, "NULL": 0})
    drift = compare("x", now, 100_000, baseline(then, units=100_000))
    assert drift.psi is not None
    assert drift.psi > 1
    assert drift.ks is None


def test_what_the_baseline_does_not_know_has_no_distance() -> None:
    assert compare("y", EVEN, 1000, baseline(EVEN)).psi is None
    assert compare("x", Distribution(kind="words", bins={"a": 1}), 1000, baseline(EVEN)).psi is None
