"""A day of play: sessions, their bets, and the wallet that pays for them.

Sessions are settled in rounds: first every player's first session of the day, then every player's second one, and so
on. A stake depends on the balance and the results before it. Within a round all players are one vector. A bet that the
balance cannot cover ends its session unless the player pays in again, so no balance is ever negative. A bet is settled
when it is placed. An open bet, whose result is not known yet, has paid nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from local.simulator.archetypes import DEVICES, GAMES, TITLES_PER_GAME
from local.simulator.calendar import SECOND, OperatorDay
from local.simulator.schedule import FOOTBALL, MAX_SESSIONS, Schedule, schedule_sessions
from local.simulator.segments import Ints, first_true, positions, running_sum, starts, total

if TYPE_CHECKING:
    from local.simulator.population import Bools, Floats, Population, Standing

REDEPOSITS = 2
"""How often a session that ran dry may be paid into again."""
MIRRORED_GAMES = ("esportes", "poker")
"""They settle in the operator's own wallet, so their bets are transactions as well."""
OPEN_SHARE = 0.01
"""Share of esportes bets that were not settled when the feed was written."""


@dataclass(frozen=True)
class Sessions:
    """One element per session. Instants are in microseconds."""

    player: Ints
    started_at: Ints
    ended_at: Ints
    device: Ints


@dataclass(frozen=True)
class Bets:
    """One element per bet. Money is in cents. `session` is a row of Sessions; `title` numbers the titles of a game."""

    player: Ints
    session: Ints
    placed_at: Ints
    game: Ints
    title: Ints
    stake: Ints
    payout: Ints
    is_open: Bools
    is_bonus: Bools
    balance_after: Ints


@dataclass(frozen=True)
class Transactions:
    """One element per wallet transaction. `kind` and `status` are indexes of TYPES and STATUSES."""

    player: Ints
    created_at: Ints
    kind: Ints
    status: Ints
    amount: Ints


TYPES = ("deposit", "withdrawal", "bet", "win", "bonus", "refund")
DEPOSIT, WITHDRAWAL, BET, WIN, BONUS, REFUND = range(6)
STATUSES = ("completed", "pending", "failed", "cancelled")
COMPLETED, PENDING, FAILED, CANCELLED = range(4)


def play_day(
    population: Population, standing: Standing, day: OperatorDay, rng: np.random.Generator
) -> tuple[Sessions, Bets, Transactions]:
    """Plays `day` and brings `standing` to its end. All tables are in order of time."""
    play = _Play(population, standing, day, schedule_sessions(population, standing, day, rng), rng)
    for ordinal in range(MAX_SESSIONS):
        play.settle_round(ordinal)
    play.withdraw()
    sessions, bets = play.chronicle()
    play.ledger.mirror(bets)
    return sessions, bets, play.ledger.transactions()


def title_rtp(game: Ints, title: Ints) -> Floats:
    """Return to player of a title: that of its game, plus or minus about a percentage point."""
    rtp: Floats = np.array([each.rtp for each in GAMES])[game] + 0.0025 * (title - 3.5)
    return rtp


