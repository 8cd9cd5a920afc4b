"""The features once more, from the words of the feature table's definition: plain Python over events, slow and obvious.

No daily state, no shared formula, no engine: what this and the SQL agree on was thought of twice.
"""

from __future__ import annotations

import cmath
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

from crmbet.run.settings import Settings
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


MODELLED = (
    "p_alive",
    "expected_deposit_days_30d",
    "expected_deposit_value",
    "clv_12m",
    "customer_lifetime_value_score",
    "churn_prob_30d",
    "churn_risk_score",
)
"""Columns of the published models, which have tests of their own; the reference takes them as given."""


def compute_reference(world: World, modelled: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """User to feature column to cell. `modelled` has each user's columns of MODELLED."""
    run = world.run()
    clock = Clock(run.settings.zone, run.window.as_of_date, run.window.as_of)
    players = {
        str(row["user_id"]): row
        for row in world.players
        if instant(row.get("registered_at")) is None or clock.is_past(row["registered_at"])
    }
    bets = by_user(
        {"bet_id": f"bets {number}", **full("bets", row)}
        for number, row in enumerate(world.bets)
        if clock.is_past(row["placed_at"])
    )
    money = by_user(
        full("transactions", row) for row in world.transactions if clock.is_past(row["created_at"])
    )
    mail = by_user(
        full("communications", row) for row in world.communications if clock.is_past(row["sent_at"])
    )
    visits = by_user(
        {"session_id": f"sessions {number}", **row}
        for number, row in enumerate(world.sessions)
        if clock.is_past(row["started_at"])
    )
    limits = by_user(full("limits", row) for row in world.limits if clock.is_past(row["changed_at"]))
    lost = by_user(world.unreadable_exclusions)

    features: dict[str, dict[str, Any]] = {}
    for user in sorted({*players, *bets, *money}):
        placed, paid, told = bets.get(user, []), money.get(user, []), mail.get(user, [])
        player = players.get(user, {})
        sessions = record(visits.get(user, []), placed, clock) if visits else derive(placed, clock)
        games, hours = game_features(placed, clock), hour_features(placed, player, clock)
        entropies = [games.pop("entropy"), *hours.pop("entropies"), channel_entropy(told, clock)]
        features[user] = {
            **games,
            **stake_features(placed, clock),
            **result_features(placed, clock),
            **session_features(sessions, clock),
            **hours,
            **rhythm_features({clock.day(row["placed_at"]) for row in placed}, clock),
            **device_features(placed, clock),
            **money_features(placed, paid, player, clock, run.settings),
            **{name: modelled[user][name] for name in MODELLED},
            **lifecycle_features(placed, paid, modelled[user]["churn_risk_score"], clock),
            **channel_features(told, player, clock),
            "behavioral_diversity_score": mean_of_known(entropies),
            **play_markers(placed, paid, clock),
            **session_markers(sessions, paid, clock),
            **limit_features(
                limits.get(user, []),
                lost.get(user, []),
                player,
                clock,
                has_limits=bool(limits),
                has_players=bool(players),
            ),
        }
    add_population_features(features, money, clock)
    add_protection(features, players, run.settings, clock)
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


def known_instant(text: str) -> datetime:
    at = instant(text)
    assert at is not None
    return at


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
    counts: Counter[str] = Counter()
    decayed = dict.fromkeys(GAMES, Decimal(0))
    stakes = dict.fromkeys(GAMES, Decimal(0))
    for bet in bets:
        age = clock.age(bet["placed_at"])
        if age < 90:
            counts[bet["game_type"]] += 1
            stakes[bet["game_type"]] += Decimal(bet["stake"])
            decayed[bet["game_type"]] += Decimal(bet["stake"]) * Decimal(2 ** (-age / 30)).quantize(
                Decimal("1e-12")
            )
    best, staked = max(decayed.values()), sum(stakes.values())
    diversity = entropy([counts[game] for game in GAMES], 5)
    recent = [bet for bet in bets if clock.age(bet["placed_at"]) < 30]
    titles = {bet["game_id"] for bet in recent if bet.get("game_id")}
    return {
        "favorite_game_type": min(game for game in GAMES if decayed[game] == best) if best else None,
        "favorite_game_share": ratio(best, sum(decayed.values())),
        **{f"share_{game}": ratio(stakes[game], staked) for game in GAMES},
        "game_diversity_score": None if diversity is None else real6(diversity),
        "entropy": diversity,
        "product_breadth_90d": len(counts),
        "distinct_games_30d": len(titles) or (None if recent else 0),
    }


def ratio(part: Any, whole: Any) -> float | None:
    return real6(float(part) / float(whole)) if whole else None


def cents(value: Fraction) -> Decimal:
    """Half away from zero."""
    whole = math.floor(abs(value) * 100 + Fraction(1, 2))
    return Decimal(whole if value >= 0 else -whole) / 100


def stake_features(bets: Sequence[Any], clock: Clock) -> dict[str, Any]:
    recent = [Fraction(bet["stake"]) for bet in bets if clock.age(bet["placed_at"]) < 30]
    daily: dict[date, Fraction] = defaultdict(Fraction)
    for bet in bets:
        if clock.age(bet["placed_at"]) < 90:
            daily[clock.day(bet["placed_at"])] += Fraction(bet["stake"])
    days = sorted(daily.values())
    return {
        "bets_count_30d": len(recent),
        "bets_count_lifetime": len(bets),
        "bet_sum_30d": cents(sum(recent, Fraction())),
        "bet_avg_30d": cents(sum(recent, Fraction()) / len(recent)) if recent else None,
        "daily_stake_p50_90d": cents(percentile(days, Fraction(1, 2))) if days else None,
        "daily_stake_p95_90d": cents(percentile(days, Fraction(95, 100))) if days else None,
        "bet_volatility": volatility(
            [Decimal(bet["stake"]) for bet in bets if clock.age(bet["placed_at"]) < 90]
        ),
        "bet_volatility_robust": robust_volatility(days),
    }


def percentile(ascending: Sequence[Fraction], p: Fraction) -> Fraction:
    place = p * (len(ascending) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ascending) - 1)
    return ascending[below] + (ascending[above] - ascending[below]) * (place - below)


