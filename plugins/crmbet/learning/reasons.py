"""Why a player has a score: each number that a model knows of the player is replaced by the median player's in turn.

A move is the player's score less the score of the same player with that one number replaced. It is positive if what is
peculiar about the player raises the score. This is the one-at-a-time form of a counterfactual: the models are published
formulas of three or four numbers, so they can be asked again, and nothing has to be estimated. Moves do not add up to
the difference of the scores, since the formulas are not linear (docs/models.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from crmbet.databases.statements import identifier, render

if TYPE_CHECKING:
    import duckdb

    from crmbet.learning.models.histories import Histories, Reals

REPLACED = ("repeats", "idle_days", "observed_days")
"""The numbers of a history: x, T - tx and T. A person knows how long ago the last day was, and nobody knows tx."""


@dataclass(frozen=True)
class MedianHistory:
    """The median of each number by itself, in days."""

    repeats: int
    idle_days: int
    observed_days: int


def median_history(connection: duckdb.DuckDBPyConnection, table: str) -> MedianHistory | None:
    """The history of the median player of a table of histories; None if it has no player."""
    found = connection.execute(render("learning/find_median_history", histories=identifier(table))).fetchone()
    return MedianHistory(*found) if found and found[0] is not None else None


def measure_moves(
    columns: Mapping[str, Any], median: MedianHistory | None, score: Callable[[Histories], Reals] | None
) -> dict[str, Reals | None]:
    """By how much each number moves the score of each distinct history, as `without_<number>`.

    `columns` are arrays of repeats, recency_days, observed_days and players. Where the median player's number and the
    others of a history contradict each other, it is taken as far as they allow: nobody has been idle for longer than
    known. Without a median player or a score there is no move.
    """
    import numpy as np

    from crmbet.learning.models.histories import Histories

    if median is None or score is None:
        return {f"without_{name}": None for name in REPLACED}
    repeats, recency, observed, players = (
        np.asarray(columns[name], dtype=np.float64)
        for name in ("repeats", "recency_days", "observed_days", "players")
    )
    idle = observed - recency

    def ask(x: Reals, idle_days: Reals, observed_days: Reals) -> Reals:
        return score(Histories.of_days(x, observed_days - idle_days, observed_days, players))

    own = score(Histories.of_days(repeats, recency, observed, players))
    others = (
        ask(np.full_like(repeats, median.repeats), idle, observed),
        ask(repeats, np.minimum(median.idle_days, observed), observed),
        ask(repeats, idle, np.maximum(median.observed_days, idle)),
    )
    return {f"without_{name}": own - other for name, other in zip(REPLACED, others, strict=True)}
