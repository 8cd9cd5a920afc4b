"""Each format of a feed, with the habits of real deliveries, becomes the same captured rows."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from crmbet.contracts import load_source_contracts
from crmbet.failures import RowsUnaccounted, SourceMissing, SourceUnreadable
from crmbet.manifest import UNDATED

pytestmark = pytest.mark.integration

TEXT = pa.string()
REQUIRED = {"bet_id": TEXT, "user_id": TEXT, "placed_at": TEXT, "game_type": TEXT, "stake": TEXT}
HEADER = "bet_id,user_id,placed_at,game_type,stake"


def bet(number: int, **columns: Any) -> dict[str, Any]:
    row = {
        "bet_id": f"b{number}",
        "user_id": "u1",
        "placed_at": "2026-08-10T12:00:00Z",
        "game_type": "slots",
        "stake": "10.50",
    }
    return row | columns


def csv_line(number: int, **columns: Any) -> str:
    return ",".join(bet(number, **columns).values())


# Parquet ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (pa.decimal128(18, 2), [Decimal("10.50"), Decimal("-0.01"), None]),
        (pa.float64(), [10.5, -0.01, None]),
        (TEXT, ["10.50", "-0.01", None]),
    ],
)
def test_parquet_money_keeps_its_cents_in_every_type(
    put_parquet: Any, capture: Any, captured_rows: Any, kind: pa.DataType, values: list[Any]
) -> None:
    rows = [bet(number, stake=value) for number, value in enumerate(values)]
    key = put_parquet("part.parquet", rows, REQUIRED | {"stake": kind})

    captures = capture()

    found = captured_rows(captures)
    assert [row["stake"] and Decimal(row["stake"]) for row in found] == [
        Decimal("10.50"),
        Decimal("-0.01"),
        None,
    ]
    assert [(row["_row"], row["_reject"], row["_source_key"]) for row in found] == [
        (1, None, key),
        (2, None, key),
        (3, None, key),
    ]
    assert captures.extracted == 3


@pytest.mark.parametrize("zone", ["UTC", "America/Sao_Paulo", None])
def test_parquet_instants_fall_on_the_operators_day(
    put_parquet: Any, capture: Any, captured_rows: Any, zone: str | None
) -> None:
    # Midnight in Sao Paulo is 03:00 UTC. Without a zone, UTC is meant.
    before_midnight = datetime(2026, 8, 10, 2, 59, 59, 999_999, tzinfo=UTC)
    instants = [before_midnight, before_midnight + timedelta(microseconds=1), None]
    if zone is None:
        instants = [instant and instant.replace(tzinfo=None) for instant in instants]
    rows = [bet(number, placed_at=instant) for number, instant in enumerate(instants)]
    put_parquet("part.parquet", rows, REQUIRED | {"placed_at": pa.timestamp("us", zone)})

    captures = capture()

    assert [row["_day"] for row in captured_rows(captures)] == [date(2026, 8, 9), date(2026, 8, 10), None]
    (captured,) = captures.captures
    assert {day: count.rows for day, count in captured.days.items()} == {
        "2026-08-09": 1,
        "2026-08-10": 1,
        UNDATED: 1,
    }


def test_the_operators_zone_is_a_setting(put: Any, capture: Any) -> None:
    put("part.csv", f"{HEADER}\n{csv_line(1, placed_at='2026-08-10T02:00:00Z')}\n")

    assert list(capture(settings={"operator_timezone": "Europe/Lisbon"}).captures[0].days) == ["2026-08-10"]
    assert list(capture().captures[0].days) == ["2026-08-09"]


def test_parquet_lists_become_json(put_parquet: Any, capture: Any, captured_rows: Any) -> None:
    rows = [{"user_id": "u1", "consents": ["email", "sms"]}, {"user_id": "u2", "consents": None}]
    put_parquet("part.parquet", rows, {"user_id": TEXT, "consents": pa.list_(TEXT)}, "players")

    found = captured_rows(capture(load_source_contracts()["players"]))

    assert [row["consents"] and json.loads(row["consents"]) for row in found] == [["email", "sms"], None]


# CSV -------------------------------------------------------------------------------------------------------------


def test_csv_quotes_and_line_breaks_belong_to_the_field(put: Any, capture: Any, captured_rows: Any) -> None:
    lines = [
        HEADER,
        csv_line(1, user_id='"u,1"'),
        csv_line(2, user_id='"say ""u2"""'),
        csv_line(3, user_id='"first\nsecond\n\nfourth"'),
        csv_line(4, user_id='""'),
        csv_line(5),
    ]
    put("part.csv", "\n".join(lines) + "\n")

    captures = capture()

    found = captured_rows(captures)
    assert [row["user_id"] for row in found] == ["u,1", 'say "u2"', "first\nsecond\n\nfourth", None, "u1"]
    assert [row["_row"] for row in found] == [1, 2, 3, 4, 5]
    assert captures.extracted == 5