def robust_volatility(days: Sequence[Fraction]) -> float | None:
    if len(days) < 3:
        return None
    middle = percentile(days, Fraction(1, 2))
    spread = percentile(sorted(abs(day - middle) for day in days), Fraction(1, 2))
    return real6(float(Fraction("1.4826") * spread / middle)) if middle else None


def result_features(bets: Sequence[Any], clock: Clock) -> dict[str, Any]:
    settled = [bet for bet in bets if bet.get("payout") is not None]
    recent = [bet for bet in bets if clock.age(bet["placed_at"]) < 30]
    recently_settled = [bet for bet in settled if clock.age(bet["placed_at"]) < 30]
    rated = [bet for bet in recent if bet.get("rtp") is not None]
    known = [bet for bet in bets if clock.age(bet["placed_at"]) < 90 and bet.get("is_bonus") is not None]
    house = sum((Fraction(bet["stake"]) * (1 - Fraction(bet["rtp"])) for bet in rated), Fraction())
    theoretical = cents(house) if rated or not recent else None
    return {
        "ggr_30d": cents(result(recently_settled)),
        "ggr_lifetime": cents(result(settled)),
        "theoretical_loss_30d": theoretical,
        "win_rate_30d": ratio(
            sum(Decimal(bet["payout"]) > Decimal(bet["stake"]) for bet in recently_settled),
            len(recently_settled),
        ),
        "bonus_bet_share_90d": ratio(
            sum(Decimal(bet["stake"]) for bet in known if bet["is_bonus"] == "true"),
            sum(Decimal(bet["stake"]) for bet in known),
        ),
    }


def result(settled: Iterable[Any]) -> Fraction:
    """What the house keeps."""
    return sum((Fraction(bet["stake"]) - Fraction(bet["payout"]) for bet in settled), Fraction())


def device_features(bets: Sequence[Any], clock: Clock) -> dict[str, Any]:
    recent = [bet for bet in bets if clock.age(bet["placed_at"]) < 90]
    known = Counter(bet["device_type"] for bet in recent if bet.get("device_type"))
    return {
        "preferred_device": min(known, key=lambda device: (-known[device], device)) if known else None,
        "device_variety": len(known) or (None if recent else 0),
    }


