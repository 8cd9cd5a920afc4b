"""Each format of a feed, with the habits of real deliveries, becomes the same captured rows."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest

from crmbet.contracts.files import load_source_contracts
from crmbet.extract.records import UNDATED
from tests.integration.extract.deliveries import (
    HEADER,
    REQUIRED,
    TEXT,
    bet,
    csv_line,
    csv_text,
    json_lines,
    parquet,
    zstd,
)
from tests.tiers import now

pytestmark = pytest.mark.integration

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


def test_typed_numbers_are_spelled_with_the_contracts_decimal_mark(
    put: Any, put_parquet: Any, capture: Any, captured_rows: Any, contract: Any
) -> None:
    described = contract.model_dump()
    described["columns"]["stake"]["decimal_mark"] = ","
    put_parquet("typed.parquet", [bet(1, stake=10.125)], REQUIRED | {"stake": pa.float64()})
    put_parquet("text.parquet", [bet(2, stake="1.000,5")], REQUIRED)
    put("lines.jsonl", json_lines(*(bet(3, stake=value) for value in (10.125, "1.000,5", 7, None))))

    found = captured_rows(capture(type(contract).model_validate(described)))

    assert [row["stake"] for row in found] == ["10,125", "1.000,5", "7", None, "1.000,5", "10,125"]


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


DIALECTS: dict[str, Callable[[str], str | bytes]] = {
    "plain": lambda text: text,
    "semicolons": lambda text: text.replace(",", ";"),
    "tabs": lambda text: text.replace(",", "\t"),
    "bars": lambda text: text.replace(",", "|"),
    "byte-order-mark": lambda text: "\ufeff" + text,
    "windows-lines": lambda text: text.replace("\n", "\r\n"),
    "old-mac-lines": lambda text: text.replace("\n", "\r"),
    "header-of-another-machine": lambda text: text.replace("\n", "\r").replace("\r", "\n", 1),
    "no-last-break": lambda text: text.rstrip("\n"),
    "blank-lines": lambda text: "\n" + text.replace("\n", "\n\n\n"),
    "blank-windows-lines": lambda text: "\r\n" + text.replace("\n", "\r\n\r\n"),
    "quoted-header": lambda text: text.replace(HEADER, ",".join(f'"{name}"' for name in HEADER.split(","))),
    "quoted-everything": lambda text: "".join(
        ",".join(f'"{field}"' for field in line.split(",")) + "\n" for line in text.splitlines()
    ),
    "spaces-around-quotes": lambda text: text.replace("joão", ' "joão" '),
    "commas-at-the-end": lambda text: text.replace("\n", ",,\n"),
    "commas-at-the-end-of-some": lambda text: text.replace("10.50\n", "10.50,\n", 1),
    "names-that-differ-in-capitals": lambda text: text.replace("10.50", "10.50,1,2").replace(
        "stake", "stake,STAKE,_row"
    ),
    "a-strange-column-twice": lambda text: text.replace("10.50", "10.50,1,2").replace("stake", "stake,x,x"),
    "latin-1": lambda text: text.encode("latin-1"),
    "utf-16-little": lambda text: ("\ufeff" + text).encode("utf-16-le"),
    "utf-16-big": lambda text: ("\ufeff" + text.replace("\n", "\r\n")).encode("utf-16-be"),
}


@pytest.mark.parametrize(
    ("extension", "damage"), now(("csv.gz", "torn,line\n"), full=[("csv", ""), ("csv.gz", "")])
)
def test_csv_dialects(put: Any, capture: Any, captured_rows: Any, extension: str, damage: str) -> None:
    for name, change in DIALECTS.items():
        text = change(csv_text(csv_line(1), csv_line(2, user_id="joão")) + damage)
        content = text.encode() if isinstance(text, str) else text
        put(f"{name}.{extension}", gzip.compress(content) if extension == "csv.gz" else content)

    captures = capture()

    rows = captured_rows(captures)
    found = {
        name: [
            (row["_row"], row["bet_id"], row["user_id"], row["stake"])
            for row in rows
            if row["_source_key"] == f"raw/bets/{name}.{extension}" and not row["_reject"]
        ]
        for name in DIALECTS
    }
    assert found == {name: [(1, "b1", "u1", "10.50"), (2, "b2", "joão", "10.50")] for name in DIALECTS}
    assert {captured.extracted for captured in captures.captures} == {3 if damage else 2}


def test_letters_of_another_encoding_do_not_garble_the_rest(
    put: Any, capture: Any, captured_rows: Any
) -> None:
    good = csv_text(*(csv_line(number, user_id="joão") for number in (1, 2)))
    put("a.csv", good.encode() + csv_line(3, user_id="josé €5 “x”").encode("cp1252") + b"\n")
    put("b.jsonl", json_lines(bet(4, user_id="j")).replace("j", "joão").encode("latin-1") + b"\n")

    assert [row["user_id"] for row in captured_rows(capture())] == ["joão", "joão", "josé €5 “x”", "joão"]


def test_csv_columns_are_found_by_name(put: Any, capture: Any, captured_rows: Any) -> None:
    put("part.csv", "stake,bet_id,game_type,placed_at,user_id\n7.25,b1,poker,2026-08-10 12:00:00,u9\n")

    (row,) = captured_rows(capture())

    assert [row[name] for name in REQUIRED] == ["b1", "u9", "2026-08-10 12:00:00", "poker", "7.25"]


# JSON lines ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", now("part.json", full=["part.jsonl", "part.ndjson", "part.jsonl.gz"]))
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
        (2, "not a JSON object (25 bytes)"),
        (4, None),
        (5, "not a JSON object (16 bytes)"),
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
        (None, "not a JSON object (1 byte)"),
    ]
    assert captures.extracted == 3


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("line_end", now("\r\n", full=["\r"]))
def test_json_in_other_encodings_and_line_ends(
    put: Any, capture: Any, captured_rows: Any, encoding: str, line_end: str
) -> None:
    records = [bet(1), bet(2, user_id="joão")]
    lines = "\n".join(json.dumps(record, ensure_ascii=False) for record in records)
    array = json.dumps(records, ensure_ascii=False, indent=1)
    put("a.jsonl", lines.replace("\n", line_end).encode(encoding))
    put("b.json", array.replace("\n", line_end).encode(encoding))

    found = captured_rows(capture())

    assert [row["user_id"] for row in found] == ["u1", "joão", "u1", "joão"]
    assert {row["_reject"] for row in found} == {None}


def test_json_is_told_from_json_lines_by_more_than_its_first_letter(
    put: Any, capture: Any, captured_rows: Any
) -> None:
    put("a.json", '["no", "object"]\n' + json_lines(bet(1), bet(2)))
    put("b.json", "\n \n" + json.dumps([bet(3, user_id='],{"\\'), bet(4, user_id={"a": [1]})]) + "\n\n")
    put("c.json", json.dumps(bet(5)))

    captures = capture()

    assert [captured.extracted for captured in captures.captures] == [3, 2, 1]
    assert [row["bet_id"] for row in captured_rows(captures)] == [None, "b1", "b2", "b3", "b4", "b5"]


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


def test_optional_columns_and_types_differ_from_file_to_file(
    put: Any, put_parquet: Any, capture: Any, captured_rows: Any, clean: Any
) -> None:
    kinds = [
        (pa.decimal128(18, 2), Decimal("10.50")),
        (pa.float64(), 10.5),
        (TEXT, "10.50"),
        (pa.int32(), 10),
    ]
    for number, (kind, value) in enumerate(kinds):
        put_parquet(f"{number}.parquet", [bet(number, stake=value)], REQUIRED | {"stake": kind})
    payout = {"payout": pa.float32(), "is_bonus": pa.bool_()}
    put_parquet("4.parquet", [bet(4, payout=1.5, is_bonus=True)], REQUIRED | payout)
    put("5.csv", csv_text(csv_line(5) + ",2,sim", header=HEADER + ",payout,is_bonus"))
    put("6.jsonl", json_lines(bet(6, stake=10.5, payout=3, is_bonus=False)))

    captures = capture()

    found = captured_rows(captures)
    assert [Decimal(row["stake"]) for row in found] == [Decimal("10.5")] * 3 + [Decimal(10)] + [
        Decimal("10.5")
    ] * 3
    assert [row["payout"] for row in found] == [None] * 4 + ["1.5", "2", "3"]
    assert [row["is_bonus"] for row in found] == [None] * 4 + ["true", "sim", "false"]
    assert clean(captures).accepted == 7


def test_parquet_text_that_is_not_marked_as_text(put_parquet: Any, capture: Any, captured_rows: Any) -> None:
    rows = [bet(number, session_id=value) for number, value in enumerate(["joão".encode(), b"jo\xe3o", None])]
    put_parquet("part.parquet", rows, REQUIRED | {"session_id": pa.binary()})

    assert [row["session_id"] for row in captured_rows(capture())] == ["joão", "jo\\xE3o", None]


def test_parquet_columns_that_differ_in_capitals_alone(
    put_parquet: Any, capture: Any, captured_rows: Any
) -> None:
    put_parquet("part.parquet", [bet(1, Stake="wrong")], {"Stake": TEXT} | REQUIRED)

    assert [row["stake"] for row in captured_rows(capture())] == ["10.50"]


# Folders ---------------------------------------------------------------------------------------------------------


def test_every_format_plain_or_compressed_in_any_folder(
    put: Any, capture: Any, captured_rows: Any, clean: Any
) -> None:
    folders = ["", "dt=2026-08-10/", "dt=2026-08-10/hour=12/", "2026/08/10/"]
    files: dict[str, Callable[[Any], bytes]] = {
        "a.parquet": parquet,
        "b.csv": lambda rows: csv_text(*(",".join(row.values()) for row in rows)).encode(),
        "c.tsv": lambda rows: "\n".join(
            "\t".join(row) for row in [HEADER.split(","), *map(dict.values, rows)]
        ).encode(),
        "d.jsonl": lambda rows: json_lines(*rows).encode(),
        "e.json": lambda rows: json.dumps(rows).encode(),
        "f.ndjson": lambda rows: json_lines(*rows).encode(),
    }
    packers: dict[str, Callable[[bytes], bytes]] = {"": bytes, ".gz": gzip.compress, ".zst": zstd}
    numbers = iter(range(1000))
    delivered = {}
    # Each format lies in two of the folders: as gzip in one, plain and as zstd in the other.
    for place, (name, write) in enumerate(files.items()):
        for further, (extension, pack) in enumerate(packers.items()):
            rows = [bet(next(numbers)) for _ in range(2)]
            content = pack(write(rows))
            folder = folders[(place + 2 * further) % len(folders)]
            delivered[put(folder + name + extension, content)] = [row["bet_id"] for row in rows]

    captures = capture()

    found: dict[str, list[str]] = {}
    for row in captured_rows(captures):
        found.setdefault(row["_source_key"], []).append(row["bet_id"])
    assert found == delivered
    assert not captures.unreadable
    assert clean(captures).accepted == captures.extracted == 2 * len(delivered)


def test_a_file_without_a_record_is_captured_once_like_any_other(
    put: Any, capture: Any, clean: Any, caplog: pytest.LogCaptureFixture
) -> None:
    empty = {
        "nothing.csv": b"",
        "nothing.jsonl": b"",
        "nothing.csv.gz": gzip.compress(b""),
        "nothing.json.gz": gzip.compress(b""),
        "nothing.parquet": b"",
        "nothing.parquet.gz": gzip.compress(b""),
        # No byte at all means the same, whatever compression the name promises.
        "no-byte.csv.gz": b"",
        "no-byte.parquet.gz": b"",
        "no-byte.json.zst": b"",
        "no-byte.csv.zstd": b"",
        "a-mark.csv": b"\xef\xbb\xbf",
        "a-mark.json": b"\xef\xbb\xbf\n",
        "blank-lines.csv": b"\n\r\n\n",
        "blank-lines.jsonl": b"\n \n\n",
        "a-header.csv": HEADER.encode(),
        "a-header-and-blank-lines.csv": f"{HEADER}\r\n\r\n".encode(),
        "an-array.json": b"[]",
        "a-spacious-array.json": b" [\n ]\n",
        "arrays-of-nothing.jsonl": b"[]\n[ ]\n",
        "a-record-separator.json": b"\x1e\n",
        "nothing.csv.zst": zstd(b""),
        "no-rows.parquet": parquet([]),
    }
    for name, content in empty.items():
        put(name, content)
    put("one.csv", csv_text(csv_line(1)))

    captures = capture()

    assert not captures.unreadable
    found = {captured.chunk.rsplit("/")[-1]: captured for captured in captures.captures}
    one = found.pop("one.csv")
    assert (one.extracted, clean(captures).accepted) == (1, 1)
    assert {name: (captured.extracted, captured.files) for name, captured in found.items()} == dict.fromkeys(
        empty, (0, [])
    )
    assert all(f"{name} holds no record" in caplog.text for name in empty)
    assert captures.empty is not None
    assert (captures.empty.count, captures.empty.bytes) == (len(empty), sum(map(len, empty.values())))
    assert captures.empty.examples == sorted(f"raw/bets/{name}" for name in empty)[:3]
    assert (captures.new, capture().new) == (len(empty) + 1, 0)


def test_days_without_rows_between_days_with_rows(put: Any, capture: Any, clean: Any) -> None:
    put("dt=2026-08-01/part.csv", csv_text(csv_line(1, placed_at="2026-08-01T12:00:00Z")))
    put("dt=2026-08-02/part.csv", csv_text())
    put("dt=2026-08-05/part.csv", csv_text(csv_line(5, placed_at="2026-08-05T12:00:00Z")))

    cleaned = clean(capture())

    assert [(day.day, day.rows) for day in cleaned.days] == [(date(2026, 8, 1), 1), (date(2026, 8, 5), 1)]


def test_a_file_of_many_days_is_kept_in_their_order(
    put: Any, capture: Any, store: Any, engine: Any, clean: Any
) -> None:
    days = [date(2026, 6, 1) + timedelta(days=number) for number in range(40)]
    instants = [f"{day.isoformat()}T{hour:02}:00:00Z" for hour in range(3, 24) for day in days]
    lines = [csv_line(number, placed_at=instants[number % len(instants)]) for number in range(130_000)]
    put("part.csv", csv_text(*lines))

    captures = capture()

    ((file,),) = (captured.files for captured in captures.captures)
    kept = engine.execute(
        f"SELECT _row, _day, file_row_number FROM read_parquet('{store.url(file)}', file_row_number = true) "
        "ORDER BY file_row_number"
    ).fetchall()
    assert sorted(row for row, _, _ in kept) == list(range(1, 130_001)), (
        "each record has its place in the source"
    )
    assert kept == sorted(kept, key=lambda row: (row[1], row[0]))
    assert Counter(day for _, day, _ in kept) == {
        day: captures.captures[0].days[day.isoformat()].rows for day in days
    }
    bounds = engine.execute(
        "SELECT stats_min, stats_max FROM parquet_metadata(?) WHERE path_in_schema = '_day' ORDER BY row_group_id",
        [store.url(file)],
    ).fetchall()
    assert len(bounds) > 1
    assert all(before[1] <= after[0] for before, after in pairwise(bounds)), (
        "a reader of some days passes over the rest of the file"
    )
    assert [day.rows for day in clean(captures).days] == [
        Counter(day for _, day, _ in kept)[day] for day in days
    ]


def test_a_listing_of_more_than_one_page(client: Any, store: Any, capture: Any) -> None:
    # S3 pages by the thousand; here by four.
    objects = {f"raw/bets/{number:04}.jsonl": json_lines(bet(number)).encode() for number in range(9)}
    store.write_all(objects)
    pages = 0

    def ask_for_four(params: dict[str, Any], **_: Any) -> None:
        nonlocal pages
        params["MaxKeys"] = 4
        pages += "raw/bets/" in params["Prefix"]

    event = "before-parameter-build.s3.ListObjectsV2"
    client.meta.events.register(event, ask_for_four)
    try:
        captures = capture()
    finally:
        client.meta.events.unregister(event, ask_for_four)

    assert pages == 3
    assert [captured.chunk for captured in captures.captures] == sorted(objects)
    assert captures.extracted == 9


# The engine ------------------------------------------------------------------------------------------------------


def test_a_capture_leaves_the_engine_as_it_was(put: Any, capture: Any, engine: Any) -> None:
    # The client switches its progress bar by itself.
    settings = "SELECT name, value FROM duckdb_settings() WHERE name <> 'enable_progress_bar'"
    before = engine.execute(settings).fetchall()
    put("part.csv", csv_text(csv_line(1)))

    capture()

    assert engine.execute(settings).fetchall() == before
    assert engine.cursor().execute(settings).fetchall() == before
    assert engine.execute("SELECT current_setting('preserve_insertion_order')").fetchone() == (False,)


@pytest.mark.few(4)
@pytest.mark.parametrize("name", ["", " ", '""', "\u00a0", "\u00ad", "\u2800"])
@pytest.mark.parametrize("place", [0, 2, 5])
def test_a_column_without_a_name_is_not_read_and_its_rows_are(
    put: Any, capture: Any, captured_rows: Any, name: str, place: int
) -> None:
    names, values = [*REQUIRED], [*bet(1).values()]
    names.insert(place, name)
    values.insert(place, "x")
    put("a.csv", ",".join(names) + "\n" + ",".join(values) + "\n")

    captures = capture()

    (row,) = captured_rows(captures)
    assert {column: row[column] for column in REQUIRED} == bet(1)
    assert row["_reject"] is None


@pytest.mark.parametrize("hidden", ["\u00a0", "\u200b", "\ufeff", "\ufeff\ufeff"])
def test_letters_that_nobody_sees_before_a_quoted_name_hide_nothing(
    put: Any, capture: Any, captured_rows: Any, hidden: str
) -> None:
    put("a.csv", hidden + ",".join(f'"{name}"' for name in REQUIRED) + "\n" + csv_line(1) + "\n")

    (row,) = captured_rows(capture())

    assert {column: row[column] for column in REQUIRED} == bet(1)
