"""A time means the same whatever rows are around it: which day it is captured on, and which instant it becomes.

The kind of fault is state that a parser carries from row to row. The engine's own cast keeps the zone that one text
names for the texts after it, up to the end of a vector.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import duckdb
import pytest

from crmbet.contracts.files import load_source_contracts
from crmbet.datasets.segments import rows_of_days
from tests.integration.extract.deliveries import Row, bet, parquet
from tests.tiers import now

pytestmark = pytest.mark.integration

INSTANTS: Mapping[str, str] = {
    "2026-08-10 12:00:00": "2026-08-10T12:00",
    "2026-08-10T12:00:00Z": "2026-08-10T12:00",
    "2026-08-10 23:30:00": "2026-08-10T23:30",
    "2026-08-10T02:30Z": "2026-08-10T02:30",
    "2026-08-10 12:00:00 America/Sao_Paulo": "2026-08-10T15:00",
    "2026-08-10 23:30:00 America/Sao_Paulo": "2026-08-11T02:30",
    "2026-08-10 12:00:00 Asia/Tokyo": "2026-08-10T03:00",
    "2026-08-10T23:30:00[Asia/Kolkata]": "2026-08-10T18:00",
    "2026-08-10 12:00:00 UTC": "2026-08-10T12:00",
    "2026-08-10 21:00:00-0300": "2026-08-11T00:00",
    "2026-08-10 21:00:00 -0300": "2026-08-11T00:00",
    "2026-08-10T00:30:00+05:30": "2026-08-09T19:00",
    "20260810T120000": "2026-08-10T12:00",
    "2026-08-10": "2026-08-10T00:00",
    "2026-01-10 12:00:00 America/New_York": "2026-01-10T17:00",
    "2026-08-10 12:00:00 America/New_York": "2026-08-10T16:00",
}
"""Text to the instant in UTC, as ISO 8601 without a zone."""
OPERATOR_OFFSET = 3


def columns_of(rows: Sequence[Row]) -> list[str]:
    return [*rows[0]]


def as_csv(rows: Sequence[Row]) -> tuple[str, bytes]:
    lines = [",".join(columns_of(rows)), *(",".join(row.values()) for row in rows)]
    return "csv", "\n".join(lines).encode()


def as_json_lines(rows: Sequence[Row]) -> tuple[str, bytes]:
    return "jsonl", "\n".join(json.dumps(row) for row in rows).encode()


def as_json_array(rows: Sequence[Row]) -> tuple[str, bytes]:
    return "json", json.dumps(rows).encode()


def as_parquet(rows: Sequence[Row]) -> tuple[str, bytes]:
    import pyarrow as pa

    return "parquet", parquet(rows, dict.fromkeys(columns_of(rows), pa.string()))


def shuffled(rows: Sequence[Row], seed: int) -> list[list[Row]]:
    """The rows in another order, in batches of other sizes."""
    chance = random.Random(seed)  # noqa: S311
    mixed = chance.sample(rows, len(rows))
    cuts = sorted(chance.sample(range(1, len(mixed)), chance.choice((0, 1, 3))))
    return [mixed[start:end] for start, end in zip([0, *cuts], [*cuts, len(mixed)], strict=True)]


def operator_day(instant: datetime) -> date:
    return datetime.fromtimestamp(instant.timestamp() - OPERATOR_OFFSET * 3600, UTC).date()


@pytest.mark.few(2)
@pytest.mark.parametrize("write", [as_csv, as_json_lines, as_json_array, as_parquet])
@pytest.mark.parametrize(("seed", "copies"), now((3, 200), full=[(1, 1), (2, 3)]))
def test_bets(
    put: Any,
    capture: Any,
    captured_rows: Any,
    clean: Any,
    engine: duckdb.DuckDBPyConnection,
    store: Any,
    write: Callable[[Sequence[Row]], tuple[str, bytes]],
    seed: int,
    copies: int,
) -> None:
    texts = [text for _ in range(copies) for text in INSTANTS]
    rows = [bet(number, placed_at=text, ingested_at=text) for number, text in enumerate(texts)]
    for number, batch in enumerate(shuffled(rows, seed)):
        ending, content = write(batch)
        put(f"part{number}.{ending}", content)
    expected = {
        f"b{number}": datetime.fromisoformat(INSTANTS[text]).replace(tzinfo=UTC)
        for number, text in enumerate(texts)
    }

    captures = capture()
    cleaned = clean(captures)

    assert {row["bet_id"]: row["_day"] for row in captured_rows(captures)} == {
        key: operator_day(instant) for key, instant in expected.items()
    }
    found = engine.sql(
        f"SELECT bet_id, placed_at, ingested_at FROM {rows_of_days(store, cleaned.days)}"
    ).fetchall()
    assert {key: (placed.replace(tzinfo=UTC), known.replace(tzinfo=UTC)) for key, placed, known in found} == {
        key: (instant, instant) for key, instant in expected.items()
    }


@pytest.mark.few(2)
@pytest.mark.parametrize("write", [as_csv, as_json_lines, as_json_array, as_parquet])
def test_players(
    put: Any,
    capture: Any,
    clean: Any,
    engine: duckdb.DuckDBPyConnection,
    store: Any,
    write: Callable[[Sequence[Row]], tuple[str, bytes]],
) -> None:
    players = load_source_contracts()["players"]
    texts = [text for _ in range(5) for text in INSTANTS]
    rows = [
        {"user_id": f"p{number}", "registered_at": text, "self_excluded_until": text}
        for number, text in enumerate(texts)
    ]
    for number, batch in enumerate(shuffled(rows, 4)):
        ending, content = write(batch)
        put(f"dt=2026-08-11/part{number}.{ending}", content, "players")

    cleaned = clean(capture(players), players)

    found = engine.sql(
        f"SELECT user_id, registered_at, self_excluded_until FROM {rows_of_days(store, cleaned.days)}"
    ).fetchall()
    assert {key: (registered, until) for key, registered, until in found} == {
        f"p{number}": (datetime.fromisoformat(INSTANTS[text]),) * 2 for number, text in enumerate(texts)
    }
