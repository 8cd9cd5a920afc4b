"""Bets as operators deliver them: the same record in every format."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

Row = dict[str, Any]

TEXT = pa.string()
REQUIRED = {"bet_id": TEXT, "user_id": TEXT, "placed_at": TEXT, "game_type": TEXT, "stake": TEXT}
HEADER = ",".join(REQUIRED)


def bet(number: int, **columns: Any) -> Row:
    """One bet, every column text unless it is given."""
    row = {
        "bet_id": f"b{number}",
        "user_id": "u1",
        "placed_at": "2026-08-10T12:00:00Z",
        "game_type": "slots",
        "stake": "10.50",
    }
    return row | columns


def csv_line(number: int, **columns: str) -> str:
    """One bet as CSV writes it, without quotes of its own."""
    return ",".join(bet(number, **columns).values())


def csv_text(*lines: str, header: str = HEADER) -> str:
    """A CSV file."""
    return "\n".join([header, *lines]) + "\n"


def json_lines(*records: Row | str) -> str:
    """A file of an object a line; text goes in as it is."""
    return "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in records)


def parquet(rows: Iterable[Row], schema: Mapping[str, pa.DataType] = REQUIRED, **options: Any) -> bytes:
    """A Parquet file whose columns, and their types, are those of the schema."""
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows), pa.schema(list(schema.items()))), sink, **options)
    return sink.getvalue()


def broken(content: bytes, column: str, group: int, *, page: int = 0) -> bytes:
    """The file with a column's pages of one row group (from 1) overwritten from the given place on."""
    metadata = pq.ParquetFile(io.BytesIO(content)).metadata
    (chunk,) = (
        metadata.row_group(group - 1).column(place)
        for place in range(metadata.num_columns)
        if metadata.row_group(group - 1).column(place).path_in_schema == column
    )
    first: int = chunk.dictionary_page_offset or chunk.data_page_offset
    start, end = first + page, first + int(chunk.total_compressed_size)
    return content[:start] + b"\xff" * (end - start) + content[end:]


def zstd(content: bytes) -> bytes:
    """One frame of Zstandard."""
    packed: bytes = pa.Codec("zstd").compress(content, asbytes=True)
    return packed
