"""Which tests `make test` runs. `make test-full` runs all of them.

`make test` proves every promise once. What is marked `full` proves it again: at full size, at every step, for every
format, spelling or object. Run that before a release, and after a change of what it is about.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import settings

NOW, FULL = "now", "full"
"""Hypothesis's profiles: what `make test` loads, and what counts everywhere else."""
# How long an example takes says how busy the machine is.
settings.register_profile(FULL, deadline=None)
settings.register_profile(NOW, deadline=None, max_examples=20)


def now(*values: Any, full: Iterable[Any]) -> list[Any]:
    """Values of a parametrized test: some now, and all others in full. For a test whose values differ in weight."""
    others = [value for value in full if value not in values]
    return [*values, *(pytest.param(*_arguments(value), marks=pytest.mark.full) for value in others)]


def examples(now: int, *, full: int) -> int:
    """How many examples a property is given: so many in `make test`, and so many in `make test-full`."""
    return full if settings.get_current_profile_name() == FULL else now


def leave_a_few(items: Iterable[pytest.Item]) -> None:
    """Mark all but n values of each test with `@pytest.mark.few(n)` as `full`. The n lie evenly among the others."""
    tests: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        if item.get_closest_marker("few") and not item.get_closest_marker("full"):
            tests[item.nodeid.partition("[")[0]].append(item)
    for values in tests.values():
        (few,) = values[0].iter_markers("few")
        chosen = {place * len(values) // few.args[0] for place in range(few.args[0])}
        for place, item in enumerate(values):
            if place not in chosen:
                item.add_marker(pytest.mark.full)


def _arguments(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)
