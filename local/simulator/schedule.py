"""Who plays at which time of a day: sessions, their games, and the time of each bet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from local.simulator.archetypes import GAMES
from local.simulator.segments import Ints, positions, running_sum, starts

if TYPE_CHECKING:
    from local.simulator.calendar import OperatorDay
    from local.simulator.population import Floats, Population, Standing

MAX_SESSIONS = 5
MAX_BETS = 150
EDGE_SECONDS = 300.0
"""No session starts in the first or last five minutes of a day, so that deposits and withdrawals have room."""
PAUSE_SECONDS = 1_860.0
"""Pause between two sessions of a player: more than the 30 minutes after which bets count as a new session."""
LONGEST_GAP_SECONDS = 1_200.0
FOOTBALL = 2
"""esportes, as a row of GAMES."""


@dataclass(frozen=True)
class Schedule:
    """One element per session, in order of (ordinal of the player's day, player), so that a round is a slice.

    Seconds are counted from the day's start. `bet_at` has one element per bet, session after session.
    """

    player: Ints
    ordinal: Ints
    start: Floats
    game: Ints
    bets: Ints
    bet_at: Floats

    def round(self, ordinal: int) -> slice:
        """Every player's session with this ordinal."""
        return slice(*np.searchsorted(self.ordinal, [ordinal, ordinal + 1]))


def schedule_sessions(
    population: Population, standing: Standing, day: OperatorDay, rng: np.random.Generator
) -> Schedule:
    """Draws the day. A player's sessions never overlap, and everything ends before midnight."""
    n = len(population)
    chance = population.active * (1 + 0.6 * population.game_mix[:, FOOTBALL] * bool(day.kick_offs))
    if day.is_weekend:
        chance = chance * population.trait("weekend_factor")
    wants = (rng.random(n) < chance) | (population.first_day == day.number)
    who = np.flatnonzero(wants & population.in_play(day) & (standing.excluded_until < day.start))

    extra = population.trait("extra_sessions")[who]
    per_player = np.minimum(1 + rng.poisson(extra), MAX_SESSIONS)
    player = np.repeat(who, per_player)
    mix = population.game_mix[player]
    if day.kick_offs:
        mix[:, FOOTBALL] *= 2.5
    cdf = np.cumsum(mix / mix.sum(axis=1, keepdims=True), axis=1)
    game = np.minimum((rng.random(len(player))[:, None] > cdf).sum(axis=1), len(GAMES) - 1)
    room = day.seconds - 2 * EDGE_SECONDS
    start = EDGE_SECONDS + _start_hours(population, player, game, day, rng) * 3600 * room / (24 * 3600)

    ordinal = positions(per_player)[np.argsort(np.lexsort((start, player)))]
    order = np.lexsort((player, ordinal))
    player, ordinal, game, start = player[order], ordinal[order], game[order], start[order]
    bets = np.minimum(rng.geometric(1 / population.trait("bets_per_session")[player]), MAX_BETS)
    gap = rng.exponential(np.repeat(np.array([g.gap_seconds for g in GAMES])[game], bets))
    gap_ms = (np.clip(gap, 1.0, LONGEST_GAP_SECONDS) * 1000).astype(np.int64)
    bet_offset = running_sum(gap_ms, bets) / 1000

    # A later session waits for the one before it. A session that would run past midnight is played faster, and one
    # that has no room is dropped.
    length = bet_offset[starts(bets) + bets - 1]
    latest = day.seconds - EDGE_SECONDS
    free_from = np.zeros(n)
    pace = np.ones(len(player))
    for k in range(MAX_SESSIONS):
        s = slice(*np.searchsorted(ordinal, [k, k + 1]))
        start[s] = np.maximum(start[s], free_from[player[s]])
        pace[s] = np.minimum(1.0, np.maximum(day.seconds - 90 - start[s], 1.0) / length[s])
        free_from[player[s]] = start[s] + length[s] * pace[s] + PAUSE_SECONDS
    fits = start <= latest
    bet_at = np.repeat(start, bets) + bet_offset * np.repeat(pace, bets)
    return Schedule(
        player[fits], ordinal[fits], start[fits], game[fits], bets[fits], bet_at[np.repeat(fits, bets)]
    )


def _start_hours(
    population: Population, player: Ints, game: Ints, day: OperatorDay, rng: np.random.Generator
) -> Floats:
    """Hours on the operator's clock: near the player's own local peak, or near kick-off for football."""
    n = len(player)
    own = (
        population.peak_hour[player]
        + 2.2 * rng.standard_normal(n)
        - population.hours_from_operator(day)[player]
    )
    hours = np.where(rng.random(n) < 0.12, 24 * rng.random(n), own)
    if day.kick_offs:
        football = (game == FOOTBALL) & (rng.random(n) < 0.75)
        kick_off = rng.choice(np.array(day.kick_offs), n) + 0.5 * rng.standard_normal(n)
        hours = np.where(football, kick_off, hours)
    return hours % 24
