"""Counting a text file's records from its bytes alone, so that a parser that drops some in silence is found out.

Lines are taken to end with a line feed, maybe after a carriage return, as `spool.plain_text` leaves them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

BLOCK = 4 << 20
LONGEST_LINE = 1 << 20
"""Bytes, its end included; what is longer is no record of a feed, whatever it is."""

NEWLINE, RETURN, QUOTE, COMMA = b'\n\r",'
WHITE_SPACE = b" \t\r\n"
REOPENED = re.compile(rb'" +"')
"""Often a quoted blank. But the engine opens a quote anew where one follows its end and spaces."""


@dataclass(frozen=True)
class Survey:
    """What the bytes of a text file say."""

    lines: int
    """Physical lines that are not empty: the records of JSON lines."""
    records: int
    """The same less line breaks between quotes, where those were looked for: the records of CSV, header included."""
    open_quote: bool
    """Whether a quote is still open at the end: then `records` says little."""
    odd: bool
    """Whether there is a line too long to be a record, or a byte that would mislead the engine."""


def survey(path: Path, *, quotes: bool) -> Survey:
    """Read a file once, in blocks. `quotes` says whether a line break between them ends no record, as in CSV."""
    import numpy as np

    lines, records = _Counter(), _Counter()
    odd = reopened = False
    open_quote = np.uint8(0)
    offset = 0
    with path.open("rb") as file:
        # A block ends where a line does, unless that is too long for a record anyway.
        while block := file.read(BLOCK) + file.readline(LONGEST_LINE):
            odd = odd or 0 in block or 1 in block
            content = np.frombuffer(block, np.uint8)
            breaks = np.flatnonzero(content == NEWLINE)
            ended = lines.add(content, breaks, offset)
            if quotes and (open_quote or QUOTE in block):
                inside = np.bitwise_xor.accumulate((content == QUOTE).view(np.uint8)) ^ open_quote
                open_quote = inside[-1]
                reopened = reopened or REOPENED.search(block) is not None
                records.add(content, breaks[inside[breaks] == 0], offset)
            else:
                records = replace(lines, ended=records.ended + ended)
            offset += len(block)
    found = Survey(lines.total(offset), records.total(offset), bool(open_quote), odd)
    # A quote that opens anew may swallow the lines that follow.
    misleading = reopened and found.lines != found.records
    return replace(found, odd=odd or misleading or lines.longest_of(offset) > LONGEST_LINE)


def count_elements(path: Path) -> int | None:
    """How many elements, or members, the one JSON array or object has that a file is.

    None if the file is anything else: cut off, or several values.
    """
    import numpy as np

    steps, white = np.zeros(256, np.int8), np.zeros(256, bool)
    steps[list(b"[{")], steps[list(b"]}")] = 1, -1
    white[list(WHITE_SPACE)] = True
    depth = np.int32(0)
    in_string = np.uint8(0)
    solid = outside = commas = 0
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            if (len(block) - len(block.rstrip(b"\\"))) % 2:
                # An escape stays whole.
                block += file.read(1)
            if b"\\" in block:
                # What is escaped is no quote; one pair after the other, so that an escaped backslash escapes nothing.
                block = block.replace(b"\\\\", b"__").replace(b'\\"', b"__")
            content = np.frombuffer(block, np.uint8)
            inside = np.bitwise_xor.accumulate((content == QUOTE).view(np.uint8)) ^ in_string
            depths = depth + np.cumsum(steps[content] * (inside == 0), dtype=np.int32)
            filled = ~white[content]
            solid += int(np.count_nonzero(filled))
            outside += int(np.count_nonzero(filled & (depths == 0)))
            commas += int(np.count_nonzero((content == COMMA) & (inside == 0) & (depths == 1)))
            depth, in_string = depths[-1], inside[-1]
    # Outside of the value there is only the bracket that closes it.
    if depth or in_string or outside != 1 or solid < len("[]"):
        return None
    return commas + 1 if solid > len("[]") else 0


@dataclass
class _Counter:
    """Line ends that end something: not those that follow another at once, or after a carriage return."""

    ended: int = 0
    last: int = -1
    """Place of the last line end in the file."""
    longest: int = 0
    """Bytes of the longest line, its end included."""

    def add(self, content: npt.NDArray[np.uint8], breaks: npt.NDArray[np.int64], offset: int) -> int:
        """Count a block's line ends; returns how many of them end something."""
        import numpy as np

        if not len(breaks):
            return 0
        gaps = np.diff(breaks, prepend=self.last - offset)
        # If a block begins with a line feed, no carriage return is before it: it would have been in the same block.
        after_return = (content[breaks - 1] == RETURN) & (breaks > 0)
        empty = (gaps == 1) | ((gaps == 2) & after_return)
        ended = int(len(breaks) - np.count_nonzero(empty))
        self.longest = max(self.longest, int(gaps.max()))
        self.last = int(breaks[-1]) + offset
        self.ended += ended
        return ended

    def total(self, size: int) -> int:
        """With what follows the last line end, if anything does."""
        return self.ended + (self.last < size - 1)

    def longest_of(self, size: int) -> int:
        """With what follows the last line end."""
        return max(self.longest, size - 1 - self.last)
