"""Another operator's spellings, mapped by a contract alone: amounts and times; and what a text may not hold."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from crmbet.contracts.instants import event_instant, known_instant
from crmbet.contracts.source import SourceContract
from local.workspace import PROJECT
from tests.sql.lake_folder import FolderStore, accepted_rows, capture, clean, quarantined_rows
from tests.sql.world import TYPICAL, World, contracts

pytestmark = pytest.mark.sql

RUN = replace(World(as_of_date=date(2026, 3, 1)).run(), known_at=datetime(2026, 3, 1, 12, tzinfo=UTC))

UNREADABLE = "unreadable"


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path)


def mapped(source: str, column: str, **options: Any) -> SourceContract:
    """A contract of ours with options of one column changed."""
    content = contracts()[source].model_dump()
    content["columns"][column] |= options
    return SourceContract.model_validate(content)


def cleaned_values(
    engine: duckdb.DuckDBPyConnection,
    store: FolderStore,
    contract: SourceContract,
    column: str,
    texts: Sequence[str | None],
    **others: str,
) -> dict[str | None, Any]:
    """What becomes of each text in a column, in a row that is good otherwise: its value, or its fault's words."""
    base = {
        "user_id": "u",
        contract.event_time or "": "2026-02-20T12:00:00Z",
        **TYPICAL[contract.name],
        **others,
    }
    rows = [
        {
            **{name: text for name, text in base.items() if name in contract.columns},
            contract.business_key[0]: f"key {number:03d}",
            column: text,
        }
        for number, text in enumerate(texts)
    ]
    captured = capture(engine, store, RUN, contract, rows)
    cleaned = clean(engine, store, RUN, contract, captured)
    accepted = accepted_rows(engine, store, cleaned)
    faulty = quarantined_rows(engine, store, cleaned)
    assert len(accepted) + len(faulty) == cleaned.accepted + sum(cleaned.quarantined.values()) == len(texts)
    by_key = {row[contract.business_key[0]]: row[column] for row in accepted}
    by_row = {row["source_row"]: row["reason"].removeprefix(f"{column}: ") for row in faulty}
    return {
        text: by_row[number + 1] if number + 1 in by_row else by_key[f"key {number:03d}"]
        for number, text in enumerate(texts)
    }


# Amounts

POINT: Mapping[str, Any] = {
    "10.50": Decimal("10.5"),
    "1,234.56": Decimal("1234.56"),
    "1,234": Decimal(1234),
    "1,234,567.8901": Decimal("1234567.8901"),
    "1 234.56": Decimal("1234.56"),
    "R$ 1,234.56": Decimal("1234.56"),
    "R$\u00a01,234.56": Decimal("1234.56"),
    "$10.50": Decimal("10.5"),
    "US$ 10.50": Decimal("10.5"),
    "€10": Decimal(10),
    "10.50 €": Decimal("10.5"),
    "BRL 10.50": Decimal("10.5"),
    "10.50BRL": Decimal("10.5"),
    "-R$ 10.50": Decimal("-10.5"),
    "R$ -10.50": Decimal("-10.5"),
    "-1,234.5": Decimal("-1234.5"),
    "+10": Decimal(10),
    "0": Decimal(0),
    "1e-05": Decimal(0),
    "1.5E+3": Decimal(1500),
    "1,5": UNREADABLE,
    "10,50": UNREADABLE,
    "1.234,56": UNREADABLE,
    "12,34,567": UNREADABLE,
    "1234,567": UNREADABLE,
    "0,123": UNREADABLE,
    "1,2345": UNREADABLE,
    "1,234 567": UNREADABLE,
    "-R$ -10": UNREADABLE,
    "R$": UNREADABLE,
    "R$ --": UNREADABLE,
    "reais 10": UNREADABLE,
    "abc": UNREADABLE,
    "1O.00": UNREADABLE,
    "10.5.0": UNREADABLE,
    "R$ 1e3": UNREADABLE,
    "1e400": UNREADABLE,
    "NaN": UNREADABLE,
    "R$ NaN": UNREADABLE,
    "inf": UNREADABLE,
    "-Infinity": UNREADABLE,
    "R$ 999,999,999,999,999.99": UNREADABLE,
}
"""Read with the default mark."""

