"""How far a distribution has moved from its baseline, beyond what chance explains.

Two samples of one population differ, and small samples differ a lot. People soon ignore a rule that fails because of
that. So each measure is reduced by the value that chance exceeds once in a million comparisons. In large samples this
is almost nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import copysign, exp, log, log1p, sqrt

from crmbet.quality.measures.profile import ABSENT, OTHER, Distribution, Profile

Z = 4.753
"""The number of standard deviations that a normal measure exceeds once in a million."""
DECILES = 9
KS_CRITICAL = sqrt(log(2 / 1e-6) / 2)
"""The Kolmogorov-Smirnov distance of two samples that chance exceeds once in a million (Smirnov 1948), in units of
sqrt(1/n + 1/m)."""
NORMAL_VARIANCE_ERROR, NORMAL_SKEW_ERROR = sqrt(2), sqrt(6)
"""The errors in `Distribution` for a normal sample. They serve for baselines that were frozen without errors."""


@dataclass(frozen=True, kw_only=True)
class Drift:
    """How far a column moved from its baseline. A measure is None if there is nothing to compare."""

    baseline_rows: int | None = None
    """The number of rows of the column in the baseline."""
    psi: float | None = None
    """Population stability index: the sum over bins of (now - then) ln(now / then), with shares of rows."""
    ks: float | None = None
    """The largest difference of the distribution functions at the deciles of the baseline. Numbers only."""
    quartile_shift: float | None = None
    """The largest move of a quartile, in interquartile ranges of the baseline. It is the smaller one of plain and log
    scale."""
    variance_ratio: float | None = None
    """The larger variance divided by the smaller."""
    skew_shift: float | None = None


def compare(name: str, now: Distribution, units: int, baseline: Profile) -> Drift:
    """Compare a column with the baseline. `now` is counted in the bins of the baseline, over `units` players.

    All measures are None if the baseline does not have the column, or has it as another kind.
    """
    then = baseline.columns.get(name)
    if then is None or then.kind != now.kind:
        return Drift()
    words = now.kind == "words"
    # Rows without a value have a bin, but take no part in the other measures.
    chance = 1 / max(units, 1) + 1 / max(baseline.units, 1)
    ours, theirs = _filled(now, units), _filled(then, baseline.units)
    filled_chance = 1 / ours + 1 / theirs

    def noise(now_error: float | None, then_error: float | None, usual: float) -> float:
        return Z * sqrt((now_error or usual) ** 2 / ours + (then_error or usual) ** 2 / theirs)

    return Drift(
        baseline_rows=sum(then.bins.values()),
        psi=_beyond(*_psi(*(list(bins.values()) for bins in align(now.bins, then.bins))), chance),
        ks=None if words else max(0.0, _ks(now.bins, then.bins) - KS_CRITICAL * sqrt(filled_chance)),
        quartile_shift=None if words else _quartile_shift(now, then, filled_chance),
        variance_ratio=_variance_ratio(
            now.variance, then.variance, noise(now.variance_error, then.variance_error, NORMAL_VARIANCE_ERROR)
        ),
        skew_shift=(
            None
            if now.skew is None or then.skew is None
            else max(
                0.0,
                abs(now.skew - then.skew) - noise(now.skew_error, then.skew_error, NORMAL_SKEW_ERROR),
            )
        ),
    )


def _filled(of: Distribution, units: int) -> float:
    """The number of units that have a value; at least 1."""
    rows = sum(of.bins.values())
    share = 1 - of.bins.get(ABSENT, 0) / rows if rows else 0.0
    return max(units * share, 1.0)


def align(now: dict[str, int], then: dict[str, int]) -> tuple[dict[str, int], dict[str, int]]:
    """Both counts by the bins of the baseline. A word that the baseline does not have counts as other."""
    known = set(then) | {ABSENT}
    counted = {OTHER: 0, **then, **dict.fromkeys(then, 0), ABSENT: 0}
    for name, rows in now.items():
        counted[name if name in known else OTHER] += rows
    return counted, {name: then.get(name, 0) for name in counted}


def _psi(now: list[int], then: list[int]) -> tuple[float, int]:
    """The index and its degrees of freedom. Half a row is added to every bin, so that the index is finite."""
    bins = len(now)
    before, after = sum(then) + bins / 2, sum(now) + bins / 2
    shares = [((count + 0.5) / after, (old + 0.5) / before) for count, old in zip(now, then, strict=True)]
    return sum((new - old) * log(new / old) for new, old in shares), max(bins - 1, 1)


def _beyond(psi: float, freedom: int, chance: float) -> float:
    """The index beyond chance. Without a change psi / (1/n + 1/m) is chi-squared (Yurdakul 2018).

    The quantile is the approximation of Wilson and Hilferty (1931).
    """
    part = 2 / (9 * freedom)
    quantile = freedom * (1 - part + Z * sqrt(part)) ** 3
    return max(0.0, psi - chance * quantile)


def _ks(now: dict[str, int], then: dict[str, int]) -> float:
    ours, theirs = _distribution_function(now), _distribution_function(then)
    return max((abs(a - b) for a, b in zip(ours, theirs, strict=False)), default=0.0)


def _distribution_function(bins: dict[str, int]) -> list[float]:
    counts = [rows for name, rows in bins.items() if name != ABSENT]
    total, upto, shares = sum(counts), 0, []
    for rows in counts:
        upto += rows
        shares.append(upto / total if total else 0.0)
    return shares


def _quartile_shift(now: Distribution, then: Distribution, chance: float) -> float | None:
    if not now.quartiles or not then.quartiles:
        return None
    # The quartiles of a column with few values move in whole steps. The other measures judge such a column.
    if len(then.edges) < DECILES or then.quartiles[2] <= then.quartiles[0]:
        return None
    # By chance, an upper quartile of money moves far, and so does the logarithm of a value near zero. Both must move.
    moved = min(
        _moved(now.quartiles, then.quartiles), _moved(_logged(now.quartiles), _logged(then.quartiles))
    )
    return max(0.0, moved - Z * sqrt(chance))


def _moved(now: Sequence[float], then: Sequence[float]) -> float:
    return max(abs(a - b) for a, b in zip(now, then, strict=True)) / (then[2] - then[0])


def _logged(values: Sequence[float]) -> list[float]:
    return [copysign(log1p(abs(value)), value) for value in values]


def _variance_ratio(now: float | None, then: float | None, noise: float) -> float | None:
    if not now or not then:
        return None
    return exp(max(0.0, abs(log(now / then)) - noise))