DIALECTS: dict[str, Callable[[str], str]] = {
    "plain": lambda text: text,
    "semicolons": lambda text: text.replace(",", ";"),
    "tabs": lambda text: text.replace(",", "\t"),
    "bars": lambda text: text.replace(",", "|"),
    "byte-order-mark": lambda text: "\ufeff" + text,
    "windows-lines": lambda text: text.replace("\n", "\r\n"),
    "no-last-break": lambda text: text.rstrip("\n"),
    "blank-lines-at-the-end": lambda text: text + "\n\n",
    "quoted-header": lambda text: text.replace(HEADER, ",".join(f'"{name}"' for name in HEADER.split(","))),
}


@pytest.mark.parametrize("extension", ["csv", "csv.gz"])
def test_csv_dialects(put: Any, capture: Any, captured_rows: Any, extension: str) -> None:
    for name, change in DIALECTS.items():
        text = change(f"{HEADER}\n{csv_line(1)}\n{csv_line(2, user_id='joão')}\n").encode()
        put(f"{name}.{extension}", gzip.compress(text) if extension == "csv.gz" else text)

    captures = capture()

    found = {
        name: [
            (row["_row"], row["bet_id"], row["user_id"], row["stake"])
            for row in captured_rows(captures)
            if row["_source_key"] == f"raw/bets/{name}.{extension}"
        ]
        for name in DIALECTS
    }
    assert found == {name: [(1, "b1", "u1", "10.50"), (2, "b2", "joão", "10.50")] for name in DIALECTS}
    assert {captured.extracted for captured in captures.captures} == {2}


def test_csv_columns_are_found_by_name(put: Any, capture: Any, captured_rows: Any) -> None:
    put("part.csv", "stake,bet_id,game_type,placed_at,user_id\n7.25,b1,poker,2026-08-10 12:00:00,u9\n")

    (row,) = captured_rows(capture())

    assert [row[name] for name in REQUIRED] == ["b1", "u9", "2026-08-10 12:00:00", "poker", "7.25"]


def test_a_malformed_csv_record_is_set_aside_with_its_line(
    put: Any, capture: Any, captured_rows: Any
) -> None:
    lines = [HEADER, csv_line(1), csv_line(2) + ",surplus,more", "b3,u1", csv_line(4)]
    put("part.csv", "\n".join(lines) + "\n")

    captures = capture()

    found = {row["bet_id"]: row for row in captured_rows(captures)}
    rejected = sorted(row["_row"] for row in captured_rows(captures) if row["_reject"])
    assert captures.extracted == 4
    assert [found[name]["_reject"] for name in ("b1", "b4")] == [None, None]
    assert rejected == [3, 4], "the physical lines, header included"
    assert captures.captures[0].days[UNDATED].rows == 2


def test_a_csv_file_with_a_header_alone_has_no_rows(put: Any, capture: Any) -> None:
    put("part.csv", HEADER + "\n")

    captures = capture()

    assert [(captured.extracted, captured.files) for captured in captures.captures] == [(0, [])]
    assert (capture().new, captures.new) == (0, 1), "captured once, like any other"


