"""Reading a Parquet file column by column and row group by row group, so that a fault loses no more than it must.

The engine reads a file as a whole or not at all. What it cannot read is rewritten here, with another reader, into a
file that the engine can read: text that is not UTF-8 is read as that of CSV is, and a cell or a page that cannot be
read is marked in its rows. Columns that no contract names are not read.

The engine also takes minutes for a file of very many small row groups. The rewritten file has large ones.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crmbet.databases.parquet import LARGEST_PRECISION
from crmbet.databases.scratch import require_room
from crmbet.extract.decoding import WESTERN
from crmbet.extract.ids import NO_TEXT
from crmbet.extract.unreadable import UnreadableObject

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa
    import pyarrow.parquet as pq

    Faults = npt.NDArray[np.object_]
    """Why the cell of each row cannot be read, or None."""

ROWS_TOGETHER = 1 << 17
"""Row groups are read together up to so many rows, and then written as one."""
ROWS_AT_ONCE = 1 << 16
SMALLER_BATCHES = (1 << 12, 1 << 8, 1 << 4)
"""With these a column is read again up to a broken page. Single rows would take too long."""
LARGEST_SCALE = 18
OUT_OF_RANGE = "a value out of range"
NO_JSON = "no JSON"
LARGEST_INTEGER = 2**63 - 1
MICROSECONDS = {"s": 1_000_000, "ms": 1_000}
"""In a unit of time that the engine turns into microseconds."""
DAY = {"s": 86_400, "ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}
NAMED_LOSSES = 10
"""Of more losses in one file only so many are told."""
ARROW_SCHEMA = b"\x18\x0cARROW:schema\x18"
"""The key of the Arrow schema in a footer, as Thrift writes it."""
REPLACED = "\ufffd"
"""What decoding writes for a byte that is no letter."""


@dataclass(frozen=True)
class MendedParquet:
    """A Parquet file that the engine can read."""

    path: Path
    """A file with the columns `c0`, `c1`, ... and `_reject`: why a row is set aside, or NULL."""
    columns: Mapping[str, str]
    """The columns by the wanted names."""
    unreadable: Mapping[str, str]
    """By name, for the tolerated columns that have cells which cannot be read: the column that says which."""
    losses: tuple[str, ...]
    """What could not be read at all, in words: column, row group and rows."""


def mend_parquet(path: Path, wanted: Mapping[str, str], tolerated: Collection[str]) -> MendedParquet:
    """Rewrite the wanted columns of a file, given by our name and the name in the file.

    A row is set aside if a cell of it cannot be read, unless the column is `tolerated`. Raises `UnreadableObject` if
    the file's footer cannot be read, or if nothing of a column that is not tolerated can be.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        _drop_narrow_dictionaries(path, wanted)
        file = pq.ParquetFile(path, coerce_int96_timestamp_unit="us", page_checksum_verification=True)
        mending = _Mending(file, wanted, frozenset(tolerated))
    except (OSError, pa.ArrowException) as error:
        _pass_on_lack_of_resources(error)
        raise UnreadableObject(f"its footer cannot be read: {type(error).__name__}") from None
    with file:
        target = path.with_suffix(".mended")
        with pq.ParquetWriter(target, mending.schema, compression="zstd", store_schema=False) as writer:
            for span in _spans(file.metadata):
                require_room(path.parent)
                writer.write_table(mending.mended(span), row_group_size=ROWS_TOGETHER)
        records = file.metadata.num_rows
    mending.require_rows(records)
    path.unlink()
    return MendedParquet(
        target,
        {name: f"c{place}" for place, name in enumerate(wanted)},
        {name: f"u{place}" for place, name in enumerate(wanted) if name in mending.marked},
        tuple(mending.losses),
    )


