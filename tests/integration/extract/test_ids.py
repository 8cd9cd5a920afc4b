"""An id that a source holds as a number: one player in every format, or a row set aside, never another player."""

from __future__ import annotations

import io
import json
import uuid
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmbet.contracts.typing import MAYBE_A_NUMBER
from crmbet.extract.ids import (
    EXACT_BELOW,
    INEXACT,
    NO_ID,
    NO_TEXT,
    id_of_type,
    json_id,
    json_spellings,
)
from crmbet.extract.parquet_mending import NO_JSON
from crmbet.extract.records import Capture, SourceCaptures
from tests.integration.extract.deliveries import REQUIRED, TEXT, bet, csv_line, csv_text, json_lines, parquet
from tests.tiers import examples

pytestmark = pytest.mark.integration


def fates(rows: list[dict[str, Any]]) -> list[tuple[str | None, str | None]]:
    return [(None if row["_reject"] else row["user_id"], row["_reject"]) for row in rows]


def inexact(column: str = "user_id") -> tuple[None, str]:
    return None, f"{column}: {INEXACT}"


def no_id() -> tuple[None, str]:
    return None, f"user_id: {NO_ID}"


# Parquet ---------------------------------------------------------------------------------------------------------

PARQUET: dict[str, tuple[pa.DataType, dict[Any, tuple[str | None, str | None]]]] = {
    "double": (
        pa.float64(),
        {
            7.0: ("7", None),
            -7.0: ("-7", None),
            0.0: ("0", None),
            1e10: ("10000000000", None),
            1e15: ("1000000000000000", None),
            float(EXACT_BELOW - 1): (str(EXACT_BELOW - 1), None),
            -float(EXACT_BELOW - 1): (str(1 - EXACT_BELOW), None),
            # What 2**53 + 1 becomes.
            float(EXACT_BELOW): inexact(),
            -float(EXACT_BELOW): inexact(),
            1e16: inexact(),
            1e300: inexact(),
            7.5: inexact(),
            1e-9: inexact(),
            float("nan"): inexact(),
            float("inf"): inexact(),
            -float("inf"): inexact(),
            None: (None, None),
        },
    ),
    "negative zero": (pa.float64(), {-0.0: ("0", None)}),
    "single precision": (
        pa.float32(),
        {7.0: inexact(), 16777216.0: inexact(), 0.5: inexact(), None: (None, None)},
    ),
    "half precision": (pa.float16(), {np.float16(7): inexact(), None: (None, None)}),
    "decimal without places": (pa.decimal128(38, 0), {Decimal(7): ("7", None), Decimal(10**37): (str(10**37), None)}),
    "decimal": (
        pa.decimal128(38, 2),
        {
            Decimal("7.00"): ("7", None),
            Decimal("-7.00"): ("-7", None),
            Decimal("0.00"): ("0", None),
            Decimal(10) ** 35: (str(10**35), None),
            Decimal("7.01"): inexact(),
            Decimal("-0.50"): inexact(),
            None: (None, None),
        },
    ),
    "all places": (pa.decimal128(9, 9), {Decimal("0.000000000"): ("0", None), Decimal("0.5"): inexact()}),
    "wide decimal": (
        pa.decimal256(76, 10),
        {
            Decimal("7.0000000000"): ("7", None),
            Decimal("7.5"): inexact(),
            Decimal(10) ** 60: (None, "user_id: a value out of range"),
            None: (None, None),
        },
    ),
    "int8": (pa.int8(), {-128: ("-128", None), 7: ("7", None)}),
    "int64": (pa.int64(), {2**63 - 1: (str(2**63 - 1), None), -(2**63): (str(-(2**63)), None)}),
    "uint64": (pa.uint64(), {2**64 - 1: (str(2**64 - 1), None), 7: ("7", None)}),
    "text": (TEXT, {word: (word, None) for word in ("7", "7.0", "007", "1e10", "-0", "true", "2026-08-10")}),
    "large text": (pa.large_string(), {"7.0": ("7.0", None)}),
    "boolean": (pa.bool_(), {True: no_id(), False: no_id(), None: (None, None)}),
    "date": (pa.date32(), {date(2026, 8, 10): no_id(), None: (None, None)}),
    "timestamp": (pa.timestamp("us"), {datetime(2026, 8, 10, 12): no_id(), None: (None, None)}),  # noqa: DTZ001
    "timestamp with a zone": (pa.timestamp("ms", "UTC"), {datetime(2026, 8, 10, 12): no_id()}),  # noqa: DTZ001
    "time": (pa.time64("us"), {time(12): no_id(), None: (None, None)}),
    "duration, which Parquet holds as a whole number": (pa.duration("us"), {timedelta(seconds=1): ("1000000", None)}),
    "bytes": (
        pa.binary(),
        {
            b"p1": ("p1", None),
            "joão".encode(): ("joão", None),
            b"jo\xe3o": (None, f"user_id: {NO_TEXT}"),
            uuid.UUID(int=2**128 - 1).bytes: (None, f"user_id: {NO_TEXT}"),
            None: (None, None),
        },
    ),
    "bytes of one length": (pa.binary(2), {b"p1": ("p1", None), b"\xff\xff": (None, f"user_id: {NO_TEXT}")}),
}  # fmt: skip


