"""The one integral of the Pareto/NBD model, in log space: of (a + y)^-p (b + y)^-q from `low` to `high`.

The integrand falls by hundreds of orders of magnitude, or lies next to a pole. It is smooth over the logarithm of the
distance from the nearer of the two poles. Gauss-Legendre nodes over the part that matters give about twelve digits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cache

import numpy as np

from crmbet.learning.models.histories import Reals

NEGLIGIBLE = 36.0
"""The integral stops where the integrand has fallen by e^-36, which is below a double's precision."""

BLOCK = 8192
"""Elements that are integrated at once: what they need fits into a processor's cache."""

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


def integrate(*, a: float, b: float, p: Reals, q: float, low: Reals, high: Reals) -> Integral:
    """Integrate for arrays of exponents `p` and ranges, with low <= high and positive a and b."""
    parts = [
        _means(ranges) if a <= b else _swapped(_means(ranges))
        for ranges in _blocks(a=a, b=b, p=p, q=q, low=low, high=high)
    ]
    return Integral(
        **{
            field.name: np.concatenate([getattr(part, field.name) for part in parts])
            for field in fields(Integral)
        }
    )


def logarithm(*, a: float, b: float, p: Reals, q: float, low: Reals, high: Reals) -> Reals:
    """The logarithm of the integral alone, to more digits; the arguments are those of `integrate`."""
    found = []
    for ranges in _blocks(a=a, b=b, p=p, q=q, low=low, high=high):
        total = np.zeros_like(ranges.width)
        for point in ranges.points(SCORE_NODES):
            total += point.density
        found.append(ranges.logarithm(total))
    return np.concatenate(found)


@dataclass(frozen=True)
class _Point:
    """The integrand at one node of each range, over u = log((near + y) / (near + low))."""

    density: Reals
    """With the weight of the node."""
    u: Reals
    rise: Reals
    """log((far + y) / (far + low))."""
    near_y: Reals
    far_y: Reals


@dataclass(frozen=True, kw_only=True)
class _Ranges:
    """Some ranges of the integral if -near is the nearer pole. `p` is its exponent, `q` that of the other."""

    p: Reals
    q: Reals
    near_low: Reals
    far_low: Reals
    gap: float
    width: Reals
    """The part of the range that matters, in u."""

    @classmethod
    def of(cls, near: float, far: float, *, p: Reals, q: Reals, low: Reals, high: Reals) -> _Ranges:
        near_low, far_low = near + low, far + low
        width = np.log1p((high - low) / near_low)
        # The integrand over u falls at least as fast as this.
        rate = p - 1.0 + q * near_low / far_low
        with np.errstate(divide="ignore"):
            width = np.where(rate > 0, np.minimum(width, NEGLIGIBLE / rate), width)
        return cls(p=p, q=q, near_low=near_low, far_low=far_low, gap=far - near, width=width)

    def points(self, nodes: int) -> Iterator[_Point]:
        """The integrand at the nodes of Gauss and Legendre."""
        for node, weight in zip(*_nodes(nodes), strict=True):
            u = self.width * node
            near_y = self.near_low * np.exp(u)
            far_y = self.gap + near_y
            rise = np.log(far_y / self.far_low)
            yield _Point(weight * np.exp((1.0 - self.p) * u - self.q * rise), u, rise, near_y, far_y)

    def logarithm(self, total: Reals) -> Reals:
        """The logarithm of the integral, given the sum of the densities."""
        with np.errstate(divide="ignore"):
            found: Reals = (
                np.log(self.width * total)
                + (1.0 - self.p) * np.log(self.near_low)
                - self.q * np.log(self.far_low)
            )
        return found


def _blocks(*, a: float, b: float, p: Reals, q: float, low: Reals, high: Reals) -> Iterator[_Ranges]:
    of_a, of_b = np.broadcast_to(p, low.shape), np.broadcast_to(q, low.shape)
    for start in range(0, max(len(low), 1), BLOCK):
        at = slice(start, start + BLOCK)
        if a <= b:
            yield _Ranges.of(a, b, p=of_a[at], q=of_b[at], low=low[at], high=high[at])
        else:
            yield _Ranges.of(b, a, p=of_b[at], q=of_a[at], low=low[at], high=high[at])


def _means(ranges: _Ranges) -> Integral:
    """The integral with its means, as if `a` was the nearer pole."""
    total, log_near, log_far, inverse_near, inverse_far = (np.zeros_like(ranges.width) for _ in range(5))
    for point in ranges.points(FIT_NODES):
        total += point.density
        log_near += point.density * point.u
        log_far += point.density * point.rise
        inverse_near += point.density / point.near_y
        inverse_far += point.density / point.far_y
    return Integral(
        logarithm=ranges.logarithm(total),
        mean_log_a=log_near / total + np.log(ranges.near_low),
        mean_log_b=log_far / total + np.log(ranges.far_low),
        mean_inverse_a=inverse_near / total,
        mean_inverse_b=inverse_far / total,
    )


def _swapped(found: Integral) -> Integral:
    """The same if `b` is the nearer pole."""
    return Integral(
        logarithm=found.logarithm,
        mean_log_a=found.mean_log_b,
        mean_log_b=found.mean_log_a,
        mean_inverse_a=found.mean_inverse_b,
        mean_inverse_b=found.mean_inverse_a,
    )


@cache
def _nodes(count: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Gauss-Legendre nodes and weights on 0..1."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return tuple((nodes + 1) / 2), tuple(weights / 2)
