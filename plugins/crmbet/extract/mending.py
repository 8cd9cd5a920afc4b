"""Reading a damaged CSV file so that a bad record loses nothing but itself.

The engine's CSV parser loses thousands of good rows to one quote that is never closed. Here a record that cannot be
right gives up its first line only, and reading goes on with the next line. A record cannot be right if a quote stays
open, if text follows a closing quote, or if it has too few or too many fields. Good records are written to a file that
the engine reads without trouble; bad ones are listed with the reason. This is far slower than the engine, so it is only
for files that the engine cannot read. The work is linear in the size of the file, whatever the damage: each line is
parsed at most three times.

The engine and this module agree on every record that both can read: spaces around quotes do not count, empty fields
after the last column do not count, and a quote inside an unquoted field is a letter.
"""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from crmbet.databases.scratch import require_room
from crmbet.extract.counting import LONGEST_LINE
from crmbet.extract.ids import NO_TEXT

QUOTED = re.compile(rb' *"([^"]*+(?:""[^"]*+)*+)" *')
OPENED = re.compile(rb' *"')
RECORDS_AT_ONCE = 10_000
"""After so many the room on the disk is looked at."""
NOT_TEXT = re.compile(rb"[\x00\x01]")


@dataclass(frozen=True)
class Mended:
    """The result of mending a file."""

    good: Path
    """CSV of `_row` and the fields, without a header."""
    rejects: Path
    """CSV of `_row` and `_reject`, without a header."""
    records: int
    """Good and bad records, without the header."""
    lines: int
    """Physical lines that are not empty and became part of a record, header included."""
    set_aside: int
    """Bytes of the bad records, without line ends."""


def mend_csv(path: Path, delimiter: str, width: int, widest: int) -> Mended:
    """Rewrite the first `width` columns of a CSV file that may have `widest`.

    `_row` is a record's place among all, good or bad, from 1.
    """
    good, rejects = path.with_suffix(".good"), path.with_suffix(".rejects")
    with (
        path.open("rb") as source,
        good.open("w", encoding="utf-8", newline="") as kept,
        rejects.open("w", encoding="utf-8", newline="") as refused,
    ):
        lines = _Lines(source, delimiter.encode())
        _, _, used, _ = next(_records(lines, delimiter.encode(), width, widest), (None, "", 0, 0))
        writer = csv.writer(kept, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL, lineterminator="\n")
        row = set_aside = 0
        for fields, fault, taken, size in _records(lines, delimiter.encode(), width, widest):
            if row % RECORDS_AT_ONCE == 0:
                require_room(path.parent)
            row += 1
            used += taken
            if fields is None:
                set_aside += size
                refused.write(f'{row},"{fault}"\n')
            else:
                writer.writerow([row, *(field.decode() for field in fields)])
    return Mended(good, rejects, row, used, set_aside)


class Split(NamedTuple):
    """A record, or the beginning of one, split into fields."""

    fields: list[bytes]
    """The fields that are complete: all of them if there is no fault and no open quote."""
    fault: str = ""
    """Why this is not a record; empty if nothing is wrong."""
    open_quote: bool = False
    """Whether one more field follows `fields`, and its quote is not closed: the record may go on in the next line."""


def _split_record(record: bytes, delimiter: bytes) -> Split:
    """Split a record, which has no line end, at `delimiter`."""
    if b'"' not in record:
        return Split(record.split(delimiter))
    fields: list[bytes] = []
    place = 0
    while True:
        if OPENED.match(record, place):
            quoted = QUOTED.match(record, place)
            if quoted is None:
                return Split(fields, open_quote=True)
            fields.append(quoted[1].replace(b'""', b'"'))
            end = quoted.end()
            if end < len(record) and not record.startswith(delimiter, end):
                return Split(fields, "text after a closing quote")
        else:
            end = record.find(delimiter, place)
            end = len(record) if end < 0 else end
            fields.append(record[place:end])
        if end >= len(record):
            return Split(fields)
        place = end + len(delimiter)


def split_first(path: Path, delimiter: str) -> Split:
    """The first record of a file, such as a header. It may have line breaks between quotes."""
    with path.open("rb") as source:
        lines = _Lines(source, delimiter.encode())
        line = next((line for line in lines if line.size), _Line(b""))
        split = _split_record(line.text, delimiter.encode())
        if line.fault or not split.open_quote or lines.rest_of_record(len(line.text)).fault:
            return split._replace(fault=split.fault or line.fault)
        parts = [line, *lines.take_rest_of_record()]
        return _split_record(b"\n".join(part.text for part in parts), delimiter.encode())


@dataclass(frozen=True)
class _Line:
    text: bytes
    """Without its end; empty if the line is at fault."""
    fault: str = ""
    bytes: int = 0
    """Its length without its end."""

    @property
    def size(self) -> int:
        """1 for a line that is not empty, else 0."""
        return int(bool(self.text or self.fault))


