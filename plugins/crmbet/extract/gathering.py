"""Finds small objects that are alike, which one statement reads, and joins the text of such objects in one file.

A statement costs milliseconds to plan, and a file and a done-file cost two requests. For an object of a few rows that
is nearly all of the work. Objects of CSV are alike if they have one header and one delimiter, and those of Parquet
if they have one schema. Objects of JSON lines always are. What looks unusual in any way is read alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from crmbet.contracts.source import SourceContract
from crmbet.databases.statements import Fragment, joined, literal
from crmbet.extract.counting import survey
from crmbet.extract.decoding import UnpackLimits, plain_text, unpack
from crmbet.extract.formats import every_name
from crmbet.extract.headers import read_header
from crmbet.extract.identities import Identity
from crmbet.extract.listing import format_of
from crmbet.extract.names import in_path
from crmbet.extract.parquet_size import check_pages
from crmbet.storage.object_store import StoredObject

SMALL_SIZE = 1 << 20
"""Bytes of text. A statement of its own costs little beside reading a larger object."""
LOT_OBJECTS = 500
LOT_SIZE = 32 << 20
"""So many objects and bytes, as they were delivered, are gathered at once. A kill loses no more than that."""
FEW_ROW_GROUPS = 8
"""A small Parquet file of more row groups is unusual."""
LINE_FEED = b"\n"


class Likeness(NamedTuple):
    """What objects must have in common to be gathered."""

    format: str
    delimiter: str = ""
    header: tuple[str, ...] = ()
    schema: str = ""


@dataclass(frozen=True)
class Part:
    """One small object that is read with others."""

    identity: Identity
    entry: StoredObject
    path: Path
    """Its local copy."""
    records: int
    """Its records, counted without a parser."""
    head: bytes = b""
    """The line with the header, if it is text with one."""
    body: bytes = b""
    """All other lines of text."""
    numbers: int = 0
    """How many numbers its records take: a blank line of JSON has one, too."""
    size: int = 0
    """Bytes of its text."""


def lots(objects: Mapping[Identity, StoredObject]) -> Iterator[dict[Identity, StoredObject]]:
    """Small objects, in lots that are gathered at once. Single ones are left out."""
    lot: dict[Identity, StoredObject] = {}
    size = 0
    for identity, entry in objects.items():
        if not 0 < entry.size <= SMALL_SIZE:
            continue
        if lot and (len(lot) == LOT_OBJECTS or size + entry.size > LOT_SIZE):
            yield lot
            lot, size = {}, 0
        lot[identity] = entry
        size += entry.size
    if len(lot) > 1:
        yield lot


def likeness_of(
    path: Path, identity: Identity, entry: StoredObject, contract: SourceContract, limits: UnpackLimits
) -> tuple[Likeness, Part] | None:
    """Look at the local copy of an object. Returns what it has in common with others, and the part to be read.

    Returns None if the object has to be read alone.
    Raises `UnreadableObject` for what cannot be read alone either.
    """
    _, path_values = in_path(contract, entry.key)
    if path_values:
        return None
    if format_of(entry.key) == "parquet":
        return _likeness_of_parquet(path, identity, entry, limits)
    plain = plain_text(unpack(path, entry.key, limits))
    size = plain.stat().st_size
    if size > SMALL_SIZE:
        return None
    content = plain.read_bytes()
    content += b"" if content.endswith(LINE_FEED) else LINE_FEED
    # All lines of a file have to end alike. A carriage return is white space in JSON, and counts between quotes of CSV.
    if format_of(entry.key) == "json" or b'"' not in content:
        content = content.replace(b"\r\n", LINE_FEED)
    elif b"\r" in content:
        return None
    counted = survey(plain, quotes=format_of(entry.key) == "csv")
    if counted.open_quote or counted.odd:
        return None
    if format_of(entry.key) == "json":
        if not content.lstrip().startswith(b"{"):
            return None
        lines = content.count(LINE_FEED)
        part = Part(identity, entry, plain, counted.lines, body=content, numbers=lines, size=size)
        return Likeness("json"), part
    header = read_header(plain, every_name(contract))
    head, _, body = content.partition(LINE_FEED)
    # The header has to be the first line, all of it: no blank line before it, and no quote that the next line closes.
    if header is None or not head.strip() or head.count(b'"') % 2:
        return None
    records = counted.records - 1
    part = Part(identity, entry, plain, records, head=head + LINE_FEED, body=body, numbers=records, size=size)
    return Likeness("csv", header.delimiter, tuple(header.names)), part


def _likeness_of_parquet(
    path: Path, identity: Identity, entry: StoredObject, limits: UnpackLimits
) -> tuple[Likeness, Part] | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        footer = pq.read_metadata(path)
    except (pa.ArrowException, OSError):
        return None
    if footer.num_row_groups > FEW_ROW_GROUPS:
        return None
    check_pages(footer, entry.size, limits)
    # The first line of its text is the address of the object.
    _, _, schema = str(footer.schema).partition("\n")
    return Likeness("parquet", schema=schema), Part(identity, entry, path, footer.num_rows)


def gather(parts: Sequence[Part], path: Path) -> None:
    """Write parts that are alike as one file, with the header of the first."""
    with path.open("wb") as file:
        file.write(parts[0].head)
        file.writelines(part.body for part in parts)


def files(parts: Sequence[Part]) -> Fragment:
    """Rows of the local copy of each part, and of its key."""
    return joined([Fragment(f"({literal(str(part.path))}, {literal(part.entry.key)})") for part in parts])


def places(parts: Sequence[Part]) -> Fragment:
    """Where each part begins in their file: rows of the number before its first one, and of its key."""
    firsts = accumulate((part.numbers for part in parts[:-1]), initial=0)
    return joined(
        [
            Fragment(f"({first}, {literal(part.entry.key)})")
            for first, part in zip(firsts, parts, strict=True)
            if part.numbers
        ]
    )
