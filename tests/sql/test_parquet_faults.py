"""A Parquet file with a fault is read piece by piece: what can be read is, and the rest says which row and column."""

from __future__ import annotations

import errno
import io
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crmbet.contracts.files import load_source_contracts
from crmbet.contracts.typing import typed_rows
from crmbet.databases.statements import Fragment
from crmbet.extract import formats
from crmbet.extract.decoding import UnpackLimits
from crmbet.extract.formats import MANY_ROW_GROUPS, Reading, readings
from crmbet.extract.parquet_mending import ROWS_TOGETHER
from crmbet.extract.unreadable import UnreadableObject
from tests.integration.extract.deliveries import broken
from tests.tiers import now

pytestmark = pytest.mark.sql

LIMITS = UnpackLimits(ratio=1000, size=1 << 40)

NOON = datetime(2026, 8, 10, 12, tzinfo=UTC)
BETS = load_source_contracts()["bets"]
PLAYERS = load_source_contracts()["players"]

Row = dict[str, Any]
Read = tuple[list[Row], Reading]


def bets(rows: int, **columns: Any) -> dict[str, Any]:
    """Columns of bets."""
    return {
        "bet_id": pa.array([f"b{number}" for number in range(1, rows + 1)]),
        "user_id": pa.array(["u1"] * rows),
        "placed_at": pa.array([NOON] * rows, pa.timestamp("us", "UTC")),
        "game_type": pa.array(["slots"] * rows),
        "stake": pa.array([Decimal("1.50")] * rows, pa.decimal128(18, 2)),
    } | columns


def written(columns: Mapping[str, Any], **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(dict(columns)), sink, **options)
    return sink.getvalue()


def raw_text(values: Iterable[bytes | None], kind: Any = None) -> pa.Array:
    """Text as a careless writer stores it."""
    contents = pa.array(values, pa.binary())
    return pa.Array.from_buffers(kind or pa.string(), len(contents), contents.buffers())


def raw_times(values: list[int | None], unit: str) -> pa.Array:
    return pa.array(values, pa.int64()).view(pa.timestamp(unit))


@pytest.fixture
def read(engine: duckdb.DuckDBPyConnection, tmp_path: Path) -> Callable[..., Read]:
    """Reads a Parquet file as the capture does: with the first reading that works."""

    def of(content: bytes, contract: Any = BETS) -> Read:
        path = tmp_path / str(uuid4())
        path.write_bytes(content)
        for reading in readings(engine, path, "part.parquet", contract, LIMITS):
            try:
                return rows_of(engine, reading), reading
            except duckdb.Error as error:
                failed = error
        raise failed

    return of


def rows_of(engine: duckdb.DuckDBPyConnection, reading: Reading) -> list[Row]:
    found = engine.sql(f"FROM ({reading.query}) ORDER BY _row")
    rows = [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]
    assert [row["_row"] for row in rows] == list(range(1, reading.records + 1)), "every record is there"
    return rows


def cleaned(engine: duckdb.DuckDBPyConnection, reading: Reading, contract: Any) -> list[Row]:
    day = Fragment("DATE '2026-08-10'")
    captured = Fragment(f"(SELECT *, 'a' AS _source_key FROM ({reading.query}))")
    found = engine.sql(f"FROM ({typed_rows(contract, captured, reading.types, day)}) ORDER BY _row")
    return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]


# Cells -------------------------------------------------------------------------------------------------------------

TOO_LATE = 1786363200000 * 10**6
"""Nanoseconds, which somebody wrote into a column of milliseconds."""


@pytest.mark.parametrize("kind", [pa.string(), "dictionary"])
@pytest.mark.parametrize("place", [0, 1, 4_999])
def test_text_that_is_not_utf_8_is_read_as_that_of_csv(read: Any, kind: Any, place: int) -> None:
    texts = [f"p{number}".encode() for number in range(5_000)]
    texts[place] = "joão €5".encode("cp1252")
    column = raw_text(texts)
    if kind == "dictionary":
        column = column.dictionary_encode()

    rows, _ = read(written(bets(5_000, user_id=column)))

    assert [row["user_id"] for row in rows] == [
        "joão €5" if number == place else f"p{number}" for number in range(5_000)
    ]
    assert {row["_reject"] for row in rows} == {None}


