"""Captured text becomes typed, unique rows, or goes to quarantine with a reason; nothing is lost on the way."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crmbet.contracts.bounds import bounds_of
from crmbet.contracts.source import SourceContract
from crmbet.contracts.typing import typed_columns
from crmbet.databases.parquet import column_types, scan, write_file
from crmbet.databases.statements import STATEMENTS, Fragment, render
from crmbet.databases.work import Work
from crmbet.run.params import RunParams
from crmbet.run.run import Run
from tests.sql.lake_folder import FolderStore, accepted_rows, capture, clean, quarantined_rows
from tests.sql.world import World, contracts
from tests.tiers import examples

pytestmark = pytest.mark.sql

RUN = replace(World(as_of_date=date(2026, 3, 1)).run(), known_at=datetime(2026, 3, 1, 12, tzinfo=UTC))
REFRESHED = replace(RUN, params=RunParams(full_refresh=True))

GOOD: Mapping[str, Mapping[str, str]] = {
    "bets": {
        "bet_id": "b",
        "user_id": "u",
        "placed_at": "2026-02-20T12:00:00Z",
        "game_type": "slots",
        "stake": "10",
    },
    "transactions": {
        "transaction_id": "t",
        "user_id": "u",
        "amount": "10",
        "transaction_type": "deposit",
        "status": "completed",
        "created_at": "2026-02-20 12:00:00",
    },
    "sessions": {"session_id": "s", "user_id": "u", "started_at": "2026-02-20 12:00:00"},
    "communications": {
        "message_id": "m",
        "user_id": "u",
        "channel": "email",
        "sent_at": "2026-02-20 12:00:00",
    },
    "players": {"user_id": "u"},
    "limits": {"user_id": "u", "changed_at": "2026-02-20 12:00:00", "kind": "deposit", "new_value": "30"},
}

FAULTS: Mapping[str, list[tuple[dict[str, Any], str]]] = {
    "bets": [
        ({"bet_id": None}, "bet_id: missing"),
        ({"bet_id": " \t\u00a0"}, "bet_id: missing"),
        ({"bet_id": "x" * 101}, "bet_id: too long"),
        ({"bet_id": "NULL"}, "bet_id: missing"),
        ({"user_id": "\\N"}, "user_id: missing"),
        *(
            ({"user_id": word}, "user_id: a word for nothing")
            for word in ("None", "nan", "NaN", "undefined", "<NA>", "null")
        ),
        *(
            (
                {"user_id": word},
                "user_id: a word for nothing",
            )
            for word in (
                "N/A",
                "#N/A",
                "(null)",
                "<null>",
                "nil",
                "NaT",
                "NONE",
                "Undefined",
                "[object Object]",
                *(
                    "-nan",
                    "+NaN",
                    "-nan(ind)",
                    "1.#QNAN",
                    "NA",
                    "nulo",
                    "NULO",
                    "n/d",
                    "null-",
                    "-",
                    "--",
                    "\u2014",
                ),
                *(
                    '"null"',
                    "'None'",
                    "`nil`",
                    '""',
                    "''",
                    '("nan")',
                    "#REF!",
                    "#VALUE!",
                    "#NAME?",
                ),
                *("#DIV/0!", "#NUM!", "#NULL!"),
                # Other forms of the same letters.
                *("\uff2e\uff35\uff2c\uff2c", "\uff4e\uff41\uff4e", "\uff0d", "\uff08null\uff09"),
                *("\U0001d5fb\U0001d5ee\U0001d5fb", "\u24dd\u24d0", "N\uff0fA", "\u207b"),
            )
        ),
        *(
            ({column: "None"}, f"{column}: a word for nothing")
            for column in ("bet_id", "session_id", "game_id")
        ),
        *(({"user_id": f"p{letter}1"}, "user_id: control characters") for letter in "\t\x1f\x7f\u0085\u0096"),
        *(
            # Zero-width space, joiners, byte order mark, soft hyphen, directions, Hangul filler, variation selector.
            ({"user_id": f"{before}{letter}{after}"}, "user_id: invisible characters")
            for letter in "\u200b\u200c\u200d\ufeff\u00ad\u200f\u202e\u2066\u2060\u061c\u3164\ufe0f\U000e0041"
            for before, after in (("p", "1"), ("", "p1"), ("p1", ""))
        ),
        ({"device_type": "tab\tlet"}, "device_type: control characters"),
        *(
            ({"placed_at": f"2026-02-20T12:00:00{offset}"}, "placed_at: unreadable")
            for offset in (
                "+25:00",
                "+99:59",
                "-30",
                "+18:01",
                "-18:30",
                "+05:60",
                "+5",
                " BRT",
                "Z EST",
                " +05:30x",
            )
        ),
        ({"user_id": ""}, "user_id: missing"),
        ({"user_id": "x" * 51}, "user_id: too long"),
        ({"placed_at": None}, "placed_at: missing"),
        ({"placed_at": "20/02/2026 12:00"}, "placed_at: unreadable"),
        ({"placed_at": "2026-02-30 12:00:00"}, "placed_at: unreadable"),
        ({"placed_at": "infinity"}, "placed_at: unreadable"),
        ({"placed_at": "1771588800"}, "placed_at: unreadable"),
        ({"placed_at": "1999-12-31 23:59:59.999999"}, "placed_at: out of range"),
        ({"placed_at": "2100-01-01"}, "placed_at: out of range"),
        ({"placed_at": "294247-01-10 03:59:59"}, "placed_at: out of range"),
        ({"placed_at": "294247-01-10 04:00:54.775806"}, "placed_at: out of range"),
        ({"game_type": None}, "game_type: missing"),
        ({"game_type": "bingo"}, "game_type: unknown value"),
        ({"stake": None}, "stake: missing"),
        ({"stake": "ten"}, "stake: unreadable"),
        ({"stake": "10,50"}, "stake: unreadable"),
        ({"stake": "NaN"}, "stake: unreadable"),
        ({"stake": "Infinity"}, "stake: unreadable"),
        ({"stake": "-0.0001"}, "stake: below the minimum"),
        ({"stake": "10000000.0001"}, "stake: above the maximum"),
        ({"stake": "123456789012345"}, "stake: unreadable"),
        ({"payout": "nan"}, "payout: unreadable"),
        ({"payout": "-1"}, "payout: below the minimum"),
        ({"payout": "1000000000.0001"}, "payout: above the maximum"),
        ({"session_id": "x" * 101}, "session_id: too long"),
        ({"game_id": "x" * 101}, "game_id: too long"),
        ({"device_type": "x" * 51}, "device_type: too long"),
        ({"_reject": "malformed record: TOO MANY COLUMNS"}, "record: malformed record: TOO MANY COLUMNS"),
        ({"user_id": None, "stake": "-1"}, "user_id: missing"),
    ],
    "transactions": [
        ({"user_id": "p\u200b1"}, "user_id: invisible characters"),
        ({"user_id": "p\u00ad"}, "user_id: invisible characters"),
        ({"user_id": "nan"}, "user_id: a word for nothing"),
        ({"transaction_id": "None"}, "transaction_id: a word for nothing"),
        ({"transaction_id": "NULL"}, "transaction_id: missing"),
        ({"transaction_id": None}, "transaction_id: missing"),
        ({"transaction_id": "x" * 37}, "transaction_id: too long"),
        ({"user_id": None}, "user_id: missing"),
        ({"user_id": "x" * 51}, "user_id: too long"),
        ({"amount": None}, "amount: missing"),
        ({"amount": "NaN"}, "amount: unreadable"),
        ({"amount": "0"}, "amount: not above the minimum"),
        ({"amount": "0.004"}, "amount: not above the minimum"),
        ({"amount": "-5"}, "amount: not above the minimum"),
        ({"amount": "100000000"}, "amount: above the maximum"),
        ({"transaction_type": None}, "transaction_type: missing"),
        ({"transaction_type": "transfer"}, "transaction_type: unknown value"),
        ({"status": None}, "status: missing"),
        ({"status": "done"}, "status: unknown value"),
        ({"created_at": None}, "created_at: missing"),
        ({"created_at": "soon"}, "created_at: unreadable"),
        ({"created_at": "1989-12-31 23:59:59"}, "created_at: out of range"),
        ({"created_at": "2100-01-01"}, "created_at: out of range"),
    ],
    "sessions": [
        ({"session_id": None}, "session_id: missing"),
        ({"session_id": "x" * 101}, "session_id: too long"),
        ({"user_id": None}, "user_id: missing"),
        ({"user_id": "x" * 51}, "user_id: too long"),
        ({"started_at": None}, "started_at: missing"),
        ({"started_at": "soon"}, "started_at: unreadable"),
        ({"started_at": "1999-12-31"}, "started_at: out of range"),
        ({"ended_at": "later"}, "ended_at: unreadable"),
        ({"ended_at": "2026-02-20 11:59:59.999999"}, "ended_at: before started_at"),
        ({"ended_at": "2026-02-20 12:30:00+02:00"}, "ended_at: before started_at"),
        ({"device_type": "x" * 51}, "device_type: too long"),
    ],
    "communications": [
        ({"message_id": None}, "message_id: missing"),
        ({"message_id": "x" * 101}, "message_id: too long"),
        ({"user_id": None}, "user_id: missing"),
        ({"user_id": "x" * 51}, "user_id: too long"),
        ({"channel": None}, "channel: missing"),
        ({"channel": "pigeon"}, "channel: unknown value"),
        ({"sent_at": None}, "sent_at: missing"),
        ({"sent_at": "soon"}, "sent_at: unreadable"),
        ({"sent_at": "1999-12-31"}, "sent_at: out of range"),
    ],
    "players": [
        ({"user_id": None}, "user_id: missing"),
        ({"user_id": "x" * 51}, "user_id: too long"),
    ],
    "limits": [
        ({"user_id": None}, "user_id: missing"),
        ({"user_id": "x" * 51}, "user_id: too long"),
        ({"changed_at": None}, "changed_at: missing"),
        ({"changed_at": "soon"}, "changed_at: unreadable"),
        ({"changed_at": "1999-12-31"}, "changed_at: out of range"),
        ({"kind": None}, "kind: missing"),
        ({"kind": "mood"}, "kind: unknown value"),
        ({"old_value": "-1"}, "old_value: below the minimum"),
        ({"old_value": "1000000000.01"}, "old_value: above the maximum"),
        ({"old_value": "no limit"}, "old_value: unreadable"),
        ({"new_value": "-1"}, "new_value: below the minimum"),
        ({"new_value": "1000000000.01"}, "new_value: above the maximum"),
        ({"new_value": "NaN"}, "new_value: unreadable"),
    ],
}


def utc(text: str) -> datetime:
    """An instant as cleaned rows hold it: naive UTC."""
    return datetime.fromisoformat(text)


VALUES: Mapping[str, list[tuple[str, str | None, Any]]] = {
    "bets": [
        ("bet_id", " \u00a0b 1\t\r\n", "b 1"),
        ("user_id", "x" * 50, "x" * 50),
        ("user_id", "007", "007"),
        ("user_id", "1.0", "1.0"),
        ("user_id", "\u3000p1\u2003\u0085\x0b", "p1"),
        ("user_id", "Jose\u0301", "Jos\u00e9"),
        ("user_id", "nobody", "nobody"),
        ("device_type", "\U0001f468\u200d\U0001f469", "\U0001f468\u200d\U0001f469"),
        ("device_type", "None", "None"),
        ("device_type", "NULL", None),
        ("placed_at", "2026-02-20 12:00:00-03:00", utc("2026-02-20 15:00")),
        ("placed_at", "2026-02-20T12:00:00.123456Z", utc("2026-02-20 12:00:00.123456")),
        ("placed_at", "2026-02-20 12:00:00+0530", utc("2026-02-20 06:30")),
        ("placed_at", "2026-02-20 12:00:00", utc("2026-02-20 12:00")),
        ("placed_at", "2026-02-20", utc("2026-02-20 00:00")),
        ("placed_at", "2000-01-01", utc("2000-01-01 00:00")),
        ("placed_at", "2026-02-20T12:00Z", utc("2026-02-20 12:00")),
        ("placed_at", "2026-02-20T12:00", utc("2026-02-20 12:00")),
        ("placed_at", "2026-02-20 12:00-03:00", utc("2026-02-20 15:00")),
        ("placed_at", "20260220T120000Z", utc("2026-02-20 12:00")),
        ("placed_at", "20260220T1200-0300", utc("2026-02-20 15:00")),
        ("placed_at", "20260220", utc("2026-02-20 00:00")),
        ("placed_at", "2026-02-20t12:00:00z", utc("2026-02-20 12:00")),
        ("placed_at", "2026-02-20 09:00:00 -0300", utc("2026-02-20 12:00")),
        ("placed_at", "2026-02-20T12:00:00,25Z", utc("2026-02-20 12:00:00.25")),
        ("placed_at", "2026-02-20T12:00:00.123456789+00:00", utc("2026-02-20 12:00:00.123456")),
        ("placed_at", "2026-02-20 12:00:00+18:00", utc("2026-02-19 18:00")),
        ("placed_at", "2026-02-20 12:00:00-18:00", utc("2026-02-21 06:00")),
        ("placed_at", "2026-02-20 12:00:00 America/Sao_Paulo", utc("2026-02-20 15:00")),
        ("placed_at", "2026-02-20T12:00:00[Asia/Tokyo]", utc("2026-02-20 03:00")),
        ("placed_at", "2026-02-20T12:00:00-03:00[America/Sao_Paulo]", utc("2026-02-20 15:00")),
        ("placed_at", "2026-02-20 12:00:00 UTC", utc("2026-02-20 12:00")),
        ("game_type", " Cassino ", "cassino"),
        ("game_type", "Live Casino", "cassino"),
        ("game_type", "ROLETA", "cassino"),
        ("game_type", "Sportsbook", "esportes"),
        ("game_type", "PÔQUER", "poker"),
        ("game_type", "Caça-Níquel", "slots"),
        ("game_type", "aviator", "crash"),
        ("stake", "0", Decimal(0)),
        ("stake", "10000000", Decimal(10_000_000)),
        ("stake", " 1e3 ", Decimal(1000)),
        ("stake", "1.00005", Decimal("1.0001")),
        ("payout", None, None),
        ("payout", " ", None),
        ("rtp", "0.965", 0.965),
        ("rtp", "96.5", None),
        ("rtp", "-0.1", None),
        ("rtp", "nan", None),
        ("rtp", "inf", None),
        ("rtp", "high", None),
        ("is_bonus", "Sim", True),
        ("is_bonus", "NÃO", False),
        ("is_bonus", "1", True),
        ("is_bonus", "FALSE", False),
        ("is_bonus", "maybe", None),
        ("balance_after", "-12.50", Decimal("-12.5")),
        ("balance_after", "?", None),
        ("ingested_at", "2026-02-21T00:00:00-03:00", utc("2026-02-21 03:00")),
        ("ingested_at", "later", None),
    ],
    "transactions": [
        ("status", " SUCCESS", "completed"),
        ("user_id", "\u2003Jose\u0301\u0085", "Jos\u00e9"),
        ("status", "Approved", "completed"),
        ("status", "confirmed ", "completed"),
        ("status", "Cancelled", "cancelled"),
        ("transaction_type", "Withdrawal ", "withdrawal"),
        ("amount", "99999999.99", Decimal("99999999.99")),
        ("amount", "0.005", Decimal("0.01")),
        ("created_at", "1990-01-01 00:00:00", utc("1990-01-01 00:00")),
    ],
    "sessions": [
        ("ended_at", "2026-02-20 12:00:00", utc("2026-02-20 12:00")),
        ("ended_at", None, None),
        ("ended_at", "2026-02-20 10:00:00-03:00", utc("2026-02-20 13:00")),
    ],
    "communications": [
        ("channel", "E-mail", "email"),
        ("channel", "ZAP", "whatsapp"),
        ("channel", "ligação", "phone"),
        ("opened_at", "2026-02-21 00:00:00-03:00", utc("2026-02-21 03:00")),
        ("opened_at", "never", None),
        ("clicked_at", "infinity", None),
    ],
    "players": [
        ("registered_at", "2026-02-20 23:30:00-03:00", utc("2026-02-21 02:30")),
        ("registered_at", "unknown", None),
        ("birth_date", "1990-02-28", date(1990, 2, 28)),
        ("birth_date", "1990-02-30", None),
        ("timezone", " America/Noronha ", "America/Noronha"),
        ("timezone", "Brasilia", None),
        ("consents", None, None),
        ("consents", "", None),
        ("consents", "[]", []),
        ("consents", "{}", []),
        ("consents", '["SMS", "e-mail", "email", "pigeon"]', ["email", "sms"]),
        ("consents", '{"whatsapp": true, "email": false, "phone": true}', ["phone", "whatsapp"]),
        ("consents", " push ;Telegram|telefone, zap", ["phone", "push", "telegram", "whatsapp"]),
        ("consents", "pigeon", []),
        ("consents", '["email"', None),
        ("consents", '{"email": tru', None),
        ("consents", '[{"email": true}]', []),
        ("consents", '{"say \\"hi\\"": true, "*": true, "a.b": true, "": true, "sms": true}', ["sms"]),
        ("consents", '{"email": {"agreed": true}, "sms": null, "push": "true"}', None),
        ("consents", '{"email": false, "sms": null, "push": "true"}', ["push"]),
        ("birth_date", "19900228", date(1990, 2, 28)),
        *(
            ("is_test", word, True)
            for word in ("yes", "VERDADEIRO", "V", "1.0", "on", "X", "sim", "S", "true")
        ),
        *(("is_test", word, False) for word in ("no", "FALSO", "0.0", "off", "não", "N", "false")),
        ("is_blocked", "não", False),
        ("prohibited", "?", None),
        ("self_excluded_until", "2027-01-01", utc("2027-01-01 00:00")),
    ],
    "limits": [
        ("kind", " Self-Exclusion ", "self_exclusion"),
        ("kind", "PERDAS", "loss"),
        ("old_value", None, None),
        ("new_value", "", None),
        ("new_value", "0", Decimal(0)),
        ("new_value", "1000000000", Decimal(1_000_000_000)),
    ],
}


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path)


def good(source: str, **changes: str | None) -> dict[str, str | None]:
    return {**GOOD[source], **changes}


def numbered(
    contract: SourceContract, number: int, changes: Mapping[str, str | None]
) -> dict[str, str | None]:
    """A good row with changes, and a key of its own unless they give one."""
    return {**GOOD[contract.name], contract.business_key[0]: f"key {number}", **changes}


@pytest.mark.parametrize("source", FAULTS)
def test_every_fault_has_its_reason(
    engine: duckdb.DuckDBPyConnection, store: FolderStore, source: str
) -> None:
    contract = contracts()[source]
    rows = [numbered(contract, number, changes) for number, (changes, _) in enumerate(FAULTS[source])]

    cleaned = clean(engine, store, RUN, contract, capture(engine, store, RUN, contract, rows))

    found = {row["source_row"]: row for row in quarantined_rows(engine, store, cleaned)}
    assert {number: row["reason"] for number, row in found.items()} == {
        number: reason for number, (_, reason) in enumerate(FAULTS[source], start=1)
    }
    assert cleaned.accepted == 0
    assert sum(cleaned.quarantined.values()) == len(rows)
    assert {row["source_key"] for row in found.values()} == {"raw/feed/a.csv"}
    assert {row["run_id"] for row in found.values()} == {RUN.run_id}


@pytest.mark.parametrize("source", GOOD)
def test_every_rule_of_a_contract_was_broken_once(source: str) -> None:
    """A new column or bound in a contract comes with its bad value here."""
    tried = {reason for _, reason in FAULTS[source]}
    for name, column in contracts()[source].columns.items():
        if column.required:
            assert f"{name}: missing" in tried
        if column.on_invalid == "null":
            continue
        bounds = {
            "too long": column.max_length,
            "not above the minimum": column.above,
            "below the minimum": column.minimum,
            "above the maximum": column.maximum,
        }
        for words, bound in bounds.items():
            assert bound is None or f"{name}: {words}" in tried
        if column.type == "enum":
            assert f"{name}: unknown value" in tried
        elif column.type != "text":
            assert f"{name}: unreadable" in tried


def test_quarantine_keeps_the_row_as_it_came(engine: duckdb.DuckDBPyConnection, store: FolderStore) -> None:
    contract = contracts()["bets"]
    row = good("bets", bet_id=" b1 ", stake="dez", rtp="96.5", ingested_at="?")

    cleaned = clean(engine, store, RUN, contract, capture(engine, store, RUN, contract, [row]))

    (kept,) = quarantined_rows(engine, store, cleaned)
    (record,) = (
        engine.execute("SELECT from_json(?, '\"MAP(VARCHAR, VARCHAR)\"')", [kept["record"]]).fetchone() or ()
    )
    assert {name: value for name, value in record.items() if value is not None} == row
    assert kept["business_key"] == "b1"


@pytest.mark.parametrize("source", VALUES)
def test_text_becomes_values(engine: duckdb.DuckDBPyConnection, store: FolderStore, source: str) -> None:
    contract = contracts()[source]
    rows = [
        numbered(
            contract,
            number,
            {"user_id": f"user {number}", contract.business_key[0]: f"key {number}", name: text},
        )
        for number, (name, text, _) in enumerate(VALUES[source])
    ]

    cleaned = clean(engine, store, RUN, contract, capture(engine, store, RUN, contract, rows))

    assert cleaned.quarantined == {}
    found = accepted_rows(engine, store, cleaned)
    for number, (name, text, expected) in enumerate(VALUES[source]):
        locator, value = ("user_id", f"user {number}") if name == contract.business_key[0] else (None, None)
        if locator is None:
            locator, value = contract.business_key[0], f"key {number}"
        (row,) = (row for row in found if row[locator] == value)
        assert row[name] == expected, (name, text)
        assert type(row[name]) is type(expected), (name, text)


def test_cleaned_columns_are_those_that_features_expect_of_an_absent_source(
    engine: duckdb.DuckDBPyConnection, store: FolderStore
) -> None:
    for source, contract in contracts().items():
        rows = [good(source)]
        cleaned = clean(
            engine, store, RUN, contract, capture(engine, store, RUN, contract, rows, f"raw/{source}/a")
        )
        files = cleaned.files

        absent = render("clean/no_rows", columns=typed_columns(contract))
        written = column_types(engine, scan(store, files))

        assert written == column_types(engine, Fragment(f"({absent})")), source


def test_the_same_rows_make_the_same_bytes(engine: duckdb.DuckDBPyConnection, store: FolderStore) -> None:
    """Whatever order the engine's threads bring them in."""
    contract = contracts()["bets"]
    rows = [
        {**GOOD["bets"], "bet_id": f"b{number}", "placed_at": f"2026-02-{20 + number % 3} 12:00:00", **fault}
        for number in range(60)
        for fault in ({}, {"stake": "x"} if number % 4 else {})
    ]
    captured = capture(engine, store, RUN, contract, rows)
    work = Work(run=RUN, store=store, connection=engine)
    query = f"FROM {scan(store, captured.files)} ORDER BY hash(_row)"
    shuffled, _ = write_file(work, "captures/shuffled.parquet", query)

    def cleaned_bytes(files: list[str], run: Run) -> set[bytes | None]:
        cleaned = clean(engine, store, run, contract, captured.model_copy(update={"files": files}))
        return {store.read(key) for day in cleaned.days for key in (*day.files, *day.quarantine_files)}

    once = cleaned_bytes(captured.files, RUN)

    assert len(once) == 2
    assert cleaned_bytes([shuffled], REFRESHED) == once


