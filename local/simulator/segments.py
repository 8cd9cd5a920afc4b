"""Arithmetic on rows in contiguous segments. `counts` holds the number of rows of each segment."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def starts(counts: Ints) -> Ints:
    """Row at which each segment begins."""
    return np.cumsum(counts) - counts


def positions(counts: Ints) -> Ints:
    """0, 1, 2, ... within each segment."""
    return np.arange(counts.sum(), dtype=np.int64) - np.repeat(starts(counts), counts)


def running_sum(values: Ints, counts: Ints) -> Ints:
    """Cumulative sum that restarts in each segment."""
    edges = np.concatenate(([0], np.cumsum(values)))
    sums: Ints = edges[1:] - np.repeat(edges[starts(counts)], counts)
    return sums


def total(values: Ints, counts: Ints) -> Ints:
    """Sum of each segment; 0 for an empty one."""
    edges = np.concatenate(([0], np.cumsum(values)))
    first = starts(counts)
    sums: Ints = edges[first + counts] - edges[first]
    return sums


def first_true(mask: NDArray[np.bool_], counts: Ints) -> Ints:
    """Position of the first True in each segment, or the segment's length."""
    candidates = np.where(mask, positions(counts), np.iinfo(np.int64).max)
    if not len(candidates):
        return counts
    firsts = np.minimum.reduceat(np.append(candidates, np.iinfo(np.int64).max), starts(counts))
    return np.where(counts > 0, np.minimum(firsts, counts), counts)
