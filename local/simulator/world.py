"""The arguments of a simulated world, and the random streams that make it repeatable.

Every draw comes from a stream named by (seed, purpose, shard, day). Nothing depends on `end_day` or on the
clock, so a world that is extended by a day repeats every earlier day to the byte.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np

from crmbet.run.schedule import DEFAULT_TIMEZONE
from local.simulator.archetypes import ARCHETYPES, LOSS_CHASING, NAMES, LossChasing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PLAYERS_PER_SHARD = 50_000
"""Players that are simulated together. It bounds memory for any population. Changing it changes every world."""


@dataclass(frozen=True)
class Shard:
    """A group of consecutively numbered players."""

    index: int
    first_player: int
    players: int


@dataclass(frozen=True)
class World:
    """`players` people who may register and play from `start_day` up to `end_day`, which is exclusive.

    Days are those of `operator_timezone`. The operator opens on `start_day`, with empty wallets.
    """

    seed: int
    players: int
    start_day: date
    end_day: date
    operator_timezone: str = DEFAULT_TIMEZONE
    shares: Mapping[str, float] = field(
        default_factory=lambda: {archetype.name: archetype.share for archetype in ARCHETYPES}
    )
    """Share of the players by archetype. An archetype that is not named has no players."""
    chasing: LossChasing = LOSS_CHASING

    def __post_init__(self) -> None:
        if self.players < 1:
            raise ValueError(f"players must be at least 1, got {self.players}")
        if self.end_day <= self.start_day:
            raise ValueError(
                f"end_day {self.end_day} must be after start_day {self.start_day}: it is exclusive"
            )
        if not self.shares.keys() <= set(NAMES) or abs(sum(self.shares.values()) - 1) > 1e-9:
            raise ValueError(
                f"shares must name archetypes ({', '.join(NAMES)}) and sum to 1, got {dict(self.shares)}"
            )

    def days(self) -> Iterator[date]:
        """Every day, in order."""
        for number in range((self.end_day - self.start_day).days):
            yield self.start_day + timedelta(days=number)

    def shards(self) -> list[Shard]:
        """The players in groups of at most PLAYERS_PER_SHARD."""
        return [
            Shard(index, first, min(PLAYERS_PER_SHARD, self.players - first))
            for index, first in enumerate(range(0, self.players, PLAYERS_PER_SHARD))
        ]

    def stream(self, purpose: str, shard: int, day: date | None = None) -> np.random.Generator:
        """The random stream of one purpose, shard and day; independent of all others."""
        key = [self.seed, zlib.crc32(purpose.encode()), shard, day.toordinal() if day else 0]
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))
