"""How good a probability was, judged by what happened."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import brier_score_loss

from crmbet.learning.models.histories import Reals

GROUPS = 10


@dataclass(frozen=True)
class Decile:
    """Customers with a tenth of the ranks of the score, the lowest first. Equal scores stay in one group."""

    decile: int
    customers: int
    mean_score: float
    share: float
    """The share of customers to whom it happened."""


def auc(scores: Reals, labels: Reals, customers: Reals) -> float:
    """The probability that a customer to whom it happened scores above one to whom it did not. Ties count half."""
    _, place = np.unique(scores, return_inverse=True)
    happened, others = (np.bincount(place, customers * share) for share in (labels, 1.0 - labels))
    lower = np.cumsum(others) - others / 2
    return float((happened * lower).sum() / (happened.sum() * others.sum()))


def brier(scores: Reals, labels: Reals, customers: Reals) -> float:
    """Mean squared difference of score and label."""
    return float(brier_score_loss(labels, scores, sample_weight=customers))


def deciles(scores: Reals, labels: Reals, customers: Reals) -> list[Decile]:
    """Mean score and what happened, by deciles of the score. There are fewer than ten if many scores are equal."""
    values, place = np.unique(scores, return_inverse=True)
    counts = np.bincount(place, weights=customers)
    happened = np.bincount(place, weights=customers * labels)
    middle = np.cumsum(counts) - counts / 2
    group = np.minimum((GROUPS * middle / counts.sum()).astype(int), GROUPS - 1)
    groups = []
    for number in np.unique(group):
        inside = group == number
        size = float(counts[inside].sum())
        groups.append(
            Decile(
                decile=int(number) + 1,
                customers=round(size),
                mean_score=float((counts[inside] * values[inside]).sum()) / size,
                share=float(happened[inside].sum()) / size,
            )
        )
    return groups
