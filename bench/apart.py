"""Work in a process of its own, so that its peak memory is its own."""

from __future__ import annotations

import json
import logging
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from local.workspace import PROJECT


@dataclass
class Stopwatch:
    """Seconds by step."""

    seconds: dict[str, float] = field(default_factory=dict)
    clock: Callable[[], float] = time.perf_counter

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time the `with` block as part of a step."""
        began = self.clock()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + self.clock() - began

    @property
    def total(self) -> float:
        """Seconds of all steps."""
        return sum(self.seconds.values())

    def __str__(self) -> str:
        return ", ".join(f"{name} {seconds:.1f} s" for name, seconds in self.seconds.items())


class Steps(logging.Handler):
    """Seconds by step, as the core logs them."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record that says how long a step took."""
        if "step" in record.__dict__:
            step = record.__dict__["step"]
            self.seconds[step] = self.seconds.get(step, 0.0) + record.__dict__["seconds"]


@dataclass(frozen=True, kw_only=True)
class Apart:
    """What a process reported before it ended."""

    stopwatch: Stopwatch
    peak_mib: float
    cpu_seconds: float
    """CPU time of all its threads. It does not depend on other processes that use the cores."""
    counts: Mapping[str, int]
    steps: Mapping[str, float] = field(default_factory=dict)
    """Seconds of parts of what the stopwatch timed."""


def run_apart(module: str, *arguments: str) -> Apart:
    """Run a module that ends with `report`. Raises `RuntimeError` with the end of its errors if it fails."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{module} failed:\n{done.stderr[-4000:]}")
    reported = json.loads(done.stdout.splitlines()[-1])
    return Apart(
        stopwatch=Stopwatch(reported["seconds"]),
        peak_mib=reported["peak_mib"],
        cpu_seconds=reported["cpu_seconds"],
        counts=reported["counts"],
        steps=reported["steps"],
    )


def median_of(repeated: Sequence[Apart]) -> Apart:
    """The process with the median time, but with the highest peak memory of all."""
    middle = sorted(repeated, key=lambda apart: apart.stopwatch.total)[(len(repeated) - 1) // 2]
    return replace(middle, peak_mib=max(apart.peak_mib for apart in repeated))


def report(
    stopwatch: Stopwatch,
    steps: Mapping[str, float] | None = None,
    *,
    peak: float | None = None,
    **counts: int,
) -> None:
    """Print what `run_apart` reads. A module that runs apart does this last. `peak` is that of an earlier moment."""
    figures = {
        "seconds": stopwatch.seconds,
        "peak_mib": peak_mib() if peak is None else peak,
        "cpu_seconds": time.process_time(),
        "counts": counts,
        "steps": steps or {},
    }
    print(json.dumps(figures))


def peak_mib() -> float:
    """Peak resident memory of this process until now.

    On Linux ru_maxrss includes what the parent held when it started us. VmHWM counts our own program only.
    """
    return _status_mib("VmHWM:")


def memory_mib() -> float:
    """Resident memory of this process now; its peak until now on macOS."""
    return _status_mib("VmRSS:")


def _status_mib(name: str) -> float:
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith(name))
        return int(line.split()[1]) / 2**10
    # macOS counts bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
