"""The features once more, from the words of the feature table's definition: plain Python over events, slow and obvious.

No daily state, no shared formula, no engine: what this and the SQL agree on was thought of twice.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from crmbet.settings import Settings
from tests.sql.world import TYPICAL, Row, World

GAMES = ("cassino", "crash", "esportes", "poker", "slots")
SLOTS = ("madrugada", "manha", "tarde", "noite")
SEGMENTS = {
    (4, 4): "champions",
    (4, 3): "loyal",
    (3, 4): "loyal",
    (3, 3): "loyal",
    (4, 2): "potential_loyalist",
    (3, 2): "potential_loyalist",
    (4, 1): "new_customers",
    (3, 1): "promising",
    (2, 4): "at_risk",
    (1, 3): "at_risk",
    (2, 3): "need_attention",
    (2, 2): "about_to_sleep",
    (2, 1): "about_to_sleep",
    (1, 4): "cant_lose_them",
    (1, 2): "hibernating",
    (1, 1): "lost",
}


def compute_reference(world: World) -> dict[str, dict[str, Any]]:
    """User to feature column to cell."""
    run = world.run()
    clock = Clock(run.settings.zone, run.window.as_of_date, run.window.as_of)
    players = {
        str(row["user_id"]): row
        for row in world.players
        if instant(row.get("registered_at")) is None or clock.is_past(row["registered_at"])
    }
    bets = by_user(full("bets", row) for row in world.bets if clock.is_past(row["placed_at"]))
    money = by_user(
        full("transactions", row) for row in world.transactions if clock.is_past(row["created_at"])
    )
    mail = by_user(
        full("communications", row) for row in world.communications if clock.is_past(row["sent_at"])
    )
    visits = by_user(row for row in world.sessions if clock.is_past(row["started_at"]))

    features = {}
    for user in sorted({*players, *bets, *money}):
        placed, paid = bets.get(user, []), money.get(user, [])
        player = players.get(user, {})
        sessions = record(visits.get(user, []), clock) if visits else derive(placed, clock)
        games, hours = game_features(placed, clock), hour_features(placed, player, clock)
        entropies = [
            games.pop("entropy"),
            *hours.pop("entropies"),
            channel_entropy(mail.get(user, []), clock),
        ]
        features[user] = {
            **games,
            "bet_volatility": volatility(
                [Decimal(row["stake"]) for row in placed if clock.age(row["placed_at"]) < 90]
            ),
            **session_features(sessions),
            **hours,
            "activity_regularity": regularity({clock.day(row["placed_at"]) for row in placed}, clock),
            **money_features(placed, paid, player, clock, run.settings),
            "churn_risk_score": churn(placed, paid, clock),
            "behavioral_diversity_score": mean_of_known(entropies),
        }
    add_population_features(features, money, clock)
    return features


@dataclass(frozen=True)
class Clock:
    """The operator's wall clock, and how long ago something was."""

    zone: ZoneInfo
    as_of_date: date
    as_of: datetime

    def is_past(self, text: str | None) -> bool:
        at = instant(text)
        return at is not None and at < self.as_of

    def local(self, text: str | None) -> datetime:
        at = instant(text)
        assert at is not None
        return at.astimezone(self.zone)

    def day(self, text: str | None) -> date:
        return self.local(text).date()

    def age(self, text: str | None) -> int:
        return (self.as_of_date - timedelta(days=1) - self.day(text)).days


def instant(text: str | None) -> datetime | None:
    if text is None:
        return None
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def full(source: str, row: Row) -> dict[str, Any]:
    return {**TYPICAL[source], **row}


def by_user(rows: Iterable[Row]) -> dict[str, list[Any]]:
    found = defaultdict(list)
    for row in rows:
        found[str(row["user_id"])].append(row)
    return found


def real6(value: float) -> float:
    """Half away from zero, as the engine rounds."""
    return math.copysign(math.floor(abs(value) * 1e6 + 0.5) / 1e6, value) + 0.0


def entropy(counts: Iterable[int], kinds: int) -> float | None:
    present = [count for count in counts if count]
    total = sum(present)
    if not present:
        return None
    return sum(count / total * math.log(total / count) for count in present) / math.log(kinds)