@pytest.mark.parametrize(
    "index", [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint32()], ids=str
)
@pytest.mark.parametrize("place", now(999, full=[0, 500]))
def test_a_bad_letter_in_a_categorical_loses_nothing(read: Any, index: pa.DataType, place: int) -> None:
    texts = [b"slots", b"telem\xf3vel"]
    codes = pa.array([number == place for number in range(1_000)]).cast(index)
    column = pa.DictionaryArray.from_arrays(codes, raw_text(texts))
    times = pa.array([NOON] * 1_000, pa.timestamp("us", "America/Sao_Paulo"))

    rows, reading = read(written(bets(1_000, game_type=column, placed_at=times)))

    assert [row["game_type"] for row in rows] == [
        "telemóvel" if number == place else "slots" for number in range(1_000)
    ]
    assert {(row["_reject"], row["placed_at"]) for row in rows} == {(None, NOON)}
    assert not reading.losses


@pytest.mark.parametrize(
    "error", [MemoryError(), pa.ArrowMemoryError("no memory"), OSError(errno.EIO, "Input/output error")]
)
def test_an_error_of_the_machine_is_no_fault_of_the_file(
    read: Any, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    content = written(bets(10, user_id=raw_text([b"jo\xe3o"] * 10)))

    def fail(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", fail)
    with pytest.raises(type(error)):
        read(content)


def test_bytes_that_are_no_letters_are_quarantined(read: Any) -> None:
    texts = [b"p1", b"p\x812", "p\ufffd3".encode(), None, b"p5", b""]

    rows, _ = read(written(bets(6, user_id=raw_text(texts))))

    assert [(row["user_id"], row["_reject"]) for row in rows] == [
        ("p1", None),
        (None, "user_id: bytes that are no text"),
        ("p\ufffd3", None),
        (None, None),
        ("p5", None),
        ("", None),
    ]


def test_text_within_lists_is_looked_at_too(read: Any, engine: Any) -> None:
    lists = pa.ListArray.from_arrays([0, 1, 3, 3], raw_text([b"email", b"e\xe3", b"sms"]))

    rows, _reading = read(written({"user_id": pa.array(["a", "b", "c"]), "consents": lists}), PLAYERS)

    assert [row["consents"] for row in rows] == ['["email"]', "\x1a", "[]"]
    assert {row["_reject"] for row in rows} == {None}, "a value that a contract tolerates keeps its row"


@pytest.mark.parametrize(
    ("values", "bad"),
    [
        ([1786363200000, TOO_LATE], [2]),
        ([TOO_LATE, None, 0, -TOO_LATE], [1, 4]),
        ([TOO_LATE] * 3_000, range(1, 3_001)),
        ([9_223_372_036_854_775, 9_223_372_036_854_776, -(2**63), 2**63 - 1], [2, 3, 4]),
    ],
)
def test_a_time_out_of_range_is_quarantined(read: Any, values: list[int | None], bad: Iterable[int]) -> None:
    rows, _ = read(written(bets(len(values), placed_at=raw_times(values, "ms"))))

    assert [row["_row"] for row in rows if row["_reject"] == "placed_at: a value out of range"] == list(bad)
    assert sum(row["_reject"] is not None for row in rows) == len(list(bad))


def test_a_tolerated_value_out_of_range_keeps_its_row_and_is_counted(read: Any, engine: Any) -> None:
    late = raw_times([1786363200000, TOO_LATE, None], "ms")

    rows, reading = read(written(bets(3, ingested_at=late)))

    assert {row["_reject"] for row in rows} == {None}
    found = cleaned(engine, reading, BETS)
    assert [row["ingested_at"] for row in found] == [NOON.replace(tzinfo=None), None, None]
    assert [row["_discarded"] and row["_discarded"][0].split(":")[0] for row in found] == [
        None,
        "ingested_at",
        None,
    ]


def test_what_protects_and_cannot_be_read_protects(read: Any, engine: Any) -> None:
    until = raw_times([TOO_LATE, None, 1786363200000], "ms")

    _rows, reading = read(
        written({"user_id": pa.array(["a", "b", "c"]), "self_excluded_until": until}), PLAYERS
    )

    found = cleaned(engine, reading, PLAYERS)
    assert [row["_discarded"] and row["_discarded"][0].split(":")[0] for row in found] == [
        "self_excluded_until",
        None,
        None,
    ]
    assert [row["_fault"] for row in found] == [None, None, None]


@pytest.mark.parametrize(
    "foreign",
    [
        raw_text([b"a", b"\xe3", b"c"]),
        raw_times([TOO_LATE, 0, None], "ms"),
        pa.array([Decimal(10) ** 60, None, Decimal(1)], pa.decimal256(76, 2)),
        pa.array([1, 2, 3], pa.int32()).cast(pa.time32("ms")),
        pa.array([{"a": [b"\xff"]}, None, {"a": []}]),
    ],
    ids=lambda of: str(of.type),
)
def test_a_fault_in_a_column_that_no_contract_names_costs_nothing(read: Any, foreign: pa.Array) -> None:
    rows, reading = read(written(bets(3, affiliate=foreign)))

    assert [row["bet_id"] for row in rows] == ["b1", "b2", "b3"]
    assert {row["_reject"] for row in rows} == {None}
    assert reading.unknown_columns == ("affiliate",)


@pytest.mark.parametrize(("precision", "scale"), [(39, 0), (39, 2), (50, 4), (76, 10), (76, 40)])
def test_a_decimal_wider_than_the_engines_is_read_exactly_or_quarantined(
    read: Any, engine: Any, precision: int, scale: int
) -> None:
    sound = ["7", "0", "1234567"] + (["7.5", "0.25"] if scale >= 2 else [])
    wide = [Decimal(10) ** (precision - scale - 1)] if precision - scale > 38 else []
    fine = [Decimal("1e-30")] if scale == 40 else []
    values = [Decimal(text) for text in sound] + wide + fine
    stakes = pa.array([*values, None], pa.decimal256(precision, scale))

    _rows, reading = read(written(bets(len(stakes), stake=stakes)))

    found = cleaned(engine, reading, BETS)
    assert [row["stake"] for row in found[: len(sound)]] == [Decimal(text) for text in sound]
    assert [row["_fault"] for row in found[: len(sound)]] == [None] * len(sound)
    outside = "record: stake: a value out of range"
    assert [row["_fault"] for row in found[len(sound) : -1]] == [outside] * len(wide + fine)
    assert found[-1]["_fault"] == "stake: missing"


# Pages -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["bet_id", "user_id", "placed_at", "game_type", "stake"])
@pytest.mark.parametrize("group", now(2, full=[1, 3]))
def test_a_broken_page_loses_the_rows_that_it_names(read: Any, column: str, group: int) -> None:
    content = broken(written(bets(300), row_group_size=100), column, group)

    rows, reading = read(content)

    first, last = 100 * group - 99, 100 * group
    where = f"row group {group}, rows {first} to {last}"
    assert [row["_row"] for row in rows if row["_reject"]] == list(range(first, last + 1))
    assert {row["_reject"] for row in rows} == {None, f"{column}: broken in {where}"}
    assert reading.losses == (f"column {column} cannot be read in {where}",)


def test_the_rows_before_a_broken_page_are_kept(read: Any) -> None:
    # A page has 20,000 rows by default.
    keys = pa.array([f"{number:032d}" for number in range(100_000)])
    content = written(bets(100_000, bet_id=keys), use_dictionary=False, compression="none")
    kept = len(content[: content.index(b"%032d" % 70_000)])
    metadata = pq.ParquetFile(io.BytesIO(content)).metadata.row_group(0).column(0)
    content = broken(content, "bet_id", 1, page=kept - metadata.data_page_offset)

    rows, reading = read(content)

    lost = [row["_row"] for row in rows if row["_reject"]]
    assert 1 < lost[0] <= 70_001
    assert lost == list(range(lost[0], 100_001))
    assert reading.losses == (f"column bet_id cannot be read in row group 1, rows {lost[0]} to 100000",)


@pytest.mark.parametrize("compression", ["snappy", "zstd"])
def test_of_a_single_row_group_no_more_is_lost_than_the_pages_from_a_broken_one_on(
    read: Any, compression: str
) -> None:
    stakes = pa.array([str(number * 7919 % 100_000 / 100) for number in range(3_000)])
    options = {"use_dictionary": False, "data_page_size": 1_000, "write_batch_size": 100}
    content = written(bets(3_000, stake=stakes), compression=compression, **options)
    metadata = pq.ParquetFile(io.BytesIO(content)).metadata.row_group(0)
    (size,) = (
        metadata.column(place).total_compressed_size
        for place in range(metadata.num_columns)
        if metadata.column(place).path_in_schema == "stake"
    )

    rows, reading = read(broken(content, "stake", 1, page=size - 200))

    lost = [row["_row"] for row in rows if row["_reject"]]
    assert lost == list(range(lost[0], 3_001))
    assert lost[0] > 2_700, "a page has some hundred rows"
    assert [row["stake"] for row in rows[: lost[0] - 1]] == stakes.to_pylist()[: lost[0] - 1]
    assert reading.losses == (f"column stake cannot be read in row group 1, rows {lost[0]} to 3000",)


def test_two_broken_columns_name_the_first_and_log_both(read: Any) -> None:
    content = written(bets(300), row_group_size=100)
    content = broken(broken(content, "stake", 2), "user_id", 2)

    rows, reading = read(content)

    assert {row["_reject"] for row in rows} == {None, "user_id: broken in row group 2, rows 101 to 200"}
    assert len(reading.losses) == 2


def test_a_broken_page_of_a_column_that_no_contract_names_costs_nothing(read: Any) -> None:
    foreign = pa.array([f"x{number}" for number in range(300)])

    rows, reading = read(broken(written(bets(300, affiliate=foreign), row_group_size=100), "affiliate", 2))

    assert {row["_reject"] for row in rows} == {None}
    assert reading.losses == ()


def test_a_broken_page_of_a_tolerated_column_keeps_its_rows(read: Any, engine: Any) -> None:
    content = broken(written(bets(200, rtp=pa.array(np.full(200, 0.5))), row_group_size=100), "rtp", 1)

    rows, reading = read(content)

    assert {row["_reject"] for row in rows} == {None}
    found = cleaned(engine, reading, BETS)
    assert [row["rtp"] for row in found] == [None] * 100 + [0.5] * 100
    assert [bool(row["_discarded"]) for row in found] == [True] * 100 + [False] * 100
    assert reading.losses == ("column rtp cannot be read in row group 1, rows 1 to 100",)


def test_a_file_of_which_no_row_can_be_read_is_set_aside(read: Any) -> None:
    content = broken(written(bets(100)), "stake", 1)

    with pytest.raises(UnreadableObject, match="column stake cannot be read in row group 1, rows 1 to 100"):
        read(content)


def test_a_page_that_its_checksum_contradicts_is_not_read_where_the_file_is_read_with_care(read: Any) -> None:
    options = {"compression": "none", "use_dictionary": False, "write_page_checksum": True}
    content = written(bets(200, user_id=raw_text([b"\xe3"] + [b"u1"] * 199)), row_group_size=100, **options)
    spoiled = content.replace(b"b150", b"b159")
    assert spoiled != content

    rows, reading = read(spoiled)

    assert [row["_row"] for row in rows if row["_reject"]] == list(range(101, 201))
    assert reading.losses == ("column bet_id cannot be read in row group 2, rows 101 to 200",)


# The rewritten file ----------------------------------------------------------------------------------------------


def sound_columns() -> Iterator[tuple[str, Any]]:
    """A value of each type of Parquet that the engine reads, as the columns of a contract."""
    text = pa.array(["a", None, "é"])
    yield "session_id", text.dictionary_encode()
    yield "game_id", pa.array([b"a", None, b"\xff"])
    yield "device_type", pa.array([["a"], None, ["b", "c"]])
    yield "payout", pa.array([0.1, None, float("nan")])
    yield "rtp", pa.array([0.1, None, 1e-9], pa.float32())
    yield "is_bonus", pa.array([True, None, False])
    yield "balance_after", pa.array([1, None, 2**64 - 1], pa.uint64())
    yield "ingested_at", pa.array([NOON, None, NOON + timedelta(microseconds=1)], pa.timestamp("ns"))
    for unit in ("s", "ms", "us", "ns"):
        yield "placed_at", pa.array([NOON, None, NOON], pa.timestamp(unit, "America/Sao_Paulo"))
    for kind in (pa.int8(), pa.uint16(), pa.int32(), pa.int64(), pa.float16(), pa.decimal128(38, 10)):
        yield "stake", pa.array([1, None, 2], pa.int8()).cast(kind)
    yield "placed_at", pa.array([date(2026, 8, 10), None, date(1, 1, 1)])
    yield "placed_at", pa.array([1, None, 86_400_000_000], pa.int64()).cast(pa.time64("us"))
    yield "stake", pa.nulls(3)
    yield (
        "session_id",
        pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"0" * 16, None, b"\xff" * 16], pa.binary(16))),
    )
    yield "session_id", pa.ExtensionArray.from_storage(pa.json_(), pa.array(['{"a": 1}', None, "[]"]))
    yield "device_type", pa.array([{"a": 1}, None, {"a": 2}])
    yield "device_type", pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int32()))