COMMA: Mapping[str, Any] = {
    "10,50": Decimal("10.5"),
    "1.234,56": Decimal("1234.56"),
    "1.234": Decimal(1234),
    "1.234.567,8901": Decimal("1234567.8901"),
    "R$ 1.234,56": Decimal("1234.56"),
    "R$\u00a01.234,56": Decimal("1234.56"),
    "1 234,56": Decimal("1234.56"),
    "1\u00a0234,56": Decimal("1234.56"),
    "1\u202f234\u202f567,5 €": Decimal("1234567.5"),
    "-10,5": Decimal("-10.5"),
    "-1.234,5": Decimal("-1234.5"),
    "R$ -10,50": Decimal("-10.5"),
    "1234,5": Decimal("1234.5"),
    "10": Decimal(10),
    "1e3": Decimal(1000),
    "1,00005": Decimal("1.0001"),
    "10.50": UNREADABLE,
    "1,234.56": UNREADABLE,
    "1.5": UNREADABLE,
    "0.123": UNREADABLE,
    "1.23,4": UNREADABLE,
    "1,2,3": UNREADABLE,
    "abc": UNREADABLE,
    "NaN": UNREADABLE,
    "Infinity": UNREADABLE,
    "R$": UNREADABLE,
}


@pytest.mark.parametrize(("mark", "expected"), [(".", POINT), (",", COMMA)], ids=["point", "comma"])
def test_amounts(
    engine: duckdb.DuckDBPyConnection, store: FolderStore, mark: str, expected: Mapping[str, Any]
) -> None:
    contract = mapped("bets", "stake", decimal_mark=mark, minimum=None)

    found = cleaned_values(engine, store, contract, "stake", list(expected))

    assert found == expected
    assert {type(value) for value in found.values()} == {Decimal, str}


def test_bounds_hold_for_amounts_however_they_are_spelled(
    engine: duckdb.DuckDBPyConnection, store: FolderStore
) -> None:
    contract = mapped("bets", "stake", decimal_mark=",")
    expected = {
        "R$ 0,00": Decimal(0),
        "R$ 10.000.000,00": Decimal(10_000_000),
        "-0,01": "below the minimum",
        "R$ 10.000.000,01": "above the maximum",
        "R$ 9.999.999.999,99": "above the maximum",
        None: "missing",
        " ": "missing",
    }

    assert cleaned_values(engine, store, contract, "stake", list(expected)) == expected


def test_reals_and_integers_have_a_decimal_mark_too(
    engine: duckdb.DuckDBPyConnection, store: FolderStore
) -> None:
    real = mapped("bets", "rtp", decimal_mark=",", minimum=None, maximum=None, on_invalid="quarantine")
    shares = {
        "0,965": 0.965,
        "9,65e-1": 0.965,
        "-1.234,5": -1234.5,
        "0.965": UNREADABLE,
        "nan": UNREADABLE,
        "inf": UNREADABLE,
        "1e400": UNREADABLE,
    }
    whole = mapped("bets", "game_id", type="integer", max_length=None, decimal_mark=",")
    numbers = {"1.234": 1234, "12": 12, "1.23": UNREADABLE, "slots-01": UNREADABLE}

    assert cleaned_values(engine, store, real, "rtp", list(shares)) == shares
    assert cleaned_values(engine, store, whole, "game_id", list(numbers)) == numbers


# Times


def utc(text: str) -> datetime:
    """An instant as cleaned rows hold it: naive UTC."""
    return datetime.fromisoformat(text)


