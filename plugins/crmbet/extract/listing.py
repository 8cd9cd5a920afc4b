"""Which objects of a feed's folder are read. Their keys decide: nothing is opened here.

An object is read if its name ends as those of a format that we read. It is passed over if it is hidden or unfinished,
if it only says something about other objects, or if no format has its ending. A table of Delta, Iceberg or Hudi is
recognised: some of its files hold rows that were deleted or replaced, so they cannot be read one by one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from crmbet.extract.decoding import COMPRESSIONS
from crmbet.extract.records import Objects, PassedOver
from crmbet.storage.object_store import StoredObject
from crmbet.texts import ENGLISH, Texts

Format = Literal["parquet", "csv", "json"]

ENDINGS: Mapping[str, Format] = {
    ".parquet": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "json",
    ".ndjson": "json",
    ".json": "json",
}

PARTITION = re.compile(r"[^=]+=")
"""A folder such as `dt=2026-08-10` or `_dt=2026-08-10`, whose value may be anything."""
UNFINISHED = (
    ".inprogress", ".pending", "._copying_", ".copying", ".uploading", ".writing", ".incomplete", ".partial", ".part",
    ".filepart", ".crdownload", ".tmp", ".temp", ".swp", ".lock", "~",
)  # fmt: skip
"""How names end, in lower case, of what tools have not finished."""
IN_PROGRESS = re.compile(r".*[.](inprogress|pending)[.][^.]+")
"""Flink adds an id to the ending."""
MARKERS = (
    ".crc", ".md5", ".sha1", ".sha256", ".sha512", ".sig", ".asc", ".checksum", ".manifest", ".done", ".ok", ".ready",
    ".complete", ".success", ".ctl", ".trg", ".flag",
)  # fmt: skip
"""How names end, in lower case, of what says that other objects are complete, or lets one verify them."""

TABLE_SIGNS = re.compile(r"_delta_log/|[.]hoodie|_hudi/|data/")
"""What is in every key that says something about a table, so that the others are not looked at."""
ICEBERG = re.compile(r"(v\d+|\d+-[0-9a-f-]{36})([.]\w+)?[.]metadata[.]json([.]\w+)?", re.IGNORECASE)
"""How Iceberg names the description of a table, in the table's folder `metadata`."""
MAYBE_ICEBERG = re.compile(r".*[.]metadata[.]json([.]\w+)?", re.IGNORECASE)
"""Some catalogues name it otherwise. It then counts if a folder `data` is beside `metadata`."""

EXAMPLES = 3

WORDS: Mapping[PassedOver, str] = {
    "hidden": "hidden or unfinished",
    "marker": "marker or checksum",
    "ending": "of no format that is read",
}


@dataclass(frozen=True)
class Table:
    """A table whose format, such as Delta, keeps data files that no longer count."""

    format: str
    folder: str
    """Key of its folder, with a slash at the end."""

    @property
    def description(self) -> str:
        """Such as `a Delta table`."""
        return f"{'an' if self.format[0] in 'AEIOU' else 'a'} {self.format} table"


@dataclass(frozen=True)
class Listing:
    """The objects of a feed's folder. Keys that only stand for folders are left out."""

    read: list[StoredObject]
    passed_over: dict[PassedOver, Objects]
    """By reason. Reasons without objects are left out."""
    table: Table | None
    """The first table of a table format, if there is one."""


def sort_listing(folder: str, objects: Iterable[StoredObject]) -> Listing:
    """Decide about each object below a feed's folder, whose key ends with a slash."""
    listed = [entry for entry in objects if not entry.key.endswith("/")]
    read: list[StoredObject] = []
    passed_over: dict[PassedOver, list[StoredObject]] = {}
    for entry in listed:
        why = why_passed_over(entry.key.removeprefix(folder), entry.size)
        if why is None:
            read.append(entry)
        else:
            passed_over.setdefault(why, []).append(entry)
    return Listing(
        read,
        {why: some_objects(passed_over[why]) for why in WORDS if why in passed_over},
        find_table(folder, (entry.key for entry in listed)),
    )