def test_the_day_is_the_operators(engine: duckdb.DuckDBPyConnection, store: FolderStore) -> None:
    contract = contracts()["bets"]
    rows = [
        good("bets", bet_id="late evening", placed_at="2026-02-21T02:59:59.999999Z"),
        good("bets", bet_id="midnight", placed_at="2026-02-21T03:00:00Z"),
    ]

    cleaned = clean(engine, store, RUN, contract, capture(engine, store, RUN, contract, rows))

    found = {row["bet_id"]: row["_day"] for row in accepted_rows(engine, store, cleaned)}
    assert found == {"late evening": date(2026, 2, 20), "midnight": date(2026, 2, 21)}
    assert [day.day for day in cleaned.days] == [date(2026, 2, 20), date(2026, 2, 21)]


class TestDuplicates:
    """Within one key and day: latest ingested_at, then highest source key, then contents."""

    @pytest.fixture
    def kept(self, engine: duckdb.DuckDBPyConnection, store: FolderStore) -> Any:
        """Cleans bets of several chunks; the stakes that were kept, and how many rows went as duplicates."""

        def run(chunks: Mapping[str, list[dict[str, str | None]]], run: Run = RUN) -> tuple[list[int], int]:
            contract = contracts()["bets"]
            captures = [capture(engine, store, run, contract, rows, chunk) for chunk, rows in chunks.items()]
            cleaned = clean(engine, store, run, contract, *captures)
            stakes = [int(row["stake"]) for row in accepted_rows(engine, store, cleaned)]
            return sorted(stakes), cleaned.duplicates

        return run

    def test_latest_ingested_wins_over_the_source_key(self, kept: Any) -> None:
        chunks = {
            "raw/bets/a": [good("bets", stake="1", ingested_at="2026-02-22T00:00:00Z")],
            "raw/bets/b": [good("bets", stake="2", ingested_at="2026-02-21T00:00:00Z")],
            "raw/bets/c": [good("bets", stake="3")],
        }

        assert kept(chunks) == ([1], 2)

    def test_highest_source_key_wins_among_equals(self, kept: Any) -> None:
        chunks = {
            key: [good("bets", stake=stake)]
            for key, stake in (("raw/b", "2"), ("raw/c", "3"), ("raw/a", "1"))
        }

        assert kept(chunks) == ([3], 2)

    def test_contents_decide_within_a_file_whatever_their_order(self, kept: Any) -> None:
        rows = [good("bets", stake=str(stake)) for stake in range(1, 8)]

        forwards, backwards = kept({"raw/a": rows}), kept({"raw/a": rows[::-1]}, REFRESHED)

        assert forwards == backwards
        assert forwards[1] == 6

    def test_equal_rows_are_one(self, kept: Any) -> None:
        assert kept({"raw/a": [good("bets", stake="5")] * 3, "raw/b": [good("bets", stake="5")]}) == ([5], 3)

    def test_spellings_of_one_key_are_one(self, kept: Any) -> None:
        spellings = ("jos\u00e9", "jose\u0301", " jos\u00e9\u3000", "\u2003jose\u0301\u0085")
        rows = [good("bets", bet_id=spelling, stake="5") for spelling in spellings]

        assert kept({"raw/a": rows}) == ([5], 3)

    def test_one_key_on_two_days_is_kept_twice(self, kept: Any) -> None:
        """Which of them is true is for a raw check to ask, not for cleaning to choose."""
        rows = [
            good("bets", stake="1", placed_at="2026-02-21T02:59:59Z"),
            good("bets", stake="2", placed_at="2026-02-21T03:00:00Z"),
        ]

        assert kept({"raw/a": rows}) == ([1, 2], 0)
        assert kept({"raw/a": rows * 3}, REFRESHED) == ([1, 2], 4)

    def test_a_row_in_quarantine_displaces_none(self, kept: Any) -> None:
        rows = [
            good("bets", stake="1", ingested_at="2026-02-21T00:00:00Z"),
            good("bets", stake="-1", ingested_at="2026-02-22T00:00:00Z"),
        ]

        assert kept({"raw/a": rows}) == ([1], 0)

    def test_what_was_ingested_after_known_at_displaces_none(self, kept: Any) -> None:
        chunks = {
            "raw/a": [good("bets", stake="1", ingested_at="2026-02-21T00:00:00Z")],
            "raw/b": [good("bets", stake="2", ingested_at="2026-02-21T12:00:00Z")],
            "raw/c": [good("bets", stake="3", ingested_at="2026-02-21T12:00:00.000001Z")],
        }
        early = replace(RUN, known_at=datetime(2026, 2, 21, 12, tzinfo=UTC))

        assert kept(chunks, early) == ([2], 1)
        assert kept(chunks, RUN) == ([3], 2)


