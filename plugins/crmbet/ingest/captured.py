"""Reading captures back: the rows of some chunks, as a table expression."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from crmbet.fetching import Located
from crmbet.manifest import UNDATED, Capture
from crmbet.partitions import scan
from crmbet.statements import Fragment, joined, literal, render


def captured_rows(store: Located, captures: Sequence[Capture]) -> Fragment:
    """The rows of captures that have files. A file may hold other chunks too: see `Capture.part`."""
    whole = sorted({key for capture in captures if capture.part is None for key in capture.files})
    chunks: dict[str, set[str]] = {}
    for capture in captures:
        if capture.part is not None:
            for key in capture.files:
                chunks.setdefault(key, set()).add(capture.part)
    # Files of which the same chunks are wanted are read together.
    files: dict[frozenset[str], list[str]] = {}
    for key in sorted(chunks):
        files.setdefault(frozenset(chunks[key]), []).append(key)
    selected = [
        render("ingest/select_captured", files=scan(store, keys), wanted=_wanted(parts))
        for parts, keys in files.items()
    ]
    if whole and not selected:
        return scan(store, whole)
    if whole:
        selected.append(render("store/read_rows", source=scan(store, whole)))
    return Fragment("(" + "\nUNION ALL BY NAME\n".join(selected) + ")")


def _wanted(parts: Iterable[str]) -> Fragment:
    days = [Fragment(f"DATE {literal(part)}") for part in sorted(parts) if part != UNDATED]
    conditions = [Fragment(f"_part IN ({joined(days)})")] if days else []
    if UNDATED in parts:
        conditions.append(Fragment("_part IS NULL"))
    return joined(conditions, " OR ")