def why_passed_over(key: str, size: int) -> PassedOver | None:
    """Why an object is not read, by its key below the feed's folder and its size in bytes; None if it is read."""
    if _hidden_place(key.split("/")) is not None:
        return "hidden"
    if key.lower().endswith(MARKERS):
        return "marker"
    if format_of(key):
        return None
    # An empty object that is no file of a format is a sign, as `_SUCCESS` is: it holds nothing that could be lost.
    return "ending" if size else "marker"


def format_of(key: str) -> Format | None:
    """The format by the ending of a key, with or without that of a compression; None if no format has it."""
    name = _uncompressed(key.lower())
    return ENDINGS.get(name[name.rfind(".") :])


def stem_of(name: str) -> str:
    """An object's name in lower case, without the endings of its format and compression."""
    stem = _uncompressed(name.lower())
    return stem[: stem.rfind(".")] if format_of(stem) else stem


def find_table(folder: str, keys: Iterable[str]) -> Table | None:
    """The first table of a table format below a feed's folder, at any depth, unless it is itself in a hidden folder."""
    found: dict[str, str] = {}
    maybe_iceberg: set[str] = set()
    with_data: set[str] = set()
    for key in filter(TABLE_SIGNS.search, keys):
        segments = key.removeprefix(folder).split("/")
        place = _hidden_place(segments)
        if place is not None:
            if format_ := _format_of_hidden(segments, place):
                found.setdefault(_join(folder, segments[:place]), format_)
            continue
        with_data |= {
            _join(folder, segments[:place]) for place, name in enumerate(segments[:-1]) if name == "data"
        }
        if segments[-2:-1] == ["metadata"]:
            table = _join(folder, segments[:-2])
            if ICEBERG.fullmatch(segments[-1]):
                found.setdefault(table, "Iceberg")
            elif MAYBE_ICEBERG.fullmatch(segments[-1]):
                maybe_iceberg.add(table)
    found |= dict.fromkeys(maybe_iceberg & with_data, "Iceberg")
    # A folder of Hudi has signs in its partitions, too: the shortest one is that of the table.
    return min(
        (Table(format_, table) for table, format_ in found.items()),
        key=lambda table: (len(table.folder), table.folder),
        default=None,
    )


def describe_passed_over(passed_over: Mapping[PassedOver, Objects], say: Texts = ENGLISH) -> str:
    """How many objects are passed over and why, with examples."""
    return "; ".join(
        f"{objects.count} {say(WORDS[why])} ({objects.shown})" for why, objects in passed_over.items()
    )


def some_objects(objects: Iterable[StoredObject]) -> Objects:
    """The number and size of objects, with the first keys as examples."""
    listed = sorted(objects, key=lambda entry: entry.key)
    return Objects(
        count=len(listed),
        bytes=sum(entry.size for entry in listed),
        examples=[entry.key for entry in listed[:EXAMPLES]],
    )


def _uncompressed(name: str) -> str:
    return name[: name.rfind(".")] if name.endswith(tuple(COMPRESSIONS)) else name


def _hidden_place(segments: list[str]) -> int | None:
    """The place of the first hidden or unfinished part of a key; None if there is none."""
    last = len(segments) - 1
    for place, segment in enumerate(segments):
        if place < last and PARTITION.match(segment):
            continue
        if segment.startswith(("_", ".")) or _is_unfinished(segment.lower()):
            return place
    return None


def _is_unfinished(name: str) -> bool:
    return name.endswith(UNFINISHED) or name == "+tmp" or bool(IN_PROGRESS.fullmatch(name))


def _format_of_hidden(segments: list[str], place: int) -> str | None:
    """The table format whose sign is the hidden part of a key at this place."""
    hidden = segments[place]
    if hidden == "_delta_log" and place < len(segments) - 1:
        return "Delta"
    if hidden.startswith(".hoodie") or hidden == "_hudi":
        return "Hudi"
    return None


def _join(folder: str, segments: list[str]) -> str:
    return folder + "".join(f"{segment}/" for segment in segments)
