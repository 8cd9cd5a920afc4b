"""The stream and one rebuild come to the same cells, whatever order and portions the messages came in."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from random import Random
from typing import Any

import pytest

from tests.integration.stream.conftest import NOON, Casino, run_until
from tests.integration.stream.test_streaming import bet, paid_in

pytestmark = pytest.mark.integration

TODAY, YESTERDAY = date(2026, 8, 12), date(2026, 8, 11)


def messages(random: Random, source: str, some: int) -> list[dict[str, Any] | bytes | None]:
    """Messages of a few players: late, repeated, corrected, broken, of days that are long over or yet to come."""
    made: list[dict[str, Any] | bytes | None] = []
    for number in range(some):
        user = random.choice(["ana", "bia", "caio", 'd"u, o'])
        hours = random.choice([-1, -2, -9, -11, -13, -14, -20, -30, -40, -80, 10, 60])
        at = (NOON + timedelta(hours=hours, minutes=random.randrange(60))).isoformat()
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
            made.append({**again, "user_id": user} if isinstance(again, dict) else again)
        if random.random() < 0.1:
            made.append(
                random.choice([b"no json", b"[1]", b"\xff", None, b"{}", b'{"bet_id": "q", "stake": "x"}'])
            )
    return made


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.full) for seed in range(2, 12))])
def test_any_portions_lead_to_the_same_rows(casino: Casino, seed: int) -> None:
    random = Random(seed)  # noqa: S311 - the same messages each time
    left = {source: messages(random, source, 40) for source in ("bets", "transactions", "limits")}
    casino.now = NOON - timedelta(days=1)
    for turn in range(3):
        for source, made in left.items():
            portion = [made.pop() for _ in range(len(made) // (3 - turn))]
            casino.produce(source, *portion)
        casino.stream()
        casino.now = NOON + timedelta(minutes=turn)

    today, yesterday = casino.parity(TODAY), casino.parity(YESTERDAY)

    assert (today.differing, yesterday.differing) == ({}, {})
    assert min(today.rows, yesterday.rows) == 4


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
