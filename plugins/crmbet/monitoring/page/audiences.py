"""What was handed over to the CRM, as the page shows it. It names no player."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.responses import JSONResponse

from crmbet.monitoring.page.reading import FRESH, Reading
from crmbet.monitoring.tables import read_audiences


def add_audiences(app: FastAPI, reading: Reading) -> None:
    """Add the route of the audiences: what each is, its counts, and where the CRM takes it."""

    @app.get("/api/audiences")
    def audiences() -> JSONResponse:
        with reading.open_tables() as tables:
            rows = read_audiences(tables)
            schema = tables.schema
        store = reading.store_address() if rows else ""
        handed = [
            {
                "name": row["audience"],
                "description": row["description"],
                "purpose": row["purpose"],
                "as_of": row["as_of"].isoformat(),
                "published": row["published_at"].isoformat(),
                "members": row["members"],
                "entered": row["entered"],
                "left": row["leavers"],
                "excluded": row["excluded"],
                "view": f"{schema}.{row['view']}",
                "files": {name: f"{store}{key}" for name, key in row["files"].items()},
            }
            for row in rows
        ]
        return JSONResponse({"audiences": handed}, headers=FRESH)