def volatility(stakes: Sequence[Decimal]) -> float | None:
    if len(stakes) < 3 or not sum(stakes):
        return None
    mean = sum(stakes, Decimal()) / len(stakes)
    variance = sum(((stake - mean) ** 2 for stake in stakes), Decimal()) / (len(stakes) - 1)
    return real6(float(variance.sqrt() / mean))


@dataclass
class Session:
    """A visit; `ended` is None while it is not known to have ended."""

    name: str
    started: datetime
    ended: datetime | None
    bets: list[Any]


def derive(bets: Sequence[Any], clock: Clock) -> list[Session]:
    sessions: list[Session] = []
    for bet in sorted(bets, key=lambda bet: (instant(bet["placed_at"]), bet["bet_id"])):
        at = clock.local(bet["placed_at"])
        if sessions:
            last = clock.local(sessions[-1].bets[-1]["placed_at"])
            if block(last) == block(at) and at.astimezone(UTC) - last.astimezone(UTC) <= timedelta(
                minutes=30
            ):
                sessions[-1].bets.append(bet)
                sessions[-1].ended = at.astimezone(UTC)
                continue
        sessions.append(Session("", at.astimezone(UTC), at.astimezone(UTC), [bet]))
    return sessions


def block(at: datetime) -> date:
    """Days that begin at 06:00 on the wall."""
    return (at.replace(tzinfo=None) - timedelta(hours=6)).date()


def record(rows: Sequence[Any], bets: Sequence[Any], clock: Clock) -> list[Session]:
    sessions = [
        Session(
            row["session_id"],
            known_instant(row["started_at"]),
            instant(row["ended_at"]) if clock.is_past(row["ended_at"]) else None,
            [],
        )
        for row in rows
    ]
    for bet in bets:
        at, day = known_instant(bet["placed_at"]), clock.day(bet["placed_at"])
        if clock.age(bet["placed_at"]) >= 30:
            continue

        def distance(session: Session, day: date = day) -> int:
            return (session.started.astimezone(clock.zone).date() - day).days

        named = [
            session
            for session in sessions
            if session.name == bet.get("session_id") and -29 <= distance(session) <= 1
        ]
        under_way = [
            session
            for session in sessions
            if session.started <= at
            and (session.ended is None or at <= session.ended)
            and distance(session) >= -29
        ]
        if named or under_way:
            max(named or under_way, key=lambda session: (session.started, session.name)).bets.append(bet)
    return sessions


def recent_sessions(sessions: Iterable[Session], clock: Clock) -> list[Session]:
    return [session for session in sessions if clock.age(session.started.isoformat()) < 30]


def session_features(sessions: Sequence[Session], clock: Clock) -> dict[str, Any]:
    recent = recent_sessions(sessions, clock)
    known = [
        (session.ended - session.started) // timedelta(microseconds=1)
        for session in recent
        if session.ended is not None
    ]
    return {
        "sessions_30d": len(recent),
        "session_minutes_avg_30d": real6(sum(known) / len(known) / 60e6) if known else None,
        "session_minutes_max_30d": real6(max(known) / 60e6) if known else None,
    }


