"""Counting a text file's records from its bytes, without a parser. A parser that silently drops records is caught so.

Lines end with a line feed, or with a carriage return and a line feed, as `decoding.plain_text` leaves them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

BYTES_AT_ONCE = 4 << 20
LONGEST_LINE = 1 << 20
"""Bytes, line end included. A longer line is not a record of any feed."""

NEWLINE, RETURN, QUOTE, COMMA = b'\n\r",'
WHITE_SPACE = b" \t\r\n"
REOPENED_QUOTE = re.compile(rb'" +"')
"""Often a quoted blank. But if a quote follows a closing quote and spaces, the engine takes it for an opening one."""


@dataclass(frozen=True)
class Survey:
    """What the bytes of a text file show."""

    lines: int
    """Physical lines that are not empty: the records of JSON lines."""
    records: int
    """Like `lines`, but with `quotes` a line break between quotes does not count: the records of CSV and its header."""
    open_quote: bool
    """Whether a quote is still open at the end of the file. `records` means little then."""
    odd: bool
    """Whether a line is too long for a record, or a byte or a quote would mislead the engine."""


def survey(path: Path, *, quotes: bool) -> Survey:
    """Read a file once, in pieces. With `quotes`, a line break between quotes does not end a record, as in CSV."""
    import numpy as np

    lines, records = _Counter(), _Counter()
    odd = reopened = False
    open_quote = np.uint8(0)
    offset = 0
    with path.open("rb") as file:
        # A piece ends at a line end, unless the line is too long to be a record.
        while piece := file.read(BYTES_AT_ONCE) + file.readline(LONGEST_LINE):
            odd = odd or 0 in piece or 1 in piece
            content = np.frombuffer(piece, np.uint8)
            breaks = np.flatnonzero(content == NEWLINE)
            ended = lines.add(content, breaks, offset)
            if quotes and (open_quote or QUOTE in piece):
                inside = np.bitwise_xor.accumulate((content == QUOTE).view(np.uint8)) ^ open_quote
                open_quote = inside[-1]
                reopened = reopened or REOPENED_QUOTE.search(piece) is not None
                records.add(content, breaks[inside[breaks] == 0], offset)
            else:
                records = replace(lines, ended=records.ended + ended)
            offset += len(piece)
    counted = Survey(lines.total(offset), records.total(offset), bool(open_quote), odd)
    # A quote that is opened again may swallow the following lines.
    misleading = reopened and counted.lines != counted.records
    return replace(counted, odd=odd or misleading or lines.longest_of(offset) > LONGEST_LINE)


def count_elements(path: Path) -> int | None:
    """How many elements, or members, a file has that is one JSON array, or one object.

    None if the file is anything else, such as a truncated array or several values.
    """
    import numpy as np

    steps, white = np.zeros(256, np.int8), np.zeros(256, bool)
    steps[list(b"[{")], steps[list(b"]}")] = 1, -1
    white[list(WHITE_SPACE)] = True
    depth = np.int32(0)
    in_string = np.uint8(0)
    solid = outside = commas = 0
    with path.open("rb") as file:
        while piece := file.read(BYTES_AT_ONCE):
            if (len(piece) - len(piece.rstrip(b"\\"))) % 2:
                # The piece must not end inside an escape.
                piece += file.read(1)
            if b"\\" in piece:
                # An escaped quote is not a quote. Pairs of backslashes go first: the second one escapes nothing.
                piece = piece.replace(b"\\\\", b"__").replace(b'\\"', b"__")
            content = np.frombuffer(piece, np.uint8)
            inside = np.bitwise_xor.accumulate((content == QUOTE).view(np.uint8)) ^ in_string
            depths = depth + np.cumsum(steps[content] * (inside == 0), dtype=np.int32)
            filled = ~white[content]
            solid += int(np.count_nonzero(filled))
            outside += int(np.count_nonzero(filled & (depths == 0)))
            commas += int(np.count_nonzero((content == COMMA) & (inside == 0) & (depths == 1)))
            depth, in_string = depths[-1], inside[-1]
    # Only the closing bracket is counted as outside of the value.
    if depth or in_string or outside != 1 or solid < len("[]"):
        return None
    return commas + 1 if solid > len("[]") else 0


@dataclass
class _Counter:
    """Counts the lines that are not empty: a line end right after another, or after a carriage return, ends none."""

    ended: int = 0
    last: int = -1
    """Offset of the last line end in the file; -1 before the first."""
    longest: int = 0
    """Bytes of the longest line, its end included."""

    def add(self, content: npt.NDArray[np.uint8], breaks: npt.NDArray[np.int64], offset: int) -> int:
        """Count a piece that begins at `offset` and has line ends at `breaks`; returns its lines that are not empty."""
        import numpy as np

        if not len(breaks):
            return 0
        gaps = np.diff(breaks, prepend=self.last - offset)
        # If a piece begins with a line feed, no carriage return precedes it: both would have been in one piece.
        after_return = (content[breaks - 1] == RETURN) & (breaks > 0)
        empty = (gaps == 1) | ((gaps == 2) & after_return)
        ended = int(len(breaks) - np.count_nonzero(empty))
        self.longest = max(self.longest, int(gaps.max()))
        self.last = int(breaks[-1]) + offset
        self.ended += ended
        return ended

    def total(self, size: int) -> int:
        """All lines that are not empty, including text after the last line end."""
        return self.ended + (self.last < size - 1)

    def longest_of(self, size: int) -> int:
        """Bytes of the longest line, including text after the last line end."""
        return max(self.longest, size - 1 - self.last)
