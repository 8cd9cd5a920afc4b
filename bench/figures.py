"""A measured figure beside what it is held against, as a table for people and JSON for machines."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measurement. `value` and `limit` are in `unit`; a figure without a limit is for information."""

    name: str
    value: float
    unit: str
    limit: float | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        """Whether the value keeps its limit."""
        if self.limit is None:
            return ""
        return "ok" if self.value <= self.limit else "OVER"


def print_table(figures: Sequence[Figure]) -> None:
    """One line a figure."""
    print(f"\n{machine()}\n")
    print(f"{'figure':<52}{'value':>10} {'limit':>10}  {'unit':<8}{'':<6}note")
    for figure in figures:
        limit = "" if figure.limit is None else f"{figure.limit:g}"
        print(
            f"{figure.name:<52}{figure.value:>10.4g} {limit:>10}  {figure.unit:<8}{figure.verdict:<6}{figure.note}"
        )


def write_json(figures: Sequence[Figure], path: Path) -> None:
    """The same for machines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "machine": machine(),
        "figures": [asdict(figure) | {"verdict": figure.verdict} for figure in figures],
    }
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def machine() -> str:
    """What the figures were measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.machine()}, Python {platform.python_version()}"
    )