# JSON lines ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["part.jsonl", "part.ndjson", "part.json", "part.jsonl.gz"])
def test_json_lines_keep_numbers_and_tell_broken_lines(
    put: Any, capture: Any, captured_rows: Any, name: str
) -> None:
    lines = [
        json.dumps(bet(1, stake=10.5, is_bonus=True)),
        '{"bet_id": "b2", "stake": ',
        "",
        json.dumps(bet(4, stake=12345678.12, payout=None)),
        '["no", "object"]',
        json.dumps(bet(6, stake=7, user_id="u\n6")),
    ]
    text = "\n".join(lines).encode()
    put(name, gzip.compress(text) if name.endswith("gz") else text)

    captures = capture()

    found = captured_rows(captures)
    assert captures.extracted == 5
    assert [(row["_row"], row["_reject"]) for row in found] == [
        (1, None),
        (2, "not a JSON object"),
        (4, None),
        (5, "not a JSON object"),
        (6, None),
    ], "a record's number is its physical line"
    good = [row for row in found if row["_reject"] is None]
    assert [Decimal(row["stake"]) for row in good] == [Decimal("10.5"), Decimal("12345678.12"), Decimal(7)]
    assert [row["is_bonus"] for row in good] == ["true", None, None]
    assert [row["payout"] for row in good] == [None, None, None]
    assert good[2]["user_id"] == "u\n6"
    assert captures.captures[0].days[UNDATED].rows == 2


def test_json_lists_and_maps_stay_json(put: Any, capture: Any, captured_rows: Any) -> None:
    records = [{"user_id": "u1", "consents": ["email", "push"]}, {"user_id": "u2", "consents": {"sms": True}}]
    put("part.jsonl", "\n".join(map(json.dumps, records)), "players")

    found = captured_rows(capture(load_source_contracts()["players"]))

    assert [json.loads(row["consents"]) for row in found] == [["email", "push"], {"sms": True}]


def test_a_file_that_is_one_json_array(put: Any, capture: Any, captured_rows: Any) -> None:
    put("part.json", json.dumps([bet(1), bet(2, stake=3.5), 7], indent=2))

    captures = capture()

    found = captured_rows(captures)
    assert [(row["bet_id"], row["_reject"]) for row in found] == [
        ("b1", None),
        ("b2", None),
        (None, "not a JSON object"),
    ]
    assert captures.extracted == 3


