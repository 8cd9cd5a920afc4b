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

GAIN_SOUGHT = 1e-12
"""The search ends when a step would gain no more than this, in the log-likelihood of all customers. Parameters are then
a millionth of their standard error away, so they hardly depend on the path of the search."""
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
GOOD_STEP = 0.1
"""A step that leaves no more than this share of the gain is good enough to go on with the same curvature."""
ROUNDING = 1e-14
"""Losses that differ by no more than this share may be equal."""
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
    on the coarse data ended.
    """
    shapes = np.array([name not in SCALES for name in names])
    place, iterations = np.log(np.asarray(start, dtype=np.float64)), 0
    for each in [objective] if rehearsal is None else [rehearsal, objective]:
        end = _descend(_loss(each, shapes), place, customers)
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


def _descend(loss: Objective, place: Reals, customers: float) -> _End:
    """Take steps of Newton: downhill whatever the curvature, of limited length, halved until the loss falls.

    The curvature costs an evaluation for each parameter. So it serves for further steps as long as they are good ones.
    """
    value, gradient = loss(place)
    curvature, is_fresh = _hessian(loss, place, gradient), True
    iterations, before, falls = 0, np.inf, True
    while True:
        step, gain = _newton(curvature, gradient, customers)
        if not is_fresh and not gain <= max(GAIN_SOUGHT, before * GOOD_STEP):
            curvature, is_fresh = _hessian(loss, place, gradient), True
            step, gain = _newton(curvature, gradient, customers)
        is_close = gain <= GAIN_ACCEPTED
        # On a ridge the gain may grow from step to step. Only if the loss falls no more, a gain that grows is rounding.
        if gain <= GAIN_SOUGHT or (not falls and gain >= before) or iterations == MOST_ITERATIONS:
            break
        step *= min(1.0, LONGEST_STEP / np.abs(step).max())
        if is_close and np.abs(place + step).max() >= LARGEST_LOGARITHM:
            # The best parameter is infinite, such as the scale of drop-outs if nobody drops out, and hardly better.
            break
        tried, slope_there = loss(place + step)
        # Close to the end rounding hides the gain, and the slope alone shows it.
        allowed = value + ROUNDING * abs(value) if is_close else value
        # Written so that a NaN is not a gain.
        while not tried < allowed and np.abs(step).max() > SHORTEST_STEP:
            step /= 2
            tried, slope_there = loss(place + step)
        if not tried < allowed:
            break
        falls = tried < value
        place, value, gradient = place + step, tried, slope_there
        iterations, before, is_fresh = iterations + 1, gain, False
    return _End(place, value, gain, iterations)


def _newton(curvature: Reals, gradient: Reals, customers: float) -> tuple[Reals, float]:
    """The step to the minimum of a parabola, and what it would gain."""
    curvatures, directions = np.linalg.eigh(curvature)
    curvatures = np.maximum(np.abs(curvatures), FLATTEST)
    slopes = directions.T @ gradient
    step: Reals = -(directions @ (slopes / curvatures))
    return step, float((slopes * slopes / curvatures).sum()) / 2 * customers


def _loss(objective: Objective, shapes: NDArray[np.bool_]) -> Objective:
    """Minus the objective, as a function of logarithms, with the wall."""

    def loss(logarithms: Reals) -> tuple[float, Reals]:
        parameters = np.exp(np.clip(logarithms, -LARGEST_LOGARITHM, LARGEST_LOGARITHM))
        value, gradient = objective(parameters)
        beyond = np.where(shapes, np.maximum(logarithms - np.log(LARGEST_SHAPE), 0.0), 0.0)
        return float((beyond * beyond).sum()) - value, 2.0 * beyond - gradient * parameters

    return loss


def _hessian(loss: Objective, place: Reals, gradient: Reals) -> Reals:
    steps = np.eye(len(place)) * DIFFERENCE
    square: Reals = np.array([(loss(place + step)[1] - gradient) / DIFFERENCE for step in steps])
    symmetric: Reals = (square + square.T) / 2
    return symmetric
