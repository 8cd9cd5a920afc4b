"""Measures that several themes share, for arrays of all players at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

Array = np.ndarray[Any, Any]

UNITS = 10_000
"""Units of a stake or payout in 1 BRL: sums of whole numbers are exact."""


def real6(values: Any) -> Any:
    """Six decimals, half away from zero (numpy rounds half to even), no negative zero."""
    return np.sign(values) * np.floor(np.abs(values) * 1e6 + 0.5) / 1e6 + 0.0


def ratio(part: Any, whole: Any) -> Any:
    """A quotient to six decimals; missing if the divisor is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return real6(np.where(np.asarray(whole) > 0, np.asarray(part) / np.asarray(whole), np.nan))


def money(units: Any, cent: int = UNITS // 100) -> Any:
    """Whole units in BRL, given the number of units in a cent. Half a cent is rounded away from zero."""
    return np.sign(units) * ((2 * np.abs(units) + cent) // (2 * cent)) / 100


def money_per(units: Any, number: Any) -> Any:
    """Mean in BRL of whole units, which are not negative; missing if there are none."""
    number = np.asarray(number)
    most = np.maximum(number, 1)
    return np.where(number > 0, (2 * np.asarray(units) + 100 * most) // (200 * most) / 100, np.nan)


def normalised_entropy(counts: Array, kinds: int) -> Array:
    """Entropy of each row's counts over that of `kinds` equal ones; missing for a row of zeros."""
    total = counts.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(counts > 0, counts / total * np.log(total / counts), 0)
    return np.where(total[:, 0] > 0, terms.sum(axis=1) / np.log(kinds), np.nan)


def first_true(conditions: Sequence[Any], values: Sequence[Any], otherwise: Any = None) -> Any:
    """The value of the first condition that holds, row by row."""
    return np.select(conditions, values, default=otherwise)


def twenty_percentiles(
    values: pd.Series, users: pd.Series, percents: Sequence[int]
) -> tuple[Array, list[Array]]:
    """How many values each player has, and twenty times some percentiles of them, linear at p (n - 1).

    In whole numbers, where a mean of two money sums is exact; 0 for a player without values. `percents` are multiples
    of 5.
    """
    ordered = pd.DataFrame({"user": users.cat.codes, "value": values}).sort_values(["user", "value"])
    sizes = np.bincount(ordered["user"], minlength=len(users.cat.categories))
    has = np.flatnonzero(sizes)
    n = sizes[has]
    first = np.cumsum(n) - n
    ascending = ordered["value"].to_numpy()
    found = []
    for percent in percents:
        place, rest = np.divmod(percent // 5 * (n - 1), 20)
        below = ascending[first + place]
        above = ascending[first + np.minimum(place + 1, n - 1)]
        scaled = np.zeros(len(sizes), dtype="int64")
        scaled[has] = below * (20 - rest) + above * rest
        found.append(scaled)
    return sizes, found
