"""Isotonic calibration: turn a score that ranks well into the share that really happened. Ranks do not change.

Zadrozny and Elkan, "Transforming classifier scores into accurate multiclass probability estimates", KDD 2002.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.isotonic import IsotonicRegression

from crmbet.learning.models.histories import Reals

DECIMALS = 9
"""Decimals of the knots, so that they have the same text on every machine."""


@dataclass(frozen=True)
class Knots:
    """A rising curve: straight between knots, flat outside them."""

    scores: tuple[float, ...]
    shares: tuple[float, ...]

    def apply(self, scores: Reals) -> Reals:
        """The calibrated scores."""
        calibrated: Reals = np.interp(scores, self.scores, self.shares)
        return calibrated


def calibrate(scores: Reals, labels: Reals, customers: Reals) -> Knots:
    """Fit the curve. `scores` and `labels` (0 or 1, both must occur) have one element per group of customers."""
    regression = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip")
    regression.fit(scores, labels, sample_weight=customers)
    return Knots(
        tuple(np.round(regression.X_thresholds_, DECIMALS).tolist()),
        tuple(np.round(regression.y_thresholds_, DECIMALS).tolist()),
    )