class _Rest(NamedTuple):
    """What later lines add to a record: all of them, or the last one alone."""

    fields: int
    """How many fields are completed there."""
    filled: int
    """The same without the empty fields at the end."""
    fault: str = ""
    """Why there is no record."""


NEVER_CLOSED = _Rest(0, 0, "a quote that is never closed")


class _Lines:
    """Physical lines of bounded length. It can look ahead at what the next lines add to a record, and then take them.

    A line that continues a record begins within quotes. Where the record began does not matter: the line closes the
    quote or not, and completes the same number of fields. So each line is parsed once as a continuation, and the work
    is linear even if every line begins a record that goes on to the end of the file.
    """

    def __init__(self, source: BinaryIO, delimiter: bytes = b"") -> None:
        self._source = source
        self._delimiter = delimiter
        # The next lines that have been parsed and leave the quote open, each with the fields completed in it.
        self._within: deque[tuple[_Line, int]] = deque()
        self._within_bytes = 0
        self._within_fields = 0
        # The line after those, if it has been read: the quote is closed in it, or it is at fault.
        self._last: tuple[_Line, _Rest] | None = None

    def __iter__(self) -> Iterator[_Line]:
        return self

    def __next__(self) -> _Line:
        if self._within:
            line, fields = self._within.popleft()
            self._within_bytes -= len(line.text) + 1
            self._within_fields -= fields
            return line
        if self._last:
            line, _ = self._last
            self._last = None
            return line
        read = self._read()
        if read is None:
            raise StopIteration
        return read

    def rest_of_record(self, size: int) -> _Rest:
        """What the next lines add to a record that has `size` bytes and ends within quotes. Takes none of the lines."""
        while self._last is None and size + self._within_bytes <= LONGEST_LINE:
            line = self._read()
            if line is None:
                break
            # With a quote before it, a line is parsed as one that begins within quotes.
            split = _split_record(b'"' + line.text, self._delimiter)
            if line.fault:
                self._last = line, NEVER_CLOSED
            elif split.open_quote:
                self._within.append((line, len(split.fields)))
                self._within_bytes += len(line.text) + 1
                self._within_fields += len(split.fields)
            else:
                self._last = line, _Rest(len(split.fields), _filled(split.fields, least=1), split.fault)
        if self._last is None:
            return NEVER_CLOSED
        line, rest = self._last
        if size + self._within_bytes + len(line.text) + 1 > LONGEST_LINE:
            return NEVER_CLOSED
        return _Rest(self._within_fields + rest.fields, self._within_fields + rest.filled, rest.fault)

    def take_rest_of_record(self) -> list[_Line]:
        """Take the lines that `rest_of_record` found to complete a record."""
        taken = [line for line, _ in self._within]
        if self._last:
            taken.append(self._last[0])
        self._within.clear()
        self._within_bytes = self._within_fields = 0
        self._last = None
        return taken

    def _read(self) -> _Line | None:
        text = self._source.readline(LONGEST_LINE + 1)
        if not text:
            return None
        if len(text) > LONGEST_LINE:
            length = len(text)
            while text and not text.endswith(b"\n"):
                text = self._source.readline(LONGEST_LINE)
                length += len(text)
            length -= len(text) - len(_without_end(text))
            return _Line(b"", f"longer than {LONGEST_LINE:,} bytes", length)
        text = _without_end(text)
        if NOT_TEXT.search(text):
            return _Line(b"", NO_TEXT, len(text))
        return _Line(text, "", len(text))


def _without_end(line: bytes) -> bytes:
    return line.removesuffix(b"\n").removesuffix(b"\r")


def _filled(fields: list[bytes], *, least: int = 0) -> int:
    """How many fields there are, without the empty ones at the end.

    `least` is 1 for the fields of a line that continues a record: the first has a line break, so it is not empty.
    """
    count = len(fields)
    while count > least and not fields[count - 1]:
        count -= 1
    return count


def _records(
    lines: _Lines, delimiter: bytes, width: int, widest: int
) -> Iterator[tuple[list[bytes] | None, str, int, int]]:
    """Each record: its fields or None, what is wrong with it, how many lines that are not empty it took, its bytes."""
    for line in lines:
        if line.fault:
            yield None, line.fault, 1, line.bytes
            continue
        if not line.text:
            continue
        split = _split_record(line.text, delimiter)
        count, filled, fault = len(split.fields), _filled(split.fields), split.fault
        if split.open_quote:
            rest = lines.rest_of_record(len(line.text))
            count, filled, fault = count + rest.fields, count + rest.filled, rest.fault
        if not fault and (count < width or filled > widest):
            fault = f"{count} fields instead of {width}"
        if fault:
            yield None, fault, 1, line.bytes
        elif split.open_quote:
            parts = [line, *lines.take_rest_of_record()]
            fields = _split_record(b"\n".join(part.text for part in parts), delimiter).fields
            yield fields[:width], "", sum(part.size for part in parts), sum(part.bytes for part in parts)
        else:
            yield split.fields[:width], "", 1, line.bytes
