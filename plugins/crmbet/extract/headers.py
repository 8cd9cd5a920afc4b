"""Reading the header of a CSV file: its delimiter, and the names of its columns.

Names are compared as a reader sees them. White space at the ends and letters that have no shape (zero-width letters,
soft hyphens, byte order marks, fillers) do not count, any white space within a name counts as one blank, and a letter
with an accent is the same in one piece and in two. So a name of the contract is found, and a strange name of another
column does no harm.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from crmbet.extract.counting import LONGEST_LINE
from crmbet.extract.mending import split_first
from crmbet.extract.unreadable import UnreadableObject

DELIMITERS = (",", ";", "\t", "|")
VARIATION = re.compile(
    "[\u034f\u115f\u1160\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Letters without a shape that Unicode does not call so: selectors of variations, joiners and fillers."""


@dataclass(frozen=True)
class Header:
    """The first record of a CSV file."""

    delimiter: str
    names: list[str]
    """In the order of the file; a name that is known as it is known. The empty ones at the end are left out."""
    width: int
    """How many columns there are, with those at the end that have no name."""
    open_quote: bool = False
    """Whether there are no names because a quote is never closed."""


def read_header(path: Path, known: Collection[str]) -> Header | None:
    """The header of a file, by the delimiter that gives it the most names that are known; None if the file is empty.

    Raises `UnreadableObject` if the file begins with something else than text, or with a quote that is never closed.
    """
    first = _first_line(path)
    if not first:
        return None
    if len(first) == LONGEST_LINE or not _is_text(first.decode(errors="replace")):
        raise UnreadableObject("its name says CSV, but its first line is no text")
    headers = [_split(path, delimiter, known) for delimiter in DELIMITERS]
    best = max(headers, key=lambda header: len(set(known).intersection(header.names)))
    if not set(known).intersection(best.names) and any(header.open_quote for header in headers):
        raise UnreadableObject("its first line has a quote that is never closed")
    return best


def as_seen(name: str) -> str:
    """A name as a reader sees it."""
    shaped = "".join(letter for letter in name if not _is_shapeless(letter))
    return " ".join(unicodedata.normalize("NFC", shaped).split())


def _first_line(path: Path) -> bytes:
    """The first line that is not empty, without its end; empty if no line has more than white space."""
    with path.open("rb") as file:
        first = b""
        while line := file.readline(LONGEST_LINE):
            first = first or line.rstrip(b"\r\n")
            if line.strip():
                return first
    return b""


def _split(path: Path, delimiter: str, known: Collection[str]) -> Header:
    split = split_first(path, delimiter)
    names = [] if split.fault or split.open_quote else _spelled_as_known(split.fields, known)
    width = len(names)
    while names and not names[-1]:
        names.pop()
    return Header(delimiter, names, width, split.open_quote)


def _spelled_as_known(fields: list[bytes], known: Collection[str]) -> list[str]:
    names = [_unquoted(field.decode(errors="replace")).strip() for field in fields]
    spellings = {as_seen(name): name for name in known}
    # A column that has a known name letter for letter is not doubled by one that merely looks like it.
    taken = set(known).intersection(names)
    return [name if name in taken else _spelled(name, spellings, taken) for name in names]


def _spelled(name: str, spellings: dict[str, str], taken: set[str]) -> str:
    seen = as_seen(name)
    spelled = spellings.get(seen, seen)
    return name.encode("unicode_escape").decode() if spelled in taken else spelled


def _unquoted(name: str) -> str:
    """A name without its quotes, which did not count as such if letters that nobody sees stand before them."""
    seen = as_seen(name)
    hidden = not name.startswith('"') and len(seen) > 1 and seen.startswith('"') and seen.endswith('"')
    return seen[1:-1].replace('""', '"') if hidden else name


def _is_shapeless(letter: str) -> bool:
    return unicodedata.category(letter) == "Cf" or VARIATION.fullmatch(letter) is not None


def _is_text(line: str) -> bool:
    return all(letter.isspace() or unicodedata.category(letter) != "Cc" for letter in line)
