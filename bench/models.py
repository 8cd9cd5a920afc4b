"""Fitting the models and scoring every player, from daily state in the engine."""

from __future__ import annotations

from bench.apart import run_apart
from bench.figures import Figure

LIMIT_SECONDS = 10.0
LIMIT_MIB = 1024.0
LIMIT_RATIO = 0.35


def measure(players: int) -> list[Figure]:
    """Simulate state in a separate process, then fit and score. The process's peak memory includes the state."""
    done = run_apart("bench.scoring", str(players))
    counts, steps = done.counts, done.steps
    note = (
        f"{players:,} players, {counts['state_rows']:,} player days, "
        f"{counts['patterns']:,} distinct histories of activity, {counts['points']:,} distinct points of them"
    )
    fit_and_score = done.stopwatch.seconds["fit and score"]
    ours, defined = steps["cpu of a fit"], steps["cpu of a fit by the definition"]
    return [
        Figure(
            name="fit and score all players", value=fit_and_score, unit="s", limit=LIMIT_SECONDS, note=note
        ),
        *(
            Figure(name=f"  {step}", value=steps[step], unit="s")
            for step in ("histories", "fits", "last month", "scores")
        ),
        Figure(
            name="fit and score all players, processor time",
            value=steps["cpu of fit and score"],
            unit="s",
            note="the engine's statements, histories and scores, are the floor",
        ),
        Figure(name="a fit of activity, processor time", value=ours, unit="s"),
        Figure(
            name="... with an integral for each history",
            value=defined,
            unit="s",
            note="the likelihood as it is defined; both fits have the same parameters",
        ),
        Figure(name="a fit over a fit by the definition", value=ours / defined, unit="x", limit=LIMIT_RATIO),
        Figure(
            name="fit and score all players, peak memory",
            value=done.peak_mib,
            unit="MiB",
            limit=LIMIT_MIB,
            note="with the simulated state in the engine, memory_limit 512MB",
        ),
    ]
