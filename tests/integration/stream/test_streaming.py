"""From messages to live rows, on a real broker, S3 and PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from crmbet.stream.capturing import _as_table
from crmbet.stream.records import Messages
from tests.integration.stream.conftest import Casino

pytestmark = pytest.mark.integration

TODAY = "2026-08-12"


def bet(number: int, user: str = "ana", at: str = "2026-08-12T14:00:00Z", **more: Any) -> dict[str, Any]:
    return {
        "bet_id": f"b{number}", "user_id": user, "placed_at": at, "game_type": "slots", "stake": "10.00",
        "payout": "0", **more,
    }  # fmt: skip


def paid_in(number: int, user: str = "ana", at: str = "2026-08-12T14:00:00Z", **more: Any) -> dict[str, Any]:
    return {
        "transaction_id": f"t{number}", "user_id": user, "amount": "100.00", "transaction_type": "deposit",
        "status": "completed", "created_at": at, **more,
    }  # fmt: skip


def test_messages_become_a_row_of_today(casino: Casino) -> None:
    casino.produce("bets", bet(1), bet(2, at="2026-08-12T14:10:00Z", payout="25"), bet(3, "bia"))
    casino.produce("transactions", paid_in(1, at="2026-08-12T14:05:00Z"), paid_in(2, status="failed"))

    figures = casino.stream()

    assert (figures.messages, figures.poison, figures.late) == (5, 0, 0)
    assert casino.live(
        "bets", "wins", "stake_sum", "ggr", "deposits", "deposit_sum", "declined_deposits"
    ) == {
        ("ana", TODAY): (2, 1, Decimal(20), Decimal(-5), 1, Decimal(100), 1),
        ("bia", TODAY): (1, 0, Decimal(10), Decimal(10), 0, Decimal(0), 0),
    }
    assert casino.live("session_started_at", "session_last_bet_at", "session_bets", "session_deposits")[
        "ana", TODAY
    ] == (datetime(2026, 8, 12, 14, tzinfo=UTC), datetime(2026, 8, 12, 14, 10, tzinfo=UTC), 2, 1)  # fmt: skip
    assert casino.offsets() == {("bets", 0): (3, 3), ("transactions", 0): (2, 2), ("limits", 0): (0, 0)}


def test_the_next_run_goes_on_where_the_last_one_stopped(casino: Casino) -> None:
    casino.produce("bets", bet(1), bet(2))
    casino.stream()
    casino.produce("bets", bet(3))

    figures = casino.stream()

    assert figures.messages == 1
    assert casino.live("bets", "positions")["ana", TODAY] == (
        3, [f"{casino.settings.stream.topics['bets']}/0/00000000000000000002"],
    )  # fmt: skip


def test_rows_of_a_topic_that_is_not_read_any_more_still_count(
    casino: Casino, open_casino: Callable[..., Casino]
) -> None:
    casino.produce("bets", bet(1), bet(2, "bia"))
    casino.stream()
    moved = open_casino(("bets",))
    moved.produce("bets", bet(3))

    moved.stream()

    assert moved.live("bets") == {("ana", TODAY): (2,), ("bia", TODAY): (1,)}
    assert moved.parity(date(2026, 8, 12)).is_equal


def test_each_minute_says_how_the_stream_does(casino: Casino) -> None:
    casino.produce("bets", bet(1), bet(2), b"no json")
    casino.stream()
    casino.produce("bets", bet(3, at="2026-08-01T12:00:00Z"))
    casino.now += timedelta(seconds=9)
    casino.stream()

    ((minute, *figures),) = casino.query(
        "SELECT minute, messages, quarantined, late, age_max, lag, lag_seconds, away_seconds "
        "FROM ml_features.stream_minutes"
    )

    assert minute == casino.now.replace(second=0)
    assert figures == [4, 1, 1, 9.0, 0, 0.0, 0.0]


@pytest.mark.parametrize(
    "text",
    [
        "a\r\nb",
        "\n",
        '"',
        "'",
        "\1",
        "\1\1x\1",
        "\2",
        "é",
        "\u2028",
        "{}\r",
        "\ufeff{}",
        "\\1",
        "0" * 200_000,
    ],
)
def test_any_text_reaches_the_engine_as_it_is(casino: Casino, tmp_path: Path, text: str) -> None:
    messages = Messages(partitions=[0, 1], offsets=[7, 8], written_ms=[5, 6], values=[text.encode(), b"{}"])
    with casino.open_stream() as stream, _as_table(stream.work, messages, tmp_path / "messages") as table:
        rows = stream.work.connection.execute(
            f'SELECT number, "partition", "offset", epoch_ms(written), fault, value FROM {table} ORDER BY 1'
        ).fetchall()

    assert rows == [(1, 0, 7, 5, None, text), (2, 1, 8, 6, None, "{}")]
