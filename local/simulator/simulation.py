"""Runs a world day by day: the clean tables that everything else is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from local.simulator.archetypes import NAMES
from local.simulator.calendar import OperatorDay
from local.simulator.contact import contact_day
from local.simulator.feeds import (
    bets_table,
    communications_table,
    limits_table,
    players_table,
    sessions_table,
    transactions_table,
    user_ids,
)
from local.simulator.play import play_day
from local.simulator.population import Standing, draw_population
from local.simulator.protection import protect_day

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from local.simulator.world import World

LAKE_FEEDS = ("bets", "sessions", "communications", "players", "limits")


@dataclass(frozen=True)
class Batch:
    """One day of one shard of players: a table for each feed, and `transactions` for tbl_transactions.

    `players` is a snapshot at the end of the day. It exists only on Mondays and on the world's last day.
    """

    day: OperatorDay
    shard: int
    is_last_day: bool
    tables: dict[str, pa.Table]


def name_archetypes(world: World) -> dict[str, str]:
    """User id to the archetype that the player was drawn from."""
    named: dict[str, str] = {}
    for shard in world.shards():
        population = draw_population(world, shard)
        names = (NAMES[number] for number in population.archetype)
        named.update(zip(user_ids(population).to_pylist(), names, strict=True))
    return named


def simulate(world: World) -> Iterator[Batch]:
    """Every day of `world` in order, shard by shard; memory holds one batch and the players' standing.

    Worlds of equal seed, players and start_day have equal days, whatever end_day is. Only the last day has an extra
    snapshot.
    """
    shards = []
    for shard in world.shards():
        population = draw_population(world, shard)
        shards.append((population, Standing.opening(population)))
    for date_ in world.days():
        day = OperatorDay.of(date_, world.start_day, world.operator_timezone)
        is_last = (world.end_day - date_).days == 1
        for population, standing in shards:
            index = population.shard.index
            changes = protect_day(population, standing, day, world.stream("limits", index, date_))
            messages = contact_day(population, day, world.stream("communications", index, date_))
            sessions, bets, transactions = play_day(
                population, standing, day, world.stream("play", index, date_)
            )
            tables = {
                "bets": bets_table(population, day, bets, sessions, world.stream("bets", index, date_)),
                "sessions": sessions_table(population, day, sessions),
                "communications": communications_table(population, day, messages),
                "limits": limits_table(population, changes),
                "transactions": transactions_table(
                    population, transactions, world.stream("transactions", index, date_)
                ),
            }
            if day.weekday == 0 or is_last:
                tables["players"] = players_table(population, standing, day)
            yield Batch(day, index, is_last, tables)
