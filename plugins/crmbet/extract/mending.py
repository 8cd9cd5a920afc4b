"""Reading a damaged text file so that a bad record loses nothing but itself.

The engine's CSV parser loses thousands of good rows to one quote that is never closed. Here a record that cannot be
right (a quote that stays open, text after a closing quote, too few or too many fields) gives up its first line only,
and reading goes on with the next one. What is good is written as a file that the engine reads without trouble; what is
bad is listed with its reason. Slower than the engine by far, so only for files that the engine stumbles over.

What both can read, they read alike: spaces around quotes do not count, nor do empty fields beyond the last column, and
inside an unquoted field a quote is a letter.
"""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TextIO

from crmbet.extract.counting import LONGEST_LINE

QUOTED = re.compile(rb' *"([^"]*+(?:""[^"]*+)*+)" *')
OPENED = re.compile(rb' *"')
NOT_TEXT = re.compile(rb"[\x00\x01]")


@dataclass(frozen=True)
class Mended:
    """What became of a damaged file."""

    good: Path
    """CSV: `_row` and the fields, no header. JSON lines: the lines, with bad ones left empty."""
    rejects: Path
    """CSV of `_row` and `_reject`, no header."""
    records: int
    """Good and bad ones, header excluded."""
    lines: int
    """Physical lines that are not empty, and that some record was made of, header included."""


def mend_csv(path: Path, delimiter: str, width: int) -> Mended:
    """Rewrite a CSV file of so many columns. `_row` is the place of a record among all, good or bad, from 1."""
    good, rejects = path.with_suffix(".good"), path.with_suffix(".rejects")
    with (
        path.open("rb") as source,
        good.open("w", encoding="utf-8", newline="") as kept,
        rejects.open("w", encoding="utf-8", newline="") as refused,
    ):
        lines = _Lines(source)
        _, _, used = next(_records(lines, delimiter.encode(), width), (None, "", 0))
        writer = csv.writer(kept, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL, lineterminator="\n")
        row = 0
        for fields, fault, size in _records(lines, delimiter.encode(), width):
            row += 1
            used += size
            if fields is None:
                _refuse(refused, row, fault)
            else:
                writer.writerow([row, *(field.decode() for field in fields)])
    return Mended(good, rejects, row, used)


def mend_lines(path: Path) -> Mended:
    """Rewrite a file of one record a line: too long lines, and bytes that are no text, are left out."""
    good, rejects = path.with_suffix(".good"), path.with_suffix(".rejects")
    records = 0
    with (
        path.open("rb") as source,
        good.open("wb") as kept,
        rejects.open("w", encoding="utf-8", newline="") as refused,
    ):
        for row, line in enumerate(_Lines(source), start=1):
            records += line.size
            if line.fault:
                _refuse(refused, row, line.fault)
            kept.write(line.text + b"\n")
    return Mended(good, rejects, records, records)


def split_record(record: bytes, delimiter: bytes) -> tuple[list[bytes] | None, str]:
    """The fields of a record; None with a fault if it is malformed, None without one if a quote is open at its end."""
    if b'"' not in record:
        return record.split(delimiter), ""
    fields = []
    place = 0
    while True:
        if OPENED.match(record, place):
            quoted = QUOTED.match(record, place)
            if quoted is None:
                return None, ""
            fields.append(quoted[1].replace(b'""', b'"'))
            end = quoted.end()
            if end < len(record) and not record.startswith(delimiter, end):
                return None, "text after a closing quote"
        else:
            end = record.find(delimiter, place)
            end = len(record) if end < 0 else end
            fields.append(record[place:end])
        if end >= len(record):
            return fields, ""
        place = end + len(delimiter)


@dataclass(frozen=True)
class _Line:
    text: bytes
    """Without its end; empty if the line is at fault."""
    fault: str = ""

    @property
    def size(self) -> int:
        """1 for a line that holds something."""
        return int(bool(self.text or self.fault))


class _Lines:
    """Physical lines, of bounded length, that can be put back."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._put_back: deque[_Line] = deque()

    def __iter__(self) -> Iterator[_Line]:
        return self

    def __next__(self) -> _Line:
        if self._put_back:
            return self._put_back.popleft()
        text = self._source.readline(LONGEST_LINE + 1)
        if not text:
            raise StopIteration
        if len(text) > LONGEST_LINE:
            while text and not text.endswith(b"\n"):
                text = self._source.readline(LONGEST_LINE)
            return _Line(b"", f"longer than {LONGEST_LINE:,} bytes")
        text = text.removesuffix(b"\n").removesuffix(b"\r")
        return _Line(b"", "bytes that are no text") if NOT_TEXT.search(text) else _Line(text)

    def put_back(self, lines: list[_Line]) -> None:
        """These come next again."""
        self._put_back.extendleft(reversed(lines))


def _records(lines: _Lines, delimiter: bytes, width: int) -> Iterator[tuple[list[bytes] | None, str, int]]:
    """Each record's fields, or None and what is wrong with it, and how many lines that are not empty it took."""
    for line in lines:
        if line.fault:
            yield None, line.fault, 1
        elif line.text:
            taken = [line]
            fields, fault = split_record(line.text, delimiter)
            if fields is None and not fault:
                taken, fields, fault = _continued(line, lines, delimiter)
            if fields is not None and (len(fields) < width or any(fields[width:])):
                fault = f"{len(fields)} fields instead of {width}"
            if fields is None or fault:
                lines.put_back(taken[1:])
                yield None, fault, 1
            else:
                yield fields[:width], "", sum(part.size for part in taken)


def _continued(first: _Line, lines: _Lines, delimiter: bytes) -> tuple[list[_Line], list[bytes] | None, str]:
    """A record whose quote is open at its line's end: the lines that it takes, and what they make."""
    taken, text = [first], [first.text]
    size = len(first.text)
    for line in lines:
        taken.append(line)
        if line.fault:
            break
        text.append(line.text)
        size += len(line.text) + 1
        if size > LONGEST_LINE:
            break
        if _closes_quote(line.text):
            fields, fault = split_record(b"\n".join(text), delimiter)
            if fields is not None or fault:
                return taken, fields, fault
    return taken, None, "a quote that is never closed"


def _closes_quote(line: bytes) -> bool:
    """Whether a quote that is open at the start of a line ends in it: two at once are a letter."""
    return b'"' in line.replace(b'""', b"")


def _refuse(refused: TextIO, row: int, fault: str) -> None:
    refused.write(f'{row},"{fault}"\n')
