"""Runs that have not ended, and two runs side by side."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import FastAPI
from fastapi.responses import JSONResponse

from crmbet.monitoring.comparison import compare_runs
from crmbet.monitoring.page.reading import FRESH, Reading
from crmbet.run.tasks import EXTRACTS


def add_underway(app: FastAPI, reading: Reading) -> None:
    """Add the routes."""

    @app.get("/api/underway")
    def underway() -> JSONResponse:
        """The runs under way, the oldest first, and which tasks run side by side."""
        runs = reading.runs_under_way(reading.dag_id)
        return JSONResponse(
            {
                "now": datetime.now(UTC).isoformat(),
                "side_by_side": list(EXTRACTS),
                "runs": [run.model_dump(mode="json") for run in runs],
            },
            headers=FRESH,
        )

    @app.get("/api/compare")
    def compare(one: str, other: str) -> JSONResponse:
        """The players and cells in which the feature tables of two runs differ."""
        with reading.open_store() as reader:
            return JSONResponse(compare_runs(reader, one, other).model_dump(), headers=FRESH)
