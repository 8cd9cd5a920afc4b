"""The stream and one rebuild come to the same cells, whatever order and portions the messages came in."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from random import Random
from typing import Any

import pytest

from crmbet.stream import parts
from tests.integration.stream.conftest import NOON, Casino, run_until
from tests.integration.stream.test_streaming import bet, paid_in

pytestmark = pytest.mark.integration

TODAY, YESTERDAY = date(2026, 8, 12), date(2026, 8, 11)


USERS = ("ana", "bia", "caio", "davi", "eva", "fabio", 'd"u, o')
ANY_HOURS = (-1, -2, -9, -20, -30, -40, -80, 10, 60)


def near_midnight(random: Random) -> str:
    """Within an hour of it, a quarter of an hour from others: a session of some of them is of two days."""
    return (NOON - timedelta(minutes=random.randrange(660, 780, 15))).isoformat()


def moment(random: Random) -> str:
    """Mostly a time about midnight, so close to others that sessions touch both days; else any time."""
    if random.random() < 0.6:
        return near_midnight(random)
    return (NOON + timedelta(hours=random.choice(ANY_HOURS), minutes=random.randrange(60))).isoformat()


def messages(random: Random, source: str, some: int) -> list[dict[str, Any] | bytes | None]:
    """Messages of a few players: late, repeated, corrected, broken, of days that are long over or yet to come."""
    made: list[dict[str, Any] | bytes | None] = []
    for number in range(some):
        user, at = random.choice(USERS), moment(random)
        match source:
            case "bets":
                payout = random.choice([None, "0", "7.5", "40"])
                made.append(bet(number, user, at, payout=payout, stake=str(random.randrange(1, 90))))
            case "transactions":
                status = random.choice(["pending", "completed", "failed"])
                kind = random.choice(["deposit", "withdrawal"])
                made.append(paid_in(number, user, at, status=status, transaction_type=kind))
            case _:
                kind = random.choice(["deposit", "self_exclusion"])
                days = random.choice(["30", None, "x"])
                made.append(
                    {"user_id": user, "changed_at": at, "kind": kind, "old_value": "1", "new_value": days}
                )
        if random.random() < 0.2:
            again = random.choice(made)
            change = random.choice([{"user_id": user}, {"payout": "3"}, {}])
            made.append({**again, **change} if isinstance(again, dict) else again)
        if random.random() < 0.1:
            made.append(
                random.choice([b"no json", b"[1]", b"\xff", None, b"{}", b'{"bet_id": "q", "stake": "x"}'])
            )
    return made


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.full) for seed in range(2, 12))])
def test_any_portions_lead_to_the_same_rows(
    open_casino: Callable[..., Casino], monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    random = Random(seed)  # noqa: S311 - the same messages each time
    # Batches of a few messages: what one of them fails to touch stays as it was. Parts are merged now and then.
    casino = open_casino(stream_batch_messages=6)
    monkeypatch.setattr(parts, "SPARE_PARTS", 10)
    left = {source: messages(random, source, 24) for source in ("bets", "transactions", "limits")}
    # They come last, so that nothing later makes good what they fail to touch.
    left["bets"][:0] = [bet(100 + number, user, near_midnight(random)) for number, user in enumerate(USERS)]
    casino.now = NOON - timedelta(days=1)
    for turn in range(3):
        for source, made in left.items():
            portion = [made.pop() for _ in range(len(made) // (3 - turn))]
            casino.produce(source, *portion)
        casino.stream()
        casino.now = NOON + timedelta(minutes=turn)

    today, yesterday = casino.parity(TODAY), casino.parity(YESTERDAY)

    assert (today.differing, yesterday.differing) == ({}, {})
    assert min(today.rows, yesterday.rows) >= 4


LATE = "2026-08-12T02:50:00Z", "2026-08-12T03:05:00Z"
"""Of one session: ten minutes before midnight and five minutes after it, on the operator's clock."""


@pytest.mark.parametrize(("place", "day"), [(0, TODAY), (1, YESTERDAY)])
@pytest.mark.parametrize(
    ("source", "column"), [("bets", "session_bets"), ("transactions", "session_deposits")]
)
def test_a_session_over_midnight_is_of_both_days_whichever_part_comes_last(
    casino: Casino, place: int, day: date, source: str, column: str
) -> None:
    first, last = (bet(number, at=at) for number, at in enumerate(LATE))
    casino.produce("bets", first, last, bet(3, at=LATE[1]))
    casino.stream()
    (before,) = casino.live(column)["ana", day.isoformat()]

    # It is an event of one day, and changes the row of the other one.
    casino.produce(source, bet(4, at=LATE[place]) if source == "bets" else paid_in(4, at=LATE[place]))
    casino.stream()

    assert casino.live(column)["ana", day.isoformat()] == (before + 1,)
    assert casino.parity(day).is_equal


def test_a_bet_that_is_of_another_player_after_all_leaves_no_row(casino: Casino) -> None:
    casino.produce("bets", bet(1), bet(2, "bia"))
    casino.stream()

    casino.produce("bets", bet(1, "bia"))
    casino.stream()

    assert casino.live("bets", "stake_sum") == {("bia", "2026-08-12"): (2, 20)}
    assert casino.parity(TODAY).is_equal


def test_every_changed_cell_is_found(casino: Casino) -> None:
    casino.produce("bets", bet(1), bet(2, "bia"), bet(3, "caio"))
    casino.stream()
    casino.execute("UPDATE ml_features.user_features_live SET stake_sum = 9 WHERE user_id = 'bia'")
    casino.execute("DELETE FROM ml_features.user_features_live WHERE user_id = 'caio'")

    parity = casino.parity(TODAY)

    assert (parity.rows, parity.examples) == (3, ["bia", "caio"])
    assert (parity.differing["stake_sum"], parity.differing["bets"]) == (2, 1)


def test_midnight_turns_today_into_yesterday(casino: Casino) -> None:
    casino.now = datetime.fromisoformat("2026-08-13T02:50:00Z")
    casino.produce("bets", bet(1, at="2026-08-13T02:49:00Z"), bet(2, "bia", at="2026-08-13T03:00:05Z"))

    def two_minutes_later() -> bool:
        """Midnight passes once the first messages are committed."""
        if stream.figures.messages == 2 and casino.now.minute == 50:
            seen.update(casino.live("bets"))
            casino.now += timedelta(minutes=12)
            casino.produce("bets", bet(3, at="2026-08-13T03:00:30Z"))
        return stream.figures.messages == 3

    seen: dict[tuple[str, str], Any] = {}
    with casino.open_stream() as stream:
        run_until(stream, two_minutes_later)

    # The second bet was placed by a clock that was fast: its day had not come.
    assert seen == {("ana", "2026-08-12"): (1,)}
    assert casino.live("bets", "session_bets") == {
        ("ana", "2026-08-12"): (1, 2), ("ana", "2026-08-13"): (1, 2), ("bia", "2026-08-13"): (1, 1),
    }  # fmt: skip
    assert casino.parity(TODAY).is_equal
    assert casino.parity(TODAY + timedelta(days=1)).is_equal


def test_a_run_that_begins_after_midnight_has_the_events_that_came_before(casino: Casino) -> None:
    casino.now = datetime.fromisoformat("2026-08-13T02:59:00Z")
    casino.produce("bets", bet(1, at="2026-08-13T03:00:30Z"))
    casino.stream()
    assert casino.live("bets") == {}

    casino.now += timedelta(minutes=10)
    casino.stream(0)

    assert casino.live("bets") == {("ana", "2026-08-13"): (1,)}
