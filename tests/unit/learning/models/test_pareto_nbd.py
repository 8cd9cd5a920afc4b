"""Pareto/NBD against its definition, and where numbers are extreme."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from crmbet.learning.models import pareto_nbd
from crmbet.learning.models.histories import Histories
from crmbet.learning.models.lifetime_value import discounted_repeats
from crmbet.learning.models.pareto_nbd import ParetoNBD
from tests.tiers import examples

pytestmark = pytest.mark.unit

MONTH = 30 / 7
MODELS = st.builds(
    ParetoNBD,
    r=st.floats(0.05, 20),
    alpha=st.floats(0.05, 100),
    s=st.floats(0.05, 20),
    beta=st.floats(0.05, 100),
)


@st.composite
def days(draw: st.DrawFn) -> tuple[int, int, int]:
    """x, tx and T of a customer, in days: x different days after the first, the last of them tx after it."""
    observed = draw(st.integers(0, 1500))
    recency = draw(st.integers(0, observed))
    repeats = draw(st.integers(1, recency)) if recency else 0
    return repeats, recency, observed


def histories(*patterns: tuple[int, int, int]) -> Histories:
    repeats, recency, observed = np.array(patterns, dtype=float).T
    return Histories.of_days(repeats, recency, observed, np.ones(len(patterns)))


def integral(model: ParetoNBD, x: float, tx: float, end: float) -> float:
    """Of the definition, over its value at tx, so that it can be a number."""

    def density(y: float) -> float:
        return math.exp(
            (model.r + x) * math.log((model.alpha + tx) / (model.alpha + y))
            + (model.s + 1) * math.log((model.beta + tx) / (model.beta + y))
        )

    # The integrand may be gone within a small part of the range.
    points = [tx + (end - tx) * share for share in (1e-4, 1e-3, 1e-2, 0.1, 0.3)]
    found, _ = quad(density, tx, end, points=points, limit=400, epsabs=0, epsrel=1e-11)
    return float(found)


def slow_p_alive(model: ParetoNBD, x: float, tx: float, end: float) -> float:
    if tx == end:
        return 1.0
    log_odds = (
        math.log(model.s)
        + (model.r + x) * math.log((model.alpha + end) / (model.alpha + tx))
        + model.s * math.log((model.beta + end) / (model.beta + tx))
        - math.log(model.beta + tx)
        + math.log(integral(model, x, tx, end))
    )
    return 1 / (1 + math.exp(log_odds)) if log_odds < 700 else 0.0


def slow_log_likelihood(model: ParetoNBD, x: float, tx: float, end: float) -> float:
    shape = model.r + x
    alive = -shape * math.log(model.alpha + end) - model.s * math.log(model.beta + end)
    common = math.lgamma(shape) - math.lgamma(model.r)
    common += model.r * math.log(model.alpha) + model.s * math.log(model.beta)
    if tx == end:
        return common + alive
    gone = -shape * math.log(model.alpha + tx) - (model.s + 1) * math.log(model.beta + tx)
    gone += math.log(model.s) + math.log(integral(model, x, tx, end))
    return common + float(np.logaddexp(alive, gone))


def slow_p_active(model: ParetoNBD, x: float, tx: float, end: float, horizon: float) -> float:
    shape = model.r + x

    def density(u: float) -> float:
        a, b = model.alpha + end, model.beta + end
        return float(shape / (a + u) * (a / (a + u)) ** shape * (b / (b + u)) ** model.s)

    found, _ = quad(density, 0, horizon, points=[horizon * 1e-3, horizon * 1e-2, horizon * 0.1], limit=400)
    return slow_p_alive(model, x, tx, end) * float(found)


@given(MODELS, days())
@settings(max_examples=examples(40, full=150), deadline=None)
def test_scores_are_those_of_the_definition(model: ParetoNBD, pattern: tuple[int, int, int]) -> None:
    weeks = (pattern[0], pattern[1] / 7, pattern[2] / 7)

    (alive,) = model.p_alive(histories(pattern))
    (active,) = model.p_active(histories(pattern), MONTH)

    assert alive == pytest.approx(slow_p_alive(model, *weeks), abs=1e-9)
    assert active == pytest.approx(slow_p_active(model, *weeks, MONTH), abs=1e-7)


@given(MODELS, st.lists(days(), min_size=2, max_size=6))
@settings(max_examples=60, deadline=None)
def test_histories_do_not_change_each_other(model: ParetoNBD, patterns: list[tuple[int, int, int]]) -> None:
    # Integrals run to the end of the longest history, and are shared by all histories with the same point.
    together = histories(*patterns)

    for scores in (ParetoNBD.p_alive, lambda model, some: model.p_active(some, MONTH)):
        alone = [float(scores(model, histories(pattern))[0]) for pattern in patterns]
        assert scores(model, together) == pytest.approx(alone, abs=1e-9)
    assert model.log_likelihood(together) == pytest.approx(
        sum(slow_log_likelihood(model, x, tx / 7, end / 7) for x, tx, end in patterns), rel=1e-9, abs=1e-9
    )


@given(MODELS, days(), st.integers(1, 200))
@settings(max_examples=examples(40, full=150), deadline=None)
def test_silence_lowers_the_chances(model: ParetoNBD, pattern: tuple[int, int, int], silence: int) -> None:
    repeats, recency, observed = pattern
    patterns = histories(pattern, (repeats, recency, observed + silence))

    for chances in (model.p_alive(patterns), model.p_active(patterns, MONTH)):
        assert ((chances >= 0) & (chances <= 1)).all()
        assert chances[1] <= chances[0] + 1e-12


@given(MODELS, days())
@settings(max_examples=examples(25, full=100), deadline=None)
def test_active_means_alive_and_expecting_something(model: ParetoNBD, pattern: tuple[int, int, int]) -> None:
    patterns = histories(pattern)
    short, long = model.p_active(patterns, 1.0), model.p_active(patterns, MONTH)

    assert short <= long + 1e-12
    assert long <= model.p_alive(patterns) + 1e-12
    # By Markov's inequality; one purchase is expected for each probability of one.
    assert long <= model.expected_repeats(patterns, MONTH) + 1e-9


@given(MODELS, days())
@settings(max_examples=examples(25, full=100), deadline=None)
def test_expectations_pass_smoothly_through_s_of_one(model: ParetoNBD, pattern: tuple[int, int, int]) -> None:
    at, *beside = (
        replace(model, s=s).expected_repeats(histories(pattern), MONTH) for s in (1.0, 1 - 1e-9, 1 + 1e-9)
    )

    assert np.isfinite(at).all()
    for near in beside:
        assert near == pytest.approx(at, rel=1e-6)


def test_expectation_is_the_integral_of_the_rate_over_the_chance_to_be_alive() -> None:
    model = ParetoNBD(r=0.55, alpha=10.6, s=0.61, beta=11.7)
    patterns = histories((2, 213, 272))
    x, end = 2, 272 / 7

    def rate(u: float) -> float:
        still_there = ((model.beta + end) / (model.beta + end + u)) ** model.s
        return float((model.r + x) / (model.alpha + end) * still_there)

    expected, _ = quad(rate, 0, 39)
    assert model.expected_repeats(patterns, 39) == pytest.approx(model.p_alive(patterns) * expected, rel=1e-9)


def test_nothing_overflows() -> None:
    extreme = Histories(*(np.array([value]) for value in (1000.0, 150.0, 156.0, 1.0)))
    for model in (
        ParetoNBD(r=0.5, alpha=10, s=0.6, beta=12),
        ParetoNBD(r=100, alpha=0.01, s=100, beta=0.01),
        ParetoNBD(r=0.01, alpha=1e4, s=0.01, beta=1e4),
    ):
        with np.errstate(over="raise", invalid="raise"):
            scores: list[Any] = [
                model.p_alive(extreme),
                model.p_active(extreme, MONTH),
                model.expected_repeats(extreme, MONTH),
                discounted_repeats(model, extreme, model.p_alive(extreme), 0.01),
                model.log_likelihood(extreme),
            ]
        assert all(np.isfinite(score).all() for score in scores)


def test_the_gradient_is_that_of_the_likelihood() -> None:
    patterns = histories((0, 0, 0), (0, 0, 400), (3, 50, 60), (200, 300, 365), (1, 1, 365))
    for place in ([0.5, 3.0, 0.7, 20.0], [2.0, 20.0, 1.5, 3.0]):
        at = np.array(place)
        _, gradient = pareto_nbd._mean_log_likelihood(at, patterns)
        for number in range(4):
            step = np.eye(4)[number] * at[number] * 1e-6
            above, _ = pareto_nbd._mean_log_likelihood(at + step, patterns)
            below, _ = pareto_nbd._mean_log_likelihood(at - step, patterns)
            assert gradient[number] == pytest.approx((above - below) / (2 * step.sum()), rel=1e-4)


def simulate(customers: int, model: ParetoNBD, longest: int, seed: int = 7) -> Histories:
    """Customers who do as the model says, as patterns with counts."""
    random = np.random.default_rng(seed)
    observed = random.integers(1, longest, customers)
    rate = random.gamma(model.r, 1 / model.alpha, customers)
    lifetime = random.exponential(1 / random.gamma(model.s, 1 / model.beta, customers))
    active_days = np.minimum(np.floor(lifetime * 7), observed)
    # A day is active or not: at most one purchase counts.
    repeats = random.binomial(active_days.astype(int), 1 - np.exp(-rate / 7))
    recency = np.where(repeats > 0, np.ceil(active_days * random.beta(np.maximum(repeats, 1), 1)), 0)
    rows = np.stack([repeats, np.maximum(recency, repeats), observed], axis=1)
    patterns, counts = np.unique(rows, axis=0, return_counts=True)
    return Histories.of_days(patterns[:, 0], patterns[:, 1], patterns[:, 2], counts.astype(float))


def test_a_fit_finds_what_made_the_data() -> None:
    model = ParetoNBD(r=0.6, alpha=4.0, s=0.7, beta=14.0)

    found = pareto_nbd.fit(simulate(60_000, model, 365))

    assert found.converged
    assert found.parameters == pytest.approx({"r": 0.6, "alpha": 4.0, "s": 0.7, "beta": 14.0}, rel=0.12)


def test_many_patterns_are_fitted_as_few_are(monkeypatch: pytest.MonkeyPatch) -> None:
    patterns = simulate(30_000, ParetoNBD(r=0.6, alpha=4.0, s=0.7, beta=14.0), 365)
    assert len(patterns) > pareto_nbd.MANY_PATTERNS > len(patterns.coarse())
    by_way_of_a_coarse_version = pareto_nbd.fit(patterns)

    monkeypatch.setattr(pareto_nbd, "MANY_PATTERNS", len(patterns))
    at_once = pareto_nbd.fit(patterns)

    assert by_way_of_a_coarse_version.parameters == pytest.approx(at_once.parameters, rel=1e-4)
    assert by_way_of_a_coarse_version.log_likelihood == pytest.approx(at_once.log_likelihood, abs=1e-6)


def test_counts_stand_for_customers() -> None:
    counted = simulate(2_000, ParetoNBD(r=0.6, alpha=4.0, s=0.7, beta=14.0), 60)
    times = counted.customers.astype(int)
    one_by_one = Histories(
        np.repeat(counted.repeats, times),
        np.repeat(counted.recency, times),
        np.repeat(counted.observed, times),
        np.ones(times.sum()),
    )

    assert pareto_nbd.fit(counted).parameters == pytest.approx(
        pareto_nbd.fit(one_by_one).parameters, rel=1e-5
    )


def test_a_fit_repeats_to_the_byte() -> None:
    patterns = simulate(30_000, ParetoNBD(r=0.6, alpha=4.0, s=0.7, beta=14.0), 365)

    assert pareto_nbd.fit(patterns) == pareto_nbd.fit(patterns)


def test_customers_who_are_alike_end_at_the_wall() -> None:
    random = np.random.default_rng(1)
    observed = random.integers(60, 120, 2_000)
    repeats = random.binomial(observed, 0.2)
    patterns = histories(
        *zip(repeats, np.maximum(observed - random.geometric(0.2, 2_000), repeats), observed, strict=True)
    )

    found = pareto_nbd.fit(patterns)

    assert found.converged
    assert found.parameters["r"] == pytest.approx(100, rel=0.05)
    assert found.parameters["r"] / found.parameters["alpha"] == pytest.approx(0.2 * 7, rel=0.1)


@pytest.mark.parametrize("seed", range(1, 4))
def test_customers_who_never_drop_out_have_a_model(seed: int) -> None:
    random = np.random.default_rng(seed)
    observed = random.integers(60, 120, 500)
    # Every likelihood rises with beta for ever: all customers were active within the last days.
    repeats = random.binomial(observed, random.beta(2, 8, 500))
    recency = np.maximum(observed - random.integers(0, 2, 500), repeats)

    found = pareto_nbd.fit(histories(*zip(repeats, recency, observed, strict=True)))

    assert found.converged
    assert ParetoNBD.of(found).p_alive(histories((10, 60, 60))) > 0.999


def test_customers_who_never_came_back_teach_nothing() -> None:
    patterns = histories(*((0, 0, observed) for observed in range(50)))

    scores = ParetoNBD.of(pareto_nbd.fit(patterns)).p_active(patterns, MONTH)

    assert (scores < 0.01).all()


def test_a_search_follows_a_ridge_to_its_end() -> None:
    """Of few customers who rarely drop out, the likelihood rises for long and by little as s and beta grow together."""
    random = np.random.default_rng(0)
    observed = random.integers(20, 60, 45)
    rates, leaving = random.gamma(1.5, 1 / 6, 45), random.gamma(0.6, 1 / 90, 45)
    active = []
    for end, rate, leaves in zip(observed, rates, leaving, strict=True):
        until = min(end, random.exponential(1 / leaves))
        days = np.unique(np.floor(np.cumsum(random.exponential(1 / rate, 400))))
        active.append(days[(days > 0) & (days <= until)])
    patterns = histories(
        *((len(days), int(days.max(initial=0)), int(end)) for days, end in zip(active, observed, strict=True))
    )

    found = pareto_nbd.fit(patterns)

    far = ParetoNBD(r=2.05226, alpha=1.3601, s=73.86382, beta=2130.37806)
    assert found.converged
    assert found.log_likelihood >= far.log_likelihood(patterns)