def test_a_key_of_several_columns_is_one_only_where_all_agree(
    engine: duckdb.DuckDBPyConnection, store: FolderStore
) -> None:
    contract = contracts()["limits"]
    rows = [
        good("limits", new_value="1"),
        good("limits", new_value="1", kind="Depósito"),
        good("limits", new_value="2", changed_at="2026-02-20T09:00:00-03:00"),
        good("limits", new_value="3", kind="loss"),
        good("limits", new_value="4", user_id="v"),
        good("limits", new_value="5", changed_at="2026-02-20 12:00:00.000001"),
        good("limits", new_value="-1"),
        good("limits", new_value="-1", user_id=None),
    ]

    cleaned = clean(engine, store, RUN, contract, capture(engine, store, RUN, contract, rows))

    kept = sorted(int(row["new_value"]) for row in accepted_rows(engine, store, cleaned))
    assert (kept[1:], kept[0] in (1, 2), cleaned.duplicates) == ([3, 4, 5], True, 2)
    faulty = {row["source_row"]: row["business_key"] for row in quarantined_rows(engine, store, cleaned)}
    assert faulty == {7: "u deposit 2026-02-20 12:00:00", 8: "deposit 2026-02-20 12:00:00"}


def test_what_a_run_does_not_look_at_is_counted(
    engine: duckdb.DuckDBPyConnection, store: FolderStore
) -> None:
    contract = contracts()["bets"]
    rows = [
        good("bets", bet_id="1", placed_at="2026-03-01T02:59:59.999999Z"),
        good("bets", bet_id="2", placed_at="2026-03-01T03:00:00Z"),
        good("bets", bet_id="3", placed_at="2026-03-02T03:00:00Z", stake="-1"),
        good("bets", bet_id="4", ingested_at="2026-03-01T12:00:00.000001Z", stake="-1"),
        good("bets", bet_id="5", ingested_at="2026-03-01T12:00:00Z"),
    ]

    cleaned = clean(engine, store, RUN, contract, capture(engine, store, RUN, contract, rows))

    assert cleaned.outside == {"at or after as_of": 2, "ingested after known_at": 1}
    assert {row["bet_id"] for row in accepted_rows(engine, store, cleaned)} == {"1", "5"}
    assert cleaned.quarantined == {}


