"""The models on the data that they were published with."""

from __future__ import annotations

import numpy as np
import pytest

from crmbet.learning.models import bg_nbd, gamma_gamma, pareto_nbd
from crmbet.learning.models.bg_nbd import BGNBD
from crmbet.learning.models.gamma_gamma import GammaGamma
from crmbet.learning.models.histories import Histories
from crmbet.learning.models.pareto_nbd import ParetoNBD
from tests.unit.learning.models.cdnow import read_histories, read_spending

pytestmark = pytest.mark.unit


def one(repeats: float, recency: float, observed: float) -> Histories:
    return Histories(*(np.array([value]) for value in (repeats, recency, observed, 1.0)))


def test_pareto_nbd() -> None:
    found = pareto_nbd.fit(read_histories())

    assert found.converged
    assert found.parameters == pytest.approx(
        {"r": 0.553, "alpha": 10.578, "s": 0.606, "beta": 11.669}, abs=0.01
    )
    assert found.log_likelihood == pytest.approx(-9595.0, abs=0.1)


def test_bg_nbd() -> None:
    found = bg_nbd.fit(read_histories())

    assert found.converged
    assert found.parameters == pytest.approx({"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426}, abs=0.01)
    assert found.log_likelihood == pytest.approx(-9582.4, abs=0.1)


def test_bg_nbd_expects_what_the_paper_expects() -> None:
    model = BGNBD.of(bg_nbd.fit(read_histories()))

    (expected,) = model.expected_repeats(one(2, 30.43, 38.86), 39)

    assert expected == pytest.approx(1.226, abs=0.001)


def test_gamma_gamma() -> None:
    spending = read_spending()

    found = gamma_gamma.fit(spending)

    assert spending.total_customers == 946
    assert found.converged
    assert found.parameters == pytest.approx({"p": 6.25, "q": 3.74, "v": 15.44}, abs=0.01)


def test_a_first_time_buyer_spends_like_the_population() -> None:
    model = GammaGamma.of(gamma_gamma.fit(read_spending()))

    (expected,) = model.expected_value(np.zeros(1), np.zeros(1))

    assert expected == pytest.approx(model.p * model.v / (model.q - 1))
    # The note's population mean.
    assert expected == pytest.approx(35.25, abs=0.1)


def test_value_hardly_depends_on_frequency() -> None:
    assert gamma_gamma.correlation(read_spending()) == pytest.approx(0.11, abs=0.01)


def test_pareto_nbd_and_bg_nbd_agree_on_who_comes_back() -> None:
    histories = read_histories()
    pareto = ParetoNBD.of(pareto_nbd.fit(histories)).expected_repeats(histories, 39)
    bg = BGNBD.of(bg_nbd.fit(histories)).expected_repeats(histories, 39)

    assert pareto.sum() == pytest.approx(bg.sum(), rel=0.05)
    # They bought on 1,882 days of the 39 weeks that followed, Christmas included (CDNOW_sample.txt).
    assert pareto.sum() == pytest.approx(1_882, rel=0.15)


def test_bg_nbd_believes_in_whoever_bought_once() -> None:
    model = BGNBD.of(bg_nbd.fit(read_histories()))

    assert model.p_alive(one(0, 0, 500)) == 1