def test_an_id_of_each_type_of_parquet(
    put_parquet: Any, capture: Any, captured_rows: Any, clean: Any
) -> None:
    expected = {}
    for name, (of, values) in PARQUET.items():
        rows = [bet(0, bet_id=f"{name} {number}", user_id=value) for number, value in enumerate(values)]
        expected[put_parquet(f"{name}.parquet", rows, REQUIRED | {"user_id": of})] = list(values.values())

    captures = capture()

    found: dict[str, list[Any]] = {}
    for row in captured_rows(captures):
        found.setdefault(row["_source_key"], []).extend(fates([row]))
    assert found == expected
    good = [text for values in expected.values() for text, why in values if text and not why]
    assert clean(captures).accepted == len(good), "every other row is in quarantine, and says why"


def test_a_dictionary_of_ids_is_what_its_values_are(put: Any, capture: Any, captured_rows: Any) -> None:
    for number, of in enumerate([pa.float64(), pa.decimal128(12, 2), pa.int32(), TEXT, pa.float32()]):
        plain = pa.array([7, None, 8, 7], pa.int32()).cast(of)
        columns = {name: [text] * 4 for name, text in bet(1).items()} | {"bet_id": ["a", "b", "c", "d"]}
        sink = io.BytesIO()
        pq.write_table(pa.table(columns | {"user_id": plain.dictionary_encode()}), sink)
        put(f"{number}.parquet", sink.getvalue())

    found = fates(captured_rows(capture()))

    assert found[:16] == [("7", None), (None, None), ("8", None), ("7", None)] * 4
    assert found[16:] == [inexact(), (None, None), inexact(), inexact()]


def test_a_uuid_is_its_text(put: Any, capture: Any, captured_rows: Any) -> None:
    ids = [uuid.UUID(int=5), uuid.UUID(int=2**128 - 1)]
    stored = pa.ExtensionArray.from_storage(pa.uuid(), pa.array([of.bytes for of in ids], pa.binary(16)))
    columns: dict[str, Any] = {name: [text] * 2 for name, text in bet(1).items()}
    sink = io.BytesIO()
    pq.write_table(pa.table(columns | {"bet_id": ["a", "b"], "user_id": stored}), sink)
    put("part.parquet", sink.getvalue())

    assert [row["user_id"] for row in captured_rows(capture())] == [str(of) for of in ids]


