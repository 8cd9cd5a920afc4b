"""Limits that players set for themselves, and self-exclusion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from local.simulator.archetypes import LIMIT_KINDS
from local.simulator.calendar import DAY, SECOND, OperatorDay
from local.simulator.population import NO_LIMIT, Population, Standing

if TYPE_CHECKING:
    from local.simulator.segments import Ints

SELF_EXCLUSION = len(LIMIT_KINDS)
"""Code of the kind self_exclusion, after those of LIMIT_KINDS; its value is a number of days."""

CHANGE_CHANCE = 0.006
CHASER_CHANGE_CHANCE = 0.02
EXCLUSION_CHANCE = 0.00008
CHASER_EXCLUSION_CHANCE = 0.0015
EXCLUSION_DAYS = (30, 60, 180)
USUAL_MINUTES_A_SESSION = 120


@dataclass(frozen=True)
class LimitChanges:
    """One element per change. Values are cents, minutes (session), days (self_exclusion), or NO_LIMIT."""

    player: Ints
    changed_at: Ints
    kind: Ints
    old_value: Ints
    new_value: Ints


def protect_day(
    population: Population, standing: Standing, day: OperatorDay, rng: np.random.Generator
) -> LimitChanges:
    """At most one change per player: a first, lower, higher or removed limit, or a self-exclusion.

    Chasers change their limits more often, and mostly upwards. A player with a self-exclusion does not play from that
    day until it ends.
    """
    n = len(population)
    engaged = (population.first_day <= day.number) & (standing.excluded_until < day.start)
    chaser = population.is_("loss_chaser")
    changed_at = day.start + (rng.random(n) * (day.seconds - 1) * 1000).astype(np.int64) * (SECOND // 1000)

    luck = rng.random(n)
    leaves = np.flatnonzero(engaged & (luck < np.where(chaser, CHASER_EXCLUSION_CHANCE, EXCLUSION_CHANCE)))
    days = rng.choice(EXCLUSION_DAYS, len(leaves))
    standing.excluded_until[leaves] = changed_at[leaves] + days * DAY

    who = np.flatnonzero(engaged & (luck > 1 - np.where(chaser, CHASER_CHANGE_CHANCE, CHANGE_CHANCE)))
    kind = rng.integers(0, len(LIMIT_KINDS), len(who))
    old = standing.limits[who, kind]
    usual = np.select(
        [kind == 0, kind == 1, kind == 2],
        [8 * population.deposit[who], 5 * population.deposit[who], 20 * population.stake[who]],
        float(USUAL_MINUTES_A_SESSION),
    )
    up = rng.random(len(who)) < np.where(chaser[who], 0.7, 0.4)
    factor = np.where(up, rng.choice([1.5, 2.0, 3.0], len(who)), rng.choice([0.5, 0.75], len(who)))
    removed = (old != NO_LIMIT) & up & (rng.random(len(who)) < 0.2)
    new = np.where(
        removed, NO_LIMIT, np.ceil(np.where(old == NO_LIMIT, usual, old * factor)).astype(np.int64)
    )
    standing.limits[who, kind] = new

    columns = (
        np.concatenate((who, leaves)),
        changed_at[np.concatenate((who, leaves))],
        np.concatenate((kind, np.full(len(leaves), SELF_EXCLUSION))),
        np.concatenate((old, np.full(len(leaves), NO_LIMIT))),
        np.concatenate((new, days)),
    )
    order = np.argsort(columns[1], kind="stable")
    return LimitChanges(*(column[order] for column in columns))
