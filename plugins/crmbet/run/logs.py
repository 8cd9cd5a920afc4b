"""Structured logs: every line that a task of ours writes carries its component, its run and its as_of.

Airflow 3 writes a task's log as JSON lines and merges structlog's context into each, whoever logs it. So the standard
logging module stays the way to log, and this module says what the context is. In the file a line reads
`{"timestamp", "level", "event", "logger", "component", "execution_id", "as_of"}`; `event` is the message. The line that
says how a step ended repeats it as `message` and has the step's counts, as the original specification shows it. Other
lines have it once, since Airflow's UI needs `event` and shows every other field beside it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from structlog.contextvars import bind_contextvars, bound_contextvars, unbind_contextvars

CONTEXT = ("component", "execution_id", "as_of")

_bound: dict[str, str] = {}
"""What the task of this process has bound. Airflow's callbacks run in a copy of the context and would not see it."""


def bind(**fields: str) -> None:
    """Add fields of CONTEXT to every line from now on, in this thread of work."""
    bind_contextvars(**fields)
    _bound.update(fields)


def unbind() -> None:
    """Remove the fields: in `dags test` the next task runs in the same process."""
    unbind_contextvars(*CONTEXT)
    _bound.clear()


def log_outcome(
    log: logging.Logger, message: str, counts: Mapping[str, Any] | None = None, level: int = logging.INFO
) -> None:
    """Log the one line that says how a step ended, with its figures as fields: numbers, short texts, or None."""
    with bound_contextvars(**{**_bound, **(counts or {}), "message": message}):
        log.log(level, "%s", message)