class TestPlayersSnapshots:
    @pytest.fixture
    def snapshot(self, engine: duckdb.DuckDBPyConnection, store: FolderStore) -> Any:
        """Cleans player files, chunk to when it was modified; which of them was used."""

        def run(chunks: Mapping[str, datetime]) -> tuple[set[str], dict[str, int]]:
            contract = contracts()["players"]
            captures = [
                capture(engine, store, RUN, contract, [{"user_id": chunk}], chunk, modified)
                for chunk, modified in chunks.items()
            ]
            cleaned = clean(engine, store, RUN, contract, *captures)
            assert cleaned.accepted + sum(cleaned.outside.values()) == cleaned.extracted == len(chunks)
            return {row["user_id"] for row in accepted_rows(engine, store, cleaned)}, cleaned.outside

        return run

    def test_the_newest_day_before_as_of(self, snapshot: Any) -> None:
        modified = datetime(2026, 6, 1, tzinfo=UTC)
        chunks = [
            f"raw/players/dt={day}/part-{part}.csv" for day in ("2026-02-27", "2026-02-28") for part in (1, 2)
        ]

        used, outside = snapshot(dict.fromkeys([*chunks, "raw/players/dt=2026-03-01/p.csv"], modified))

        assert used == set(chunks[2:])
        assert outside == {"older snapshots": 2, "at or after as_of": 1}

    def test_without_a_day_it_is_when_the_object_was_modified(self, snapshot: Any) -> None:
        used, outside = snapshot(
            {
                "raw/players/a.csv": datetime(2026, 3, 1, 2, 59, 59, tzinfo=UTC),
                "raw/players/b.csv": datetime(2026, 3, 1, 3, 0, tzinfo=UTC),
            }
        )

        assert used == {"raw/players/a.csv"}
        assert outside == {"at or after as_of": 1}

    def test_a_day_that_does_not_exist_is_none(self, snapshot: Any) -> None:
        used, _ = snapshot({"raw/players/dt=2026-02-30/a.csv": datetime(2026, 2, 1, tzinfo=UTC)})

        assert used == {"raw/players/dt=2026-02-30/a.csv"}

    def test_none_before_as_of(self, snapshot: Any) -> None:
        assert snapshot({"raw/players/dt=2026-03-01/a.csv": datetime(2026, 2, 1, tzinfo=UTC)}) == (
            set(),
            {"at or after as_of": 1},
        )


