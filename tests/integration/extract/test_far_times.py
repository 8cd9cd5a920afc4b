"""Times that no clock of Python's has: before the year 1 and after 9999. They stop nothing, whatever they say."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from crmbet.contracts.files import load_source_contracts
from crmbet.extract.records import SourceCaptures
from tests.integration.extract.deliveries import HEADER, REQUIRED, bet, csv_text, json_lines

pytestmark = pytest.mark.integration

NOON = "2026-08-10T12:00:00Z"
LAST = datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
FAR = [
    "9999-12-31T23:59:59-03:00",
    "10000-01-01T00:00:00Z",
    "99999-12-31",
    "294247-01-10T04:00:54Z",
    "infinity",
]
"""Of a row that is known then, nothing is known before."""


def csv_of(times: list[str]) -> str:
    return csv_text(
        *(",".join(bet(number, ingested_at=time).values()) for number, time in enumerate(times)),
        header=f"{HEADER},ingested_at",
    )


def json_of(times: list[str]) -> str:
    return json_lines(*(bet(number, ingested_at=time) for number, time in enumerate(times)))


def array_of(times: list[str]) -> str:
    return json.dumps([bet(number, ingested_at=time) for number, time in enumerate(times)])


WRITERS = {"csv": csv_of, "jsonl": json_of, "json": array_of}


@pytest.mark.few(4)
@pytest.mark.parametrize("ending", WRITERS)
@pytest.mark.parametrize("time", FAR)
@pytest.mark.parametrize("objects", [1, 3])
def test_a_row_that_is_known_after_9999_is_not_known_yet(
    put: Any, capture: Any, clean: Any, ending: str, time: str, objects: int
) -> None:
    for number in range(objects):
        put(f"dt=2026-08-10/{number}.{ending}", WRITERS[ending]([NOON, time]).replace("b1", f"b1{number}"))

    captures = capture()
    cleaned = clean(captures)

    outside = cleaned.outside.get("ingested after known_at", 0)
    discarded = cleaned.discarded.get("ingested_at", 0)
    assert (outside, discarded) == ((0, objects) if time == "infinity" else (objects, 0))
    assert {of.latest_known_time for of in captures.captures} <= {LAST, datetime(2026, 8, 10, 12, tzinfo=UTC)}
    assert not captures.unreadable


@pytest.mark.parametrize("objects", [1, 3])
def test_nanoseconds_in_a_column_of_microseconds_stop_nothing(
    put_parquet: Any, capture: Any, clean: Any, objects: int
) -> None:
    microseconds = 1_786_363_200_000_000
    times = pa.array([microseconds, microseconds * 1_000, -(10**17)], pa.int64()).view(pa.timestamp("us"))
    rows = [bet(number, ingested_at=time) for number, time in enumerate(times)]
    for number in range(objects):
        put_parquet(f"dt=2026-08-10/{number}.parquet", rows, REQUIRED | {"ingested_at": pa.timestamp("us")})

    captures = capture()
    cleaned = clean(captures)

    assert cleaned.outside == {"ingested after known_at": objects}
    assert [of.latest_known_time for of in captures.captures] == [LAST] * objects


def test_a_file_that_was_known_before_the_year_1_is_read(put_parquet: Any, capture: Any, clean: Any) -> None:
    time = pa.scalar(-(10**17), pa.int64()).cast(pa.timestamp("us"))
    put_parquet("a.parquet", [bet(1, ingested_at=time)], REQUIRED | {"ingested_at": pa.timestamp("us")})

    captures = capture()

    assert [of.latest_known_time for of in captures.captures] == [None]
    assert clean(captures).accepted == 1


FEEDS: dict[str, dict[str, str]] = {
    "bets": bet(1),
    "sessions": {"session_id": "s1", "user_id": "u1", "started_at": NOON},
    "communications": {"message_id": "m1", "user_id": "u1", "channel": "email", "sent_at": NOON},
    "players": {"user_id": "u1"},
    "limits": {"user_id": "u1", "kind": "self_exclusion", "changed_at": NOON},
}


@pytest.mark.few(2)
@pytest.mark.parametrize("feed", FEEDS)
def test_no_time_of_any_feed_stops_it(put: Any, capture: Any, clean: Any, feed: str) -> None:
    contract = load_source_contracts()[feed]
    times = [name for name, column in contract.columns.items() if column.type in ("timestamp", "date")]
    rows = [
        FEEDS[feed] | {name: time}
        for name in times
        for time in (*FAR, "0000-01-01", "0001-01-01", "-infinity")
    ]
    put("dt=2026-08-10/a.jsonl", json_lines(*rows), feed)

    captures: SourceCaptures = capture(contract)

    assert (captures.extracted, captures.unreadable) == (len(rows), [])
    assert clean(captures, contract).extracted == len(rows)
