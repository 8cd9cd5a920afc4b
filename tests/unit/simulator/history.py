"""The clean tables of a whole simulated world as data frames."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from local.simulator import Batch, World, simulate
from local.simulator.archetypes import NAMES
from local.simulator.population import Population, draw_population

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class History:
    """Every clean table of a world, whole."""

    world: World
    tables: dict[str, pd.DataFrame]

    @classmethod
    def of(cls, world: World) -> History:
        return cls.from_batches(world, simulate(world))

    @classmethod
    def from_batches(cls, world: World, batches: Iterable[Batch]) -> History:
        parts: dict[str, list[pa.Table]] = {}
        for batch in batches:
            for feed, table in batch.tables.items():
                parts.setdefault(feed, []).append(table)
        frames = {feed: pa.concat_tables(tables).to_pandas() for feed, tables in parts.items()}
        for feed, money in (("bets", ("stake", "payout", "balance_after")), ("transactions", ("amount",))):
            for column in money:
                cents = frames[feed][column].map(lambda value: None if value is None else int(value * 100))
                frames[feed][column] = cents.astype("Int64")
        return cls(world, frames)

    @cached_property
    def population(self) -> Population:
        return draw_population(self.world, self.world.shards()[0])

    @cached_property
    def archetype(self) -> pd.Series:
        """The archetype's name by user_id."""
        ids = [f"u{number:07d}" for number in range(len(self.population))]
        return pd.Series(np.array(NAMES)[self.population.archetype], index=ids)

    def kind(self, frame: pd.DataFrame) -> pd.Series:
        return frame["user_id"].map(self.archetype)
