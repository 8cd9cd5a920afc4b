"""The clean tables of a whole simulated world as data frames."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from local.simulator import Batch, World, simulate
from local.simulator.archetypes import NAMES
from local.simulator.population import Population, draw_population

if TYPE_CHECKING:
    from collections.abc import Iterable

MONEY = (("bets", "stake"), ("bets", "payout"), ("bets", "balance_after"), ("transactions", "amount"))
"""Columns that a history has in cents."""


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
        tables = {feed: pa.concat_tables(of_feed) for feed, of_feed in parts.items()}
        for feed, column in MONEY:
            # An object for each amount would take longer than the simulation.
            cents = pc.multiply(tables[feed][column], pa.scalar(Decimal(100))).cast(pa.int64())
            place = tables[feed].column_names.index(column)
            tables[feed] = tables[feed].set_column(place, column, cents)
        frames = {feed: table.to_pandas() for feed, table in tables.items()}
        for feed, column in MONEY:
            frames[feed][column] = frames[feed][column].astype("Int64")
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