TIMES: list[tuple[list[str], Mapping[str, Any]]] = [
    (
        [],
        {
            "2024-02-29T12:00:00Z": utc("2024-02-29 12:00"),
            "2025-02-29T12:00:00Z": UNREADABLE,
            "2000-02-29": utc("2000-02-29 00:00"),
            "2100-02-28": "out of range",
            "20/02/2026 12:00:00": UNREADABLE,
            "1771588800": UNREADABLE,
        },
    ),
    (
        ["%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M:%S.%f", "%d/%m/%Y", "%d/%m/%Y %I:%M %p"],
        {
            "20/02/2026 12:00:00": utc("2026-02-20 12:00"),
            " \u00a020/02/2026 12:00:00 ": utc("2026-02-20 12:00"),
            "20/02/2026 12:00:00.5": utc("2026-02-20 12:00:00.5"),
            "20/02/2026 12:00:00.123456": utc("2026-02-20 12:00:00.123456"),
            "20/02/2026": utc("2026-02-20 00:00"),
            "20/02/2026 11:30 PM": utc("2026-02-20 23:30"),
            "3/2/2026": utc("2026-02-03 00:00"),
            "29/02/2024": utc("2024-02-29 00:00"),
            "29/02/2025": UNREADABLE,
            "02/20/2026": UNREADABLE,
            "31/04/2025 12:00:00": UNREADABLE,
            "20/02/2026 24:00:00": UNREADABLE,
            "20/02/2026 12:00:00-03:00": UNREADABLE,
            "2026-02-20T12:00:00Z": UNREADABLE,
            "20/02/1999": "out of range",
            "20/02/2100": "out of range",
            "20/02/26": "out of range",
            "infinity": UNREADABLE,
            "Epoch": UNREADABLE,
            "ontem": UNREADABLE,
        },
    ),
    (
        ["%d/%m/%Y %H:%M:%S%z", "%d/%m/%Y %H:%M:%S %Z", "%d/%m/%Y %H:%M:%S", "iso"],
        {
            "20/02/2026 12:00:00-03:00": utc("2026-02-20 15:00"),
            "20/02/2026 12:00:00+0530": utc("2026-02-20 06:30"),
            "20/02/2026 12:00:00 America/Sao_Paulo": utc("2026-02-20 15:00"),
            "20/02/2026 12:00:00": utc("2026-02-20 12:00"),
            "2026-02-20T12:00:00-03:00": utc("2026-02-20 15:00"),
            "20/02/2026 12:00:00 UTC": utc("2026-02-20 12:00"),
            "20/02/2026 12:00:00 BST": UNREADABLE,
            "20/02/2026 12:00:00 Mars/Olympus": UNREADABLE,
            "-infinity": UNREADABLE,
        },
    ),
    (
        ["%m/%d %I:%M %p %Z %Y", "%A %d %b %Z %Y"],
        {
            "02/20 11:00 PM UTC 2026": utc("2026-02-20 23:00"),
            "02/20 11:00 PM America/Sao_Paulo 2026": utc("2026-02-21 02:00"),
            "02/20 11:00 PM EST 2026": UNREADABLE,
            "Friday 20 Feb UTC 2026": utc("2026-02-20 00:00"),
            "Friday 20 Feb BRT 2026": UNREADABLE,
        },
    ),
    (
        ["%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M"],
        {
            "02/03/2025 10:00": utc("2025-02-03 10:00"),
            "20/02/2026 10:00": utc("2026-02-20 10:00"),
        },
    ),
    (
        ["epoch_s"],
        {
            "1771588800": utc("2026-02-20 12:00"),
            "1771588800.25": utc("2026-02-20 12:00:00.25"),
            "1.7715888e9": utc("2026-02-20 12:00"),
            "1771588800000": UNREADABLE,
            "99999999999": "out of range",
            "-1": "out of range",
            "2026-02-20": UNREADABLE,
            "nan": UNREADABLE,
        },
    ),
    (
        ["epoch_ms"],
        {
            "1771588800123": utc("2026-02-20 12:00:00.123"),
            "1771588800": "out of range",
            "99999999999999999999": UNREADABLE,
            "infinity": UNREADABLE,
        },
    ),
]


