"""Reading the header of a CSV file: its delimiter, and the names of its columns.

Names are compared as a reader sees them. White space at the ends and letters that have no shape (zero-width letters,
soft hyphens, byte order marks) do not count, any white space within a name counts as one blank, and a letter with an
accent is the same in one piece and in two. So a name of the contract is found, and a strange name of another column
does no harm.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from crmbet.extract.counting import LONGEST_LINE
from crmbet.extract.mending import split_first
from crmbet.extract.unreadable import UnreadableObject

DELIMITERS = (",", ";", "\t", "|")


@dataclass(frozen=True)
class Header:
    """The first record of a CSV file."""

    delimiter: str
    names: list[str]
    """In the order of the file; a name that is known as it is known. The empty ones at the end are left out."""


def read_header(path: Path, known: Collection[str]) -> Header | None:
    """The header of a file, by the delimiter that gives it the most names that are known; None if the file is empty.

    Raises `UnreadableObject` if the file begins with something else than text.
    """
    first = _first_line(path)
    if not first:
        return None
    if len(first) == LONGEST_LINE or not _is_text(first.decode(errors="replace")):
        raise UnreadableObject("its name says CSV, but its first line is no text")
    headers = [Header(delimiter, _names(path, delimiter, known)) for delimiter in DELIMITERS]
    return max(headers, key=lambda header: len(set(known).intersection(header.names)))


def as_seen(name: str) -> str:
    """A name as a reader sees it."""
    shaped = "".join(letter for letter in name if unicodedata.category(letter) != "Cf")
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


def _names(path: Path, delimiter: str, known: Collection[str]) -> list[str]:
    """The names of a header; none if it cannot be split."""
    split = split_first(path, delimiter)
    names = [] if split.fault or split.open_quote else _spelled_as_known(split.fields, known)
    while names and not names[-1]:
        names.pop()
    return names


def _spelled_as_known(fields: list[bytes], known: Collection[str]) -> list[str]:
    names = [field.decode(errors="replace").strip() for field in fields]
    spellings = {as_seen(name): name for name in known}
    # A column that has a known name letter for letter is not doubled by one that merely looks like it.
    taken = set(known).intersection(names)
    return [name if name in taken else _spelled(name, spellings, taken) for name in names]


def _spelled(name: str, spellings: dict[str, str], taken: set[str]) -> str:
    seen = as_seen(name)
    spelled = spellings.get(seen, seen)
    return name.encode("unicode_escape").decode() if spelled in taken else spelled


def _is_text(line: str) -> bool:
    return all(letter.isspace() or unicodedata.category(letter) != "Cc" for letter in line)