def mean_of_known(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return real6(sum(known) / len(known)) if known else None


def game_features(bets: Sequence[Any], clock: Clock) -> dict[str, Any]:
    counts, stakes = Counter(), dict.fromkeys(GAMES, Decimal(0))
    for bet in bets:
        age = clock.age(bet["placed_at"])
        if age < 90:
            counts[bet["game_type"]] += 1
            stakes[bet["game_type"]] += Decimal(bet["stake"]) * Decimal(2 ** (-age / 30)).quantize(
                Decimal("1e-12")
            )
    best = max(stakes.values())
    diversity = entropy([counts[game] for game in GAMES], 5)
    return {
        "favorite_game_type": min(game for game in GAMES if stakes[game] == best) if best else None,
        "game_diversity_score": None if diversity is None else real6(diversity),
        "entropy": diversity,
    }


def volatility(stakes: Sequence[Decimal]) -> float | None:
    if len(stakes) < 3 or not sum(stakes):
        return None
    mean = sum(stakes) / len(stakes)
    variance = sum((stake - mean) ** 2 for stake in stakes) / (len(stakes) - 1)
    return real6(float(variance.sqrt() / mean))


def derive(bets: Sequence[Any], clock: Clock) -> list[tuple[int, timedelta | None]]:
    """Age of the day and length of each session."""
    sessions: list[list[datetime]] = []
    for at in sorted(clock.local(bet["placed_at"]) for bet in bets):
        block = (at.replace(tzinfo=None) - timedelta(hours=6)).date()
        if sessions:
            last = sessions[-1][-1]
            same_block = (last.replace(tzinfo=None) - timedelta(hours=6)).date() == block
            if same_block and at.astimezone(UTC) - last.astimezone(UTC) <= timedelta(minutes=30):
                sessions[-1].append(at)
                continue
        sessions.append([at])
    return [
        (clock.age(times[0].isoformat()), times[-1].astimezone(UTC) - times[0].astimezone(UTC))
        for times in sessions
    ]


def record(rows: Sequence[Any], clock: Clock) -> list[tuple[int, timedelta | None]]:
    return [
        (
            clock.age(row["started_at"]),
            instant(row["ended_at"]) - instant(row["started_at"]) if clock.is_past(row["ended_at"]) else None,
        )
        for row in rows
    ]


def session_features(sessions: Sequence[tuple[int, timedelta | None]]) -> dict[str, Any]:
    recent = [length for age, length in sessions if age < 30]
    known = [length // timedelta(microseconds=1) for length in recent if length is not None]
    return {
        "sessions_30d": len(recent),
        "session_minutes_avg_30d": real6(sum(known) / len(known) / 60e6) if known else None,
        "session_minutes_max_30d": real6(max(known) / 60e6) if known else None,
    }


def hour_features(bets: Sequence[Any], player: Mapping[str, Any], clock: Clock) -> dict[str, Any]:
    offsets = [
        clock.as_of.astimezone(ZoneInfo(name)).utcoffset()
        for name in (player.get("timezone") or clock.zone.key, clock.zone.key)
    ]
    shift = (offsets[0] - offsets[1]) // timedelta(hours=1)
    weekdays, slots = Counter(), Counter()
    for bet in bets:
        if clock.age(bet["placed_at"]) < 90:
            hour = clock.local(bet["placed_at"]).replace(tzinfo=None, minute=0, second=0, microsecond=0)
            shifted = hour + timedelta(hours=shift)
            weekdays[shifted.weekday()] += 1
            slots[shifted.hour // 6] += 1
    total = weekdays.total()
    busiest = sorted(weekdays, key=lambda day: (-weekdays[day], day))[:3]
    return {
        "dias_semana_preferidos": ",".join(str(day) for day in sorted(busiest)) if total else None,
        "horarios_atividade": SLOTS[min(slots, key=lambda slot: (-slots[slot], slot))] if total else None,
        "weekend_activity_ratio": real6((weekdays[5] + weekdays[6]) / total) if total else None,
        "entropies": [
            entropy([weekdays[day] for day in range(7)], 7),
            entropy([slots[slot] for slot in range(4)], 4),
        ],
    }


def regularity(days: set[date], clock: Clock) -> float | None:
    last = clock.as_of_date - timedelta(days=1)
    recent = sorted(day for day in days if (last - day).days < 180)
    gaps = [(after - before).days for before, after in pairwise(recent)]
    n = len(gaps)
    if n < 3:
        return None
    mean = sum(gaps) / n
    r = math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / n) / mean
    burstiness = (math.sqrt(n + 1) * r - math.sqrt(n - 1)) / ((math.sqrt(n + 1) - 2) * r + math.sqrt(n - 1))
    return real6((1 - burstiness) / 2)


def money_features(
    bets: Sequence[Any], paid: Sequence[Any], player: Mapping[str, Any], clock: Clock, settings: Settings
) -> dict[str, Any]:
    completed = [row for row in paid if row["status"] == "completed"]
    deposits = [row for row in completed if row["transaction_type"] == "deposit"]
    ins = sum(Decimal(row["amount"]) for row in deposits)
    outs = sum(Decimal(row["amount"]) for row in completed if row["transaction_type"] == "withdrawal")
    ages = [clock.age(row["placed_at"]) for row in bets] + [clock.age(row["created_at"]) for row in paid]
    tenure = clock.age(player["registered_at"]) if player.get("registered_at") else max(ages, default=0)
    recent = sum(clock.age(row["created_at"]) < 90 for row in completed)
    tickets = [Decimal(row["amount"]) for row in deposits if clock.age(row["created_at"]) < 90]
    category = None
    if tickets:
        ticket = (sum(tickets) / len(tickets)).quantize(Decimal("0.01"), ROUND_HALF_UP)
        category = (
            "baixo" if ticket < settings.ticket_low else "medio" if ticket < settings.ticket_high else "alto"
        )
    balance = None
    if outs:
        balance = real6(min(1000.0, float(ins) / float(outs)))
    elif ins:
        balance = 1000.0
    return {
        "frequencia_jogo": real6(recent / max(1, min(90, tenure))),
        "total_transactions": len(completed),
        "balance_ratio": balance,
        "ticket_medio_categoria": category,
    }


def churn(bets: Sequence[Any], paid: Sequence[Any], clock: Clock) -> float | None:
    ages = [clock.age(row["placed_at"]) for row in bets]
    ages += [clock.age(row["created_at"]) for row in paid if is_deposit(row)]
    return real6(1 - 2 ** (-min(ages) / 30)) if ages else None


def is_deposit(row: Mapping[str, Any]) -> bool:
    return row["status"] == "completed" and row["transaction_type"] == "deposit"


def channel_entropy(messages: Sequence[Any], clock: Clock) -> float | None:
    answered = Counter(
        row["channel"]
        for row in messages
        if clock.age(row["sent_at"]) < 90
        and (clock.is_past(row.get("opened_at")) or clock.is_past(row.get("clicked_at")))
    )
    return entropy([answered[channel] for channel in sorted(answered)], 6)


def add_population_features(
    features: dict[str, dict[str, Any]], money: Mapping[str, Sequence[Any]], clock: Clock
) -> None:
    deposits = {user: [row for row in rows if is_deposit(row)] for user, rows in money.items()}
    deposits = {user: rows for user, rows in deposits.items() if rows}
    recency, frequency, value, rate = {}, {}, {}, {}
    for user, rows in deposits.items():
        recent = [row for row in rows if clock.age(row["created_at"]) < 90]
        recency[user] = -min(clock.age(row["created_at"]) for row in rows)
        frequency[user] = len({clock.day(row["created_at"]) for row in recent})
        value[user] = sum(Decimal(row["amount"]) for row in recent)
        observed = max(30, max(clock.age(row["created_at"]) for row in rows) + 1)
        rate[user] = real6(float(sum(Decimal(row["amount"]) for row in rows) * 365) / observed)

    def quarter(of: Mapping[str, Any], user: str) -> int:
        worse = sum(other < of[user] for other in of.values())
        return min(4, 1 + 4 * worse // len(of))

    for user, row in features.items():
        row |= {
            "recency_score": None,
            "frequency_score": None,
            "monetary_score": None,
            "rfm_segment": "prospect",
            "customer_lifetime_value_score": None,
        }
        if user in deposits:
            r, f, m = quarter(recency, user), quarter(frequency, user), quarter(value, user)
            row |= {
                "recency_score": r,
                "frequency_score": f,
                "monetary_score": m,
                "rfm_segment": SEGMENTS[r, math.floor((f + m) / 2 + 0.5)],
                "customer_lifetime_value_score": real6(
                    sum(other < rate[user] for other in rate.values()) / max(1, len(rate) - 1)
                ),
            }
