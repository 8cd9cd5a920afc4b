"""Gamma-Gamma: what a customer spends each time varies around that customer's own mean.

Fader and Hardie, "The Gamma-Gamma model of monetary value", 2013. A customer's values are gamma distributed with shape
p and a rate that is itself gamma distributed, with shape q and rate v. The model assumes that value does not depend on
how often a customer buys; `correlation` measures whether that is so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.special import digamma, gammaln

from crmbet.learning.models.histories import Reals
from crmbet.learning.models.maximum_likelihood import Maximum, maximise

NAMES = ("p", "q", "v")


@dataclass(frozen=True)
class Spending:
    """Customers who bought again: `repeats` x >= 1, and `total` > 0 spent on these x occasions."""

    repeats: Reals
    total: Reals
    customers: Reals

    @property
    def mean(self) -> Reals:
        """Mean value of an occasion, by customer."""
        return self.total / self.repeats

    @property
    def total_customers(self) -> float:
        """All customers."""
        return float(self.customers.sum())


@dataclass(frozen=True, kw_only=True)
class GammaGamma:
    """The model with its parameters; v is money."""

    p: float
    q: float
    v: float

    @classmethod
    def of(cls, maximum: Maximum) -> Self:
        """The model with the parameters of a fit."""
        return cls(**maximum.parameters)

    def expected_value(self, repeats: Reals, total: Reals) -> Reals:
        """Expected mean value of a customer's occasions: p (v + total) / (p x + q - 1); NaN where that is undefined.

        Without a repeat it is the population's mean, p v / (q - 1), which is infinite for q <= 1.
        """
        degrees = self.p * np.asarray(repeats, dtype=np.float64) + self.q - 1.0
        expected = np.full_like(degrees, np.nan)
        np.divide(self.p * (self.v + total), degrees, out=expected, where=degrees > 0)
        return expected


def fit(spending: Spending) -> Maximum:
    """Maximum likelihood, given that value and frequency are independent. Start: p = q = 2 at the observed mean."""
    x, total, share = spending.repeats, spending.total, spending.customers / spending.total_customers
    mean = float((share * spending.mean).sum())
    # Values are in units of the mean, so the parameters have similar sizes in any currency.
    scaled = total / mean
    # What depends on x alone is computed once for each x, of which there are few.
    repeats, group = np.unique(x, return_inverse=True)

    def by_repeats(values: Reals) -> Reals:
        return np.asarray(np.bincount(group, share * values), dtype=np.float64)

    customers, log_means, log_repeats = (
        by_repeats(np.ones_like(x)),
        by_repeats(np.log(scaled / x)),
        np.log(repeats),
    )

    def objective(parameters: Reals) -> tuple[float, Reals]:
        p, q, v = (float(value) for value in parameters)
        px = p * repeats
        log_sums = by_repeats(np.log(scaled + v))
        value = (
            customers * (gammaln(px + q) - gammaln(px) - gammaln(q) + q * np.log(v) + px * log_repeats)
            + (px - 1.0) * log_means
            - (px + q) * log_sums
        )
        psi_sum = digamma(px + q)
        gradient = (
            repeats * (customers * (psi_sum - digamma(px) + log_repeats) + log_means - log_sums),
            customers * (psi_sum - digamma(q) + np.log(v)) - log_sums,
            customers * q / v - (px + q) * by_repeats(1.0 / (scaled + v)),
        )
        return float(value.sum()), np.array([float(part.sum()) for part in gradient])

    scaled_maximum = maximise(NAMES, (2.0, 2.0, 1.0), objective, spending.total_customers)
    parameters = {**scaled_maximum.parameters, "v": scaled_maximum.parameters["v"] * mean}
    # The density of an amount is the density of its multiple of the mean, divided by the mean.
    log_likelihood = scaled_maximum.log_likelihood - float(np.log(mean)) * spending.total_customers
    return Maximum(parameters, log_likelihood, scaled_maximum.iterations, scaled_maximum.converged)


def correlation(spending: Spending) -> float | None:
    """Pearson's correlation of repeats and mean value over customers; None where one of them does not vary."""
    share = spending.customers / spending.total_customers
    x = spending.repeats - (share * spending.repeats).sum()
    m = spending.mean - (share * spending.mean).sum()
    spread = float((share * x * x).sum() * (share * m * m).sum())
    return float((share * x * m).sum()) / float(np.sqrt(spread)) if spread > 0 else None
