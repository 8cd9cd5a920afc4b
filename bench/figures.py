"""Measured figures with their bounds, as a table for people and JSON for machines."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measurement. Its bounds have the same unit. A figure without a bound is for information."""

    name: str
    value: float
    unit: str
    limit: float | None = None
    """The largest value that is good enough."""
    least: float | None = None
    """The smallest value that is good enough."""
    floor: float | None = None
    """What was measured to be out of reach: the parts that cannot be done without, each by itself."""
    note: str = ""
    group: str = ""
    """The group that it was measured in."""

    @property
    def is_breach(self) -> bool:
        """Whether the value is outside of its bounds."""
        return self.verdict in ("OVER", "UNDER")

    @property
    def verdict(self) -> str:
        """Whether the value keeps its bounds."""
        # The conditions are negated so that a NaN keeps no bound.
        if self.limit is not None and not self.value <= self.limit:
            return "OVER"
        if self.least is not None and not self.value >= self.least:
            return "UNDER"
        return "" if self.bounds == "" else "ok"

    @property
    def bounds(self) -> str:
        """The bounds, for people."""
        bounds = [("<=", self.limit), (">=", self.least)]
        return " ".join(f"{sign} {bound:g}" for sign, bound in bounds if bound is not None)


def print_limits(figures: Sequence[Figure]) -> None:
    """Print one line per figure that has a bound: the table of limits."""
    print(f"\n{'figure with a limit':<70}{'measured':>10}  {'limit':<10}{'kept':<6}{'floor':<8}group")
    for figure in figures:
        if figure.bounds:
            kept = "NO" if figure.is_breach else "yes"
            floor = "" if figure.floor is None else f"{figure.floor:.3g}"
            value = f"{figure.value:.4g} {figure.unit}"
            print(f"{figure.name:<66}{value:>14}  {figure.bounds:<10}{kept:<6}{floor:<8}{figure.group}")


def print_table(figures: Sequence[Figure]) -> None:
    """Print one line per figure."""
    print(f"\n{machine()}\n")
    print(f"{'figure':<58}{'value':>10} {'limit':>10}  {'unit':<8}{'':<6}note")
    group = ""
    for figure in figures:
        if figure.group != group:
            group = figure.group
            print(f"\n{group}")
        value = f"{figure.value:>10.4g} {figure.bounds:>10}  {figure.unit:<8}{figure.verdict:<6}"
        print(f"{figure.name:<58}{value}{figure.note}")


def write_json(figures: Sequence[Figure], path: Path) -> None:
    """Write the figures as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "machine": machine(),
        "figures": [asdict(figure) | {"verdict": figure.verdict} for figure in figures],
        "limits": [_row(figure) for figure in figures if figure.bounds],
    }
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _row(figure: Figure) -> dict[str, object]:
    """A line of the table of limits."""
    return {
        "figure": figure.name,
        "measured": figure.value,
        "unit": figure.unit,
        "limit": figure.bounds,
        "kept": not figure.is_breach,
        "floor": figure.floor,
    }


def machine() -> str:
    """The machine on which the figures were measured."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    # Fits take more than twice as long where numpy finds no AVX-512 (X86_V4).
    simd = np.show_config(mode="dicts")["SIMD Extensions"]
    found = ", ".join([*simd["baseline"], *simd.get("found", [])])
    return (
        f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.machine()}, Python {platform.python_version()}, "
        f"numpy {np.__version__} with {found}"
    )
