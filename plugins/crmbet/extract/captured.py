"""Reads captures back: the rows of some chunks, as a table expression."""

from __future__ import annotations

from collections.abc import Sequence

from crmbet.databases.parquet import Located, scan
from crmbet.databases.statements import Fragment, joined, literal, render
from crmbet.extract.records import UNDATED, Capture


def captured_rows(files: Located, captures: Sequence[Capture]) -> Fragment:
    """The rows of captures that have files. A file may also hold other chunks of their source."""
    if any(capture.part is not None for capture in captures):
        return _rows_of_days(files, captures)
    wanted: dict[str, set[str]] = {}
    held: dict[str, int] = {}
    for capture in captures:
        for key in capture.files:
            wanted.setdefault(key, set()).add(capture.chunk)
            held[key] = capture.chunks_in_files
    # By the names of their objects, which mostly follow the days. Names of files of the store follow nothing.
    by_chunk = sorted(wanted, key=lambda key: (min(wanted[key]), key))
    whole = [key for key in by_chunk if len(wanted[key]) == held[key]]
    partly = [key for key in by_chunk if len(wanted[key]) != held[key]]
    # A contract may have got columns since a stream has captured some of its files.
    streamed = any(capture.streamed for capture in captures)
    selected = [render("databases/read_rows", source=scan(files, whole, by_name=streamed))] if whole else []
    select_some = "extract/select_chunks" if streamed else "extract/select_objects"
    selected += [
        render(
            select_some,
            file=scan(files, [key]),
            keys=joined([literal(chunk) for chunk in sorted(wanted[key])]),
        )
        for key in partly
    ]
    return Fragment("(" + "\nUNION ALL BY NAME\n".join(selected) + ")")


def _rows_of_days(files: Located, captures: Sequence[Capture]) -> Fragment:
    """The rows of captures of PostgreSQL, whose files hold many days."""
    chunks: dict[str, list[str]] = {}
    for capture in captures:
        for key in capture.files:
            chunks.setdefault(key, []).append(str(capture.part))
    selected = [
        render("extract/select_captured", file=scan(files, [key]), wanted=_wanted(parts))
        for key, parts in sorted(chunks.items())
    ]
    return Fragment("(" + "\nUNION ALL BY NAME\n".join(selected) + ")")


def _wanted(parts: Sequence[str]) -> Fragment:
    days = [Fragment(f"DATE {literal(part)}") for part in sorted(parts) if part != UNDATED]
    conditions = [Fragment(f"_part IN ({joined(days)})")] if days else []
    if UNDATED in parts:
        conditions.append(Fragment("_part IS NULL"))
    return joined(conditions, " OR ")