def hour_features(bets: Sequence[Any], player: Mapping[str, Any], clock: Clock) -> dict[str, Any]:
    offsets = [
        clock.as_of.astimezone(ZoneInfo(name)).utcoffset() or timedelta()
        for name in (player.get("timezone") or clock.zone.key, clock.zone.key)
    ]
    shift = (offsets[0] - offsets[1]) // timedelta(hours=1)
    weekdays: Counter[int] = Counter()
    slots: Counter[int] = Counter()
    hours: Counter[int] = Counter()
    for bet in bets:
        if clock.age(bet["placed_at"]) < 90:
            hour = clock.local(bet["placed_at"]).replace(tzinfo=None, minute=0, second=0, microsecond=0)
            shifted = hour + timedelta(hours=shift)
            weekdays[shifted.weekday()] += 1
            slots[shifted.hour // 6] += 1
            hours[shifted.hour] += 1
    total = weekdays.total()
    busiest = sorted(weekdays, key=lambda day: (-weekdays[day], day))[:3]
    mean_direction = sum(count * cmath.exp(1j * hour * math.pi / 12) for hour, count in hours.items())
    concentration = real6(abs(mean_direction) / total) if total else None
    mean_hour = real6(cmath.phase(mean_direction) * 12 / math.pi % 24) if concentration else None
    return {
        "dias_semana_preferidos": ",".join(str(day) for day in sorted(busiest)) if total else None,
        "horarios_atividade": SLOTS[min(slots, key=lambda slot: (-slots[slot], slot))] if total else None,
        "preferred_hour": 0.0 if mean_hour == 24 else mean_hour,
        "hour_concentration": concentration,
        "weekend_activity_ratio": ratio(weekdays[5] + weekdays[6], total),
        "night_activity_ratio": ratio(slots[0], total),
        "entropies": [
            entropy([weekdays[day] for day in range(7)], 7),
            entropy([slots[slot] for slot in range(4)], 4),
        ],
    }


def rhythm_features(days: set[date], clock: Clock) -> dict[str, Any]:
    last = clock.as_of_date - timedelta(days=1)
    ages = sorted((last - day).days for day in days)
    now, before = sum(age < 30 for age in ages), sum(30 <= age < 60 for age in ages)
    gaps = [after - before for before, after in pairwise(age for age in ages if age < 180)]
    bursts = burstiness(gaps) if len(gaps) >= 3 else None
    return {
        "active_days_7d": sum(age < 7 for age in ages),
        "active_days_30d": now,
        "active_days_90d": sum(age < 90 for age in ages),
        "activity_regularity": None if bursts is None else real6((1 - bursts) / 2),
        "burstiness": None if bursts is None else real6(bursts),
        "activity_trend": ratio(now - before, now + before),
    }


def burstiness(gaps: Sequence[int]) -> float:
    n, mean = len(gaps), sum(gaps) / len(gaps)
    r = math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / n) / mean
    return (math.sqrt(n + 1) * r - math.sqrt(n - 1)) / ((math.sqrt(n + 1) - 2) * r + math.sqrt(n - 1))


def money_features(
    bets: Sequence[Any], paid: Sequence[Any], player: Mapping[str, Any], clock: Clock, settings: Settings
) -> dict[str, Any]:
    completed = [row for row in paid if row["status"] == "completed"]
    deposits = [row for row in completed if row["transaction_type"] == "deposit"]
    withdrawals = [row for row in completed if row["transaction_type"] == "withdrawal"]
    ins, outs = amount(deposits), amount(withdrawals)
    ages = [clock.age(row["placed_at"]) for row in bets] + [clock.age(row["created_at"]) for row in paid]
    registered = clock.age(player["registered_at"]) if player.get("registered_at") else None
    tenure = max(ages, default=None) if registered is None else registered
    recent = sum(clock.age(row["created_at"]) < 90 for row in completed)
    tickets = [row for row in deposits if clock.age(row["created_at"]) < 90]
    ticket = cents(Fraction(amount(tickets)) / len(tickets)) if tickets else None
    category = None
    if ticket is not None:
        category = (
            "baixo"
            if ticket < settings.features.ticket_low
            else "medio"
            if ticket < settings.features.ticket_high
            else "alto"
        )
    balance = None
    if outs:
        balance = real6(min(1000.0, float(ins) / float(outs)))
    elif ins:
        balance = 1000.0
    ins_30 = [row for row in deposits if clock.age(row["created_at"]) < 30]
    outs_30 = [row for row in withdrawals if clock.age(row["created_at"]) < 30]
    deposit_ages = [clock.age(row["created_at"]) for row in deposits]
    moved = [
        clock.age(row["created_at"])
        for row in completed
        if row["transaction_type"] in ("deposit", "withdrawal", "bet")
    ] + [clock.age(row["placed_at"]) for row in bets]
    return {
        "frequencia_jogo": real6(recent / max(1, min(90, tenure or 0))),
        "days_since_last_activity": min(moved, default=None),
        "tenure_days": tenure,
        "total_transactions": len(completed),
        "deposit_count_30d": len(ins_30),
        "withdrawal_count_30d": len(outs_30),
        "deposit_sum_30d": amount(ins_30),
        "deposit_sum_lifetime": ins,
        "withdrawal_sum_30d": amount(outs_30),
        "padrao_deposito": cadence(deposits, clock),
        "padrao_saque": cadence(withdrawals, clock),
        "net_deposit_30d": amount(ins_30) - amount(outs_30),
        "net_deposit_lifetime": ins - outs,
        "balance_ratio": balance,
        "deposit_share": ratio(ins, ins + outs),
        "ticket_medio": ticket,
        "ticket_medio_categoria": category,
        "days_since_last_deposit": min(deposit_ages, default=None),
        "days_to_first_deposit": (
            max(0, registered - max(deposit_ages)) if deposit_ages and registered is not None else None
        ),
    }


