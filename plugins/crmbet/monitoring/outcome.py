"""What one try of a task came to: how long it took, how much memory it held, and what broke it."""

from __future__ import annotations

import resource
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from crmbet.failures import CrmbetError, QualityBreach

STATUS = Path("/proc/self/status")
RESET_PEAK = Path("/proc/self/clear_refs")


class Failure(BaseModel):
    """What broke, in words that hold no secret and no player: they go into XCom, messages and the run's row."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    """Name of our exception's class, or Killed, Unforeseen, DeadlineMissed, Recovered: a page of the runbook."""
    what: str
    where: str = ""
    why: str = ""
    next_step: str = ""

    @classmethod
    def of(cls, error: BaseException | str | None) -> Failure:
        """One of ours in its own words; of any other no more than its name, since its text may quote anything."""
        if isinstance(error, CrmbetError):
            # The reasons of a breach name players; who may see them finds them in the report.
            why = "" if isinstance(error, QualityBreach) else error.why
            return cls(
                kind=type(error).__name__,
                what=error.what,
                where=error.where,
                why=why,
                next_step=error.next_step,
            )
        if isinstance(error, BaseException):
            return cls(
                kind="Unforeseen",
                what=f"an error that nobody foresaw: {type(error).__name__}",
                next_step="read the end of the task's log",
            )
        return cls(
            kind="Killed",
            what="the task ended without a word: it was killed, or its machine ran out of memory or went away",
            next_step="look for the out-of-memory killer on the worker; lower CRMBET_MEMORY_LIMIT or give the "
            "worker more memory; then clear the task",
        )


class TaskOutcome(BaseModel):
    """One try of one task."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    state: str
    """success, failed, skipped, up_for_retry or upstream_failed, as Airflow names them."""
    try_number: int = 0
    seconds: float | None = None
    """None for a task that did not say: it never ran, or was killed."""
    peak_memory_bytes: int | None = None
    failure: Failure | None = None


@dataclass
class Stopwatch:
    """Measures what this process does from now on."""

    started: float

    @classmethod
    def start(cls) -> Stopwatch:
        """Forget the process's memory peak (Linux alone can) and start the clock."""
        # Where that is refused, the peak is that of the whole process.
        with suppress(OSError):
            RESET_PEAK.write_text("5", encoding="ascii")
        return cls(time.monotonic())

    @property
    def seconds(self) -> float:
        """Since the start."""
        return round(time.monotonic() - self.started, 3)


def peak_memory_bytes() -> int:
    """The most memory that this process has held since its peak was forgotten."""
    try:
        for line in STATUS.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
