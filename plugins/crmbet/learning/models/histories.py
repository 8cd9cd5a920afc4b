"""The histories that a model learns from: how often, how recently and how long customers were active."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Reals: TypeAlias = NDArray[np.float64]
Places: TypeAlias = NDArray[np.intp]

DAYS_A_WEEK = 7.0
TIME_STEPS = 40


@dataclass(frozen=True)
class Points:
    """The distinct pairs of x and a time in histories, and where each history finds its own two pairs.

    A history has the pairs (x, tx) and (x, T). There are far fewer of them than histories: 15,000 of 260,000 in a year
    of a million players. So what depends on one pair alone is computed once for each pair.
    """

    repeats: Reals
    time: Reals
    recency: Places
    """The place of (x, tx), by history."""
    observed: Places
    """The place of (x, T), by history."""


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

    @cached_property
    def points(self) -> Points:
        """The distinct pairs of x and tx, and of x and T."""
        repeats, level = np.unique(self.repeats, return_inverse=True)
        times, moment = np.unique(np.concatenate([self.recency, self.observed]), return_inverse=True)
        pairs = np.tile(level, 2) * len(times) + moment
        # A table of all pairs is small, and fills faster than the pairs are sorted.
        occurs = np.zeros(len(repeats) * len(times), dtype=np.bool_)
        occurs[pairs] = True
        recency, observed = (np.cumsum(occurs, dtype=np.int32) - 1)[pairs].astype(np.intp).reshape(2, -1)
        of_level, of_time = np.nonzero(occurs.reshape(len(repeats), len(times)))
        return Points(repeats[of_level], times[of_time], recency, observed)

    def coarse(self) -> Histories:
        """Group similar histories: some thousand patterns of a thousand points, with nearly the same information.

        Numbers of repeats are kept apart up to about ten, and then in steps of about a tenth; each group is at its
        mean. Times are rounded to steps of a fortieth of the longest.
        """
        _, level = np.unique(np.round(8.0 * np.log2(1.0 + self.repeats)), return_inverse=True)
        mean = np.bincount(level, self.customers * self.repeats) / np.bincount(level, self.customers)
        width = max(float(self.observed.max()), 1.0) / TIME_STEPS
        steps = [np.round(time / width).astype(np.intp) for time in (self.recency, self.observed)]
        shape = (len(mean), TIME_STEPS + 1, TIME_STEPS + 1)
        customers = np.bincount(np.ravel_multi_index((level, *steps), shape), self.customers)
        (groups,) = np.nonzero(customers)
        level, recency, observed = np.unravel_index(groups, shape)
        last, end = (step.astype(np.float64) * width for step in (recency, observed))
        return Histories(mean[level], last, end, customers[groups].astype(np.float64))
