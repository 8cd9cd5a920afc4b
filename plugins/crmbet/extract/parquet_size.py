"""How large a Parquet file becomes when it is read. Its pages say so, unless they refer to one text again and again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from crmbet.databases.duckdb_failures import is_lack_of_resources
from crmbet.databases.statements import Fragment, joined, literal, quoted, render
from crmbet.extract.decoding import HARMLESS_SIZE, UnpackLimits

if TYPE_CHECKING:
    import duckdb
    from pyarrow.parquet import FileMetaData, RowGroupMetaData

LONG_TEXT = 1_000
"""Bytes. Short texts may be repeated as often as they like: that is what a dictionary is for."""
WRITTEN_OUT = frozenset({"PLAIN", "RLE", "BIT_PACKED", "DELTA_LENGTH_BYTE_ARRAY"})
"""Encodings of text, and of the presence of values, that repeat nothing."""


def check_pages(footer: FileMetaData, packed: int, limits: UnpackLimits) -> None:
    """Raises `UnreadableObject` if the pages of a file of so many bytes unpack to more than they may."""
    pages = sum(row_group.total_byte_size for row_group in _row_groups(footer))
    # A record that takes no byte counts as one.
    limits.check(packed, max(pages, footer.num_rows))


def repeating_columns(footer: FileMetaData) -> frozenset[str]:
    """Top-level columns whose pages may refer to one text so often that it matters."""
    most: Counter[str] = Counter()
    for group in _row_groups(footer):
        for chunk in map(group.column, range(group.num_columns)):
            if "BYTE_ARRAY" in chunk.physical_type and not WRITTEN_OUT.issuperset(chunk.encodings):
                # A name may have a dot itself.
                for name in {chunk.path_in_schema, chunk.path_in_schema.partition(".")[0]}:
                    most[name] += chunk.num_values * chunk.total_uncompressed_size
    return frozenset(name for name, size in most.items() if size > HARMLESS_SIZE)


def check_long_texts(
    connection: duckdb.DuckDBPyConnection,
    paths: Sequence[Path],
    columns: Mapping[str, str],
    packed: int,
    limits: UnpackLimits,
) -> None:
    """Raises `UnreadableObject` if the long texts of files of so many bytes become more than they may.

    `columns` has the engine's type of each. A file that cannot be read passes.
    """
    import duckdb

    if not columns:
        return
    query = render(
        "extract/measure_long_texts",
        files=joined([literal(str(path)) for path in paths]),
        bytes=Fragment(" + ".join(_bytes_of_long(*column) for column in columns.items())),
    )
    try:
        (long_texts,) = connection.execute(query).fetchone() or (0,)
    except duckdb.Error as error:
        if is_lack_of_resources(error):
            raise
        return  # the reading of the file says what is wrong with it
    limits.check(packed, long_texts)


def may_be_long(engine_type: str) -> bool:
    """Whether values of a type may be long texts, or hold some."""
    nested = ("[", "STRUCT", "MAP", "UNION", "JSON")
    return engine_type in ("VARCHAR", "BLOB") or any(mark in engine_type for mark in nested)


def _bytes_of_long(name: str, engine_type: str) -> str:
    length = f"octet_length({quoted(name)})" if engine_type == "BLOB" else f"strlen({quoted(name)}::VARCHAR)"
    return f"coalesce(sum({length}) FILTER ({length} > {LONG_TEXT}), 0)"


def _row_groups(footer: FileMetaData) -> list[RowGroupMetaData]:
    return [footer.row_group(place) for place in range(footer.num_row_groups)]
