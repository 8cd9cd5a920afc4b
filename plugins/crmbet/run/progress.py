"""Progress of long work, for the person who watches its log."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

EVERY_SECONDS = 10.0
"""Time between two lines of the log. Work that takes less time logs one line, at its end."""

LONG_SECONDS = 1.0
"""A shorter step is logged at level DEBUG, for whoever looks where the time goes."""


@contextmanager
def timed(log: logging.Logger, step: str, clock: Callable[[], float] = time.monotonic) -> Iterator[None]:
    """Log how long a step took, once it is done. The record has `step` and `seconds`."""
    began = clock()
    yield
    seconds = clock() - began
    level = logging.INFO if seconds >= LONG_SECONDS else logging.DEBUG
    log.log(level, "%s took %.1f s", step, seconds, extra={"step": step, "seconds": seconds})


class Progress:
    """Counts what is done and logs it now and then: parts, rows a second, and time left at that pace.

    `total_rows` is 0 if it is not known beforehand. The time left is then estimated from the parts.
    """

    def __init__(
        self,
        log: logging.Logger,
        what: str,
        *,
        unit: str,
        total: int,
        total_rows: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log, self._what, self._unit = log, what, unit
        self._total, self._total_rows = total, total_rows
        self._clock = clock
        self._began = self._logged_at = clock()
        self.done = 0
        self.rows = 0

    def advance(self, parts: int, rows: int) -> None:
        """Count some more parts as done, with the rows in them."""
        self.done += parts
        self.rows += rows
        now = self._clock()
        if now - self._logged_at >= EVERY_SECONDS and self.done < self._total:
            self._logged_at = now
            self._log.info(
                "%s: %d of %d %s, %s rows a second, about %s left",
                self._what,
                self.done,
                self._total,
                self._unit,
                f"{self.rows / (now - self._began):,.0f}",
                self._left(now - self._began),
            )

    def finish(self) -> None:
        """Log the last line: everything is done."""
        if not self._total:
            return
        seconds = self._clock() - self._began
        self._log.info(
            "%s: %d %s with %s rows in %.1f s, %s rows a second",
            self._what,
            self.done,
            self._unit,
            f"{self.rows:,}",
            seconds,
            f"{self.rows / seconds:,.0f}" if seconds else "all",
        )

    def _left(self, seconds: float) -> timedelta:
        share = self.rows / self._total_rows if self._total_rows else self.done / self._total
        return timedelta(seconds=round(seconds * (1 - share) / share) if share else 0)
