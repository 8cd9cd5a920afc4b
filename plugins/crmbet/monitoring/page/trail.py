"""The rows behind a figure: what was set aside, what a failed check names, and how each check went over time.

Every route has a twin below `people/`, which shows what names or describes a person and has a guard of its own.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from typing import Any

from fastapi import Depends, FastAPI, Query
from fastapi.responses import JSONResponse, Response

from crmbet.monitoring.page.reading import FRESH, Reading
from crmbet.monitoring.tables import read_check_trend, read_checks
from crmbet.monitoring.trail import SourceRow, rows_in_breach, set_aside_rows

ROWS_SHOWN = 2_000
ROWS_IN_FILE = 100_000
HEADS = ("source", "day", "reason", "source_key", "source_row", "key", "record")
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a cell begins with that a spreadsheet would compute."""


def add_trail(app: FastAPI, reading: Reading, may_see_people: Any) -> None:
    """Add the routes. `may_see_people` guards those that show personal data, beside the app's own guards."""
    for prefix, guards, unmasked in (("api", [], False), ("people", [Depends(may_see_people)], True)):
        _add_rows(app, reading, prefix, guards, unmasked=unmasked)

    @app.get("/api/checks")
    def checks() -> JSONResponse:
        """Each check of each judged as_of, oldest first: whether it passed."""
        with reading.open_tables() as tables:
            return JSONResponse({"checks": read_checks(tables)}, headers=FRESH)

    @app.get("/api/checks/{stage}/{check}")
    def trend(stage: str, check: str) -> JSONResponse:
        """What a check found over time, by expectation: value, limit, whether it passed."""
        with reading.open_tables() as tables:
            return JSONResponse({"expectations": read_check_trend(tables, stage, check)}, headers=FRESH)


def _add_rows(app: FastAPI, reading: Reading, prefix: str, guards: Sequence[Any], *, unmasked: bool) -> None:
    def read(execution_id: str, source: str, reason: str | None, most: int) -> list[SourceRow]:
        with reading.open_store() as reader:
            return set_aside_rows(reader, execution_id, source, reason, most=most, unmasked=unmasked)

    @app.get(f"/{prefix}/set-aside", dependencies=guards)
    def set_aside(run: str, source: str, reason: str | None = None) -> JSONResponse:
        """Rows in quarantine: one more than is shown, if there are more."""
        return _rows(read(run, source, reason, ROWS_SHOWN + 1))

    @app.get(f"/{prefix}/set-aside.csv", dependencies=guards)
    def set_aside_file(run: str, source: str, reason: str | None = None) -> Response:
        """The same as a file."""
        return Response(
            _as_csv(read(run, source, reason, ROWS_IN_FILE)),
            media_type="text/csv; charset=utf-8",
            headers=FRESH | {"Content-Disposition": f'attachment; filename="set-aside-{_word(source)}.csv"'},
        )

    @app.get(f"/{prefix}/breach", dependencies=guards)
    def breach(run: str, stage: str, view: str, title: str = Query(max_length=1_000)) -> JSONResponse:
        """The rows that a report names for an expectation."""
        with reading.open_store() as reader:
            return _rows(rows_in_breach(reader, run, stage, view, title, unmasked=unmasked))


def _rows(rows: Sequence[SourceRow]) -> JSONResponse:
    shown = [row.model_dump(mode="json") for row in rows[:ROWS_SHOWN]]
    return JSONResponse({"rows": shown, "more": len(rows) > ROWS_SHOWN}, headers=FRESH)


def _as_csv(rows: Iterable[SourceRow]) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(HEADS)
    for row in rows:
        cells = row.model_dump(mode="json") | {
            "record": None if row.record is None else json.dumps(row.record, ensure_ascii=False)
        }
        writer.writerow([_harmless(cells[head]) for head in HEADS])
    return text.getvalue()


def _harmless(cell: Any) -> Any:
    """The cell, which a spreadsheet takes for text and not for a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


def _word(name: str) -> str:
    return "".join(letter for letter in name if letter.isascii() and (letter.isalnum() or letter == "_"))