def amount(rows: Iterable[Any]) -> Decimal:
    return sum((Decimal(row["amount"]) for row in rows), Decimal())


def cadence(rows: Iterable[Any], clock: Clock) -> str:
    ages = sorted({clock.age(row["created_at"]) for row in rows if clock.age(row["created_at"]) < 90})
    if not ages:
        return "nenhum"
    if len(ages) == 1:
        return "esporadico"
    gap = median(after - before for before, after in pairwise(ages))
    return next(
        (name for most, name in ((2, "diario"), (10, "semanal"), (31, "mensal")) if gap <= most), "esporadico"
    )


def lifecycle_features(
    bets: Sequence[Any], paid: Sequence[Any], risk: float | None, clock: Clock
) -> dict[str, Any]:
    ages = sorted(
        {clock.age(row["placed_at"]) for row in bets}
        | {clock.age(row["created_at"]) for row in paid if is_deposit(row)}
    )
    if not ages:
        return {"churn_risk_band": None, "lifecycle_stage": "registered"}
    idle, first = ages[0], ages[-1]
    if idle >= 30:
        return {"churn_risk_band": "churned", "lifecycle_stage": "churned"}
    band = None
    if risk is not None:
        band = "low" if risk < 0.4 else "medium" if risk < 0.6 else "high" if risk < 0.85 else "critical"
    if first < 30:
        stage = "new"
    elif any(after < 30 and before - after >= 31 for after, before in pairwise(ages)):
        stage = "reactivated"
    else:
        stage = "at_risk" if idle >= 14 else "active"
    return {"churn_risk_band": band, "lifecycle_stage": stage}


def is_deposit(row: Mapping[str, Any]) -> bool:
    return (row["status"], row["transaction_type"]) == ("completed", "deposit")


def consents(player: Mapping[str, Any]) -> list[str] | None:
    text = player.get("consents")
    if text is None:
        return None
    return [] if text == "none" else sorted(set(text.split(",")))


def unreadable_protection(player: Mapping[str, Any], limits: Sequence[Any], lost: Sequence[Any]) -> list[str]:
    """What protects a player and cannot be read. `lost` are rows of limits; a later exclusion takes their place."""
    named = (player.get("protection_unreadable") or "").split(",")
    excluded = [known_instant(row["changed_at"]) for row in limits if row["kind"] == "self_exclusion"]
    for row in lost:
        since = instant(row.get("changed_at"))
        if since is None or all(since >= later for later in excluded):
            named.append(row["unreadable"])
    return sorted({*named} - {""})