class _Ledger:
    """Collects a day's transactions."""

    def __init__(self, day: OperatorDay) -> None:
        self.day = day
        self.parts: list[tuple[Ints, ...]] = []

    def instant(self, seconds: Floats) -> Ints:
        """Microseconds, cut to whole milliseconds as the feeds carry them."""
        return self.day.start + np.floor(seconds * 1000).astype(np.int64) * (SECOND // 1000)

    def add(
        self, player: Ints, created_at: Ints, kind: int, amount: Ints, status: Ints | int = COMPLETED
    ) -> None:
        n = len(player)
        self.parts.append(
            (player, created_at, np.full(n, kind), np.broadcast_to(np.asarray(status), n), amount)
        )

    def mirror(self, bets: Bets) -> None:
        """Adds the bets of MIRRORED_GAMES and what they won."""
        mirrored = np.isin(bets.game, [row for row, game in enumerate(GAMES) if game.name in MIRRORED_GAMES])
        won = mirrored & (bets.payout > 0)
        self.add(bets.player[mirrored], bets.placed_at[mirrored], BET, bets.stake[mirrored])
        self.add(bets.player[won], bets.placed_at[won] + SECOND // 2, WIN, bets.payout[won])

    def transactions(self) -> Transactions:
        columns = [np.concatenate(column) for column in zip(*self.parts, strict=True)]
        order = np.argsort(columns[1], kind="stable")
        player, created_at, kind, status, amount = (column[order] for column in columns)
        return Transactions(player, created_at, kind, status, amount)


class _Play:
    """A day in progress: the schedule, the luck of every bet, and the results of the rounds so far.

    Arrays about bets have one element per scheduled bet, and the others one per session. Money is in cents.
    """

    def __init__(
        self,
        population: Population,
        standing: Standing,
        day: OperatorDay,
        schedule: Schedule,
        rng: np.random.Generator,
    ) -> None:
        self.population, self.standing, self.schedule, self.rng = population, standing, schedule, rng
        self.ledger = _Ledger(day)
        n_bets, n_sessions = len(schedule.bet_at), len(schedule.player)
        self.first_bet = starts(schedule.bets)
        game = np.repeat(schedule.game, schedule.bets)
        self.title = np.minimum(rng.geometric(0.35, n_bets) - 1, TITLES_PER_GAME - 1)
        hit = np.array([each.hit for each in GAMES])[game]
        shape = np.array([each.win_shape for each in GAMES])[game]
        winnings = rng.standard_gamma(shape) / shape * title_rtp(game, self.title) / hit
        self.is_open = (game == FOOTBALL) & (rng.random(n_bets) < OPEN_SHARE)
        self.multiple = np.where((rng.random(n_bets) < hit) & ~self.is_open, winnings, 0.0)
        self.stake_noise = np.exp(0.35 * rng.standard_normal(n_bets))
        self.level_noise = np.exp(0.20 * rng.standard_normal(n_sessions))

        self.stake, self.payout, self.balance_after = (np.zeros(n_bets, np.int64) for _ in range(3))
        self.is_bonus = np.zeros(n_bets, bool)
        self.played = np.zeros(n_sessions, np.int64)
        self.end = schedule.start.copy()

    def settle_round(self, ordinal: int) -> None:
        """Plays every player's session with this ordinal."""
        s = self.schedule.round(ordinal)
        who, counts, start = self.schedule.player[s], self.schedule.bets[s], self.schedule.start[s]
        if not len(who):
            return
        first = self.first_bet[s]
        b = slice(first[0], first[0] + int(counts.sum()))
        level = self.population.stake[who] * self.level_noise[s] * self._chasing(who, start)
        stake = _to_half_real(np.repeat(level, counts) * self.stake_noise[b])
        payout = np.round(stake * self.multiple[b]).astype(np.int64)
        bonus = self._fund(who, start, level)
        played, after = self._run(who, counts, start, self.schedule.bet_at[b], stake, payout)

        self.stake[b], self.payout[b], self.balance_after[b] = stake, payout, after
        self.is_bonus[b] = running_sum(stake, counts) <= np.repeat(bonus, counts)
        self.played[s] = played
        last = first + np.maximum(played - 1, 0)
        last_at = np.where(played > 0, self.schedule.bet_at[last], start)
        self.end[s] = last_at + 2 + 18 * self.rng.random(len(who))

        any_bet = played > 0
        self.standing.balance[who[any_bet]] = self.balance_after[last[any_bet]]
        result = total(np.where(positions(counts) < np.repeat(played, counts), payout - stake, 0), counts)
        self.standing.losses_in_a_row[who] = np.where(result < 0, self.standing.losses_in_a_row[who] + 1, 0)
        self.standing.last_session_end[who] = self.ledger.instant(self.end[s])
        self._refund(who, self.stake[first], any_bet & (self.rng.random(len(who)) < 0.004), self.end[s])

    def _chasing(self, who: Ints, start: Floats) -> Floats:
        """The factor by which recent losses raise the stake level: 1 for all but loss chasers."""
        idle = self.ledger.day.start + start * SECOND - self.standing.last_session_end[who]
        chasing = self.population.chasing
        lapsed = idle > chasing.reset_hours * 3600 * SECOND
        run = np.where(lapsed, 0, np.minimum(self.standing.losses_in_a_row[who], chasing.longest_run))
        return np.where(self.population.is_("loss_chaser")[who], chasing.stake_factor**run, 1.0)

    def _fund(self, who: Ints, start: Floats, level: Floats) -> Ints:
        """Pays in before a session for players whose balance is too low. Returns each player's bonus."""
        n, rng = len(who), self.rng
        short = self.standing.balance[who] < 4 * level
        amount = np.where(short, self._deposit(who, 6 * level), 0)
        paid_at = start - 30 - 100 * rng.random(n)
        earlier = self.ledger.instant(paid_at - 20 - 60 * rng.random(n))
        declined = short & (rng.random(n) < 0.05)
        status = rng.choice([FAILED, CANCELLED, PENDING], n, p=[0.7, 0.15, 0.15])
        self.ledger.add(who[declined], earlier[declined], DEPOSIT, amount[declined], status[declined])
        self.ledger.add(who[short], self.ledger.instant(paid_at)[short], DEPOSIT, amount[short])

        lucky = short & (rng.random(n) < self.population.trait("bonus_per_deposit")[who])
        bonus = np.where(lucky, np.maximum(_to_half_real(amount * rng.uniform(0.2, 1.0, n)), 500), 0)
        self.ledger.add(who[lucky], self.ledger.instant(paid_at + 10)[lucky], BONUS, bonus[lucky])
        self.standing.balance[who] += amount + bonus
        return bonus

    def _deposit(self, who: Ints, at_least: Floats) -> Ints:
        """The player's usual ticket or what is needed, in multiples of 5 BRL and at least 10 BRL."""
        usual = self.population.deposit[who] * np.exp(0.3 * self.rng.standard_normal(len(who)))
        return np.maximum(np.ceil(np.maximum(usual, at_least) / 500).astype(np.int64) * 500, 1000)

    def _run(
        self, who: Ints, counts: Ints, start: Floats, bet_at: Floats, stake: Ints, payout: Ints
    ) -> tuple[Ints, Ints]:
        """How many bets of each session the wallet allows, and the balance after every bet."""
        first = starts(counts)
        redeposit = self.population.trait("redeposit")[who]
        credit = np.zeros(len(stake), np.int64)
        opening = np.repeat(self.standing.balance[who], counts)
        for _ in range(REDEPOSITS):
            after = opening + running_sum(payout - stake + credit, counts)
            dry = first_true(after - payout < 0, counts)
            again = (dry < counts) & (self.rng.random(len(who)) < redeposit)
            row = (first + dry)[again]
            amount = self._deposit(who[again], (payout - after + 5 * stake)[row].astype(float))
            credit[row] += amount
            before = np.where(dry[again] > 0, bet_at[row - 1], start[again])
            self.ledger.add(who[again], self.ledger.instant((before + bet_at[row]) / 2), DEPOSIT, amount)
        after = opening + running_sum(payout - stake + credit, counts)
        return first_true(after - payout < 0, counts), after

    def _refund(self, who: Ints, amount: Ints, due: Bools, end: Floats) -> None:
        """Gives a first stake back as goodwill, right after the session."""
        self.standing.balance[who[due]] += amount[due]
        self.ledger.add(who[due], self.ledger.instant(end + 3)[due], REFUND, amount[due])

    def withdraw(self) -> None:
        """Pays out to some players with a high balance after their last session. Only completed withdrawals leave."""
        rng, balance = self.rng, self.standing.balance
        closing = np.zeros(len(self.population))
        np.maximum.at(closing, self.schedule.player, self.end)
        who = np.unique(self.schedule.player)
        n = len(who)
        rich = balance[who] > 1.5 * self.population.deposit[who]
        amount = np.floor(balance[who] * rng.uniform(0.4, 0.95, n) / 500).astype(np.int64) * 500
        asks = rich & (amount >= 2000) & (rng.random(n) < self.population.trait("withdraw")[who])
        fate, regret = rng.random(n), np.where(self.population.is_("loss_chaser")[who], 0.35, 0.06)
        fates = [fate < regret, fate < regret + 0.04, fate < regret + 0.07]
        status = np.select(fates, [CANCELLED, PENDING, FAILED], COMPLETED)
        earliest = closing[who] + 6
        requested_at = earliest + rng.random(n) * np.minimum(900, self.ledger.day.seconds - 2 - earliest)
        balance[who] -= np.where(asks & (status == COMPLETED), amount, 0)
        self.ledger.add(
            who[asks], self.ledger.instant(requested_at)[asks], WITHDRAWAL, amount[asks], status[asks]
        )

    def chronicle(self) -> tuple[Sessions, Bets]:
        """The sessions and bets that were played, in order of time."""
        plan = self.schedule
        n = len(plan.player)
        other = self.rng.integers(0, len(DEVICES), n)
        device = np.where(self.rng.random(n) < 0.85, self.population.device[plan.player], other)
        order = np.argsort(plan.start, kind="stable")
        rank = np.argsort(order)
        sessions = Sessions(
            player=plan.player[order],
            started_at=self.ledger.instant(plan.start)[order],
            ended_at=self.ledger.instant(self.end)[order],
            device=device[order],
        )
        live = np.flatnonzero(positions(plan.bets) < np.repeat(self.played, plan.bets))
        live = live[np.argsort(plan.bet_at[live], kind="stable")]
        session = np.repeat(np.arange(n), plan.bets)[live]
        return sessions, Bets(
            player=plan.player[session],
            session=rank[session],
            placed_at=self.ledger.instant(plan.bet_at[live]),
            game=plan.game[session],
            title=self.title[live],
            stake=self.stake[live],
            payout=self.payout[live],
            is_open=self.is_open[live],
            is_bonus=self.is_bonus[live],
            balance_after=self.balance_after[live],
        )


def _to_half_real(cents: Floats) -> Ints:
    """Round to multiples of 50 centavos, at least 1 BRL."""
    return np.maximum(np.round(cents / 50).astype(np.int64) * 50, 100)
