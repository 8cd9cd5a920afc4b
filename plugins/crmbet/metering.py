"""The meter of this process: what it has used until now. A task's cost is the difference of two readings.

Whatever sends a request to S3, asks PostgreSQL or computes a theme counts itself here, wherever it is called from and
in whichever thread. No result depends on it, and it holds figures alone: no key, no statement, no player.
"""

from __future__ import annotations

import resource
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pydantic import BaseModel, ConfigDict

REQUESTS, THEMES = "requests", "themes"
"""Fields of `Usage` that have a figure for each name."""


class Usage(BaseModel):
    """What a task has used, over all of its tries that reported it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cpu_seconds: float = 0
    """Processor time of the process and of its children that have ended."""
    requests: dict[str, int] = {}
    """Requests to S3 by kind, each that was sent again among them: list, get, head, put, copy, part, delete, other."""
    bytes_sent: int = 0
    """Size of the objects, and parts of objects, that were sent to S3."""
    bytes_received: int = 0
    """Size of what S3 answered."""
    rows_read: int = 0
    """Rows that PostgreSQL sent."""
    rows_written: int = 0
    """Rows that PostgreSQL took, changed or deleted."""
    postgres_seconds: float = 0
    """Time in statements of PostgreSQL. Of several at the same time, each counts."""
    themes: dict[str, float] = {}
    """Processor seconds of the statement of each theme."""
    tries: int = 1
    """How many tries these figures are of."""

    def plus(self, other: Usage) -> Usage:
        """Both together."""
        return Usage.model_validate(_combined(self, other, 1))

    def minus(self, earlier: Usage) -> Usage:
        """What was used since an earlier reading of the same meter, as one try."""
        return Usage.model_validate(_combined(self, earlier, -1) | {"tries": 1})


def _combined(one: Usage, other: Usage, sign: int) -> dict[str, object]:
    figures: dict[str, object] = {}
    for name, value in one:
        more = getattr(other, name)
        if isinstance(value, Mapping):
            sums = {key: value.get(key, 0) + sign * more.get(key, 0) for key in {**value, **more}}
            figures[name] = {key: _rounded(total) for key, total in sums.items() if total}
        else:
            figures[name] = _rounded(value + sign * more)
    return figures


def _rounded(value: float) -> float:
    """To milliseconds, so that sums of floats stay short in XComs and rows. Counts stay counts."""
    return value if isinstance(value, int) else round(value, 3)


_counting = threading.Lock()
_totals: dict[str, float] = defaultdict(float)
_by_name: dict[str, dict[str, float]] = {REQUESTS: defaultdict(int), THEMES: defaultdict(float)}


def read() -> Usage:
    """The figures of this process since its start."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    cpu_seconds = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
    with _counting:
        named = {name: dict(counts) for name, counts in _by_name.items()}
        return Usage.model_validate({"cpu_seconds": cpu_seconds, **named, **_totals})


def count_request(kind: str, sent: int) -> None:
    """A request goes to S3, with a body of so many bytes."""
    with _counting:
        _by_name[REQUESTS][kind] += 1
        _totals["bytes_sent"] += sent


def count_received(size: int) -> None:
    """S3 answers with so many bytes."""
    with _counting:
        _totals["bytes_received"] += size


def count_rows(*, read: int = 0, written: int = 0) -> None:
    """PostgreSQL has sent or taken so many rows."""
    with _counting:
        _totals["rows_read"] += read
        _totals["rows_written"] += written


@contextmanager
def in_postgres() -> Iterator[None]:
    """The time of this block is time in a statement of PostgreSQL, also if it fails."""
    began = time.monotonic()
    try:
        yield
    finally:
        with _counting:
            _totals["postgres_seconds"] += time.monotonic() - began


@contextmanager
def in_theme(name: str) -> Iterator[None]:
    """The processor time of this block is that of a theme's statement. The engine's threads belong to the process."""
    began = time.process_time()
    try:
        yield
    finally:
        with _counting:
            _by_name[THEMES][name] += time.process_time() - began
