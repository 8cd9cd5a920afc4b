"""The files as an outsider reads them: every format, every kind of dirt, and a ledger that is true."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections import Counter
from dataclasses import fields
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from local.simulator import Batch, DirtLedger, DirtRates, World, simulate
from local.simulator.archetypes import CHANNELS, GAMES, LIMIT_KINDS, TIMEZONES
from local.simulator.dirt import BLEMISHES
from local.simulator.encoding import CSV, JSONL_GZ, Encoding, encode, render
from local.simulator.lake import ROTATION, LakeFile, lake_files
from local.simulator.wallet import transaction_rows

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.unit

Row = dict[str, Any]
WORLD = World(seed=4, players=500, start_day=date(2026, 8, 1), end_day=date(2026, 8, 29))
FILTHY = DirtRates(**{rate.name: 0.10 for rate in fields(DirtRates)} | {"ceiling": 1.0})
GAME_NAMES = {game.name for game in GAMES}
ZONES = {zone for zone, _ in TIMEZONES}
TRANSACTION_COLUMNS = ("transaction_id", "user_id", "amount", "transaction_type", "status", "created_at")


def read(file: LakeFile) -> list[Row]:
    """The rows of a file by the standard library or Parquet's own reader, none of the writer's code."""
    body = gzip.decompress(file.body) if file.key.endswith(".gz") else file.body
    if file.key.endswith(".parquet"):
        rows: list[Row] = pq.read_table(io.BytesIO(body)).to_pylist()
        return rows
    if ".jsonl" in file.key:
        return [json.loads(line) for line in body.decode().splitlines()]
    return list(csv.DictReader(io.StringIO(body.decode(), newline="")))


def number(value: Any) -> float | None:
    try:
        return None if value in (None, "") else float(value)
    except ValueError:
        return None


def instant(value: Any) -> datetime | None:
    if isinstance(value, datetime):
        return value
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def text(row: Row, column: str) -> str:
    return row[column] or ""


def year_is(column: str, test: Callable[[int], bool]) -> Callable[[Row], bool]:
    def holds(row: Row) -> bool:
        moment = instant(row[column])
        return moment is not None and test(moment.year)

    return holds


def ended_first(row: Row) -> bool:
    started, ended = instant(row["started_at"]), instant(row["ended_at"])
    return started is not None and ended is not None and ended < started and started.year < 2099


def synonym(column: str, names: set[str], unknown: tuple[str, ...]) -> Callable[[Row], bool]:
    return lambda row: row[column] not in names and row[column] not in unknown


USERS: dict[str, Callable[[Row], bool]] = {
    "user_id_missing": lambda row: not text(row, "user_id").strip(),
    "user_id_padded": lambda row: 0 < len(text(row, "user_id").strip()) < len(text(row, "user_id")),
    "user_id_too_long": lambda row: len(text(row, "user_id")) > 50,
}


def times(column: str) -> dict[str, Callable[[Row], bool]]:
    return {
        f"{column}_unparsable": lambda row: instant(row[column]) is None,
        f"{column}_future": year_is(column, lambda year: year == 2099),
        f"{column}_before_2000": year_is(column, lambda year: year < 2000),
    }


SIGNS: dict[str, dict[str, Callable[[Row], bool]]] = {
    "bets": {
        **USERS,
        **times("placed_at"),
        "game_type_unknown": lambda row: row["game_type"] in ("bingo", "???"),
        "game_type_synonym": synonym("game_type", GAME_NAMES, ("bingo", "???")),
        "stake_negative": lambda row: (number(row["stake"]) or 0) < 0,
        "stake_unparsable": lambda row: number(row["stake"]) is None,
        "stake_nan": lambda row: str(row["stake"]).lower() == "nan",
        "payout_negative": lambda row: (number(row["payout"]) or 0) < 0,
        "rtp_out_of_range": lambda row: not 0 <= (number(row["rtp"]) or 0) <= 1,
    },
    "sessions": {**USERS, **times("started_at"), "ended_before_started": ended_first},
    "communications": {
        **USERS,
        **times("sent_at"),
        "channel_unknown": lambda row: row["channel"] in ("fax", "carrier pigeon"),
        "channel_synonym": synonym("channel", set(CHANNELS), ("fax", "carrier pigeon")),
    },
    "players": {**USERS, "timezone_unknown": lambda row: (row["timezone"] or None) not in ZONES},
    "limits": {
        **USERS,
        **times("changed_at"),
        "kind_unknown": lambda row: row["kind"] not in (*LIMIT_KINDS, "self_exclusion"),
    },
    "transactions": {
        "user_id_missing": USERS["user_id_missing"],
        "user_id_padded": USERS["user_id_padded"],
        "transaction_type_unknown": lambda row: row["transaction_type"] == "chargeback?",
        "transaction_type_synonym": synonym(
            "transaction_type", {"deposit", "withdrawal", "bet", "win", "bonus", "refund"}, ("chargeback?",)
        ),
        "status_unknown": lambda row: row["status"] == "on hold?",
        "status_synonym": synonym("status", {"completed", "pending", "failed", "cancelled"}, ("on hold?",)),
        "amount_zero": lambda row: number(row["amount"]) == 0,
        "amount_negative": lambda row: (number(row["amount"]) or 0) < 0,
        "amount_nan": lambda row: row["amount"] == "NaN",
        "created_at_future": year_is("created_at", lambda year: year == 2099),
        "created_at_before_2000": year_is("created_at", lambda year: year < 2000),
    },
}


def found(feed: str, rows: list[Row]) -> Counter[tuple[str, str]]:
    return Counter({(feed, kind): sum(map(sign, rows)) for kind, sign in SIGNS[feed].items()})


@pytest.fixture(scope="module")
def batches() -> list[Batch]:
    return list(simulate(WORLD))


@pytest.mark.full
@pytest.mark.parametrize("rates", [DirtRates(), FILTHY], ids=["default", "filthy"])
def test_the_ledger_is_what_the_files_hold(batches: list[Batch], rates: DirtRates) -> None:
    ledger, seen, extensions = DirtLedger(), Counter[tuple[str, str]](), set()
    for batch in batches:
        for file in lake_files(WORLD, batch, rates):
            rows = read(file)
            assert len(rows) == file.rows
            assert list(rows[0]) == batch.tables[file.feed].column_names
            twins = Counter(map(repr, rows))
            equal = sum(count - 1 for count in twins.values())
            ids = Counter(row.get("bet_id") for row in rows) if file.feed == "bets" else Counter()
            seen += found(file.feed, rows)
            seen[file.feed, "duplicate_equal"] += equal
            seen[file.feed, "duplicate_reingested"] += (
                sum(count - 1 for count in ids.values()) - equal if ids else 0
            )
            ledger.add(file.dirt)
            extensions.add((file.feed, file.key.partition(".")[2]))
        rows_text, count = transaction_rows(WORLD, batch, rates, ledger)
        rows = list(csv.DictReader(io.StringIO(rows_text.decode()), TRANSACTION_COLUMNS))
        assert len(rows) == count
        seen += found("transactions", rows)

    planted = Counter[tuple[str, str]]()
    for (feed, kind, _), count in ledger.rows.items():
        planted[feed, kind] += count
    assert +planted == +seen
    assert extensions == {
        (feed, each.extension) for feed, encodings in ROTATION.items() for each in encodings
    }
    if rates is FILTHY:
        assert {feed: set(SIGNS[feed]) - {kind for of, kind in planted if of == feed} for feed in SIGNS} == {
            feed: set() for feed in SIGNS
        }, "a kind of dirt was never planted"


def test_every_kind_of_dirt_has_a_sign_here() -> None:
    assert {feed: set(signs) for feed, signs in SIGNS.items()} == {
        feed: {blemish.kind for blemish in blemishes} for feed, blemishes in BLEMISHES.items()
    }


def test_default_dirt_stays_inside_tolerances_in_every_file(batches: list[Batch]) -> None:
    for batch in batches:
        ledgers = [(file.feed, file.rows, file.dirt) for file in lake_files(WORLD, batch, DirtRates())]
        dirt = DirtLedger()
        _, count = transaction_rows(WORLD, batch, DirtRates(), dirt)
        for feed, rows, planted in [*ledgers, ("transactions", count, dirt)]:
            assert planted.total(feed, "quarantined") + planted.total(feed, "unread") < 0.01 * rows
            assert planted.total(feed, "deduplicated") < 0.01 * rows


def test_the_broken_day_is_beyond_any_tolerance(batches: list[Batch]) -> None:
    *_, last = batches
    bets = next(file for file in lake_files(WORLD, last, DirtRates(), broken=True) if file.feed == "bets")
    rows = read(bets)
    missing = sum(map(USERS["user_id_missing"], rows)) / len(rows)
    repeated = 1 - len({row["bet_id"] for row in rows}) / len(rows)
    assert 0.15 < missing < 0.30
    assert 0.12 < repeated < 0.22


def test_days_reach_to_the_last_hours(batches: list[Batch]) -> None:
    """Freshness is judged on the newest bet and transaction before midnight."""
    *_, last = batches
    for feed, column in (("bets", "placed_at"), ("transactions", "created_at")):
        newest = max(last.tables[feed][column].to_pylist()).replace(tzinfo=UTC)
        assert 0 < last.day.end / 1e6 - newest.timestamp() < 3 * 3600


@pytest.mark.parametrize("encoding", sorted(set(ROTATION["bets"]), key=repr), ids=repr)
def test_every_format_holds_the_same_facts(batches: list[Batch], encoding: Encoding) -> None:
    batch = batches[0]
    clean = batch.tables["bets"]
    body = encode(render(clean, encoding), encoding)
    rows = read(LakeFile(f"bets.{encoding.extension}", "bets", clean.num_rows, body, DirtLedger()))
    for row, expected in zip(rows, clean.to_pylist(), strict=True):
        for column in ("bet_id", "user_id", "game_type", "session_id"):
            assert row[column] == expected[column]
        for column in ("placed_at", "ingested_at"):
            assert instant(row[column]) == expected[column]
        for column in ("stake", "payout", "rtp", "balance_after"):
            known = expected[column] is not None
            assert number(row[column]) == (float(expected[column]) if known else None)
        assert str(row["is_bonus"]).lower() == str(expected["is_bonus"]).lower()
        assert (row["game_id"] or None, row["device_type"] or None) == (
            expected["game_id"],
            expected["device_type"],
        )


@pytest.mark.parametrize("encoding", sorted(set(ROTATION["players"]), key=repr), ids=repr)
def test_consents_are_a_list_or_text_with_bars(batches: list[Batch], encoding: Encoding) -> None:
    *_, last = batches
    clean = last.tables["players"]
    body = encode(render(clean, encoding), encoding)
    rows = read(LakeFile(f"players.{encoding.extension}", "players", clean.num_rows, body, DirtLedger()))
    seen = [row["consents"] for row in rows]
    expected = clean["consents"].to_pylist()
    if encoding.extension.startswith("csv"):
        # No channel is not an unknown one, as in JSON.
        assert [] in expected
        assert seen == ["" if channels is None else "|".join(channels) or "[]" for channels in expected]
    else:
        assert seen == expected


def test_a_text_that_needs_escaping_is_refused() -> None:
    for encoding in (CSV, JSONL_GZ):
        with pytest.raises(ValueError, match="does not escape"):
            encode(pa.table({"user_id": ['a"b']}), encoding)