def channel_features(messages: Sequence[Any], player: Mapping[str, Any], clock: Clock) -> dict[str, Any]:
    recent = [row for row in messages if clock.age(row["sent_at"]) < 180]
    allowed = consents(player)
    rates = {}
    for channel in allowed or []:
        sent = [row for row in recent if row["channel"] == channel]
        if sent:
            clicks = sum(clock.is_past(row.get("clicked_at")) for row in sent)
            rates[channel] = Fraction(clicks + 1, len(sent) + 20)
    best = min(rates, key=lambda channel: (-rates[channel], channel)) if rates else None
    return {
        "canais_permitidos": allowed,
        "canal_comunicacao_preferido": best,
        "canal_engagement_rate": None if best is None else real6(float(rates[best])),
    }


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
    recency, frequency, value = {}, {}, {}
    for user, rows in deposits.items():
        recent = [row for row in rows if clock.age(row["created_at"]) < 90]
        recency[user] = -min(clock.age(row["created_at"]) for row in rows)
        frequency[user] = len({clock.day(row["created_at"]) for row in recent})
        value[user] = sum(Decimal(row["amount"]) for row in recent)

    def quarter(of: Mapping[str, Any], user: str) -> int:
        worse = sum(bool(other < of[user]) for other in of.values())
        return min(4, 1 + 4 * worse // len(of))

    for user, row in features.items():
        row |= {
            "recency_score": None,
            "frequency_score": None,
            "monetary_score": None,
            "rfm_code": None,
            "rfm_segment": "prospect",
        }
        if user in deposits:
            r, f, m = quarter(recency, user), quarter(frequency, user), quarter(value, user)
            row |= {
                "recency_score": r,
                "frequency_score": f,
                "monetary_score": m,
                "rfm_code": f"{r}{f}{m}",
                "rfm_segment": SEGMENTS[r, math.floor((f + m) / 2 + 0.5)],
            }


def play_markers(bets: Sequence[Any], paid: Sequence[Any], clock: Clock) -> dict[str, Any]:
    days: dict[int, list[Any]] = defaultdict(list)
    for bet in bets:
        if clock.age(bet["placed_at"]) < 30:
            days[clock.age(bet["placed_at"])].append(bet)
    recent = [row for row in paid if clock.age(row["created_at"]) < 30]
    losses = [result(bet for bet in day if bet.get("payout") is not None) for day in days.values()]
    levels = {
        30 - age: math.log1p(sum(Fraction(bet["stake"]) for bet in day) / len(day))
        for age, day in days.items()
    }
    return {
        "rg_frequency_30d": real6(len(days) / 30),
        "rg_intensity_30d": ratio(sum(len(day) for day in days.values()), len(days)),
        "rg_trajectory_30d": slope(levels) if len(levels) >= 5 else None,
        "rg_max_daily_loss_30d": cents(max([Fraction(), *losses])),
        "rg_declined_deposits_30d": sum(
            (row["transaction_type"], row["status"]) == ("deposit", "failed") for row in recent
        ),
        "rg_cancelled_withdrawals_30d": sum(
            (row["transaction_type"], row["status"]) == ("withdrawal", "cancelled") for row in recent
        ),
    }


def slope(levels: Mapping[int, float]) -> float:
    """Least squares, around the means."""
    middle = sum(levels) / len(levels)
    height = sum(levels.values()) / len(levels)
    rise = math.fsum((day - middle) * (level - height) for day, level in levels.items())
    return real6(rise / sum((day - middle) ** 2 for day in levels))


def session_markers(sessions: Sequence[Session], paid: Sequence[Any], clock: Clock) -> dict[str, Any]:
    played = sorted(
        (session for session in recent_sessions(sessions, clock) if session.bets),
        key=lambda session: (session.started, session.name),
    )
    sums = [sum((Fraction(bet["stake"]) for bet in session.bets), Fraction()) for session in played]
    deposits = [
        known_instant(row["created_at"])
        for row in paid
        if is_deposit(row) and clock.age(row["created_at"]) < 30
    ]
    inside = sum(
        any(session.started <= at <= (session.ended or clock.as_of) for session in played) for at in deposits
    )
    ends = []
    for session in played:
        last = max(session.bets, key=lambda bet: (instant(bet["placed_at"]), bet["bet_id"]))
        if last.get("balance_after") is not None:
            ends.append(Decimal(last["balance_after"]) < Decimal(last["stake"]))
    return {
        "rg_variability_30d": deviation(sums) if len(sums) >= 2 else None,
        "rg_deposits_per_session_30d": ratio(inside, len(played)),
        "rg_loss_chasing_30d": chasing(played),
        "rg_depletion_rate_30d": ratio(sum(ends), len(ends)),
    }


def deviation(values: Sequence[Fraction]) -> float:
    mean = sum(values) / len(values)
    return real6(math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1)))


def chasing(played: Sequence[Session]) -> float | None:
    outcomes: dict[bool, list[bool]] = {True: [], False: []}
    for this, after in pairwise(played):
        lost = result(bet for bet in this.bets if bet.get("payout") is not None)
        if lost and this.ended is not None and after.started - this.ended <= timedelta(hours=24):
            outcomes[lost > 0].append(mean_stake(after) > mean_stake(this))
    if min(len(seen) for seen in outcomes.values()) < 5:
        return None
    return real6(sum(outcomes[True]) / len(outcomes[True]) - sum(outcomes[False]) / len(outcomes[False]))


def mean_stake(session: Session) -> Fraction:
    return sum((Fraction(bet["stake"]) for bet in session.bets), Fraction()) / len(session.bets)


