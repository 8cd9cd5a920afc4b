"""The file formats of the feeds: Parquet, CSV and JSON lines, plain or gzip, each with its own habits.

`render` turns a clean table into the types that a file holds, so that dirt can be planted in them. `encode` makes
bytes, always the same for equal tables. Arrow joins the text without escaping, since no value here holds a comma,
quote, backslash or line break. `encode` checks that.
"""

from __future__ import annotations

import gzip
import io
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq


@dataclass(frozen=True)
class Encoding:
    """`money` is the type of money in Parquet. `zone` is what text files write after a time (empty means UTC)."""

    extension: Literal["parquet", "csv", "csv.gz", "jsonl", "jsonl.gz"]
    money: Literal["decimal", "double", "text"] = "decimal"
    zone: Literal["Z", "", "-03:00"] = "Z"


PARQUET = Encoding("parquet")
PARQUET_DOUBLE = Encoding("parquet", money="double")
PARQUET_TEXT = Encoding("parquet", money="text")
CSV = Encoding("csv")
CSV_NO_ZONE = Encoding("csv", zone="")
CSV_GZ = Encoding("csv.gz")
JSONL_GZ = Encoding("jsonl.gz")
JSONL_LOCAL = Encoding("jsonl", zone="-03:00")

_BARE = r"^(-?\d+(\.\d+)?|true|false|\[.*\])$"
_BARE_COLUMNS = frozenset({"stake", "payout", "rtp", "is_bonus", "balance_after", "old_value", "new_value",
                           "consents", "is_test", "is_blocked", "prohibited"})  # fmt: skip


def render(table: pa.Table, encoding: Encoding) -> pa.Table:
    """The same rows in the types of the file: text formats hold text only."""
    if encoding.extension == "parquet":
        if encoding.money != "decimal":
            money = [field.name for field in table.schema if pa.types.is_decimal(field.type)]
            for name in money:
                # Through text: Arrow's own cast of a decimal to double misses the nearest one.
                values = table[name].cast(pa.string())
                values = values.cast(pa.float64()) if encoding.money == "double" else values
                table = table.set_column(table.column_names.index(name), name, values)
        return table
    return pa.table({name: _text(table[name].combine_chunks(), encoding) for name in table.column_names})


def encode(table: pa.Table, encoding: Encoding) -> bytes:
    """The bytes of one file. `table` comes from `render`."""
    if encoding.extension == "parquet":
        sink = io.BytesIO()
        pq.write_table(table, sink, compression="zstd", compression_level=1)
        return sink.getvalue()
    text = json_lines(table) if encoding.extension.startswith("jsonl") else csv(table)
    # Without a time stamp in its header, equal text gives equal bytes.
    return gzip.compress(text, compresslevel=2, mtime=0) if encoding.extension.endswith(".gz") else text


def csv(table: pa.Table, header: bool = True) -> bytes:
    """Comma-separated text without quotes. NULL is empty."""
    pieces: list[pa.Array | str] = []
    for name in table.column_names:
        pieces += [_plain(table[name].combine_chunks()).fill_null(""), ","]
    pieces[-1] = "\n"
    first = ",".join(table.column_names) + "\n" if header else ""
    return first.encode() + _joined(pieces, table.num_rows)


def json_lines(table: pa.Table) -> bytes:
    """One object per line. Numbers, booleans and lists are bare, all else is quoted, and NULL is null."""
    pieces: list[pa.Array | str] = []
    for name in table.column_names:
        values = table[name].combine_chunks()
        quoted = pc.binary_join_element_wise('"', values, '"', "")
        if name in _BARE_COLUMNS:
            quoted = pc.if_else(pc.match_substring_regex(values, _BARE), values, quoted)
        else:
            _plain(values)
        pieces += [f'"{name}":', quoted.fill_null("null"), ","]
    return _joined(["{", *pieces[:-1], "}\n"], table.num_rows)


def _joined(pieces: list[pa.Array | str], rows: int) -> bytes:
    if not rows:
        return b""
    lines = pc.binary_join_element_wise(*pieces, "")
    _, _, characters = lines.buffers()
    return bytes(characters)


def _plain(values: pa.StringArray) -> pa.StringArray:
    _, _, characters = values.buffers()
    text = characters.to_pybytes() if characters else b""
    if any(special in text for special in (b",", b'"', b"\\", b"\n", b"\r")):
        raise ValueError(
            "a value holds a comma, quote, backslash or line break, which this writer does not escape"
        )
    return values


def _text(values: pa.Array, encoding: Encoding) -> pa.StringArray:
    if pa.types.is_timestamp(values.type):
        if encoding.zone == "-03:00":
            values = pc.subtract(values, pa.scalar(timedelta(hours=3)))
        text = pc.utf8_replace_slice(values.cast(pa.timestamp("ms")).cast(pa.string()), 10, 11, "T")
        return pc.binary_join_element_wise(text, encoding.zone, "")
    if pa.types.is_list(values.type):
        if encoding.extension.startswith("jsonl"):
            inside = pc.binary_join(values, '","')
            full = pc.binary_join_element_wise('["', inside, '"]', "")
            return pc.if_else(pc.equal(inside, ""), "[]", full)
        # An empty field of CSV is a missing one.
        inside = pc.binary_join(values, "|")
        return pc.if_else(pc.equal(inside, ""), "[]", inside)
    return values.cast(pa.string())
