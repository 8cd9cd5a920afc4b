"""How the stream does, as the page shows it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from fastapi import FastAPI
from fastapi.responses import JSONResponse

from crmbet.monitoring.page.reading import FRESH, Reading
from crmbet.monitoring.tables import read_stream

SHOWN_HOURS = 6


def add_stream(app: FastAPI, reading: Reading) -> None:
    """Add the route of what the stream says of itself, minute by minute."""

    @app.get("/api/stream")
    def stream() -> JSONResponse:
        """The minutes of the last hours in which a run of the stream lived, oldest first; none without a stream."""
        now = datetime.now(UTC)
        with reading.open_tables() as tables:
            rows = read_stream(tables, now - timedelta(hours=SHOWN_HOURS))
        minutes = [
            row | {"minute": row["minute"].isoformat(), "seen_at": row["seen_at"].isoformat()} for row in rows
        ]
        return JSONResponse({"now": now.isoformat(), "hours": SHOWN_HOURS, "minutes": minutes}, headers=FRESH)