class TestReuse:
    def days_made(self, store: FolderStore) -> set[str]:
        return {
            entry.key
            for entry in store.list("")
            if entry.key.endswith(".parquet") and "/cleaned/" in entry.key
        }

    def test_a_second_run_reads_what_is_there(
        self, engine: duckdb.DuckDBPyConnection, store: FolderStore
    ) -> None:
        contract = contracts()["bets"]
        captured = capture(engine, store, RUN, contract, [good("bets"), good("bets", bet_id="2", stake="-1")])
        first = clean(engine, store, RUN, contract, captured)

        again = clean(engine, store, replace(RUN, run_id="another"), contract, captured)

        assert (len(first.made), again.made) == (1, [])
        assert again.model_copy(update={"made": first.made}) == first

    def test_a_changed_contract_or_rule_cleans_anew(
        self, engine: duckdb.DuckDBPyConnection, store: FolderStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        contract = contracts()["bets"]
        captured = capture(engine, store, RUN, contract, [good("bets", stake="100")])
        assert clean(engine, store, RUN, contract, captured).accepted == 1

        lower = contract.columns["stake"].model_copy(update={"maximum": 99})
        stricter = contract.model_copy(update={"columns": {**contract.columns, "stake": lower}})
        stricter = SourceContract.model_validate(stricter.model_dump())
        assert clean(engine, store, RUN, stricter, captured).quarantined == {"stake: above the maximum": 1}

        made = self.days_made(store)
        monkeypatch.setattr(
            "crmbet.contracts.typing.bounds_of", lambda *given: [*bounds_of(*given), ("false", "odd")]
        )
        clean(engine, store, RUN, contract, captured)
        assert self.days_made(store) > made

    def test_only_the_days_of_a_new_chunk_are_made(
        self, engine: duckdb.DuckDBPyConnection, store: FolderStore
    ) -> None:
        contract = contracts()["bets"]
        first = capture(
            engine,
            store,
            RUN,
            contract,
            [good("bets"), good("bets", placed_at="2026-02-10 12:00:00")],
            "raw/a",
        )
        clean(engine, store, RUN, contract, first)
        made = self.days_made(store)

        second = capture(engine, store, RUN, contract, [good("bets", bet_id="2")], "raw/b")
        cleaned = clean(engine, store, RUN, contract, first, second)

        new = self.days_made(store) - made
        assert len(new) == 1
        assert "day=2026-02-20" in new.pop()
        assert cleaned.accepted == 3


KEYS = st.sampled_from(["1", " 1", "2", "3", "4", None, "", "x" * 200])
DIRTY = st.fixed_dictionaries(
    {
        "bet_id": KEYS,
        "user_id": st.sampled_from(["u", "v", None, "x" * 51, "u\x001", '{"id": "u"}']),
        "placed_at": st.sampled_from(
            [
                "2026-02-20 12:00:00",
                "2026-02-20 23:00:00-03:00",
                "2026-02-28T12:00:00Z",
                "2026-03-01T12:00:00Z",
                "1970-01-01",
                "never",
                None,
            ]
        ),
        "game_type": st.sampled_from(["slots", "CASINO", "bingo", None]),
        "stake": st.sampled_from(["1", "2", "-1", "NaN", "1e99", None]),
        "rtp": st.sampled_from([None, "0.9", "nan", "2"]),
        "ingested_at": st.sampled_from([None, "2026-02-21", "2026-02-22", "2026-03-02", "?"]),
        "_reject": st.sampled_from([None, None, None, "not a JSON object"]),
    }
)


@settings(
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=examples(3, full=12),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(chunks=st.lists(st.lists(DIRTY, min_size=1, max_size=25), min_size=1, max_size=3))
def test_every_row_is_accounted_for(
    engine: duckdb.DuckDBPyConnection,
    tmp_path_factory: pytest.TempPathFactory,
    chunks: list[list[dict[str, str | None]]],
) -> None:
    contract = contracts()["bets"]
    store = FolderStore(tmp_path_factory.mktemp("lake"))
    captures = [
        capture(engine, store, RUN, contract, rows, f"raw/bets/{number}")
        for number, rows in enumerate(chunks)
    ]

    cleaned = clean(engine, store, RUN, contract, *captures)

    accepted = accepted_rows(engine, store, cleaned)
    quarantined = quarantined_rows(engine, store, cleaned)
    assert cleaned.extracted == sum(len(rows) for rows in chunks)
    assert cleaned.extracted == (
        len(accepted) + len(quarantined) + cleaned.duplicates + sum(cleaned.outside.values())
    )
    assert (cleaned.accepted, sum(cleaned.quarantined.values())) == (len(accepted), len(quarantined))
    assert Counter(row["reason"] for row in quarantined) == cleaned.quarantined
    keys = [(row["bet_id"], row["_day"]) for row in accepted]
    assert len(set(keys)) == len(keys)
    assert all(row["_day"] < RUN.as_of_date for row in accepted)
    for reason in cleaned.quarantined:
        # Reasons go to logs and reports: a column and words, no data.
        column, words = reason.split(": ", 1)
        assert column in {*contract.columns, "record"}
        assert words in WORDS


WORDS = {
    "missing",
    "unreadable",
    "unknown value",
    "too long",
    "control characters",
    "invisible characters",
    "a word for nothing",
    "nested value",
    "not above the minimum",
    "below the minimum",
    "above the maximum",
    "out of range",
    "not a JSON object",
}


def test_no_parser_hides_a_function_of_the_engine() -> None:
    # Great Expectations and other statements of the same session would call the parser.
    statements = (STATEMENTS / "create_parsers.sql").read_text(encoding="utf-8")
    parsers = {*re.findall(r"MACRO (\w+)\(", statements)}
    with duckdb.connect() as engine:
        functions = {
            name for (name,) in engine.execute("SELECT function_name FROM duckdb_functions()").fetchall()
        }
    assert len(parsers) > 20
    assert parsers & functions == set()


def test_every_text_that_cannot_be_read_is_counted_in_every_type(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    store, contract = FolderStore(tmp_path), contracts()["bets"]
    columns = [name for name, column in contract.columns.items() if column.on_invalid == "null"]
    words = ("NaN", "nan", "-nan", "+NaN", "nan(0x1)", "inf", "?")
    good = {"user_id": "u", "placed_at": "2026-02-20 12:00:00", "game_type": "slots", "stake": "1"}
    rows: list[Any] = [
        {**good, "bet_id": f"{column} {word}", column: word} for column in columns for word in words
    ]

    cleaned = clean(engine, store, RUN, contract, capture(engine, store, RUN, contract, rows))

    assert cleaned.accepted == len(rows)
    assert cleaned.discarded == dict.fromkeys(sorted(columns), len(words))
