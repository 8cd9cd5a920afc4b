"""Which values of a parametrized test `make test` tries; `make test-full` tries all of them.

A test that goes over every format, spelling or object proves its point with a few of them. The others are there for the
day on which somebody changes what they are about.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def now(*values: Any, full: Iterable[Any]) -> list[Any]:
    """Some values now, and all others in full."""
    others = [value for value in full if value not in values]
    return [*values, *(pytest.param(*_arguments(value), marks=pytest.mark.full) for value in others)]


def _arguments(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)
