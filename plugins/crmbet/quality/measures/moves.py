"""Each feature beside its baseline, for people: both distributions in the same bins, and what is beyond its limit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crmbet.quality.measures.drift import align, compare
from crmbet.quality.measures.profile import ABSENT, Distribution
from crmbet.quality.measures.tables import DRIFT_MEASURES, Compared

if TYPE_CHECKING:
    from crmbet.run.settings import QualitySettings

LIMITS: Mapping[str, str] = {
    "psi": "max_psi",
    "ks": "max_ks_distance",
    "quartile_shift": "max_quartile_shift",
    "variance_ratio": "max_variance_ratio",
    "skew_shift": "max_skew_shift",
}
"""Drift measure to the setting that limits it."""
STRICT = frozenset({"psi", "ks"})
"""Measures that are beyond their limit if they equal it, as in the suite `feature_drift`."""
EMPTY = "empty"
"""What the bin of rows without a value is called."""


@dataclass(frozen=True, kw_only=True)
class FeatureMove:
    """One feature and its baseline."""

    feature: str
    psi: float | None
    """Population stability index beyond chance; None if the baseline has no such column."""
    psi_limit: float
    beyond: tuple[str, ...]
    """Drift measures that are judged for this feature and beyond their limits."""
    bins: tuple[tuple[str, float, float], ...]
    """What is in the bin, its share of the baseline's rows and its share of today's (0..1)."""


def list_moves(compared: Iterable[Compared], limits: QualitySettings) -> list[FeatureMove]:
    """The features that have a baseline of their kind, in the contract's order. Aggregates only: no row is in it."""
    moves = []
    for each in compared:
        then, now = each.baseline.columns.get(each.column), each.measures.compared
        if then is None or then.kind != now.kind:
            continue
        drift = compare(each.column, now, each.units, each.baseline)
        judged = {name: getattr(drift, name) for name in DRIFT_MEASURES if name not in each.excused}
        moves.append(
            FeatureMove(
                feature=each.column,
                psi=drift.psi,
                psi_limit=limits.max_psi,
                beyond=tuple(
                    name
                    for name, value in judged.items()
                    if value is not None and _is_beyond(name, value, getattr(limits, LIMITS[name]))
                ),
                bins=tuple(_bins(now, then)),
            )
        )
    return moves


def _is_beyond(measure: str, value: float, limit: float) -> bool:
    return value >= limit if measure in STRICT else value > limit


def _bins(now: Distribution, then: Distribution) -> Iterable[tuple[str, float, float]]:
    ours, theirs = align(now.bins, then.bins)
    rows, before = max(sum(ours.values()), 1), max(sum(theirs.values()), 1)
    for name in ours:
        if ours[name] or theirs[name]:
            yield _label(name, then), round(theirs[name] / before, 4), round(ours[name] / rows, 4)


def _label(name: str, of: Distribution) -> str:
    if name == ABSENT:
        return EMPTY
    if of.kind == "words" or not name.isdecimal():
        return name
    place = int(name)
    if not of.edges:
        return "any"
    return f"\u2264 {of.edges[place]:g}" if place < len(of.edges) else f"> {of.edges[-1]:g}"