def _drop_narrow_dictionaries(path: Path, wanted: Mapping[str, str]) -> None:
    """Make a file's footer forget its Arrow schema if that has a wanted dictionary with indices of not 32 bits.

    Arrow casts such indices, and then refuses the whole column for one text that is not UTF-8. Without the schema the
    column is plain text.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pq.read_schema(path)
    kinds = [schema.field(source).type for source in wanted.values()]
    if all(not isinstance(kind, pa.DictionaryType) or kind.index_type == pa.int32() for kind in kinds):
        return
    with path.open("r+b") as file:
        file.seek(-8, os.SEEK_END)
        size = int.from_bytes(file.read(4), "little")
        file.seek(-8 - size, os.SEEK_END)
        footer = file.read(size)
        file.seek(-8 - size, os.SEEK_END)
        file.write(footer.replace(ARROW_SCHEMA, ARROW_SCHEMA.lower()))


def _pass_on_lack_of_resources(error: Exception) -> None:
    """Raise an error of the machine again: the file is not to blame for it."""
    # An error of the disk has a number, and one of the content has none.
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno is not None):
        raise error


@dataclass(frozen=True)
class _Span:
    """Row groups that are read together."""

    groups: tuple[int, ...]
    first: int
    """The place of their first row in the file, from 0."""
    sizes: tuple[int, ...]

    @property
    def rows(self) -> int:
        return sum(self.sizes)

    def one_by_one(self) -> Iterator[_Span]:
        first = self.first
        for group, size in zip(self.groups, self.sizes, strict=True):
            yield _Span((group,), first, (size,))
            first += size


def _spans(metadata: pq.FileMetaData) -> Iterator[_Span]:
    groups: list[int] = []
    sizes: list[int] = []
    first = together = 0
    for group in range(metadata.num_row_groups):
        rows = metadata.row_group(group).num_rows
        if groups and together + rows > ROWS_TOGETHER:
            yield _Span(tuple(groups), first, tuple(sizes))
            first += together
            groups, sizes, together = [], [], 0
        groups.append(group)
        sizes.append(rows)
        together += rows
    if groups:
        yield _Span(tuple(groups), first, tuple(sizes))


@dataclass
class _Mending:
    file: pq.ParquetFile
    wanted: Mapping[str, str]
    tolerated: frozenset[str]
    marked: set[str] = field(default_factory=set)
    """Tolerated columns with cells that cannot be read."""
    losses: list[str] = field(default_factory=list)
    lost: dict[str, int] = field(default_factory=dict)
    """Rows that are lost with pages, by column."""

    @property
    def schema(self) -> pa.Schema:
        import pyarrow as pa

        fields: list[tuple[str, pa.DataType]] = []
        for place, (name, source) in enumerate(self.wanted.items()):
            fields.append((f"c{place}", _engine_type(self.file.schema_arrow.field(source).type)))
            if name in self.tolerated:
                fields.append((f"u{place}", pa.bool_()))
        return pa.schema([*fields, ("_reject", pa.string())])

    def mended(self, span: _Span) -> pa.Table:
        """The rows of some row groups."""
        import numpy as np
        import pyarrow as pa

        reject = np.full(span.rows, None, dtype=object)
        columns: list[Any] = []
        for name, source in self.wanted.items():
            values, faults = self._read(name, source, span)
            columns.append(values)
            if name in self.tolerated:
                columns.append(pa.array(faults != None))  # noqa: E711 - for each element
                if columns[-1].true_count:
                    self.marked.add(name)
            else:
                found = (faults != None) & (reject == None)  # noqa: E711
                reject[found] = [f"{name}: {why}" for why in faults[found]]
        return pa.Table.from_arrays([*columns, pa.array(reject, pa.string())], schema=self.schema)

    def require_rows(self, records: int) -> None:
        """Raise `UnreadableObject` if a column that is not tolerated is lost in all rows."""
        if any(rows == records for name, rows in self.lost.items() if name not in self.tolerated):
            shown = "; ".join(self.losses[:NAMED_LOSSES])
            raise UnreadableObject(f"none of its rows can be read: {shown}")

    def _read(self, name: str, source: str, span: _Span) -> tuple[pa.ChunkedArray, Faults]:
        """A column's values in some row groups, of the engine's type, and why cells of it cannot be read."""
        import numpy as np
        import pyarrow as pa

        kind = self.file.schema_arrow.field(source).type
        read = self._read_batches(source, span, ROWS_AT_ONCE)
        if _rows(read) != span.rows and len(span.groups) > 1:
            parts = [self._read(name, source, part) for part in span.one_by_one()]
            return (
                pa.chunked_array(
                    [chunk for values, _ in parts for chunk in values.chunks], type=_engine_type(kind)
                ),
                np.concatenate([faults for _, faults in parts]),
            )
        if _rows(read) != span.rows:
            # A broken page takes the whole batch with it. Smaller ones come closer to it.
            for size in SMALLER_BATCHES:
                read = self._read_batches(source, span, size)
            if _rows(read) != span.rows:
                read.append(self._lose(name, source, span, _rows(read)))
        return (
            pa.chunked_array([values for values, _ in read], type=_engine_type(kind)),
            np.concatenate([faults for _, faults in read] or [np.full(0, None, dtype=object)]),
        )

    def _read_batches(self, source: str, span: _Span, size: int) -> list[tuple[Any, Faults]]:
        """A column's values in batches of so many rows, up to the first one that cannot be read."""
        import pyarrow as pa

        read = []
        try:
            for batch in self.file.iter_batches(size, row_groups=list(span.groups), columns=[source]):
                read.append(_legible(batch.column(0)))  # noqa: PERF401 - what was read before a broken page stays
        except (OSError, pa.ArrowException) as error:
            _pass_on_lack_of_resources(error)
        return read

    def _lose(self, name: str, source: str, span: _Span, read: int) -> tuple[Any, Faults]:
        """NULLs for the rows of a row group after those that were read."""
        import numpy as np
        import pyarrow as pa

        rows = span.rows - read
        if rows < 0:
            raise UnreadableObject(f"row group {span.groups[0] + 1} has more rows than its footer says")
        where = f"row group {span.groups[0] + 1}, rows {span.first + read + 1} to {span.first + span.rows}"
        self.losses.append(f"column {source} cannot be read in {where}")
        self.lost[name] = self.lost.get(name, 0) + rows
        kind = _engine_type(self.file.schema_arrow.field(source).type)
        return pa.nulls(rows, kind), np.full(rows, f"broken in {where}", dtype=object)