@pytest.mark.parametrize(
    ("name", "values"), list(sound_columns()), ids=lambda of: str(getattr(of, "type", of))
)
@pytest.mark.parametrize("int96", now(False, full=[True]))
def test_a_sound_file_is_the_same_when_it_is_rewritten(
    engine: Any, tmp_path: Path, name: str, values: Any, int96: bool
) -> None:
    path = tmp_path / "object"
    path.write_bytes(
        written(bets(3, **{name: values}), row_group_size=2, use_deprecated_int96_timestamps=int96)
    )
    both = readings(engine, path, "part.parquet", BETS, LIMITS)

    first = next(both)
    as_it_is = rows_of(engine, first)
    second = next(both)

    assert rows_of(engine, second) == as_it_is or str(rows_of(engine, second)) == str(as_it_is)
    assert second.losses == ()
    if name not in BETS.columns or BETS.columns[name].on_invalid != "null":
        assert second.types == first.types


def test_names_with_dots_and_names_that_differ_in_capitals_are_found(read: Any) -> None:
    contract = BETS.model_copy(
        update={
            "columns": BETS.columns
            | {"stake": BETS.columns["stake"].model_copy(update={"source_name": "valor.total"})}
        }
    )
    columns = bets(2, user_id=raw_text([b"\xe3", b"u2"]))
    stakes = columns.pop("stake")
    columns |= {"Bet_id": pa.array(["x", "y"]), "valor.total": stakes, "_reject": pa.array(["r", "r"])}

    rows, _ = read(written(columns), contract)

    assert [(row["bet_id"], row["user_id"], row["stake"]) for row in rows] == [
        ("b1", "ã", Decimal("1.50")),
        ("b2", "u2", Decimal("1.50")),
    ]
    assert {row["_reject"] for row in rows} == {None}


