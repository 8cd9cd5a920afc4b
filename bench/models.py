"""Fitting the models and scoring every player, from daily state in the engine."""

from __future__ import annotations

from bench.apart import run_apart
from bench.figures import Figure

LIMIT_SECONDS = 10.0
LIMIT_MIB = 1024.0


def measure(players: int) -> list[Figure]:
    """Simulate state in a separate process, then fit and score. The process's peak memory includes the state."""
    done = run_apart("bench.scoring", str(players))
    counts = done.counts
    note = (
        f"{players:,} players, {counts['state_rows']:,} player days, "
        f"{counts['patterns']:,} distinct histories of activity"
    )
    fit_and_score = done.stopwatch.seconds["fit and score"]
    return [
        Figure(
            name="fit and score all players", value=fit_and_score, unit="s", limit=LIMIT_SECONDS, note=note
        ),
        Figure(
            name="fit and score all players, peak memory",
            value=done.peak_mib,
            unit="MiB",
            limit=LIMIT_MIB,
            note="with the simulated state in the engine, memory_limit 512MB",
        ),
    ]