def limit_features(
    rows: Sequence[Any],
    lost: Sequence[Any],
    player: Mapping[str, Any],
    clock: Clock,
    *,
    has_limits: bool,
    has_players: bool,
) -> dict[str, Any]:
    raised = 0
    for row in rows:
        old, new = row.get("old_value"), row.get("new_value")
        if clock.age(row["changed_at"]) < 90 and row["kind"] != "self_exclusion" and old is not None:
            raised += new is None or Decimal(new) > Decimal(old)
    exclusions = sorted(
        (row for row in rows if row["kind"] == "self_exclusion"),
        key=lambda row: known_instant(row["changed_at"]),
    )
    until = instant(player.get("self_excluded_until"))
    unreadable = unreadable_protection(player, rows, lost)
    is_active = (until is not None and until > clock.as_of) or any(
        name == "self_excluded_until" or name.startswith("limits.") for name in unreadable
    )
    if exclusions and exclusions[-1].get("new_value") is not None:
        days = timedelta(days=float(exclusions[-1]["new_value"]))
        is_active |= known_instant(exclusions[-1]["changed_at"]) + days > clock.as_of
    was_excluded = any(row.get("new_value") or row.get("old_value") for row in exclusions)
    status = "none" if has_limits or has_players else None
    if is_active:
        status = "active"
    elif until is not None or was_excluded:
        status = "past"
    prohibited = "true" if "prohibited" in unreadable else player.get("prohibited")
    return {
        "rg_limit_increases_90d": raised if has_limits else None,
        "rg_self_exclusion_status": status,
        "rg_prohibited_flag": None if prohibited is None else prohibited == "true",
        "protection_unreadable": unreadable or None,
    }


MARKERS = {
    "cancelled_withdrawals": "rg_cancelled_withdrawals_30d",
    "declined_deposits": "rg_declined_deposits_30d",
    "depletion_rate": "rg_depletion_rate_30d",
    "deposits_per_session": "rg_deposits_per_session_30d",
    "frequency": "rg_frequency_30d",
    "intensity": "rg_intensity_30d",
    "limit_increases": "rg_limit_increases_90d",
    "loss_chasing": "rg_loss_chasing_30d",
    "max_daily_loss": "rg_max_daily_loss_30d",
    "trajectory": "rg_trajectory_30d",
    "variability": "rg_variability_30d",
}


def add_protection(
    features: dict[str, dict[str, Any]],
    players: Mapping[str, Mapping[str, Any]],
    settings: Settings,
    clock: Clock,
) -> None:
    cohort = [row for row in features.values() if row["active_days_30d"]]
    thresholds = {}
    for marker, column in MARKERS.items():
        values = sorted(float(row[column]) for row in cohort if row[column] is not None)
        if len(values) >= settings.responsible_gambling.rg_min_cohort:
            place = 0.95 * (len(values) - 1)
            below = math.floor(place)
            above = values[min(below + 1, len(values) - 1)]
            thresholds[marker] = values[below] + (above - values[below]) * (place - below)
    for user, row in features.items():
        shown = [
            marker
            for marker, threshold in thresholds.items()
            if row[MARKERS[marker]] is not None and float(row[MARKERS[marker]]) >= threshold
            if row[MARKERS[marker]] > 0
        ]
        is_excluded = row["rg_self_exclusion_status"] == "active"
        if is_excluded:
            shown.append("self_exclusion")
        score = ratio(len(shown), len(thresholds) + is_excluded)
        band = None
        if score is not None:
            band = (
                "high"
                if score >= settings.responsible_gambling.rg_band_high
                else "medium"
                if score >= settings.responsible_gambling.rg_band_medium
                else "low"
            )
        row |= {"rg_markers_triggered": sorted(shown), "rg_risk_score": score, "rg_risk_band": band}
        player = players.get(user, {})
        row["marketing_allowed"] = (
            bool(row["canais_permitidos"])
            and is_of_age(player.get("birth_date"), settings.features.adult_age, clock.as_of_date)
            and not is_excluded
            and not row["protection_unreadable"]
            and all(player.get(name) != "true" for name in ("is_blocked", "is_test", "prohibited"))
            and band != "high"
        )


def is_of_age(born: str | None, years: int, today: date) -> bool:
    """By the calendar: who was born on 29 February has no birthday before 1 March in other years."""
    if born is None:
        return False
    birth = date.fromisoformat(born)
    return (today.year - birth.year, today.month, today.day) >= (years, birth.month, birth.day) or (
        today.year - birth.year > years
    )