@pytest.mark.parametrize(
    ("formats", "expected"),
    TIMES,
    ids=["none", "day_first", "zones", "zones_within", "order", "seconds", "milliseconds"],
)
def test_times(
    engine: duckdb.DuckDBPyConnection, store: FolderStore, formats: list[str], expected: Mapping[str, Any]
) -> None:
    contract = mapped("bets", "placed_at", formats=formats)

    assert cleaned_values(engine, store, contract, "placed_at", list(expected)) == expected


def test_dates(engine: duckdb.DuckDBPyConnection, store: FolderStore) -> None:
    contract = mapped("players", "birth_date", formats=["%d/%m/%Y", "iso"], on_invalid="quarantine")
    expected = {
        "29/02/2000": date(2000, 2, 29),
        "29/02/2001": UNREADABLE,
        "1990-12-31": date(1990, 12, 31),
        "12/31/1990": UNREADABLE,
        "infinity": UNREADABLE,
    }

    assert cleaned_values(engine, store, contract, "birth_date", list(expected)) == expected


SHIFTED = ("%d/%m/%Y %H:%M:%S%z", "%z %d/%m/%Y %H:%M:%S", "%d/%m/%Y[%z]%H:%M:%S")


@pytest.mark.parametrize("spelled", SHIFTED)
def test_no_format_reads_an_offset_of_more_than_18_hours(
    engine: duckdb.DuckDBPyConnection, store: FolderStore, spelled: str
) -> None:
    contract = mapped("bets", "placed_at", formats=[spelled])
    clock = spelled.replace("%d/%m/%Y", "20/02/2026").replace("%H:%M:%S", "12:00:00")
    shifts = {
        "-0300": 15,
        "-03:00": 15,
        "+05": 7,
        "+12:00": 0,
        **dict.fromkeys(("+25:00", "+99:59", "-30", "+18:01", "-1830", "+05:60", "-9959"), None),
    }
    expected = {
        clock.replace("%z", shift): UNREADABLE
        if hour is None
        else datetime.fromisoformat(f"2026-02-20T{hour:02d}:00")
        for shift, hour in shifts.items()
    }

    assert cleaned_values(engine, store, contract, "placed_at", list(expected)) == expected


CODES = [*"aAbBdfgHIjmMnpSTyYzZ%", *(f"-{code}" for code in "dHIjmMSy")]


@pytest.mark.parametrize("code", CODES)
def test_the_engine_knows_every_code_that_a_contract_may_use(
    engine: duckdb.DuckDBPyConnection, code: str
) -> None:
    contract = mapped("bets", "placed_at", formats=[f"%Y %{code}"])

    instant = event_instant(contract, {})
    engine.execute(
        f"SELECT {instant.value} FROM (SELECT {instant.spelled} AS _spelled FROM (SELECT 'x' AS placed_at))"
    )


def test_times_are_read_the_same_where_rows_are_placed(engine: duckdb.DuckDBPyConnection) -> None:
    plain = contracts()["bets"]
    mapped_event = mapped("bets", "placed_at", formats=["%d/%m/%Y %H:%M"])
    mapped_known = mapped("bets", "ingested_at", formats=["epoch_s"])
    row = "(SELECT '\u00a02026-02-20 12:00:00-03:00 ' AS placed_at, '2026-02-21' AS ingested_at)"
    other = "(SELECT '20/02/2026 15:00' AS placed_at, '1771588800' AS ingested_at)"

    def read(contract: SourceContract, rows: str) -> tuple[Any, ...]:
        found = [
            engine.execute(
                f"SELECT {of.value}, typeof({of.value}) FROM (SELECT {of.spelled} AS _spelled FROM {rows})"
            ).fetchall()[0]
            for of in (event_instant(contract, {}), known_instant(contract, {}))
        ]
        (event, event_type), (known, known_type) = found
        return event, known, event_type, known_type

    types = ("TIMESTAMP", "TIMESTAMP")
    assert read(plain, row) == (utc("2026-02-20 15:00"), utc("2026-02-21"), *types)
    assert read(plain, other) == (None, None, *types)
    assert read(mapped_event, other) == (utc("2026-02-20 15:00"), None, *types)
    assert read(mapped_known, other) == (None, utc("2026-02-20 12:00"), *types)
    assert read(contracts()["players"], row) == (None, None, *types)