def test_a_json_column_is_what_its_values_are(put: Any, capture: Any, captured_rows: Any) -> None:
    values: dict[str | None, tuple[str | None, str | None]] = {
        **{spelled: fate for spelled, fate in JSON.items() if "N" not in spelled and "I" not in spelled},
        '"a"': ("a", None),
        ' "a" ': ("a", None),
        '{"a": 1}': no_id(),
        "[7]": no_id(),
        '"a\\u0000"': (None, "malformed record: bytes that are no text"),
        None: (None, None),
    }
    no_json: list[str | None] = ["abc", '"abc', "", "[7", '{"a":}', '"\\ud83d"', "07"]
    bad: dict[str | None, tuple[str | None, str | None]] = dict.fromkeys(
        no_json, (None, f"user_id: {NO_JSON}")
    )
    # The engine cannot read the second file, so it is rewritten.
    for number, column in enumerate([values, {**values, **bad}]):
        stored = pa.ExtensionArray.from_storage(pa.json_(), pa.array(list(column)))
        columns: dict[str, Any] = {name: [text] * len(column) for name, text in bet(1).items()}
        sink = io.BytesIO()
        pq.write_table(pa.table(columns | {"user_id": stored}), sink)
        put(f"{number}.parquet", sink.getvalue())

    found = fates(captured_rows(capture()))

    assert found == [*values.values(), *values.values(), *bad.values()]


@pytest.mark.parametrize(
    ("of", "value"),
    [
        (pa.list_(pa.int32()), [7]),
        (pa.list_(pa.string()), ["a"]),
        (pa.list_(pa.int32(), 1), [7]),
        (pa.struct([("a", pa.int32())]), {"a": 7}),
        (pa.map_(pa.string(), pa.int32()), [("a", 7)]),
        (pa.list_(pa.struct([("a", pa.int32())])), [{"a": 7}]),
    ],
    ids=str,
)
def test_a_nested_value_is_no_id(
    put_parquet: Any, capture: Any, captured_rows: Any, of: Any, value: Any
) -> None:
    rows = [bet(1, user_id=value), bet(2, user_id=None)]
    put_parquet("a.parquet", rows, REQUIRED | {"user_id": of})

    assert fates(captured_rows(capture())) == [no_id(), (None, None)]


def test_an_interval_is_no_id(engine: Any) -> None:
    # No writer of ours makes one.
    for value in ("INTERVAL 7 days", "NULL::INTERVAL"):
        found = id_of_type(f"({value})", "INTERVAL")
        ((condition, why),) = found.faults
        fault = f"CASE WHEN {condition} THEN '{why}' END"
        assert engine.sql(f"SELECT {fault}").fetchone() == (NO_ID if value.startswith("I") else None,)


def test_the_business_key_is_an_id_and_other_texts_are_not(
    put_parquet: Any, capture: Any, captured_rows: Any
) -> None:
    kinds = {"bet_id": pa.float64(), "user_id": pa.int64(), "device_type": pa.float64()}
    rows = [bet(0, bet_id=value, user_id=7, device_type=7.5) for value in (7.0, 7.5)]
    put_parquet("part.parquet", rows, REQUIRED | kinds)

    found = captured_rows(capture())

    assert [(row["bet_id"], row["_reject"]) for row in found] == [("7", None), ("7.5", f"bet_id: {INEXACT}")]
    assert [row["device_type"] for row in found] == ["7.5", "7.5"]


# JSON ------------------------------------------------------------------------------------------------------------

