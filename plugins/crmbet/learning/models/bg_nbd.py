"""BG/NBD: customers buy at random at rates of their own and may drop out after each purchase.

Fader, Hardie and Lee, "Counting your customers the easy way: an alternative to the Pareto/NBD model", Marketing Science
24(2), 2005. Purchase rates are gamma distributed (r, alpha), drop-out probabilities beta distributed (a, b).

Who bought once is alive with probability 1 however long ago that was, so no churn score is made from this model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.special import betaln, digamma, gammaln, hyp2f1

from crmbet.learning.models.histories import Histories, Reals
from crmbet.learning.models.maximum_likelihood import Maximum, maximise

NAMES = ("r", "alpha", "a", "b")


@dataclass(frozen=True, kw_only=True)
class BGNBD:
    """The model with its parameters; times in the unit that alpha is in."""

    r: float
    alpha: float
    a: float
    b: float

    @classmethod
    def of(cls, maximum: Maximum) -> Self:
        """The model with the parameters of a fit."""
        return cls(**maximum.parameters)

    def p_alive(self, histories: Histories) -> Reals:
        """Probability that a customer has not dropped out by the end of observation."""
        alive: Reals = 1.0 / (1.0 + self._odds_of_gone(histories))
        return alive

    def expected_repeats(self, histories: Histories, horizon: float) -> Reals:
        """Expected purchases within the horizon after the end of observation (equation 10); needs a other than 1."""
        x, end = histories.repeats, histories.observed
        a, b, shape = self.a, self.b, self.r + x
        later = self.alpha + end + horizon
        shrink = np.exp(shape * np.log((self.alpha + end) / later))
        series = hyp2f1(shape, b + x, a + b + x - 1.0, horizon / later)
        expected: Reals = (a + b + x - 1.0) / (a - 1.0) * (1.0 - shrink * series)
        return expected * self.p_alive(histories)

    def log_likelihood(self, histories: Histories) -> float:
        """The log-likelihood of all customers."""
        value, _ = _mean_log_likelihood(np.array([self.r, self.alpha, self.a, self.b]), histories)
        return value * histories.total_customers

    def _odds_of_gone(self, histories: Histories) -> Reals:
        x = histories.repeats
        rise = np.log((self.alpha + histories.observed) / (self.alpha + histories.recency))
        with np.errstate(over="ignore"):
            odds = self.a / (self.b + np.maximum(x, 1.0) - 1.0) * np.exp((self.r + x) * rise)
        return np.where(x > 0, odds, 0.0)


def fit(histories: Histories) -> Maximum:
    """Maximum likelihood. Start: purchases at the observed mean rate, every other one the last."""
    repeats = max(float((histories.customers * histories.repeats).sum()), 1.0)
    length = max(float((histories.customers * histories.observed).sum()), 1.0)
    return maximise(
        NAMES,
        (1.0, length / repeats, 1.0, 1.0),
        lambda parameters: _mean_log_likelihood(parameters, histories),
        histories.total_customers,
    )


def _mean_log_likelihood(parameters: Reals, histories: Histories) -> tuple[float, Reals]:
    """A customer's mean log-likelihood, and its gradient by the parameters."""
    r, alpha, a, b = (float(value) for value in parameters)
    x, last, end = histories.repeats, histories.recency, histories.observed
    shape, repeated = r + x, x > 0
    # b + x - 1 matters only where x >= 1.
    earlier = b + np.maximum(x, 1.0) - 1.0
    log_alive = -shape * np.log(alpha + end)
    log_gone = np.where(repeated, np.log(a / earlier) - shape * np.log(alpha + last), -np.inf)
    log_both = np.logaddexp(log_alive, log_gone)
    p_alive, p_gone = np.exp(log_alive - log_both), np.exp(log_gone - log_both)
    value = gammaln(shape) - gammaln(r) + r * np.log(alpha) + betaln(a, b + x) - betaln(a, b) + log_both
    gradient = (
        digamma(shape)
        - digamma(r)
        + np.log(alpha)
        - p_alive * np.log(alpha + end)
        - p_gone * np.log(alpha + last),
        r / alpha - shape * (p_alive / (alpha + end) + p_gone / (alpha + last)),
        digamma(a + b) - digamma(a + b + x) + p_gone / a,
        digamma(b + x) - digamma(b) + digamma(a + b) - digamma(a + b + x) - p_gone / earlier,
    )
    share = histories.customers / histories.total_customers
    return float((share * value).sum()), np.array([float((share * part).sum()) for part in gradient])
