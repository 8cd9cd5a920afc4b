"""Maximum likelihood over positive parameters, the same way for every model and the same to the byte on every repeat.

Parameters are sought as logarithms, so that they stay positive and of one scale, by Newton's method.
Sums are numpy's pairwise ones and never BLAS's, whose order may depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crmbet.learning.models.histories import Reals

GAIN_SOUGHT = 1e-8
"""Of the log-likelihood of all customers: the search ends where a step would gain no more."""
GAIN_ACCEPTED = 0.01
"""What it may miss where rounding ends it earlier: parameters a tenth of their standard error away."""
MOST_ITERATIONS = 100
LONGEST_STEP = 2.0
SHORTEST_STEP = 1e-9
"""Of any parameter's logarithm."""
FLATTEST = 1e-12
"""The least curvature that a step is reckoned with."""
DIFFERENCE = 1e-4
"""Of a parameter's logarithm, between the gradients that make the curvature."""
SCALES = frozenset({"alpha", "beta", "v"})
"""Parameters that are a time or an amount; all others are shapes."""
LARGEST_SHAPE = 100.0
"""Where rates differ by a tenth customers are as good as alike. Beyond, the likelihood may rise a little for ever: a
wall ends the search."""
LARGEST_LOGARITHM = 20.0
"""Beyond e^20 or e^-20 a parameter has left for infinity or zero."""

Objective = Callable[[Reals], tuple[float, Reals]]
"""Positive parameters to the mean log-likelihood and its gradient by them."""


@dataclass(frozen=True)
class Maximum:
    """Where the search ended."""

    parameters: Mapping[str, float]
    log_likelihood: float
    """Of all customers together."""
    iterations: int
    converged: bool
    """Whether no more could be gained, at finite parameters above 0; the parameters are of no use otherwise."""


def maximise(
    names: Sequence[str],
    start: Sequence[float],
    objective: Objective,
    customers: float,
    rehearsal: Objective | None = None,
) -> Maximum:
    """Maximise from fixed start values.

    A `rehearsal` is the same objective on a coarse version of the data: the search on all data begins where the search
    on that ended, and takes the curvature of its likelihood for its own.
    """
    shapes = np.array([name not in SCALES for name in names])
    curvature = _hessian(_loss(rehearsal or objective, shapes))
    place, iterations = np.log(np.asarray(start, dtype=np.float64)), 0
    for each in [objective] if rehearsal is None else [rehearsal, objective]:
        end = _descend(_loss(each, shapes), curvature, place, customers)
        place, iterations = end.place, iterations + end.iterations
    return Maximum(
        parameters={name: float(value) for name, value in zip(names, np.exp(place), strict=True)},
        log_likelihood=-end.loss * customers,
        iterations=iterations,
        converged=end.gain_left <= GAIN_ACCEPTED and bool(np.abs(place).max() < LARGEST_LOGARITHM),
    )


@dataclass(frozen=True)
class _End:
    """Where a search ended; logarithms."""

    place: Reals
    loss: float
    gain_left: float
    iterations: int


def _descend(loss: Objective, hessian: Callable[[Reals], Reals], place: Reals, customers: float) -> _End:
    """Newton's steps, downhill whatever the curvature's sign, none too long, each halved until the loss falls."""
    value, gradient = loss(place)
    iterations = 0
    while True:
        curvatures, directions = np.linalg.eigh(hessian(place))
        curvatures = np.maximum(np.abs(curvatures), FLATTEST)
        slopes = directions.T @ gradient
        gain = float((slopes * slopes / curvatures).sum()) / 2 * customers
        if gain <= GAIN_SOUGHT or iterations == MOST_ITERATIONS:
            break
        step = -(directions @ (slopes / curvatures))
        step *= min(1.0, LONGEST_STEP / np.abs(step).max())
        tried, slope_there = loss(place + step)
        # Worded so that a NaN is no gain. So near the end that rounding hides the gain, shorter steps show none either.
        while not tried < value and gain > GAIN_ACCEPTED and np.abs(step).max() > SHORTEST_STEP:
            step /= 2
            tried, slope_there = loss(place + step)
        if not tried < value:
            break
        place, value, gradient = place + step, tried, slope_there
        iterations += 1
    return _End(place, value, gain, iterations)


def _loss(objective: Objective, shapes: NDArray[np.bool_]) -> Objective:
    """Minus the objective by logarithms, with the wall."""

    def loss(logarithms: Reals) -> tuple[float, Reals]:
        parameters = np.exp(np.clip(logarithms, -LARGEST_LOGARITHM, LARGEST_LOGARITHM))
        value, gradient = objective(parameters)
        beyond = np.where(shapes, np.maximum(logarithms - np.log(LARGEST_SHAPE), 0.0), 0.0)
        return float((beyond * beyond).sum()) - value, 2.0 * beyond - gradient * parameters

    return loss


def _hessian(loss: Objective) -> Callable[[Reals], Reals]:
    def hessian(place: Reals) -> Reals:
        columns = []
        for step in np.eye(len(place)) * DIFFERENCE:
            (_, above), (_, below) = loss(place + step), loss(place - step)
            columns.append((above - below) / (2 * DIFFERENCE))
        square = np.array(columns)
        return (square + square.T) / 2

    return hessian