def _rows(read: list[tuple[Any, Faults]]) -> int:
    return sum(len(values) for values, _ in read)


def _engine_type(kind: pa.DataType) -> pa.DataType:
    """The type in the rewritten file."""
    import pyarrow as pa

    if isinstance(kind, pa.DictionaryType):
        return _engine_type(kind.value_type)
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_timestamp(kind) and kind.unit in MICROSECONDS:
        return pa.timestamp("us", kind.tz)
    if isinstance(kind, pa.JsonType):
        return pa.json_()
    if pa.types.is_decimal256(kind):
        return pa.decimal128(LARGEST_PRECISION, min(max(kind.scale, 0), LARGEST_SCALE))
    return kind


def _legible(values: pa.Array) -> tuple[pa.Array, Faults]:
    """Values as the engine can read them, and why others cannot be read."""
    import numpy as np
    import pyarrow as pa

    if isinstance(values.type, pa.DictionaryType):
        values = values.dictionary_decode()
    kind = values.type
    none: Faults = np.full(len(values), None, dtype=object)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return _text(values)
    if isinstance(kind, pa.JsonType):
        texts, faults = _json(values.storage)
        return pa.ExtensionArray.from_storage(pa.json_(), texts), faults
    if pa.types.is_timestamp(kind) and kind.unit in MICROSECONDS:
        bound = LARGEST_INTEGER // MICROSECONDS[kind.unit]
        values, faults = _within(values, -bound, bound)
        return values.cast(_engine_type(kind)), faults
    if pa.types.is_time(kind):
        return _within(values, 0, DAY[kind.unit])
    if pa.types.is_decimal256(kind):
        return _each(values, lambda some: some.cast(_engine_type(kind)), OUT_OF_RANGE)
    if pa.types.is_nested(kind):
        return _each(values, _validated, NO_TEXT)
    return values, none


def _text(values: pa.Array) -> tuple[pa.Array, Faults]:
    """Text as UTF-8. The bytes that are not UTF-8 are read as Windows-1252, as those of a CSV file are."""
    import numpy as np
    import pyarrow as pa

    faults: Faults = np.full(len(values), None, dtype=object)
    contents = values.cast(pa.large_binary()).cast(pa.binary())
    try:
        return contents.cast(pa.string()), faults
    except pa.ArrowInvalid:
        texts: list[str | None] = []
        for place, content in enumerate(contents.to_pylist()):
            text = None if content is None else content.decode(errors=WESTERN)
            # Windows-1252 has no letter for five of the bytes.
            if text is not None and text.count(REPLACED) > content.count(REPLACED.encode()):
                text, faults[place] = None, NO_TEXT
            texts.append(text)
        return pa.array(texts, pa.string()), faults


def _json(values: pa.Array) -> tuple[pa.Array, Faults]:
    """JSON as UTF-8. The engine refuses a file for one text that only calls itself JSON."""
    import pyarrow as pa

    texts, faults = _text(values)
    sound: list[str | None] = texts.to_pylist()
    for place, text in enumerate(sound):
        if text is not None and not _is_json(text):
            sound[place], faults[place] = None, NO_JSON
    return pa.array(sound, pa.string()), faults


def _is_json(text: str) -> bool:
    try:
        # Half of a surrogate pair cannot be encoded.
        value = json.loads(text, parse_float=str, parse_int=str)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        return False
    return True


def _within(values: pa.Array, least: int, most: int) -> tuple[pa.Array, Faults]:
    """The values between two bounds."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    faults: Faults = np.full(len(values), None, dtype=object)
    width = pa.int32() if values.type.bit_width == 32 else pa.int64()
    numbers = values.view(width).cast(pa.int64())
    inside = pc.and_(pc.greater_equal(numbers, least), pc.less_equal(numbers, most))
    outside = pc.fill_null(pc.invert(inside), fill_value=False)
    if not pc.any(outside).as_py():
        return values, faults
    faults[outside.to_numpy(zero_copy_only=False)] = OUT_OF_RANGE
    return pc.if_else(outside, pa.scalar(None, values.type), values), faults


def _validated(values: pa.Array) -> pa.Array:
    import numpy as np

    # A part of an array still holds all the values within its lists. A copy holds its own alone.
    copied = values.take(np.arange(len(values)))
    copied.validate(full=True)
    return copied


def _each(values: pa.Array, convert: Callable[[pa.Array], pa.Array], why: str) -> tuple[pa.Array, Faults]:
    """Values converted, all at once where that works, and by ever smaller parts where it does not."""
    import numpy as np
    import pyarrow as pa

    try:
        return convert(values), np.full(len(values), None, dtype=object)
    except pa.ArrowInvalid:
        if len(values) == 1:
            return pa.nulls(1, _engine_type(values.type)), np.full(1, why, dtype=object)
    half = len(values) // 2
    parts = [_each(part, convert, why) for part in (values.slice(0, half), values.slice(half))]
    return pa.concat_arrays([part for part, _ in parts]), np.concatenate([faults for _, faults in parts])
