"""A run in which nothing has changed since the last one. It must notice that, and write the table again."""

from __future__ import annotations

from bench.figures import Figure
from bench.history import History
from bench.pipeline import COMPUTING, EXTRACTS, run_tasks

LIMIT_SECONDS = 5.0


def measure(history: History) -> list[Figure]:
    """Run all tasks once more for the as_of that was computed last, with a later known_at."""
    days = history.events.days - 1
    again = run_tasks(history.run(days, known_after_minutes=420), *EXTRACTS, *COMPUTING)
    made = {task: again.counts[task] for task in ("extract_s3", "extract_pg", "engineer_features")}
    if any(made.values()):
        raise RuntimeError(f"nothing had changed, and yet there was something to do: {made}")
    return [
        Figure(
            name="a run in which nothing changed",
            value=again.stopwatch.total,
            unit="s",
            limit=LIMIT_SECONDS,
            note=f"{history.size}: {again.stopwatch}",
        ),
        Figure(name="a run in which nothing changed, peak memory", value=again.peak_mib, unit="MiB"),
    ]
