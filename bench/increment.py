"""One more day on a long history, compared with the same table from all events in one go."""

from __future__ import annotations

from dataclasses import replace

from bench.events import deliver_bets, deliver_transactions
from bench.figures import Figure
from bench.history import History
from bench.pipeline import COMPUTING, EXTRACTS, run_tasks
from bench.rebuild import REBUILD_MEMORY, differing_rows, rebuild_apart

LEAST_RATIO = 10.0


def measure(history: History) -> list[Figure]:
    """Deliver the last day, run it, then compute its table from all events. Both tables must be equal."""
    events, operator = history.events, history.operator
    day = events.days - 1
    deliver_bets(operator, events, [day])
    deliver_transactions(operator, events, [day])
    pipeline_run = history.run(events.days)
    extracts = run_tasks(pipeline_run, *EXTRACTS)
    increment = run_tasks(pipeline_run, *COMPUTING)
    rebuilt = rebuild_apart(replace(pipeline_run, memory_limit=REBUILD_MEMORY))
    built = history.built
    # The table from all events has no matrix, so only the features are compared.
    features = increment.stopwatch.total - increment.steps["matrix"]
    raw = built.stopwatch.seconds["clean"] + rebuilt.stopwatch.total
    return [
        Figure(
            name="one more day: extract",
            value=extracts.stopwatch.total,
            unit="s",
            note=str(extracts.stopwatch),
        ),
        Figure(
            name="one more day: clean and engineer_features",
            value=increment.stopwatch.total,
            unit="s",
            note=f"{history.size}: {increment.stopwatch}, {increment.peak_mib:.0f} MiB; "
            f"of it the matrix {increment.steps['matrix']:.1f} s",
        ),
        Figure(
            name="one more day: clean and engineer_features, processor time",
            value=increment.cpu_seconds,
            unit="s",
            note="matrix and the start of Python included",
        ),
        Figure(
            name="the same features from all raw events",
            value=raw,
            unit="s",
            note=f"clean, then all cleaned events in one go, nothing else kept, {rebuilt.peak_mib:.0f} MiB",
        ),
        Figure(
            name="all raw events over one more day",
            value=raw / features,
            unit="x",
            least=LEAST_RATIO,
            note="both without the matrix",
        ),
        Figure(
            name="all events, cleaned already, over one more day",
            value=rebuilt.stopwatch.total / features,
            unit="x",
            least=LEAST_RATIO,
            note=f"{rebuilt.stopwatch.total:.1f} s; "
            f"{rebuilt.stopwatch.total / increment.stopwatch.total:.2g} with the day's matrix",
        ),
        Figure(
            name="the history from captures, cleaned rows and state kept",
            value=built.stopwatch.total,
            unit="s",
            note=f"{built.stopwatch}, {built.peak_mib:.0f} MiB",
        ),
        Figure(
            name="players whose row differs from that from all events",
            value=differing_rows(pipeline_run),
            unit="players",
            limit=0,
        ),
    ]
