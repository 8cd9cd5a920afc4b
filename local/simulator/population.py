"""The players of a shard: who they are, drawn once, and what one day leaves for the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from local.simulator.archetypes import ARCHETYPES, CHANNELS, DEVICES, LIMIT_KINDS, NAMES, TIMEZONES
from local.simulator.calendar import DAY, SECOND, OperatorDay, midnight, offset_hours

if TYPE_CHECKING:
    from local.simulator.archetypes import LossChasing
    from local.simulator.segments import Ints
    from local.simulator.world import Shard, World

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

NEVER = np.iinfo(np.int64).max // 4
NO_LIMIT = -1


@dataclass(frozen=True)
class Population:
    """Every array has one element per player. Days are counted from the world's first; money is in cents."""

    shard: Shard
    operator_timezone: str
    chasing: LossChasing
    archetype: Ints
    registered_at: Ints
    first_day: Ints
    last_day: Ints
    playing_days: Ints
    silent_days: Ints
    active: Floats
    stake: Floats
    deposit: Floats
    game_mix: Floats
    peak_hour: Floats
    device: Ints
    timezone: Ints
    birth_day: Ints
    consents: Bools
    consent_known: Bools
    channel_affinity: Floats
    is_test: Bools
    barred: Bools
    prohibited: Bools

    def __len__(self) -> int:
        return len(self.archetype)

    def is_(self, name: str) -> Bools:
        """Which players are of the archetype called `name`."""
        return np.equal(self.archetype, NAMES.index(name))

    def trait(self, name: str) -> Floats:
        """A numeric field of each player's Archetype."""
        return np.array([float(getattr(archetype, name)) for archetype in ARCHETYPES])[self.archetype]

    def in_play(self, day: OperatorDay) -> Bools:
        """Which players are between their first and last day of play, and not in a silent spell."""
        age = day.number - self.first_day
        in_spell = age % (self.playing_days + self.silent_days) < self.playing_days
        return (age >= 0) & (day.number <= self.last_day) & in_spell

    def hours_from_operator(self, day: OperatorDay) -> Floats:
        """What to add to the operator's hour to read the player's; 0 where the zone is unknown."""
        operator = offset_hours(self.operator_timezone, day.start)
        ahead = [offset_hours(zone, day.start) - operator if zone else 0.0 for zone, _ in TIMEZONES]
        return np.array(ahead)[self.timezone]


def draw_population(world: World, shard: Shard) -> Population:
    """Draw the players of a shard from a random stream of its own."""
    rng = world.stream("population", shard.index)
    n = shard.players
    archetype = _in_exact_shares(rng, n, [world.shares.get(name, 0.0) for name in NAMES])

    # Two in three registered before the opening and start in the first weeks. The others register later.
    early = rng.random(n) < 0.65
    joined = np.where(early, -rng.integers(1, 46, n), rng.exponential(45.0, n).astype(np.int64))
    opening = midnight(world.start_day, world.operator_timezone)
    registered_at = opening + joined * DAY + (rng.random(n) * 86_000).astype(np.int64) * SECOND
    wait = np.where(early, rng.exponential(8.0, n), rng.exponential(0.7, n)).astype(np.int64)
    first_day = np.where(archetype == NAMES.index("never_active"), NEVER, np.maximum(joined + 1, 0) + wait)
    spans = [NEVER if kind.played_days is None else kind.played_days for kind in ARCHETYPES]
    played = rng.exponential(1.0, n) * np.array(spans)[archetype]

    returns = np.array([kind.returns for kind in ARCHETYPES])[archetype]
    base = np.array([kind.active for kind in ARCHETYPES])[archetype]
    sigma = np.array([kind.stake_sigma for kind in ARCHETYPES])[archetype]
    wealth = np.exp(sigma * rng.standard_normal(n))
    mix = rng.gamma(0.8 * np.array([kind.game_mix for kind in ARCHETYPES])[archetype] + 0.02)
    consents = rng.random((n, len(CHANNELS))) < np.array([0.8, 0.55, 0.65, 0.6, 0.3, 0.15])
    consents[rng.random(n) < 0.06] = False
    return Population(
        shard=shard,
        operator_timezone=world.operator_timezone,
        chasing=world.chasing,
        archetype=archetype,
        registered_at=registered_at,
        first_day=first_day,
        last_day=first_day + played.astype(np.int64),
        playing_days=np.where(returns, rng.integers(12, 26, n), 1),
        silent_days=np.where(returns, rng.integers(32, 51, n), 0),
        active=np.clip(base * rng.gamma(6.0, 1 / 6.0, n), 0.0, 0.92),
        stake=np.array([kind.stake for kind in ARCHETYPES])[archetype] * 100 * wealth,
        deposit=np.array([kind.deposit for kind in ARCHETYPES])[archetype] * 100 * wealth,
        game_mix=mix / mix.sum(axis=1, keepdims=True),
        peak_hour=np.array([kind.peak_hour for kind in ARCHETYPES])[archetype] + 2.0 * rng.standard_normal(n),
        device=rng.choice(len(DEVICES), n, p=[0.75, 0.2, 0.05]),
        timezone=rng.choice(len(TIMEZONES), n, p=[share for _, share in TIMEZONES]),
        birth_day=_birth_days(rng, world, n),
        consents=consents,
        consent_known=rng.random(n) >= 0.01,
        channel_affinity=rng.gamma(1.0, 1.0, (n, len(CHANNELS))),
        is_test=rng.random(n) < 0.004,
        barred=(archetype == NAMES.index("churned")) & (rng.random(n) < 0.08),
        prohibited=rng.random(n) < 0.003,
    )


def _in_exact_shares(rng: np.random.Generator, n: int, shares: list[float]) -> Ints:
    """Codes in random order. The number of each code differs from its share of n by less than one."""
    edges = np.round(np.cumsum(shares) * n)
    return rng.permutation(np.searchsorted(edges, np.arange(n), side="right")).astype(np.int64)


def _birth_days(rng: np.random.Generator, world: World, n: int) -> Ints:
    """Days since 1970-01-01: ages from 18 to 80, a few who gave one below 18, and 1% unknown (NEVER)."""
    years = 18 + np.minimum(rng.gamma(2.2, 7.5, n), 62.0)
    years = np.where(rng.random(n) < 0.003, 16.5, years)
    opened = (world.start_day.toordinal() - 719_163) - 50
    return np.where(rng.random(n) < 0.01, NEVER, opened - (years * 365.25).astype(np.int64))


@dataclass
class Standing:
    """What a day leaves for the next, one element per player. Nothing else in a simulation is mutable."""

    balance: Ints
    losses_in_a_row: Ints
    last_session_end: Ints
    limits: Ints
    excluded_until: Ints

    @classmethod
    def opening(cls, population: Population) -> Standing:
        """Empty wallets, no results, no limits."""
        n = len(population)
        return cls(
            balance=np.zeros(n, np.int64),
            losses_in_a_row=np.zeros(n, np.int64),
            last_session_end=np.full(n, -NEVER),
            limits=np.full((n, len(LIMIT_KINDS)), NO_LIMIT, np.int64),
            excluded_until=np.full(n, -NEVER),
        )
