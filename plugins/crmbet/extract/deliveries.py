"""Whether an object looks like a delivery of its feed. Its folder and its name decide, not its content.

A delivery repeats: tomorrow's object has the words of today's, and another date, number or id. Where a word or an id
cannot be told apart, as in `bets-exporter-vmlzm.csv`, the first word of a name says whose object it is. An object that
cannot be read is *foreign* if no object that was ever read has its folder's words, or none begins as its name does.
Somebody has put it there, and nothing of the feed is lost with it. In doubt an object is not foreign: rows may be
missing, and the gate has to say so.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import chain

from crmbet.extract.listing import PARTITION, stem_of

UUID = re.compile(r"[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}")
QUERY_ID = re.compile(r"\d{8}_\d{6}_\d{5}_[a-z0-9]{5}(?![a-z0-9])")
"""How Athena and Trino begin the names of what they write. Its last letters are drawn by chance."""
INSTANT = re.compile(r"\d{8}t\d{4,}z?(?![a-z0-9])")
TOKEN = re.compile(r"[^\W_]+")
RUNS = re.compile(r"\d+|\D+")
HEX_LETTERS = re.compile(r"[a-f]*")
MOST_RUNS = 3
"""A token of more runs of letters and digits, such as x7kq9z, is drawn by chance."""
DRAWN = "(drawn by chance)"
"""Stands for such a token."""
FEW = 3
"""Fewer objects than this do not show that their names are drawn by chance."""

MONTHS = (
    "jan|feb|fev|mar|apr|abr|may|mai|jun|jul|aug|ago|sep|set|oct|out|nov|dec|dez"
    "|january|february|march|april|june|july|august|september|october|november|december"
    "|janeiro|fevereiro|março|marco|abril|maio|junho|julho|agosto|setembro|outubro|novembro|dezembro"
)
WEEKDAYS = (
    "mon|tue|wed|thu|fri|sat|sun|monday|tuesday|wednesday|thursday|friday|saturday|sunday"
    "|seg|ter|qua|qui|sex|sáb|sab|dom|segunda|terça|terca|quarta|quinta|sexta|sábado|sabado|domingo|feira"
)
CODECS = "snappy|gzip|gz|zstd|zst|lz4|brotli|uncompressed"
UNIMPORTANT = re.compile(f"{MONTHS}|{WEEKDAYS}|{CODECS}|.")
"""Months, weekdays, the codecs that writers of Parquet put into names, and single letters: `part-a` and `part-b` are
one delivery."""


@dataclass(frozen=True)
class Likeness:
    """What the keys of a delivery have in common: the words of their folders, and how their names begin."""

    folder: tuple[str, ...]
    name: tuple[str, ...]
    """The first word; none if there is nothing but dates and numbers."""


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
    return Likeness(tuple(part for part in parts if part), _words(stem_of(name))[:1])


@dataclass(frozen=True)
class Deliveries:
    """The folders and the names that deliveries of a feed have had."""

    keys: frozenset[str]
    folders: frozenset[tuple[str, ...]]
    names: frozenset[tuple[str, ...]]
    any_folder: bool
    """Whether folders are drawn by chance, so that each may be one of a delivery."""
    any_name: bool

    @classmethod
    def of(cls, read: Iterable[str], empty: Iterable[str] = ()) -> Deliveries:
        """Those of objects that were read, by their keys below the feed's folder.

        `empty` ones are known themselves, and no other object is like them.
        """
        keys = frozenset(read)
        alike = [likeness(key) for key in keys]
        folders, names = [each.folder for each in alike], [each.name for each in alike]
        return cls(
            keys.union(empty), frozenset(folders), frozenset(names), _are_drawn(folders), _are_drawn(names)
        )

    def is_foreign(self, key: str) -> bool:
        """Whether an object is like no delivery, in its folder or in its name.

        If nothing was ever read, no object is foreign: then the feed itself may be what cannot be read.
        """
        own = likeness(key)
        is_known = (self.any_folder or own.folder in self.folders) and (
            self.any_name or own.name in self.names
        )
        return bool(self.names) and key not in self.keys and not is_known


def _are_drawn(of_deliveries: Collection[tuple[str, ...]]) -> bool:
    """Whether words are drawn by chance: some look so, or most are those of one delivery alone."""
    if DRAWN in chain.from_iterable(of_deliveries):
        return True
    alone = sum(times == 1 for words, times in Counter(of_deliveries).items() if words)
    return alone >= FEW and alone * 2 > len(of_deliveries)


def _words(name: str) -> tuple[str, ...]:
    """The words of a name, in their order."""
    plain = name.casefold()
    for varying in (UUID, QUERY_ID, INSTANT):
        plain = varying.sub(" ", plain)
    words = (word for token in TOKEN.findall(plain) for word in _words_of(token))
    return tuple(word for word in words if not UNIMPORTANT.fullmatch(word))


def _words_of(token: str) -> list[str]:
    """The letters beside the digits of a token; none if they are those of a hexadecimal number."""
    runs = RUNS.findall(token)
    letters = [run for run in runs if not run[0].isdecimal()]
    if len(runs) > 1 and all(HEX_LETTERS.fullmatch(run) for run in letters):
        return []
    return [DRAWN] if len(runs) > MOST_RUNS else letters
