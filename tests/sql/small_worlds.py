"""Small random worlds for Hypothesis, dense where windows, days, sessions and ties have their edges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from tests.sql.reference import GAMES
from tests.sql.world import Row, World

USERS = ("ana", "ana", "ana", "bia", "bia", "caio", "davi", "eva")
LAST_DAYS = (date(2026, 2, 28), date(2018, 11, 3), date(2018, 11, 4), date(2018, 2, 17), date(2018, 2, 18))
"""The last day before as_of: an ordinary one, and those around the ends of daylight saving in Sao Paulo."""
OPERATOR_ZONES = (
    "America/Sao_Paulo",
    "America/Sao_Paulo",
    "America/Rio_Branco",
    "Asia/Kolkata",
    "Pacific/Kiritimati",
)
PLAYER_ZONES = (
    None,
    "America/Noronha",
    "America/Rio_Branco",
    "Asia/Kolkata",
    "Pacific/Pago_Pago",
    "America/St_Johns",
)
AGES = (-2, -1, 0, 0, 1, 2, 3, 7, 14, 28, 29, 30, 59, 88, 89, 90, 91, 178, 179, 180, 181, 400)
"""Negative: at or after as_of."""
TIMES = (
    time(0, 0),
    time(0, 10),
    time(5, 50),
    time(5, 59, 59, 999_999),
    time(6, 0),
    time(11, 59, 59),
    time(12, 0),
    time(12, 30),
    time(12, 30, 0, 1),
    time(17, 59, 59),
    time(18, 0),
    time(23, 30),
    time(23, 45),
    time(23, 59, 59, 999_999),
)
STAKES = ("0", "0", "0.0001", "1", "10", "10", "20", "33.3333", "99999.9999", "10000000")
PAYOUTS = (None, "0", "0", "0.0001", "9.9999", "10", "25", "10000000")
BIRTHS = (None, *("1990-05-05",) * 3, "2008-02-29", "2008-02-28", "2008-03-01", "2008-03-02", "2000-11-04")
AMOUNTS = ("0.01", "10", "49.99", "50", "50", "100", "499.99", "500", "99999999.99")
KINDS = ("deposit", "deposit", "deposit", "withdrawal", "withdrawal", "bet", "win", "bonus", "refund")
STATUSES = ("completed", "completed", "completed", "pending", "failed", "failed", "cancelled", "cancelled")
CHANNELS = ("email", "sms", "push", "whatsapp", "telegram", "phone")
CONSENTS = (None, "none", "email", "sms,email", "sms,email", "email,push,phone")
UNREADABLE = (*[None] * 6, "is_blocked", "prohibited,birth_date", "self_excluded_until")
FLAGS = ("false", "false", "false", "false", "false", "false", "false", "true", None)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Up to five players, some dozens of events, with or without recorded sessions."""
    zone_name = draw(st.sampled_from(OPERATOR_ZONES))
    last_day = draw(st.sampled_from(LAST_DAYS))
    return World(
        as_of_date=last_day + timedelta(days=1),
        settings={"operator_timezone": zone_name, "rg_min_cohort": draw(st.sampled_from((2, 3, 20)))},
        **_rows(draw, ZoneInfo(zone_name), last_day, USERS, recorded=draw(st.booleans())),
    )


@st.composite
def crowded_worlds(draw: st.DrawFn) -> World:
    """One to four groups of players, each drawn like the rows of `worlds`, in one world.

    A computation costs nearly the same for four groups as for one, because it is mostly planning.
    """
    zone_name = draw(st.sampled_from(OPERATOR_ZONES))
    last_day = draw(st.sampled_from(LAST_DAYS))
    recorded = draw(st.booleans())
    rows: dict[str, list[Row]] = {}
    for number in range(draw(st.sampled_from((1, 4, 4, 4)))):
        users = USERS if number == 0 else tuple(f"{user} {number}" for user in USERS)
        for source, more in _rows(draw, ZoneInfo(zone_name), last_day, users, recorded=recorded).items():
            rows.setdefault(source, []).extend(more)
    return World(
        as_of_date=last_day + timedelta(days=1),
        # With 20 the cohort is mostly too small, with the others it is big enough.
        settings={"operator_timezone": zone_name, "rg_min_cohort": draw(st.sampled_from((2, 2, 3, 20)))},
        **rows,
    )


def full_worlds() -> st.SearchStrategy[World]:
    """Crowded worlds with something of everything, for tests that have one example.

    The first example that Hypothesis tries is the simplest one, a world without events.
    """
    return crowded_worlds().filter(
        lambda world: world.bets and world.transactions and world.communications and world.players
    )