# The operator's day, where daylight saving in Sao Paulo begins and ends

DAYS = {
    # On 2018-11-04 the clock went from 00:00 to 01:00: 00:30 did not exist.
    "2018-11-03T23:59:59-03:00": date(2018, 11, 3),
    "2018-11-04T02:59:59.999999Z": date(2018, 11, 3),
    "2018-11-04T00:30:00-03:00": date(2018, 11, 4),
    "2018-11-04T00:30:00-02:00": date(2018, 11, 3),
    "2018-11-04T03:00:00Z": date(2018, 11, 4),
    "2018-11-04 02:30:00": date(2018, 11, 3),
    # On 2018-02-18 it went from 00:00 back to 23:00 of the 17th: 23:30 came twice.
    "2018-02-17T23:30:00-02:00": date(2018, 2, 17),
    "2018-02-17T23:30:00-03:00": date(2018, 2, 17),
    "2018-02-18T00:30:00-02:00": date(2018, 2, 17),
    "2018-02-18T02:59:59.999999Z": date(2018, 2, 17),
    "2018-02-18T03:00:00Z": date(2018, 2, 18),
    "2018-02-18 00:00:00-03:00": date(2018, 2, 18),
}


@pytest.mark.parametrize("formats", [[], ["%Y-%m-%dT%H:%M:%S%z", "iso"]], ids=["iso", "formats"])
def test_an_offset_decides_the_day_where_the_clock_jumps(
    engine: duckdb.DuckDBPyConnection, store: FolderStore, formats: list[str]
) -> None:
    contract = mapped("bets", "placed_at", formats=formats)
    rows = [
        {"bet_id": text, "user_id": "u", "placed_at": text, "game_type": "slots", "stake": "1"}
        for text in DAYS
    ]

    cleaned = clean(engine, store, RUN, contract, capture(engine, store, RUN, contract, rows))

    assert {row["bet_id"]: row["_day"] for row in accepted_rows(engine, store, cleaned)} == DAYS
    assert cleaned.extracted == cleaned.accepted == len(DAYS)


# What a text may hold

CONTROL, NESTED = "control characters", "nested value"

USER_IDS: Mapping[str | None, str] = {
    None: "missing",
    " \t\u00a0\r\n": "missing",
    "  u1\t": "u1",
    "x" * 50: "x" * 50,
    "x" * 51: "too long",
    "🎲" * 50: "🎲" * 50,
    "🎲" * 51: "too long",
    'Ana "Bia" O\'Neil': 'Ana "Bia" O\'Neil',
    "'; DROP TABLE bets; --": "'; DROP TABLE bets; --",
    "1' OR '1'='1": "1' OR '1'='1",
    "{braces} %s \\n $1": "{braces} %s \\n $1",
    "joão 🎰 ñ": "joão 🎰 ñ",
    "[vip] ana": "[vip] ana",
    "[vip]": "[vip]",
    "{ana}": "{ana}",
    "u\x001": CONTROL,
    "\x00": CONTROL,
    "u1\x00": CONTROL,
    "u\t1": CONTROL,
    "u\n1": CONTROL,
    "u\x1f1": CONTROL,
    "u\x7f": CONTROL,
    '{"id": 1}': NESTED,
    ' {"id":\n1} ': NESTED,
    '["a"]': NESTED,
    "[]": NESTED,
    "{}": NESTED,
    "[1]": NESTED,
    **{
        word: word
        for word in (
            *("nana", "Nan1", "na1", "ana", "nullable", "x-nan", "none yet", "a-", "1", "-1", "#1", "(a)"),
            *('"a"', "?", ".", "'", "#", "()", "<>"),
            *("\uff41\uff42", "\u00aa1", "\u5357"),
        )
    },
}


