"""The histories that a model learns from: how often, how recently and how long customers were active."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Reals: TypeAlias = NDArray[np.float64]

DAYS_A_WEEK = 7.0
TIME_STEPS = 20


@dataclass(frozen=True)
class Histories:
    """Patterns of activity, with one array element for each, and the number of customers who share it.

    With transactions counted as active days: `repeats` is x, the active days after the first; `recency` is tx, the
    time from the first to the last; `observed` is T, the time from the first to the end of observation. One unit of
    time throughout: weeks, in this project.
    """

    repeats: Reals
    recency: Reals
    observed: Reals
    customers: Reals

    @classmethod
    def of_days(
        cls, repeats: Reals, recency_days: Reals, observed_days: Reals, customers: Reals
    ) -> Histories:
        """Make histories from times in days."""
        return cls(
            np.asarray(repeats, dtype=np.float64),
            np.asarray(recency_days, dtype=np.float64) / DAYS_A_WEEK,
            np.asarray(observed_days, dtype=np.float64) / DAYS_A_WEEK,
            np.asarray(customers, dtype=np.float64),
        )

    def __len__(self) -> int:
        """The number of patterns."""
        return len(self.repeats)

    @property
    def total_customers(self) -> float:
        """All customers."""
        return float(self.customers.sum())

    def coarse(self) -> Histories:
        """Group similar histories, each group at its mean: a few thousand patterns with nearly the same information.

        Numbers of repeats are kept apart up to about ten, and then in steps of about a tenth. Times are kept apart in
        steps of a twentieth of the longest.
        """
        width = max(float(self.observed.max()), 1.0) / TIME_STEPS
        levels = np.round(8.0 * np.log2(1.0 + self.repeats))
        key = levels
        for time in (self.recency, self.observed):
            key = key * (TIME_STEPS + 1) + np.floor(time / width)
        _, group = np.unique(key, return_inverse=True)
        customers = np.bincount(group, weights=self.customers)
        repeats, recency, observed = (
            np.bincount(group, weights=self.customers * values) / customers
            for values in (self.repeats, self.recency, self.observed)
        )
        return Histories(repeats, recency, observed, np.asarray(customers, dtype=np.float64))
