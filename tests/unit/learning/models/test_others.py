"""Gamma-Gamma, BG/NBD, lifetime value, calibration, evaluation and the search for a maximum."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmbet.learning.models import evaluation, gamma_gamma
from crmbet.learning.models.bg_nbd import BGNBD
from crmbet.learning.models.calibration import calibrate
from crmbet.learning.models.gamma_gamma import GammaGamma, Spending
from crmbet.learning.models.histories import Histories, Reals
from crmbet.learning.models.lifetime_value import discounted_repeats
from crmbet.learning.models.maximum_likelihood import Maximum, maximise
from crmbet.learning.models.pareto_nbd import ParetoNBD
from tests.tiers import examples

pytestmark = pytest.mark.unit


def test_expected_value_lies_between_own_mean_and_population() -> None:
    model = GammaGamma(p=6.25, q=3.74, v=15.44)
    population = model.p * model.v / (model.q - 1)

    once, often = model.expected_value(np.array([1.0, 200.0]), np.array([100.0, 20_000.0]))

    assert population < once < often < 100
    assert often == pytest.approx(100, rel=0.01)


def test_a_value_without_a_mean_is_undefined() -> None:
    model = GammaGamma(p=0.5, q=0.4, v=10)

    expected = model.expected_value(np.array([0.0, 1.0, 2.0]), np.array([0.0, 50.0, 100.0]))

    # p x + q is 0.4, 0.9 and 1.4.
    assert np.isnan(expected[:2]).all()
    assert expected[2] == pytest.approx(0.5 * 110 / 0.4)


def test_gamma_gamma_finds_what_made_the_data() -> None:
    random = np.random.default_rng(3)
    repeats = random.integers(1, 20, 40_000)
    scale = random.gamma(4.0, 1 / 15.0, 40_000)
    spending = Spending(repeats.astype(float), random.gamma(6.0 * repeats, 1 / scale), np.ones(40_000))

    found = gamma_gamma.fit(spending)

    assert found.converged
    assert found.on_bound == ()
    assert found.parameters == pytest.approx({"p": 6.0, "q": 4.0, "v": 15.0}, rel=0.05)
    assert gamma_gamma.correlation(spending) == pytest.approx(0, abs=0.02)


def alike() -> Spending:
    """Customers who are almost the same and never vary: the likelihood rises with p and q for ever."""
    repeats = np.tile(np.arange(1.0, 9.0), 100)
    usual = np.repeat(np.exp(np.linspace(-0.1, 0.1, 100)) * 50, 8)
    return Spending(repeats, repeats * usual, np.ones(800))


def test_a_fit_that_ends_on_a_bound_says_so() -> None:
    found = gamma_gamma.fit(alike())

    assert found.converged
    assert found.parameters["p"] > 100
    assert found.on_bound == ("p", "q")
    # Each shape has its bound; a scale may be any size.
    for name, parameters in (
        ("a", {"r": 1.0, "alpha": 400.0, "a": 100.0, "b": 2.0}),
        ("b", {"r": 1.0, "alpha": 4.0, "a": 1.0, "b": 100.2}),
        ("s", {"r": 1.0, "alpha": 4.0, "s": 120.0, "beta": 1e5}),
    ):
        assert Maximum(parameters, -1.0, 5, converged=True).on_bound == (name,)
    inside = {"r": 99.9, "alpha": 4000.0, "a": 0.01, "b": 1.0}
    assert Maximum(inside, -1.0, 5, converged=True).on_bound == ()


def test_the_currency_does_not_matter() -> None:
    random = np.random.default_rng(3)
    repeats = random.integers(1, 9, 3_000).astype(float)
    total = random.gamma(6.0 * repeats, 1 / random.gamma(4.0, 1 / 15.0, 3_000))
    ones = np.ones(3_000)

    cheap, dear = (gamma_gamma.fit(Spending(repeats, total * rate, ones)) for rate in (1, 1e4))

    assert dear.parameters["p"] == pytest.approx(cheap.parameters["p"], rel=1e-6)
    assert dear.parameters["v"] == pytest.approx(cheap.parameters["v"] * 1e4, rel=1e-6)


def test_value_that_grows_with_frequency_is_seen() -> None:
    repeats = np.arange(1.0, 50.0)

    assert gamma_gamma.correlation(Spending(repeats, repeats * repeats, np.ones(49))) == pytest.approx(1)
    assert gamma_gamma.correlation(Spending(np.ones(3), np.ones(3), np.ones(3))) is None


def test_a_search_without_end_says_so() -> None:
    def ever_better(parameters: Reals) -> tuple[float, Reals]:
        # Rises with the logarithm of a scale.
        return float(np.log(parameters).sum()), 1 / parameters

    assert not maximise(("alpha",), (1.0,), ever_better, 1_000).converged


def test_a_search_over_nonsense_says_so() -> None:
    def nonsense(parameters: Reals) -> tuple[float, Reals]:
        return (0.0 if parameters[0] == 1 else math.nan), np.ones(1)

    assert not maximise(("alpha",), (1.0,), nonsense, 1_000).converged


def test_bg_nbd_scores_do_not_overflow() -> None:
    model = BGNBD(r=0.24, alpha=4.4, a=0.79, b=2.4)
    patterns = Histories(
        np.array([0.0, 2.0, 1000.0]), np.array([0.0, 30.0, 20.0]), np.array([39.0, 39.0, 5000.0]), np.ones(3)
    )

    alive = model.p_alive(patterns)

    assert alive[0] == 1
    assert 0 < alive[1] < 1
    assert alive[2] == 0


def test_lifetime_value_without_discount_is_the_expectation_of_a_year() -> None:
    model = ParetoNBD(r=0.55, alpha=10.6, s=0.61, beta=11.7)
    patterns = Histories(np.array([2.0]), np.array([30.0]), np.array([38.0]), np.ones(1))
    months = [model.expected_repeats(patterns, number * 30 / 7) for number in range(13)]

    assert discounted_repeats(model, patterns, model.p_alive(patterns), 0.0) == pytest.approx(months[12])
    assert discounted_repeats(model, patterns, model.p_alive(patterns), 0.01) == pytest.approx(
        sum((months[m] - months[m - 1]) / 1.01**m for m in range(1, 13))
    )


SCORED = st.lists(
    st.tuples(st.integers(0, 20).map(lambda n: n / 20), st.booleans(), st.integers(1, 9)),
    min_size=2,
    max_size=40,
).filter(lambda rows: len({label for _, label, _ in rows}) == 2)


@given(SCORED)
@settings(max_examples=examples(15, full=60), deadline=None)
def test_knots_are_the_whole_of_the_curve(rows: list[tuple[float, bool, int]]) -> None:
    from sklearn.isotonic import IsotonicRegression

    scores, labels, customers = (np.array(values, dtype=float) for values in zip(*rows, strict=True))
    asked = np.linspace(-0.1, 1.1, 200)

    calibrated = calibrate(scores, labels, customers).apply(asked)

    regression = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(scores, labels, customers)
    assert calibrated == pytest.approx(regression.predict(asked), abs=1e-8)
    assert (np.diff(calibrated) >= 0).all()
    assert ((calibrated >= 0) & (calibrated <= 1)).all()


@given(SCORED)
@settings(max_examples=examples(15, full=60), deadline=None)
def test_auc_and_brier_by_their_definitions(rows: list[tuple[float, bool, int]]) -> None:
    scores, labels, customers = (np.array(values, dtype=float) for values in zip(*rows, strict=True))
    people = [(score, label) for score, label, count in rows for _ in range(count)]
    pairs = [(one, other) for one, label in people if label for other, silent in people if not silent]

    wins = sum((one > other) + 0.5 * (one == other) for one, other in pairs)
    assert evaluation.auc(scores, labels, customers) == pytest.approx(wins / len(pairs))
    assert evaluation.brier(scores, labels, customers) == pytest.approx(
        sum((score - label) ** 2 for score, label in people) / len(people)
    )


@given(SCORED)
@settings(max_examples=examples(15, full=60), deadline=None)
def test_deciles_hold_everyone_once_and_never_part_equal_scores(rows: list[tuple[float, bool, int]]) -> None:
    scores, labels, customers = (np.array(values, dtype=float) for values in zip(*rows, strict=True))

    found = evaluation.deciles(scores, labels, customers)

    assert sum(decile.customers for decile in found) == customers.sum()
    assert sum(decile.share * decile.customers for decile in found) == pytest.approx(
        (labels * customers).sum()
    )
    means = [decile.mean_score for decile in found]
    assert means == sorted(means)
    assert len(found) <= min(10, len(set(scores)))


def test_deciles_of_many_scores_are_tenths() -> None:
    scores = np.linspace(0, 1, 1_000)

    found = evaluation.deciles(scores, (scores > 0.5).astype(float), np.ones(1_000))

    assert [decile.customers for decile in found] == [100] * 10
    assert [decile.share for decile in found] == [0] * 5 + [1] * 5