def test_user_ids_travel_unchanged_or_go_to_quarantine(
    engine: duckdb.DuckDBPyConnection, store: FolderStore
) -> None:
    assert cleaned_values(engine, store, contracts()["bets"], "user_id", list(USER_IDS)) == USER_IDS


@pytest.mark.parametrize("source", list(TYPICAL))
def test_every_text_is_free_of_control_characters_and_every_word_is_a_word(
    engine: duckdb.DuckDBPyConnection, store: FolderStore, source: str
) -> None:
    contract = contracts()[source]
    for name, column in contract.columns.items():
        if column.type == "text":
            found = cleaned_values(engine, store, contract, name, ["a\x01b", '{"id": "a"}'])
            assert list(found.values()) == [CONTROL, NESTED], name
        if column.type == "enum":
            found = cleaned_values(engine, store, contract, name, ["a\x01b", '["slots"]', "{}"])
            assert list(found.values()) == ["unknown value", NESTED, NESTED], name


def test_a_text_that_may_be_bad_becomes_null(engine: duckdb.DuckDBPyConnection, store: FolderStore) -> None:
    contract = mapped("bets", "device_type", on_invalid="null")
    expected = {"mobile": "mobile", "a\x00b": None, '{"os": "ios"}': None, "[]": None, "x" * 51: None}

    assert cleaned_values(engine, store, contract, "device_type", list(expected)) == expected


def test_a_record_with_control_characters_is_kept_as_it_came(
    engine: duckdb.DuckDBPyConnection, store: FolderStore
) -> None:
    contract = contracts()["bets"]
    row = {"bet_id": "b", "user_id": "u\x001", "placed_at": "2026-02-20", "game_type": "slots", "stake": "1"}

    cleaned = clean(engine, store, RUN, contract, capture(engine, store, RUN, contract, [row]))

    (kept,) = quarantined_rows(engine, store, cleaned)
    (user_id,) = (
        engine.execute("SELECT json_extract_string(?, '$.user_id')", [kept["record"]]).fetchone() or ()
    )
    assert user_id == "u\x001"


def test_the_example_in_the_documentation(engine: duckdb.DuckDBPyConnection, store: FolderStore) -> None:
    page = (PROJECT / "docs" / "contracts.md").read_text(encoding="utf-8")
    blocks = dict(re.findall(r"```(csv|yaml)\n(.*?)```", page.partition("\n## ")[0], re.DOTALL))
    content = contracts()["bets"].model_dump()
    for name, options in yaml.safe_load(blocks["yaml"])["columns"].items():
        content["columns"][name] |= options
    contract = SourceContract.model_validate(content)
    canonical = {column.source_name: name for name, column in contract.columns.items()}
    delivered = csv.DictReader(blocks["csv"].splitlines(), delimiter=";")
    rows = [{canonical[header]: text for header, text in row.items()} for row in delivered]

    cleaned = clean(engine, store, RUN, contract, capture(engine, store, RUN, contract, rows))

    names = ("bet_id", "user_id", "placed_at", "game_type", "stake", "payout")
    assert [tuple(row[name] for name in names) for row in accepted_rows(engine, store, cleaned)] == [
        ("9001", "4711", utc("2026-02-06 00:15"), "cassino", Decimal("1234.56"), None),
        ("9002", "4712", utc("2026-02-06 00:15"), "crash", Decimal("10.5"), Decimal(1021)),
    ]
    assert cleaned.accepted == len(rows)