# Columns ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["parquet", "csv", "jsonl", "json"])
def test_unknown_columns_are_told_and_absent_optional_ones_are_null(
    put: Any, put_parquet: Any, capture: Any, captured_rows: Any, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    row = bet(1, affiliate="a7")
    match kind:
        case "parquet":
            put_parquet("part.parquet", [row], REQUIRED | {"affiliate": TEXT})
        case "csv":
            put("part.csv", f"{','.join(row)}\n{','.join(row.values())}\n")
        case "jsonl":
            put("part.jsonl", json.dumps(row))
        case "json":
            put("part.json", json.dumps([row], indent=1))

    (found,) = captured_rows(capture())

    assert "affiliate" not in found
    assert [found[name] for name in ("payout", "session_id", "ingested_at")] == [None, None, None]
    assert f"part.{kind} has columns that no contract names: affiliate" in caplog.text


def test_a_column_may_have_another_name_in_the_source(
    put: Any, capture: Any, captured_rows: Any, contract: Any
) -> None:
    renamed = contract.columns["stake"].model_copy(update={"source_name": "Valor da aposta"})
    mapped = contract.model_copy(update={"columns": contract.columns | {"stake": renamed}})
    put("a.csv", f"{HEADER.replace('stake', 'Valor da aposta')}\n{csv_line(1)}\n")
    put("b.jsonl", json.dumps({k if k != "stake" else "Valor da aposta": v for k, v in bet(2).items()}))

    assert [row["stake"] for row in captured_rows(capture(mapped))] == ["10.50", "10.50"]


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_a_missing_required_column_stops_the_run(
    put: Any, put_parquet: Any, capture: Any, bucket: str, kind: str
) -> None:
    schema = {name: TEXT for name in REQUIRED if name != "stake"}
    row = {name: bet(1)[name] for name in schema}
    if kind == "parquet":
        put_parquet("part.parquet", [row], schema)
    else:
        put("part.csv", f"{','.join(row)}\n{','.join(row.values())}\n")

    with pytest.raises(SourceMissing) as failure:
        capture()

    assert "column stake is missing from the feed bets" in str(failure.value)
    assert f"s3://{bucket}/raw/bets/part.{kind}" in str(failure.value)
    assert "include/contracts/sources/bets.yaml" in str(failure.value)


def test_a_repeated_column_is_refused(put: Any, capture: Any) -> None:
    put("part.csv", f"{HEADER},stake\n{csv_line(1)},1\n")

    with pytest.raises(SourceUnreadable, match="column stake appears more than once"):
        capture()


# Files that are not what they say ----------------------------------------------------------------------------------


def _truncated(content: bytes) -> bytes:
    return content[: len(content) * 2 // 3]


def _many_lines() -> bytes:
    lines = [csv_line(number, user_id=f"u{number * 7919 % 5003}") for number in range(20_000)]
    return "\n".join([HEADER, *lines]).encode()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("text.parquet", b"this is no Parquet at all, but text that somebody renamed"),
        ("truncated.csv.gz", _truncated(gzip.compress(_many_lines()))),
        ("truncated.jsonl.gz", _truncated(gzip.compress((json.dumps(bet(1)) + "\n").encode() * 50_000))),
        ("plain.csv.gz", f"{HEADER}\n{csv_line(1)}\n".encode()),
        ("zip.csv", b"PK\x03\x04\x14\x00\x08\x00" + bytes(range(256)) * 20),
        ("latin1.csv", f"{HEADER}\n{csv_line(1, user_id='joão')}\n".encode("latin-1")),
        ("latin1.jsonl", '{"bet_id": "b1", "user_id": "joão"}\n'.encode("latin-1")),
        ("blank.csv", b"\n\n"),
        ("broken.json", b'[{"bet_id": "b1"}, {"bet_id": '),
        (
            "open-quote.csv",
            f"{HEADER}\n{csv_line(1)}\n{csv_line(2, user_id=chr(34) + 'u')}\n{csv_line(3)}\n".encode(),
        ),
    ],
)
def test_what_is_not_as_it_says_stops_the_run_and_is_named(
    put: Any, capture: Any, store: Any, bucket: str, name: str, content: bytes
) -> None:
    put("good.csv", f"{HEADER}\n{csv_line(1)}\n")
    put(name, content)

    with pytest.raises((SourceUnreadable, SourceMissing, RowsUnaccounted)) as failure:
        capture()

    assert f"s3://{bucket}/raw/bets/{name}" in str(failure.value)
    assert "clear the task" in str(failure.value) or "deliver" in str(failure.value)
    assert "joão" not in str(failure.value), "an error quotes no data"
    assert not [entry for entry in store.list("crmbet/") if entry.key.endswith("_done.json")]


def test_a_truncated_parquet_file_stops_the_run(put: Any, put_parquet: Any, store: Any, capture: Any) -> None:
    key = put_parquet("part.parquet", [bet(number) for number in range(1000)], REQUIRED)
    put("part.parquet", _truncated(store.read(key)))

    with pytest.raises(SourceUnreadable) as failure:
        capture()

    assert store.url(key) in str(failure.value)


def test_a_parquet_file_with_spoiled_pages_stops_the_run(
    put: Any, put_parquet: Any, store: Any, capture: Any
) -> None:
    key = put_parquet("part.parquet", [bet(number) for number in range(5000)], REQUIRED)
    content = bytearray(store.read(key))
    content[40:2000] = bytes(range(256)) * 7 + bytes(168)
    put("part.parquet", bytes(content))

    with pytest.raises((SourceUnreadable, RowsUnaccounted)) as failure:
        capture()

    assert store.url(key) in str(failure.value)


def test_what_is_no_data_is_passed_over(put: Any, capture: Any) -> None:
    put("part.csv", f"{HEADER}\n{csv_line(1)}\n")
    for name in ("_SUCCESS", ".part.csv.crc", "README.txt", "empty.csv"):
        put(name, b"" if name == "empty.csv" else b"x")

    assert [captured.chunk for captured in capture().captures] == ["raw/bets/part.csv"]
