"""Work in a process of its own, so that its peak memory is its own."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from local.workspace import PROJECT


@dataclass
class Stopwatch:
    """Seconds by step."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time what is inside, as part of a step."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began

    @property
    def total(self) -> float:
        """All steps."""
        return sum(self.seconds.values())

    def __str__(self) -> str:
        return ", ".join(f"{name} {seconds:.1f} s" for name, seconds in self.seconds.items())


@dataclass(frozen=True, kw_only=True)
class Apart:
    """What a process that has ended says of itself."""

    stopwatch: Stopwatch
    peak_mib: float
    cpu_seconds: float
    """Of all its threads: what it cost, whoever else keeps the cores busy."""
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
    said = json.loads(done.stdout.splitlines()[-1])
    return Apart(
        stopwatch=Stopwatch(said["seconds"]),
        peak_mib=said["peak_mib"],
        cpu_seconds=said["cpu_seconds"],
        counts=said["counts"],
        steps=said["steps"],
    )


def median_of(repeated: Sequence[Apart]) -> Apart:
    """The one of median time, with the highest peak of all."""
    middle = sorted(repeated, key=lambda apart: apart.stopwatch.total)[(len(repeated) - 1) // 2]
    return replace(middle, peak_mib=max(apart.peak_mib for apart in repeated))


def report(stopwatch: Stopwatch, steps: Mapping[str, float] | None = None, **counts: int) -> None:
    """Print what `run_apart` reads; the last thing that such a module does."""
    said = {
        "seconds": stopwatch.seconds,
        "peak_mib": _peak_mib(),
        "cpu_seconds": time.process_time(),
        "counts": counts,
        "steps": steps or {},
    }
    print(json.dumps(said))


def _peak_mib() -> float:
    """Peak resident memory of this process.

    Linux counts into ru_maxrss what the parent held when it started us; VmHWM begins with our own program.
    """
    status = Path("/proc/self/status")
    if status.exists():
        (peak,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(peak.split()[1]) / 2**10
    # macOS counts bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
