"""The kinds of player, their games and how a loss pulls some of them back: the world's parameters."""

from __future__ import annotations

from dataclasses import dataclass

CHANNELS = ("email", "sms", "push", "whatsapp", "telegram", "phone")
DEVICES = ("mobile", "desktop", "tablet")
LIMIT_KINDS = ("deposit", "loss", "stake", "session")

TIMEZONES: tuple[tuple[str | None, float], ...] = (
    ("America/Sao_Paulo", 0.80),
    ("America/Manaus", 0.10),
    ("America/Rio_Branco", 0.04),
    ("America/Noronha", 0.04),
    (None, 0.02),
)


@dataclass(frozen=True)
class Game:
    """A bet wins with probability `hit`. Winnings are gamma distributed, with a mean of rtp / hit times the stake."""

    name: str
    rtp: float
    hit: float
    win_shape: float
    gap_seconds: float


GAMES = (
    Game("crash", rtp=0.97, hit=0.47, win_shape=8.0, gap_seconds=25),
    Game("cassino", rtp=0.973, hit=0.44, win_shape=6.0, gap_seconds=45),
    Game("esportes", rtp=0.94, hit=0.42, win_shape=4.0, gap_seconds=240),
    Game("poker", rtp=0.95, hit=0.35, win_shape=3.0, gap_seconds=120),
    Game("slots", rtp=0.955, hit=0.25, win_shape=1.5, gap_seconds=12),
)
TITLES_PER_GAME = 8


@dataclass(frozen=True)
class Archetype:
    """How one kind of player behaves; money in BRL, probabilities per player and day unless named otherwise.

    `played_days` is the mean of the exponential number of days from the first bet to the last (None: no end);
    `returns` makes the player alternate some weeks of play with 32 to 50 silent days.
    """

    name: str
    share: float
    active: float
    extra_sessions: float
    bets_per_session: float
    stake: float
    stake_sigma: float
    deposit: float
    game_mix: tuple[float, float, float, float, float]
    peak_hour: float
    weekend_factor: float = 1.2
    redeposit: float = 0.15
    withdraw: float = 0.5
    bonus_per_deposit: float = 0.08
    played_days: float | None = 500.0
    returns: bool = False


ARCHETYPES = (
    Archetype("casual", 0.35, 0.10, 0.1, 3, 6, 0.5, 50, (2, 1, 4, 0.3, 2), 20.0, weekend_factor=1.5),
    Archetype("regular", 0.18, 0.36, 0.3, 4, 12, 0.5, 100, (3, 2, 4, 1, 2), 20.5),
    Archetype("high_roller", 0.02, 0.30, 0.4, 6, 300, 0.6, 3000, (1, 4, 2, 2, 0.5), 22.0, withdraw=0.6),
    Archetype("bonus_hunter", 0.07, 0.20, 0.2, 5, 8, 0.3, 60, (1, 2, 1, 0.2, 4), 14.0,
              weekend_factor=1.0, withdraw=0.8, bonus_per_deposit=0.75),
    Archetype("loss_chaser", 0.05, 0.45, 1.2, 6, 20, 0.5, 150, (3, 3, 1, 0.3, 3), 23.5,
              weekend_factor=1.0, redeposit=0.6, withdraw=0.25),
    Archetype("churned", 0.13, 0.30, 0.2, 4, 8, 0.5, 60, (3, 1, 3, 0.3, 3), 20.0, played_days=20),
    Archetype("one_time", 0.10, 0.0, 0.0, 4, 5, 0.4, 30, (3, 1, 5, 0.1, 3), 19.0, played_days=0),
    Archetype("reactivated", 0.05, 0.30, 0.3, 4, 10, 0.5, 80, (2, 2, 4, 0.5, 2), 20.0, returns=True),
    Archetype("never_active", 0.05, 0.0, 0.0, 1, 5, 0.1, 30, (1, 1, 1, 1, 1), 20.0),
    # Plays as much as a loss chaser without chasing. Only worlds that set its share have such players.
    Archetype("heavy", 0.0, 0.45, 1.2, 6, 20, 0.5, 150, (3, 3, 1, 0.3, 3), 23.5, weekend_factor=1.0),
)  # fmt: skip
NAMES = tuple(archetype.name for archetype in ARCHETYPES)


@dataclass(frozen=True)
class LossChasing:
    """The planted effect: each losing session in a row multiplies a chaser's stakes by `stake_factor`.

    After `longest_run` losses it grows no further; a winning session, or `reset_hours` without play, ends the
    run. The stakes of all others are independent of results. With these values P(higher mean stake in the next
    session within 24 h | loss) - P(the same | win) is about 0.5 for chasers and 0 for the rest. A unit test checks
    that.
    """

    stake_factor: float = 1.5
    longest_run: int = 4
    reset_hours: float = 24.0


LOSS_CHASING = LossChasing()