JSON: dict[str, tuple[str | None, str | None]] = {
    "7": ("7", None),
    "-7": ("-7", None),
    "7.0": ("7", None),
    "7.000": ("7", None),
    "7e0": ("7", None),
    "70e-1": ("7", None),
    "0.7e1": ("7", None),
    "1e10": ("10000000000", None),
    "1E+10": ("10000000000", None),
    "-0": ("0", None),
    "-0.0": ("0", None),
    "0e5": ("0", None),
    "9007199254740991.0": ("9007199254740991", None),
    "9007199254740993": ("9007199254740993", None),
    "-9007199254740993": ("-9007199254740993", None),
    "9223372036854775808": ("9223372036854775808", None),
    "18446744073709551616": ("18446744073709551616", None),
    "-18446744073709551617": ("-18446744073709551617", None),
    "123456789012345678901234567890123456789012345": ("123456789012345678901234567890123456789012345", None),
    "9007199254740993.0": inexact(),
    "9007199254740992.0": inexact(),
    "1e16": inexact(),
    "1e22": inexact(),
    "1e400": inexact(),
    "7.5": inexact(),
    "1e-400": inexact(),
    "-1e-400": inexact(),
    "0.1e-330": inexact(),
    "1.0000000000000000001": inexact(),
    "7.00000000000000000000000000000": ("7", None),
    "9007199254740991.00000001": inexact(),
    "70000000000000000000000000e-25": ("7", None),
    "70000000000000000000000001e-25": inexact(),
    "0.0e-999": ("0", None),
    "1e-7": inexact(),
    "-1.5e-7": inexact(),
    "NaN": inexact(),
    "Infinity": inexact(),
    "-Infinity": inexact(),
    "true": no_id(),
    "false": no_id(),
    '"7"': ("7", None),
    '"7.0"': ("7.0", None),
    '"007"': ("007", None),
    '"1e10"': ("1e10", None),
    '"true"': ("true", None),
    '"5e.7"': ("5e.7", None),
    '"e4d909c2"': ("e4d909c2", None),
    '"u.7"': ("u.7", None),
    "null": (None, None),
}


def test_an_id_that_json_spells_as_a_number(put: Any, capture: Any, captured_rows: Any, clean: Any) -> None:
    records = [json.dumps(bet(number)).replace('"u1"', spelled) for number, spelled in enumerate(JSON)]
    put("a.jsonl", json_lines(*records))
    # An array is read by stricter rules: these are no JSON.
    strict = {spelled: fate for spelled, fate in JSON.items() if "N" not in spelled and "I" not in spelled}
    in_array = [
        json.dumps(bet(number)).replace('"u1"', spelled) for number, spelled in enumerate(strict, 100)
    ]
    put("b.json", "[" + ",\n".join(in_array) + "]")

    captures = capture()

    expected = [*JSON.values(), *strict.values()]
    assert fates(captured_rows(captures)) == expected
    assert clean(captures).accepted == sum(why is None and text is not None for text, why in expected)


LETTERS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=9)


def test_a_json_id_is_its_text_or_its_whole_number(engine: Any) -> None:
    text, why = json_id(
        "json_extract_string(record, '/id')", "json_type(record, '/id')", json_spellings("record", "id")
    )

    @given(st.one_of(st.floats(), st.integers(), st.integers().map(float), st.booleans(), LETTERS))
    @settings(max_examples=examples(30, full=200), deadline=None)
    def check(value: Any) -> None:
        record = json.dumps({"id": value})
        found = engine.execute(
            f"SELECT CASE WHEN {why} IS NULL THEN {text} END, {why} FROM (SELECT ?::JSON AS record)", [record]
        ).fetchone()
        match value:
            case str():
                assert found == (value, None)
            case bool():
                assert found == (None, NO_ID)
            case float() if not value.is_integer() or abs(value) >= EXACT_BELOW:
                assert found == (None, INEXACT)
            case _:
                assert found == (str(int(value)), None)

    check()


# All formats -------------------------------------------------------------------------------------------------------


