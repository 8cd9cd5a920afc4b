"""The catalogue in the UI: the page of all columns, and the figures of each from the runs."""

from __future__ import annotations

from fastapi import FastAPI, HTTPException
from fastapi.responses import HTMLResponse, JSONResponse

from crmbet.contracts.files import load_reasons_contract, load_table_contract
from crmbet.contracts.origins import load_origins
from crmbet.monitoring.page.catalogue_page import render_page
from crmbet.monitoring.page.documents import PAGE_POLICY
from crmbet.monitoring.page.reading import FRESH, Reading
from crmbet.monitoring.tables import read_drift_trend, read_fill_trend, read_table_run
from crmbet.texts import LANGUAGES, Language


def add_catalogue(app: FastAPI, reading: Reading, usual: Language) -> None:
    """Add the routes. The page begins in the `usual` language."""

    @app.get("/catalogue")
    def catalogue(language: str | None = None) -> HTMLResponse:
        chosen = next((each for each in LANGUAGES if each == language), usual)
        page = render_page(
            load_table_contract(),
            load_reasons_contract(),
            load_origins(),
            chosen,
            readers=reading.column_readers(),
            live=True,
        )
        return HTMLResponse(page, headers={"Content-Security-Policy": PAGE_POLICY})

    @app.get("/api/catalogue")
    def fill_rates() -> JSONResponse:
        """The share of players with a value, by column, in the run that made the table."""
        with reading.open_tables() as tables:
            loaded = read_table_run(tables, reading.dag_id)
        players = (loaded["players"] if loaded else None) or {}
        return JSONResponse({"filled": players.get("filled", {})}, headers=FRESH)

    @app.get("/api/catalogue/{column}")
    def trend(column: str) -> JSONResponse:
        """How a column went, oldest first: its fill rates, and its distances from the baseline."""
        if column not in load_table_contract().columns:
            raise HTTPException(404)
        with reading.open_tables() as tables:
            fill, drift = read_fill_trend(tables, reading.dag_id, column), read_drift_trend(tables, column)
        return JSONResponse({"fill": fill, "drift": drift}, headers=FRESH)