# Many row groups ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("groups", [3_000, pytest.param(20_000, marks=pytest.mark.full)])
def test_a_file_of_very_many_row_groups_takes_seconds(read: Any, groups: int) -> None:
    content = written(bets(groups), row_group_size=1)
    began = time.monotonic()

    rows, reading = read(content)

    assert time.monotonic() - began < groups / 100, "the engine alone takes minutes"
    assert [row["bet_id"] for row in rows] == [f"b{number}" for number in range(1, groups + 1)]
    assert "mended" in reading.query


def test_many_row_groups_of_an_ordinary_size_are_read_as_they_are(
    read: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "MANY_ROW_GROUPS", 4)
    monkeypatch.setattr(formats, "SMALL_ROW_GROUP", 100)
    assert MANY_ROW_GROUPS > 4

    for rows, size, rewritten in ((500, 100, False), (400, 99, True), (400, 100, False), (10, 1, True)):
        _, reading = read(written(bets(rows), row_group_size=size))
        assert ("mended" in reading.query) == rewritten, (rows, size)


def test_row_groups_are_read_together_only_up_to_a_bound(read: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crmbet.extract.parquet_mending.ROWS_TOGETHER", 250)
    assert ROWS_TOGETHER > 250
    texts = [b"u1"] * 999 + [b"\xe3"]
    content = broken(written(bets(1_000, user_id=raw_text(texts)), row_group_size=100), "stake", 3)

    rows, _reading = read(content)

    assert [row["_row"] for row in rows if row["_reject"]] == list(range(201, 301))
    assert rows[-1]["user_id"] == "ã"