def _rows(
    draw: st.DrawFn, zone: ZoneInfo, last_day: date, names: Sequence[str], *, recorded: bool
) -> Mapping[str, list[Row]]:
    """Rows of some players by source."""
    users = st.sampled_from(names)

    def at(age: int, clock: time) -> str:
        local = datetime.combine(last_day - timedelta(days=age), clock, tzinfo=zone)
        return local.astimezone(UTC).isoformat()

    instants = st.builds(at, st.sampled_from(AGES), st.sampled_from(TIMES))
    perhaps = st.none() | instants

    # Bets hours apart for days on end: what loss chasing and a trajectory ask for comes about by chance too rarely.
    spree: list[Row] = []
    if draw(st.booleans()):
        begun = datetime.fromisoformat(at(draw(st.sampled_from((2, 14, 29, 30))), time(12, 0)))
        pause = timedelta(minutes=draw(st.sampled_from((31, 600, 1440, 1441))))
        played = st.tuples(st.sampled_from(("1", "10", "20")), st.sampled_from(("0", "0", "10", "25", "25")))
        spree = [
            {
                "user_id": names[0],
                "placed_at": (begun + place * pause).isoformat(),
                "stake": stake,
                "payout": payout,
            }
            for place, (stake, payout) in enumerate(draw(st.lists(played, min_size=11, max_size=15)))
        ]
    paid_at = instants if not spree else instants | st.sampled_from([row["placed_at"] for row in spree])

    def rows(most: int, **columns: st.SearchStrategy[str | None]) -> list[Row]:
        # Left to itself, a list is short, and most features need several events of one player.
        least = draw(st.sampled_from((0, most // 2, most - 4)))
        row = st.fixed_dictionaries({"user_id": users, **columns})
        return draw(st.lists(row, min_size=least, max_size=most))

    def session(start: str, minutes: int | None) -> dict[str, str | None]:
        end = None if minutes is None else datetime.fromisoformat(start) + timedelta(minutes=minutes)
        return {"started_at": start, "ended_at": end.isoformat() if end else None}

    visited: list[Row] = []
    if recorded:
        lengths = st.sampled_from((None, 0, 1, 7, 30, 60, 3000))
        visits = draw(st.lists(st.tuples(users, st.builds(session, instants, lengths)), max_size=10))
        visited = [{"user_id": user, **times} for user, times in visits]
    registered = draw(st.lists(users, unique=True, max_size=5))
    return {
        "bets": spree
        + rows(
            18 if spree else 36,
            placed_at=instants,
            game_type=st.sampled_from(GAMES),
            stake=st.sampled_from(STAKES),
            payout=st.sampled_from(PAYOUTS),
            rtp=st.sampled_from((None, "0.965", "0", "1")),
            is_bonus=st.sampled_from((None, "true", "false")),
            device_type=st.sampled_from((None, "mobile", "desktop")),
            game_id=st.sampled_from((None, "g1", "g2")),
            balance_after=st.sampled_from((None, "0", "10", "500")),
            session_id=st.sampled_from((None, None, "sessions 0", "sessions 3", "nowhere")),
        ),
        "transactions": rows(
            20,
            created_at=paid_at,
            transaction_type=st.sampled_from(KINDS),
            status=st.sampled_from(STATUSES),
            amount=st.sampled_from(AMOUNTS),
        ),
        "communications": rows(
            10, sent_at=instants, channel=st.sampled_from(CHANNELS), opened_at=perhaps, clicked_at=perhaps
        ),
        "players": [
            {
                "user_id": user,
                "timezone": draw(st.sampled_from(PLAYER_ZONES)),
                "registered_at": draw(perhaps),
                "birth_date": draw(st.sampled_from(BIRTHS)),
                "consents": draw(st.sampled_from(CONSENTS)),
                "is_test": draw(st.sampled_from(FLAGS)),
                "is_blocked": draw(st.sampled_from(FLAGS)),
                "prohibited": draw(st.sampled_from(FLAGS)),
                "self_excluded_until": draw(st.none() | st.none() | perhaps),
                "protection_unreadable": draw(st.sampled_from(UNREADABLE)),
            }
            for user in registered
        ],
        "sessions": visited,
        "limits": rows(
            8,
            changed_at=instants,
            kind=st.sampled_from(("deposit", "loss", "self_exclusion", "self_exclusion")),
            old_value=st.sampled_from((None, "10", "30")),
            new_value=st.sampled_from((None, "10", "30", "200")),
        ),
        "unreadable_exclusions": rows(
            4, changed_at=perhaps, unreadable=st.sampled_from(("limits.kind", "limits.new_value"))
        ),
    }
