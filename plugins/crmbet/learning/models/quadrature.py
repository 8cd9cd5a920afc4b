"""The one integral of the Pareto/NBD model, in log space: of (a + y)^-p (b + y)^-q from `low` to `high`.

The integrand falls by hundreds of orders of magnitude, or lies next to a pole. It is smooth over the logarithm of the
distance from the nearer of the two poles. Gauss-Legendre nodes over the part that matters give about twelve digits.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache

import numpy as np

from crmbet.learning.models.histories import Reals

NEGLIGIBLE = 36.0
"""The integral stops where the integrand has fallen by e^-36, which is below a double's precision."""

BLOCK = 8192
"""Elements that are integrated at once: what they need fits into a processor's cache, which saves half of the time."""

SCORE_NODES = 48
FIT_NODES = 24
"""Also enough for twelve digits if no range is wider than a few powers of ten. A fit integrates many times."""


@dataclass(frozen=True)
class Integral:
    """The logarithm of the integral, -inf for an empty range, and means with the integrand as density."""

    logarithm: Reals
    mean_log_a: Reals
    """The mean of log(a + y). The others are defined in the same way."""
    mean_log_b: Reals
    mean_inverse_a: Reals
    mean_inverse_b: Reals


def integrate(
    *, a: float, b: float, p: Reals, q: Reals | float, low: Reals, high: Reals, nodes: int = SCORE_NODES
) -> Integral:
    """Integrate for arrays of exponents and ranges, with low <= high and positive a and b."""
    p, q = np.broadcast_to(p, low.shape), np.broadcast_to(q, low.shape)
    blocks = [slice(start, start + BLOCK) for start in range(0, len(low), BLOCK)] or [slice(0)]
    parts = [
        _integrate_block(a=a, b=b, p=p[at], q=q[at], low=low[at], high=high[at], nodes=nodes) for at in blocks
    ]
    return Integral(
        **{
            field.name: np.concatenate([getattr(part, field.name) for part in parts])
            for field in fields(Integral)
        }
    )


def _integrate_block(
    *, a: float, b: float, p: Reals, q: Reals, low: Reals, high: Reals, nodes: int
) -> Integral:
    if a <= b:
        return _integrate(near=a, far=b, p=p, q=q, low=low, high=high, nodes=nodes)
    swapped = _integrate(near=b, far=a, p=q, q=p, low=low, high=high, nodes=nodes)
    return Integral(
        logarithm=swapped.logarithm,
        mean_log_a=swapped.mean_log_b,
        mean_log_b=swapped.mean_log_a,
        mean_inverse_a=swapped.mean_inverse_b,
        mean_inverse_b=swapped.mean_inverse_a,
    )


def _integrate(
    *, near: float, far: float, p: Reals | float, q: Reals | float, low: Reals, high: Reals, nodes: int
) -> Integral:
    """The same if -near is the nearer pole. `p` is the exponent of the nearer pole, `q` that of the other."""
    near_low, far_low = near + low, far + low
    width = np.log1p((high - low) / near_low)
    # The integrand over u = log((near + y) / (near + low)) falls at least as fast as this.
    rate = p - 1.0 + q * near_low / far_low
    with np.errstate(divide="ignore"):
        width = np.where(rate > 0, np.minimum(width, NEGLIGIBLE / rate), width)
    total = np.zeros_like(width)
    log_near, log_far, inverse_near, inverse_far = (np.zeros_like(width) for _ in range(4))
    gap = far - near
    for node, weight in zip(*_nodes(nodes), strict=True):
        u = width * node
        near_y = near_low * np.exp(u)
        far_y = gap + near_y
        rise = np.log(far_y / far_low)
        density = weight * np.exp((1.0 - p) * u - q * rise)
        total += density
        log_near += density * u
        log_far += density * rise
        inverse_near += density / near_y
        inverse_far += density / far_y
    with np.errstate(divide="ignore"):
        logarithm = np.log(width * total) + (1.0 - p) * np.log(near_low) - q * np.log(far_low)
    return Integral(
        logarithm=logarithm,
        mean_log_a=log_near / total + np.log(near_low),
        mean_log_b=log_far / total + np.log(far_low),
        mean_inverse_a=inverse_near / total,
        mean_inverse_b=inverse_far / total,
    )


@cache
def _nodes(count: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Gauss-Legendre nodes and weights on 0..1."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return tuple((nodes + 1) / 2), tuple(weights / 2)
