"""Pareto/NBD: customers buy at random at rates of their own and drop out at random at rates of their own.

Schmittlein, Morrison and Colombo, "Counting your customers: who are they and what will they do next?", Management
Science 33(1), 1987; the formulas as in Fader and Hardie, "A note on deriving the Pareto/NBD model and related
expressions", 2005, with the hypergeometric functions written as the integrals that they are.

Purchase rates are gamma distributed with shape r and scale alpha, drop-out rates with shape s and scale beta.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.special import digamma, expit, gammaln

from crmbet.learning.models.histories import Histories, Reals
from crmbet.learning.models.maximum_likelihood import Maximum, maximise
from crmbet.learning.models.quadrature import integrate, logarithm

NAMES = ("r", "alpha", "s", "beta")
MANY_PATTERNS = 10_000
"""With more patterns than this, the search starts on a coarse version of the data."""


@dataclass(frozen=True, kw_only=True)
class ParetoNBD:
    """The model with its parameters; times in the unit that alpha and beta are in."""

    r: float
    alpha: float
    s: float
    beta: float

    @classmethod
    def of(cls, maximum: Maximum) -> Self:
        """The model with the parameters of a fit."""
        return cls(**maximum.parameters)

    def p_alive(self, histories: Histories) -> Reals:
        """Probability that a customer has not dropped out by the end of observation.

        1 / (1 + s (alpha+T)^(r+x) (beta+T)^s I), I the integral of (alpha+y)^-(r+x) (beta+y)^-(s+1) over (tx, T).
        """
        x, last, end = histories.repeats, histories.recency, histories.observed
        shape = self.r + x
        gone = logarithm(a=self.alpha, b=self.beta, p=shape, q=self.s + 1.0, low=last, high=end)
        log_odds = np.log(self.s) + shape * np.log(self.alpha + end) + self.s * np.log(self.beta + end) + gone
        # 1 / (1 + e^z), stable for any z.
        probability: Reals = expit(-log_odds)
        return probability

    def p_active(self, histories: Histories, horizon: float) -> Reals:
        """Probability that a customer buys at least once within the horizon.

        P(alive) times the integral over u in (0, h) of
        (r+x)/(alpha+T+u) ((alpha+T)/(alpha+T+u))^(r+x) ((beta+T)/(beta+T+u))^s.
        """
        x, end = histories.repeats, histories.observed
        shape = self.r + x
        integral = logarithm(a=self.alpha, b=self.beta, p=shape + 1.0, q=self.s, low=end, high=end + horizon)
        given_alive = np.exp(
            np.log(shape) + shape * np.log(self.alpha + end) + self.s * np.log(self.beta + end) + integral
        )
        return np.clip(self.p_alive(histories) * given_alive, 0.0, 1.0)

    def expected_repeats(self, histories: Histories, horizon: float) -> Reals:
        """Expected purchases within the horizon after the end of observation.

        P(alive) (r+x)(beta+T) / ((alpha+T)(s-1)) (1 - ((beta+T)/(beta+T+t))^(s-1)); at s = 1 its limit, a logarithm.
        """
        return self.p_alive(histories) * self.expected_repeats_if_alive(histories, horizon)

    def expected_repeats_if_alive(self, histories: Histories, horizon: float) -> Reals:
        """The same for a customer who has not dropped out."""
        x, end = histories.repeats, histories.observed
        rise = np.log1p(horizon / (self.beta + end))
        exponent = (self.s - 1.0) * rise
        # (1 - e^-z) / z tends to 1, and expm1 keeps it exact near zero.
        shrink = np.ones_like(rise)
        np.divide(-np.expm1(-exponent), exponent, out=shrink, where=exponent != 0)
        expected: Reals = (self.r + x) * (self.beta + end) / (self.alpha + end) * rise * shrink
        return expected

    def log_likelihood(self, histories: Histories) -> float:
        """The log-likelihood of all customers."""
        value, _ = _mean_log_likelihood(np.array([self.r, self.alpha, self.s, self.beta]), histories)
        return value * histories.total_customers


def fit(histories: Histories) -> Maximum:
    """Maximum likelihood. Start: purchases at the observed mean rate, drop-outs about the length of observation."""
    weights, observed = histories.customers, histories.observed
    repeats = max(float((weights * histories.repeats).sum()), 1.0)
    length = max(float((weights * observed).sum()), 1.0)
    start = (1.0, length / repeats, 1.0, length / histories.total_customers)
    coarse = histories.coarse() if len(histories) > MANY_PATTERNS else None
    return maximise(
        NAMES,
        start,
        lambda parameters: _mean_log_likelihood(parameters, histories),
        histories.total_customers,
        None if coarse is None else (lambda parameters: _mean_log_likelihood(parameters, coarse)),
    )


def _mean_log_likelihood(parameters: Reals, histories: Histories) -> tuple[float, Reals]:
    """A customer's mean log-likelihood, and its gradient by the parameters."""
    r, alpha, s, beta = (float(value) for value in parameters)
    x, last, end = histories.repeats, histories.recency, histories.observed
    shape = r + x
    gone = integrate(a=alpha, b=beta, p=shape, q=s + 1.0, low=last, high=end)
    log_alpha_end, log_beta_end = np.log(alpha + end), np.log(beta + end)
    log_alive = -shape * log_alpha_end - s * log_beta_end
    log_gone = np.log(s) + gone.logarithm
    log_both = np.logaddexp(log_alive, log_gone)
    p_gone = np.exp(log_gone - log_both)
    p_alive = np.exp(log_alive - log_both)
    value = gammaln(shape) - gammaln(r) + r * np.log(alpha) + s * np.log(beta) + log_both
    gradient = (
        digamma(shape) - digamma(r) + np.log(alpha) - p_alive * log_alpha_end - p_gone * gone.mean_log_a,
        r / alpha - shape * (p_alive / (alpha + end) + p_gone * gone.mean_inverse_a),
        np.log(beta) - p_alive * log_beta_end + p_gone * (1.0 / s - gone.mean_log_b),
        s / beta - p_alive * s / (beta + end) - p_gone * (s + 1.0) * gone.mean_inverse_b,
    )
    share = histories.customers / histories.total_customers
    return float((share * value).sum()), np.array([float((share * part).sum()) for part in gradient])
