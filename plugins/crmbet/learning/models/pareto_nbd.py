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
from scipy.special import digamma, gammaln

from crmbet.learning.models.histories import Histories, Places, Points, Reals
from crmbet.learning.models.maximum_likelihood import Maximum, maximise
from crmbet.learning.models.quadrature import integrate, logarithm

NAMES = ("r", "alpha", "s", "beta")
MANY_PATTERNS = 10_000
"""With more patterns than this, the search starts on a coarse version of the data."""
LARGEST_SHARE = 1.0 - 2.0**-53
"""The largest number below 1. Rounding must not make a share 1."""


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
        at = histories.points
        shape = self.r + at.repeats
        gone = logarithm(
            a=self.alpha, b=self.beta, p=shape, q=self.s + 1.0, low=at.time, high=_to_the_longest(at)
        )
        fates = _Fates.of(self, at, gone)
        log_likelihood, _ = fates.join(at)
        probability: Reals = np.exp(fates.log_alive[at.observed] - log_likelihood)
        return np.minimum(probability, 1.0)

    def p_active(self, histories: Histories, horizon: float) -> Reals:
        """Probability that a customer buys at least once within the horizon.

        P(alive) times the integral over u in (0, h) of
        (r+x)/(alpha+T+u) ((alpha+T)/(alpha+T+u))^(r+x) ((beta+T)/(beta+T+u))^s.
        """
        x, end = histories.points.repeats, histories.points.time
        shape = self.r + x
        integral = logarithm(a=self.alpha, b=self.beta, p=shape + 1.0, q=self.s, low=end, high=end + horizon)
        given_alive = np.exp(
            np.log(shape) + shape * np.log(self.alpha + end) + self.s * np.log(self.beta + end) + integral
        )
        return np.clip(self.p_alive(histories) * given_alive[histories.points.observed], 0.0, 1.0)

    def expected_repeats(self, histories: Histories, horizon: float) -> Reals:
        """Expected purchases within the horizon after the end of observation.

        P(alive) (r+x)(beta+T) / ((alpha+T)(s-1)) (1 - ((beta+T)/(beta+T+t))^(s-1)); at s = 1 its limit, a logarithm.
        """
        return self.p_alive(histories) * self.expected_repeats_if_alive(histories, horizon)

    def expected_repeats_if_alive(self, histories: Histories, horizon: float) -> Reals:
        """The same for a customer who has not dropped out."""
        x, end = histories.points.repeats, histories.points.time
        rise = np.log1p(horizon / (self.beta + end))
        exponent = (self.s - 1.0) * rise
        # (1 - e^-z) / z tends to 1, and expm1 keeps it exact near zero.
        shrink = np.ones_like(rise)
        np.divide(-np.expm1(-exponent), exponent, out=shrink, where=exponent != 0)
        expected: Reals = (self.r + x) * (self.beta + end) / (self.alpha + end) * rise * shrink
        return expected[histories.points.observed]

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


@dataclass(frozen=True)
class _Fates:
    """What may have become of customers, by points (x, t). The logarithms leave out what is common to all customers.

    The likelihood of a history is that of staying until T, plus that of dropping out between tx and T. The latter is
    the difference of two integrals, from tx and from T to the end of the longest history, and each of them depends on
    one point alone. So does staying less the integral from T, which is never negative: whoever drops out after T has
    stayed until T. Nothing cancels, since that difference and the integral from tx are added.
    """

    log_alive: Reals
    """Staying until t."""
    log_gone: Reals
    """Dropping out between t and the end of the longest history."""
    share_gone: Reals
    """The latter over the former, below 1."""

    @classmethod
    def of(cls, model: ParetoNBD, at: Points, integral: Reals) -> _Fates:
        """The fates, given the logarithm of the integral from t to the end of the longest history."""
        log_alive = -(model.r + at.repeats) * np.log(model.alpha + at.time) - model.s * np.log(
            model.beta + at.time
        )
        log_gone = np.log(model.s) + integral
        return cls(log_alive, log_gone, np.minimum(np.exp(log_gone - log_alive), LARGEST_SHARE))

    def join(self, at: Points) -> tuple[Reals, Reals]:
        """By history: the logarithm of the likelihood, and the part of it that is not the integral from tx."""
        log_later = (self.log_alive + np.log1p(-self.share_gone))[at.observed]
        log_gone = self.log_gone[at.recency]
        ahead = log_later - log_gone
        smaller = np.exp(-np.abs(ahead))
        log_both = np.maximum(log_later, log_gone) + np.log(1.0 + smaller)
        return log_both, np.where(ahead >= 0, 1.0, smaller) / (1.0 + smaller)


def _to_the_longest(at: Points) -> Reals:
    return np.full_like(at.time, at.time.max(initial=0.0))


def _mean_log_likelihood(parameters: Reals, histories: Histories) -> tuple[float, Reals]:
    """A customer's mean log-likelihood, and its gradient by the parameters."""
    model = ParetoNBD(**dict(zip(NAMES, map(float, parameters), strict=True)))
    r, alpha, s, beta = model.r, model.alpha, model.s, model.beta
    at, share = histories.points, histories.customers / histories.total_customers
    shape = r + at.repeats
    integral = integrate(a=alpha, b=beta, p=shape, q=s + 1.0, low=at.time, high=_to_the_longest(at))
    fates = _Fates.of(model, at, integral.logarithm)
    log_both, later = fates.join(at)

    def by_point(places: Places, values: Reals) -> Reals:
        return np.asarray(np.bincount(places, values, len(at.time)), dtype=np.float64)

    customers = by_point(at.observed, share)
    weight_later = by_point(at.observed, share * later)
    alive = weight_later / (1.0 - fates.share_gone)
    gone = by_point(at.recency, share * (1.0 - later)) - alive * fates.share_gone
    value = (
        (share * log_both).sum()
        + (customers * gammaln(shape)).sum()
        - gammaln(r)
        + r * np.log(alpha)
        + s * np.log(beta)
    )
    from_alpha, from_beta = alpha + at.time, beta + at.time
    gradient = (
        (customers * digamma(shape) - alive * np.log(from_alpha) - gone * integral.mean_log_a).sum()
        - digamma(r)
        + np.log(alpha),
        r / alpha - (shape * (alive / from_alpha + gone * integral.mean_inverse_a)).sum(),
        np.log(beta) + (gone * (1.0 / s - integral.mean_log_b) - alive * np.log(from_beta)).sum(),
        s / beta - (alive * s / from_beta + gone * (s + 1.0) * integral.mean_inverse_b).sum(),
    )
    return float(value), np.array([float(part) for part in gradient])
