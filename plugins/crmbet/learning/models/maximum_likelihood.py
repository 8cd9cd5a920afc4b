"""Maximum likelihood over positive parameters. Every model uses it, and a repeat gives the same bytes.

Newton's method searches the logarithms of the parameters, so they stay positive and have similar scales. Sums are
numpy's pairwise sums, never those of BLAS, whose order may depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crmbet.learning.models.histories import Reals

GAIN_SOUGHT = 1e-8
"""The search ends when a step would gain no more than this, in the log-likelihood of all customers."""
GAIN_ACCEPTED = 0.01
"""The gain that may remain if rounding ends the search earlier. Parameters are then a tenth of their standard error
away."""
MOST_ITERATIONS = 100
LONGEST_STEP = 2.0
SHORTEST_STEP = 1e-9
"""The longest and the shortest step of the logarithm of a parameter."""
FLATTEST = 1e-12
"""The smallest curvature that a step is computed with."""
DIFFERENCE = 1e-4
"""The difference of a parameter's logarithm between the gradients that give the curvature."""
SCALES = frozenset({"alpha", "beta", "v"})
"""Parameters that are a time or an amount. All others are shapes."""
LARGEST_SHAPE = 100.0
"""At this shape the rates of customers differ by a tenth, so customers are almost the same. Beyond it the likelihood
may rise a little forever, so a wall ends the search."""
LARGEST_LOGARITHM = 20.0
"""A parameter beyond e^20 or e^-20 counts as infinite or zero."""

Objective = Callable[[Reals], tuple[float, Reals]]
"""A function of positive parameters that returns the mean log-likelihood and its gradient."""


@dataclass(frozen=True)
class Maximum:
    """The result of a search."""

    parameters: Mapping[str, float]
    log_likelihood: float
    """The log-likelihood of all customers together."""
    iterations: int
    converged: bool
    """Whether no more can be gained, with finite parameters above 0. Otherwise the parameters are useless."""

    @property
    def on_bound(self) -> tuple[str, ...]:
        """Names of the shapes that ended at `LARGEST_SHAPE`, where the wall and not the data ended the search."""
        return tuple(
            name for name, value in self.parameters.items() if name not in SCALES and value >= LARGEST_SHAPE
        )


def maximise(
    names: Sequence[str],
    start: Sequence[float],
    objective: Objective,
    customers: float,
    rehearsal: Objective | None = None,
) -> Maximum:
    """Maximise from fixed start values.

    A `rehearsal` is the same objective on a coarse version of the data. The search on all data begins where the search
    on the coarse data ended, and uses the curvature of its likelihood.
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
    """Where a search ended, in logarithms."""

    place: Reals
    loss: float
    gain_left: float
    iterations: int


def _descend(loss: Objective, hessian: Callable[[Reals], Reals], place: Reals, customers: float) -> _End:
    """Take steps of Newton: downhill whatever the curvature, of limited length, halved until the loss falls."""
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
        # Written so that a NaN is not a gain. Near the end rounding hides the gain, and a shorter step would not show
        # it.
        while not tried < value and gain > GAIN_ACCEPTED and np.abs(step).max() > SHORTEST_STEP:
            step /= 2
            tried, slope_there = loss(place + step)
        if not tried < value:
            break
        place, value, gradient = place + step, tried, slope_there
        iterations += 1
    return _End(place, value, gain, iterations)


def _loss(objective: Objective, shapes: NDArray[np.bool_]) -> Objective:
    """Minus the objective, as a function of logarithms, with the wall."""

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
