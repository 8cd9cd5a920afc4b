"""JSON records count wherever they end, and bad ones lose nothing but themselves, in lines, streams and arrays."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from crmbet.extract.records import SourceCaptures
from tests.integration.extract.deliveries import bet, csv_line, csv_text, json_lines, zstd
from tests.tiers import now

pytestmark = pytest.mark.integration

ODD_FILES = Path(__file__).parents[1] / "odd_files"
NO_OBJECT = "not a JSON object"
HALF_A_PAIR = "malformed record: half of a surrogate pair"

RECORDS = [
    bet(number, user_id='}{"},{', stake=10.5, payout={"legs": [{"x": 1}, {"x": 2}]}) for number in range(1, 6)
]


def written(record: Any, indent: int | None = None) -> str:
    return json.dumps(record, indent=indent, ensure_ascii=False)


STREAMS: dict[str, str] = {
    "firehose": "".join(map(written, RECORDS)),
    "firehose-over-lines": "".join(
        written(record) + "\n" * (number in (1, 3)) for number, record in enumerate(RECORDS)
    ),
    "firehose-by-twos": "\n".join("".join(map(written, RECORDS[place : place + 2])) for place in (0, 2, 4)),
    "commas": ",".join(map(written, RECORDS)),
    "commas-and-lines": ",\n".join(map(written, RECORDS)) + ",\n",
    "blanks": " ".join(map(written, RECORDS)),
    "tabs": "\t".join(map(written, RECORDS)),
    "record-separators": "".join(f"\x1e{written(record)}\n" for record in RECORDS),
    "record-separators-alone": "\x1e".join(map(written, RECORDS)),
    "marks-of-byte-order": "\ufeff" + "\n\ufeff".join(map(written, RECORDS)),
    "printed-prettily": "\n".join(written(record, 2) for record in RECORDS),
    "printed-prettily-without-breaks": "".join(written(record, 2) for record in RECORDS),
    "printed-without-indent": "\n".join(written(record, 0) for record in RECORDS),
    "windows-lines": "\r\n".join(written(record, 2) for record in RECORDS)
    .replace("\n", "\r\n")
    .replace("\r\r", "\r"),
    "some-prettily": "\n".join(
        written(record, 2 if place % 2 else None) for place, record in enumerate(RECORDS)
    ),
    "arrays-a-line": "\n".join(written(RECORDS[place : place + 2]) for place in (0, 2, 4)),
    "arrays-without-breaks": "".join(written(RECORDS[place : place + 2]) for place in (0, 2, 4)),
    "an-array-and-a-comma": written(RECORDS)[:-1] + ",]",
    "an-array-and-a-comma-in-lines": written(RECORDS, 1)[:-2] + ",\n]",
    "an-array-without-commas": "[" + "\n".join(map(written, RECORDS)) + "]",
    "an-empty-array-first": "[]" + written(RECORDS),
}


@pytest.mark.parametrize("ending", now("jsonl.gz", full=["json", "ndjson.zst"]))
def test_records_are_split_wherever_one_ends(
    put: Any, capture: Any, captured_rows: Any, clean: Any, ending: str
) -> None:
    packers: dict[str, Callable[[bytes], bytes]] = {
        "json": bytes,
        "jsonl.gz": gzip.compress,
        "ndjson.zst": zstd,
    }
    for name, text in STREAMS.items():
        put(f"{name}.{ending}", packers[ending](text.encode()))

    captures = capture()

    assert not captures.unreadable
    rows = captured_rows(captures)
    found: dict[str, list[Any]] = {}
    for row in rows:
        name = row["_source_key"].removeprefix("raw/bets/").removesuffix(f".{ending}")
        found.setdefault(name, []).append((row["bet_id"], row["user_id"], row["stake"], row["_reject"]))
    expected = [(record["bet_id"], record["user_id"], "10.5", None) for record in RECORDS]
    assert {name for name in STREAMS if found.get(name) != expected} == set()
    assert {captured.extracted for captured in captures.captures} == {5}
    assert {captured.set_aside for captured in captures.captures} == {0}
    for captured in captures.captures:
        numbers = [row["_row"] for row in rows if row["_source_key"] == captured.chunk]
        assert len(set(numbers)) == 5, "each record has a number of its own"


def test_a_record_is_numbered_by_its_line_if_no_other_begins_there(
    put: Any, capture: Any, captured_rows: Any
) -> None:
    put("a.json", "\n" + written(bet(1), 1) + "\n\n" + written(bet(2), 1) + written(bet(3)))
    put("b.json", written(bet(1)) + "\n\n" + written(bet(2)) + written(bet(3)))
    put("c.json", written(bet(1)) + "\n\nx\n" + written(bet(2)))
    put("d.json", "[\n\n" + written(bet(1)) + ",\n{,\n" + written(bet(2)) + "]")

    found: dict[str, list[int]] = {}
    for row in captured_rows(capture()):
        found.setdefault(row["_source_key"][-6], []).append(row["_row"])

    assert found == {"a": [2, 10, 16], "b": [1, 2, 3], "c": [1, 3, 4], "d": [1, 2, 3]}


BAD_RECORDS = {
    "half of an emoji": (written(bet(0)).replace("u1", "u\\ud83d"), f"{HALF_A_PAIR} in user_id"),
    "the other half": (written(bet(0)).replace("u1", "\\ude00u"), f"{HALF_A_PAIR} in user_id"),
    "half of an emoji deep inside": (written(bet(0, x=[{"y": "z"}])).replace("z", "\\uDBFF"), HALF_A_PAIR),
    "a colon missing": (written(bet(0)).replace('":', '"', 1), NO_OBJECT),
    "a comma missing": (written(bet(0)).replace(", ", " ", 1), NO_OBJECT),
    "other quotes": (written(bet(0)).replace('"', "'"), NO_OBJECT),
    "no quotes": (written(bet(0)).replace('"', ""), NO_OBJECT),
    "an open quote": (written(bet(0)).replace('u1"', "u1"), NO_OBJECT),
    "an escape that there is not": (written(bet(0)).replace("u1", "\\x41"), NO_OBJECT),
    "a tab within a text": (written(bet(0)).replace("u1", "u\t1"), NO_OBJECT),
    "a word of Python": (written(bet(0, stake=None)).replace("null", "None"), NO_OBJECT),
    "a comment": ("{/* nothing */}", NO_OBJECT),
    "too deep and open": ("[" * 100_000, NO_OBJECT),
    "too deep": ("[" * 100_000 + "]" * 100_000, NO_OBJECT),
    "cut off": (written(bet(0))[:40], NO_OBJECT),
}
SPARED = {
    "too deep in a strange column": written(bet(9)).replace(
        "}", ', "x": ' + "[" * 100_000 + "]" * 100_000 + "}"
    ),
    "deep objects": written(bet(9)).replace("}", ', "x": ' + '{"x":' * 50_000 + "1" + "}" * 50_000 + "}"),
    "a comma at the end": written(bet(9)).replace("}", ",}"),
    "no number": written(bet(9)).replace("}", ', "x": NaN}'),
    "no end": written(bet(9)).replace("}", ', "x": -Infinity}'),
    "too large": written(bet(9)).replace("}", ', "x": 1e999}'),
    "many digits": written(bet(9)).replace("}", f', "x": {"9" * 9000}}}'),
    "an emoji": written(bet(9, x="\U0001f600")),
    "an emoji as an escape": json.dumps(bet(9, x="\U0001f600")),
}
"""Records that the engine reads, by themselves and beside damaged ones."""


@pytest.mark.few(1)
@pytest.mark.parametrize("shape", now("lines", "array over lines", full=["stream", "array"]))
def test_a_bad_record_loses_nothing_but_itself(
    put: Any, capture: Any, captured_rows: Any, clean: Any, shape: str
) -> None:
    joins: dict[str, Callable[[list[str]], str]] = {
        "lines": "\n".join,
        "stream": "".join,
        "array": lambda records: f"[{','.join(records)}]",
        "array over lines": lambda records: "[\n  " + ",\n  ".join(records) + "\n]",
    }
    join = joins[shape]
    expected = {}
    for place, (name, (bad, why)) in enumerate(BAD_RECORDS.items()):
        if shape == "stream" and (bad[-1] != "}" or name == "an open quote"):
            continue
        if shape == "array" and name == "too deep and open":
            continue  # no line tells where it ends, so that the whole array counts as cut off
        key = put(f"{place}.json", join([written(bet(1)), bad, written(bet(2)), written(bet(3))]))
        expected[key] = ["b1", f"{why} ({len(bad)} bytes)", "b2", "b3"]
    for place, text in enumerate(SPARED.values(), start=100):
        expected[put(f"{place}.json", join([written(bet(1)), text, written(bet(2))]))] = ["b1", "b9", "b2"]
    key = put("beside-damage.json", join([written(bet(1)), "{'x': 1}", *SPARED.values(), written(bet(2))]))
    expected[key] = ["b1", f"{NO_OBJECT} (8 bytes)", *["b9"] * len(SPARED), "b2"]

    captures = capture()

    found: dict[str, list[str]] = {}
    for row in captured_rows(captures):
        found.setdefault(row["_source_key"], []).append(row["_reject"] or row["bet_id"])
    assert {key: rows for key, rows in found.items() if rows != expected[key]} == {}
    assert found.keys() == expected.keys()
    assert not captures.unreadable
    cleaned = clean(captures)
    assert cleaned.accepted + cleaned.duplicates == sum(
        row[0] == "b" for rows in expected.values() for row in rows
    )


def test_sizes_do_not_part_the_reasons_of_quarantine(put: Any, capture: Any, clean: Any) -> None:
    put("a.jsonl", json_lines(bet(1), *("x" * number for number in range(1, 30))))

    captures = capture()

    assert clean(captures).quarantined == {f"record: {NO_OBJECT}": 29}
    assert (captures.captures[0].size, captures.captures[0].set_aside) == (
        len(json_lines(bet(1))) + sum(range(2, 31)),
        sum(range(1, 30)),
    )


@pytest.mark.full
def test_a_line_of_many_records_is_split_however_long_it_is(put: Any, capture: Any, clean: Any) -> None:
    text = "".join(written(bet(number)) for number in range(40_000))
    assert len(text) > 4 << 20
    put("a.json", text)
    put("b.json", "[" + text.replace("}{", "},{") + ",]")

    captures = capture()

    assert [captured.extracted for captured in captures.captures] == [40_000, 40_000]
    assert clean(captures).duplicates == 40_000


def test_bytes_that_are_set_aside_are_counted_in_csv_too(
    put: Any, capture: Any, caplog: pytest.LogCaptureFixture
) -> None:
    put("a.csv", csv_text(csv_line(1), "torn,line", csv_line(2)))
    put("b.csv", csv_text(csv_line(3)))

    captures = capture()

    assert [(captured.size, captured.set_aside) for captured in captures.captures] == [
        (len(csv_text(csv_line(1), "torn,line", csv_line(2))), 9),
        (len(csv_text(csv_line(3))), 0),
    ]
    assert f"/raw/bets/a.csv: 9 of {captures.captures[0].size} bytes are no records" in caplog.text
    assert "b.csv" not in caplog.text


ACCEPTED = {
    "05c_array_trailing_comma.json": ["k1", "k2"],
    "05d_array_half_an_emoji.json": ["k1"],
    "06_firehose.json": ["k1", "k2", "k3"],
    "06b_firehose_with_one_newline.json": ["k1", "k2", "k3", "k4"],
    "07_nbsp_in_a_foreign_header.csv": ["k1"],
    "07b_line_break_in_a_quoted_header.csv": ["k1"],
}


@pytest.mark.few(3)
@pytest.mark.parametrize("name", ACCEPTED)
def test_the_odd_files(put: Any, capture: Any, captured_rows: Any, clean: Any, name: str) -> None:
    put(name, (ODD_FILES / name).read_bytes())

    captures: SourceCaptures = capture()

    rows = captured_rows(captures)
    assert [row["bet_id"] for row in rows if not row["_reject"]] == ACCEPTED[name]
    assert {Decimal(row["stake"]) for row in rows if not row["_reject"]} <= {Decimal(1), Decimal("10.5")}
    assert [(row["_row"], row["_reject"]) for row in rows if row["_reject"]] == (
        [(2, f"{HALF_A_PAIR} in user_id (100 bytes)")] if name.startswith("05d") else []
    )
    assert clean(captures).accepted == len(ACCEPTED[name])
