"""The outcome of one try of a task: how long it took, how much memory it used, and what broke it."""

from __future__ import annotations

import resource
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from crmbet import metering
from crmbet.failures import CrmbetError, QualityBreach
from crmbet.metering import Usage

STATUS = Path("/proc/self/status")
RESET_PEAK = Path("/proc/self/clear_refs")


class Failure(BaseModel):
    """What broke. The texts name no secret and no player, because they go into XCom, messages and the run's row."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    """The class of our exception, or Killed, Unforeseen, DeadlineMissed, Recovered, ForeignObjects, HandEdits,
    SegmentJump, AudienceJump, CostJump, StreamBehind, StreamDiffers, LoadAsked. Each has a page in the runbook."""
    what: str
    where: str = ""
    why: str = ""
    next_step: str = ""

    @classmethod
    def of(cls, error: BaseException | str | None) -> Failure:
        """Our own exceptions in full. Of any other only its class is kept, since its text may quote anything."""
        if isinstance(error, CrmbetError):
            # The reasons of a breach name players. They are in the report, for those who may see it.
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
                what=f"an unexpected error: {type(error).__name__}",
                next_step="read the end of the task's log",
            )
        return cls(
            kind="Killed",
            what="the task was killed, or its machine ran out of memory or stopped: it left no error",
            next_step="check the worker for the out-of-memory killer; lower CRMBET_MEMORY_LIMIT or give the worker "
            "more memory; then clear the task",
        )


class TaskOutcome(BaseModel):
    """One try of one task."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    state: str
    """success, failed, skipped, up_for_retry or upstream_failed, as Airflow names them."""
    try_number: int = 0
    seconds: float | None = None
    """None if the task reported nothing: it never ran, or it was killed."""
    peak_memory_bytes: int | None = None
    usage: Usage | None = None
    """What the task has used, with its earlier tries that failed. None if it reported nothing, and in old rows."""
    failure: Failure | None = None
    warning: Failure | None = None
    """What a person should hear of although the task succeeded."""
    figures: dict[str, float | None] = {}
    """Of the stream: its messages, batches, lag and ages, as in `stream.json`."""


@dataclass
class Stopwatch:
    """Measures time, peak memory and use of this process from its start on."""

    started: float
    before: Usage
    spent: Usage | None
    """What failed tries before this one have used."""

    @classmethod
    def start(cls, spent: Usage | None = None) -> Stopwatch:
        """Start the clock and reset the process's memory peak, which only Linux can do."""
        # If the reset is refused, the peak is that of the whole process.
        with suppress(OSError):
            RESET_PEAK.write_text("5", encoding="ascii")
        return cls(time.monotonic(), metering.read(), spent)

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return round(time.monotonic() - self.started, 3)

    @property
    def usage(self) -> Usage:
        """What the process has used since the start, with the tries before it."""
        own = metering.read().minus(self.before)
        return own.plus(self.spent) if self.spent else own


def peak_memory_bytes() -> int:
    """The most memory that this process has used since its peak was reset."""
    try:
        for line in STATUS.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
