"""Whether an object looks like a delivery of its feed. Its folder and its name decide, not its content.

A delivery repeats: tomorrow's object has the words of today's, and another date, number or id. What is left of a key
without these is its likeness. An object that cannot be read is *foreign* if no object that was ever read has its
folder's words, or none has its name's. Somebody has put it there, and nothing of the feed is lost with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from crmbet.extract.listing import PARTITION, stem_of

UUID = re.compile(r"[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}")
QUERY_ID = re.compile(r"\d{8}_\d{6}_\d{5}_[a-z0-9]{5}(?![a-z0-9])")
"""How Athena and Trino begin the names of what they write. Its last letters are drawn by chance."""
TOKEN = re.compile(r"[^\W_]+")
RUNS = re.compile(r"\d+|\D+")
HEX_LETTERS = re.compile(r"[a-f]*")
MOST_RUNS = 3
"""A token of more runs of letters and digits, such as x7kq9z, is drawn by chance, or is an instant."""

MONTHS = (
    "jan|feb|fev|mar|apr|abr|may|mai|jun|jul|aug|ago|sep|set|oct|out|nov|dec|dez"
    "|january|february|march|april|june|july|august|september|october|november|december"
    "|janeiro|fevereiro|março|marco|abril|maio|junho|julho|agosto|setembro|outubro|novembro|dezembro"
)
CODECS = "snappy|gzip|gz|zstd|zst|lz4|brotli|uncompressed"
UNIMPORTANT = re.compile(f"{MONTHS}|{CODECS}|.")
"""Months, the codecs that writers of Parquet put into names, and single letters: `part-a` and `part-b` are one
delivery."""


@dataclass(frozen=True)
class Likeness:
    """What the keys of a delivery have in common: the words of their folders and those of their names."""

    folder: tuple[str, ...]
    name: tuple[str, ...]


def likeness(key: str) -> Likeness:
    """The likeness of an object, by its key below the feed's folder.

    It does not depend on digits, dates, uuids and hashes, on capitals, on values of partitions (`dt=2026-08-10` is
    `dt=`), on the format and its compression. A folder that is nothing but a number does not count.
    """
    *folders, name = key.split("/")
    parts = (
        f"{folder.partition('=')[0].casefold()}=" if PARTITION.match(folder) else " ".join(_words(folder))
        for folder in folders
    )
    return Likeness(tuple(part for part in parts if part), _words(stem_of(name)))


@dataclass(frozen=True)
class Deliveries:
    """The folders and the names that deliveries of a feed have had."""

    folders: frozenset[tuple[str, ...]]
    names: frozenset[tuple[str, ...]]

    @classmethod
    def of(cls, keys: Iterable[str]) -> Deliveries:
        """Those of objects that were read, by their keys below the feed's folder."""
        read = [likeness(key) for key in keys]
        return cls(frozenset(each.folder for each in read), frozenset(each.name for each in read))

    def is_foreign(self, key: str) -> bool:
        """Whether an object is like no delivery, in its folder or in its name.

        If nothing was ever read, no object is foreign: then the feed itself may be what cannot be read.
        """
        own = likeness(key)
        return bool(self.names) and (own.folder not in self.folders or own.name not in self.names)


def _words(name: str) -> tuple[str, ...]:
    """The words of a name, in their order."""
    plain = QUERY_ID.sub(" ", UUID.sub(" ", name.casefold()))
    words = (word for token in TOKEN.findall(plain) for word in _words_of(token))
    return tuple(word for word in words if not UNIMPORTANT.fullmatch(word))


def _words_of(token: str) -> list[str]:
    """The letters beside the digits of a token; none if the token looks drawn by chance, as a hash does."""
    runs = RUNS.findall(token)
    letters = [run for run in runs if not run[0].isdecimal()]
    if len(runs) > 1 and (len(runs) > MOST_RUNS or all(HEX_LETTERS.fullmatch(run) for run in letters)):
        return []
    return letters
