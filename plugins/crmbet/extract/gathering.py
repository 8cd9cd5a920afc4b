"""Gathers small text objects of one shape in one file, so that one statement reads them all.

A statement costs milliseconds to plan, and a file and a done-file cost two requests. For an object of a few rows that
is nearly all of the work. Objects of CSV have one shape if they have one header and one delimiter. Objects of JSON
lines all have one. What has another format, or looks unusual in any way, is read alone.
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
from crmbet.storage.object_store import StoredObject

SMALL_SIZE = 1 << 20
"""Bytes of text. A statement of its own costs little beside reading a larger object."""
LOT_OBJECTS = 500
LOT_SIZE = 32 << 20
"""So many objects and bytes, as they were delivered, are gathered at once. A kill loses no more than that."""
LINE_FEED = b"\n"


class Shape(NamedTuple):
    """What objects must have in common to be gathered."""

    format: str
    delimiter: str
    header: tuple[str, ...]


@dataclass(frozen=True)
class Part:
    """One small object that is gathered with others."""

    identity: Identity
    entry: StoredObject
    head: bytes
    """The line with the header, if the format has one."""
    body: bytes
    """All other lines."""
    records: int
    """Its records, counted without a parser."""
    numbers: int
    """How many numbers its records take: a blank line of JSON has one, too."""
    size: int
    """Bytes of its text."""


def lots(objects: Mapping[Identity, StoredObject]) -> Iterator[dict[Identity, StoredObject]]:
    """Small objects of text, in lots that are gathered at once. Single ones are left out."""
    lot: dict[Identity, StoredObject] = {}
    size = 0
    for identity, entry in objects.items():
        if not 0 < entry.size <= SMALL_SIZE or format_of(entry.key) not in ("csv", "json"):
            continue
        if lot and (len(lot) == LOT_OBJECTS or size + entry.size > LOT_SIZE):
            yield lot
            lot, size = {}, 0
        lot[identity] = entry
        size += entry.size
    if len(lot) > 1:
        yield lot


def shape_of(
    path: Path, identity: Identity, entry: StoredObject, contract: SourceContract, limits: UnpackLimits
) -> tuple[Shape, Part] | None:
    """The shape of an object, by its local copy, and its lines; None if it has to be read alone.

    Raises `UnreadableObject` for what cannot be read alone either.
    """
    _, path_values = in_path(contract, entry.key)
    if path_values:
        return None
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
        part = Part(identity, entry, head=b"", body=content, records=counted.lines, numbers=lines, size=size)
        return Shape("json", "", ()), part
    header = read_header(plain, every_name(contract))
    head, _, body = content.partition(LINE_FEED)
    # The header has to be the first line, all of it: no blank line before it, and no quote that the next line closes.
    if header is None or not head.strip() or head.count(b'"') % 2:
        return None
    records = counted.records - 1
    part = Part(
        identity, entry, head=head + LINE_FEED, body=body, records=records, numbers=records, size=size
    )
    return Shape("csv", header.delimiter, tuple(header.names)), part


def gather(parts: Sequence[Part], path: Path) -> None:
    """Write parts of one shape as one file, with the header of the first."""
    with path.open("wb") as file:
        file.write(parts[0].head)
        file.writelines(part.body for part in parts)


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
