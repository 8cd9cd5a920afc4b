"""Reading captures back: the rows of some chunks, as a table expression."""

from __future__ import annotations

from collections.abc import Sequence

from crmbet.fetching import Located
from crmbet.manifest import UNDATED, Capture
from crmbet.partitions import file_list, scan
from crmbet.statements import Fragment, joined, literal, render


def captured_rows(store: Located, captures: Sequence[Capture]) -> Fragment:
    """The rows of captures that have files. A file may hold other chunks too: see `Capture.part`."""
    files = sorted({key for capture in captures for key in capture.files})
    if all(capture.part is None for capture in captures):
        return scan(store, files)
    parts = [
        Fragment(f"({literal(store.url(key))}, {_day(capture.part)})")
        for capture in captures
        for key in capture.files
    ]
    return Fragment(
        f"({render('ingest/select_captured', files=file_list(store, files), parts=joined(parts))})"
    )


def _day(part: str | None) -> str:
    return "NULL::DATE" if part is None or part == UNDATED else f"DATE {literal(part)}"
