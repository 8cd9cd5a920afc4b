"""What the operator sends its players, and what they open and click."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from local.simulator.archetypes import CHANNELS
from local.simulator.calendar import SECOND, OperatorDay

if TYPE_CHECKING:
    from local.simulator.population import Bools, Population
    from local.simulator.segments import Ints

DAILY_CHANCE = 0.22
OPEN_CHANCE = 0.16
CLICK_CHANCE = 0.3


@dataclass(frozen=True)
class Messages:
    """One element per message. opened_at and clicked_at are valid only where `opened` and `clicked` are true."""

    player: Ints
    channel: Ints
    sent_at: Ints
    opened_at: Ints
    opened: Bools
    clicked_at: Ints
    clicked: Bools


def contact_day(population: Population, day: OperatorDay, rng: np.random.Generator) -> Messages:
    """At most one message a player, from 9 to 20 h, over a consented channel.

    A player opens in proportion to their liking of the channel. What would be opened after midnight stays
    unopened.
    """
    reachable = population.consents.any(axis=1) & (population.registered_at < day.start)
    player = np.flatnonzero(reachable & (rng.random(len(population)) < DAILY_CHANCE))
    n = len(player)
    lottery = rng.random((n, len(CHANNELS))) * population.consents[player]
    channel = lottery.argmax(axis=1) if n else np.zeros(0, np.int64)
    sent_at = day.start + ((9 + 11 * rng.random(n)) * 3600 * 1000).astype(np.int64) * (SECOND // 1000)

    liking = np.minimum(OPEN_CHANCE * population.channel_affinity[player, channel], 0.9)
    opened_at = sent_at + _delay(rng, n, minutes=80)
    clicked_at = opened_at + _delay(rng, n, minutes=2)
    opened = (rng.random(n) < liking) & (opened_at < day.end)
    clicked = opened & (rng.random(n) < CLICK_CHANCE) & (clicked_at < day.end)
    order = np.argsort(sent_at, kind="stable")
    return Messages(
        player=player[order],
        channel=channel[order],
        sent_at=sent_at[order],
        opened_at=opened_at[order],
        opened=opened[order],
        clicked_at=clicked_at[order],
        clicked=clicked[order],
    )


def _delay(rng: np.random.Generator, n: int, minutes: float) -> Ints:
    return (1 + rng.exponential(minutes * 60_000, n).astype(np.int64)) * (SECOND // 1000)
