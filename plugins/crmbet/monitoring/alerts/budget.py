"""Work that may hang, within a budget of seconds.

Neither a signal nor a time-out of Airflow interrupts a driver that waits in C. So the work is done in a thread of its
own, and whoever waits for it stops waiting when the budget is spent.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")

RESPITE_SECONDS = 60
"""A server that has let a budget run out is not asked again for this long. Several callbacks may share one process."""

_silent: dict[str, float] = {}
"""Server to the moment (monotonic) at which it last let a budget run out."""


class OutOfTime(Exception):
    """The work has not ended within its budget. It may still be going on."""


class Attempt(Generic[Value]):
    """Work that has begun. Its thread does not keep the process alive."""

    def __init__(self, work: Callable[[], Value]) -> None:
        self._results: list[Value] = []
        self._error: BaseException | None = None
        # The lines that it logs name the run, as those of its caller do.
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=lambda: context.run(self._do, work), daemon=True)
        self._thread.start()

    def result(self, seconds: float) -> Value:
        """What the work returns or raises. Raises `OutOfTime` if it has not ended after so many seconds."""
        self._thread.join(max(0.0, seconds))
        if self._thread.is_alive():
            raise OutOfTime(f"no answer in {max(0.0, seconds):g} s")
        if self._error is not None:
            raise self._error
        return self._results[0]

    def _do(self, work: Callable[[], Value]) -> None:
        try:
            self._results.append(work())
        except BaseException as error:  # noqa: BLE001 - `result` raises it
            self._error = error


def within(seconds: float, server: str, work: Callable[[], Value]) -> Value:
    """Do work that needs a server. Returns or raises what the work does.

    Raises `OutOfTime` after `seconds`, and at once if the same server has let a budget run out a moment ago.
    """
    silent_since = _silent.get(server)
    if silent_since is not None and time.monotonic() < silent_since + RESPITE_SECONDS:
        raise OutOfTime(f"{server} did not answer a moment ago")
    try:
        value = Attempt(work).result(seconds)
    except OutOfTime:
        _silent[server] = time.monotonic()
        raise
    _silent.pop(server, None)
    return value