def test_one_player_is_one_player_in_every_format(
    put: Any, put_parquet: Any, capture: Any, captured_rows: Any
) -> None:
    put("a.csv", csv_text(csv_line(1, user_id="7")))
    put("b.jsonl", json_lines(*(json.dumps(bet(2)).replace('"u1"', text) for text in ("7", "7.0", '"7"'))))
    for name, (of, value) in {
        "c": (pa.int32(), 7),
        "d": (pa.float64(), 7.0),
        "e": (pa.decimal128(9, 2), Decimal(7)),
        "f": (TEXT, "7"),
        "g": (pa.binary(), b"7"),
    }.items():
        put_parquet(f"{name}.parquet", [bet(3, user_id=value)], REQUIRED | {"user_id": of})

    assert fates(captured_rows(capture())) == [("7", None)] * 9


def test_csv_text_stays_text(put: Any, capture: Any, captured_rows: Any) -> None:
    spellings = ["7", "7.0", "007", "1e10", "9007199254740993.0", "-0.0", "true"]
    put("a.csv", csv_text(*(csv_line(1, user_id=text) for text in spellings)))

    assert fates(captured_rows(capture())) == [(text, None) for text in spellings]


# Captures of earlier releases ----------------------------------------------------------------------------------------


def as_an_earlier_release(captures: SourceCaptures) -> SourceCaptures:
    return captures.model_copy(
        update={
            "captures": [
                Capture.model_validate(of.model_dump(exclude={"exact_ids"})) for of in captures.captures
            ]
        }
    )


DOUBTFUL = ["7.0", "-7.0", "1e+16", "1.5e-07", "1e21", "1.5e22", "inf", "Infinity", "7.00", "true"]
SOUND = [
    "123456e7",
    "4e12",
    "12e+20",
    "7e20",
    "4e00",
    "1.5",
    "1.50",
    "+7.0",
    "7.",
    "7",
    "007",
    "u7.0",
    "10.0.0.1",
    "e4d909c2",
    "1e",
    "7,0",
    "infinite",
]


def test_an_id_that_an_earlier_release_may_have_misspelled_is_refused(
    put: Any, capture: Any, clean: Any
) -> None:
    rows = [bet(number, user_id=spelled) for number, spelled in enumerate(DOUBTFUL + SOUND)]
    put("a.parquet", parquet(row | {"bet_id": "a" + row["bet_id"]} for row in rows))
    put("b.jsonl", json_lines(*rows))
    put(
        "c.csv",
        csv_text(*(",".join(f'"{value}"' for value in row.values()) for row in rows)).replace('"b', '"c'),
    )
    captures = capture()

    first = clean(captures)
    old = clean(as_an_earlier_release(captures))
    again = clean(captures)

    assert (first.accepted, first.quarantined) == (3 * len(DOUBTFUL + SOUND), {})
    assert old.quarantined == {f"user_id: {MAYBE_A_NUMBER}": 2 * len(DOUBTFUL)}, "CSV has no numbers"
    assert again.days == first.days, "what was cleaned of the old capture is not taken for the new one"


def test_captures_of_earlier_releases_are_found_and_a_full_refresh_makes_their_ids_exact(
    put_parquet: Any, put: Any, capture: Any, clean: Any, store: Any
) -> None:
    put("a.csv", csv_text(csv_line(1)))
    put_parquet("b.parquet", [bet(2, user_id=7.0)], REQUIRED | {"user_id": pa.float64()})
    put_parquet("c.parquet", [bet(3)], REQUIRED)
    captures = capture()
    markers = [
        entry.key
        for entry in store.list("crmbet/brand=default/captures/")
        if entry.key.endswith("_done.json")
    ]
    for key in markers:
        # An earlier release wrote a done-file for each chunk, and sealed nothing.
        [content] = json.loads(store.read(key))["captures"]
        del content["exact_ids"]
        store.write(key, json.dumps(content).encode())

    found = capture()

    assert (found.new, [of.files for of in found.captures]) == (0, [of.files for of in captures.captures])
    assert not any(of.exact_ids for of in found.captures)
    made = capture(full_refresh=True)
    assert (made.new, all(of.exact_ids for of in made.captures)) == (3, True)
    assert clean(made).accepted == 3
