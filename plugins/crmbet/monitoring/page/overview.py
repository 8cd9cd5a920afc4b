"""Runs and alerts as the page shows them, drift, and reports."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from html import escape
from typing import Any

from fastapi import FastAPI, HTTPException, Query
from fastapi.responses import HTMLResponse, JSONResponse

from crmbet.failures import SourceMissing
from crmbet.monitoring.costs import price_run
from crmbet.monitoring.page.costs import summarise_costs
from crmbet.monitoring.page.documents import REPORT_POLICY
from crmbet.monitoring.page.reading import FRESH, Reading
from crmbet.monitoring.tables import (
    read_alerts,
    read_drift,
    read_run,
    read_runs,
    read_table_run,
)
from crmbet.run.settings import CostSettings
from crmbet.run.tasks import TASKS

MOST_RUNS = 1_000
ALERTS_SHOWN = 30
NOT_LISTED = ("movements", "filled")
"""Figures of players that are large, and that the page asks for elsewhere."""


def add_overview(app: FastAPI, reading: Reading) -> None:
    """Add the routes of what runs have written about themselves."""

    @app.get("/api/overview")
    def overview(
        runs: int = Query(default=400, ge=1, le=MOST_RUNS),
        since: date | None = None,
        until: date | None = None,
    ) -> JSONResponse:
        """The newest runs, those of the chosen dates too, and the run that made what the table shows."""
        chosen = (since or date.min, until or date.max) if since or until else None
        with reading.open_tables() as tables:
            rows = read_runs(tables, reading.dag_id, runs, chosen)
            # A long backfill may have pushed it out of the newest runs.
            loaded = read_table_run(tables, reading.dag_id)
            alerts = read_alerts(tables, ALERTS_SHOWN)
            schema = tables.schema
        prices = reading.prices()
        return JSONResponse(
            {
                "now": datetime.now(UTC).isoformat(),
                "dag_id": reading.dag_id,
                "pages": reading.pages(),
                "schema": schema,
                "tasks": list(TASKS),
                "cost": summarise_costs(rows, prices),
                "table": _run(loaded, prices)
                | {"movements": _movements(loaded), "backup": loaded["params"].get("backup")}
                if loaded
                else None,
                "runs": [_run(row, prices) for row in rows],
                "alerts": [_json_ready(alert) for alert in alerts],
            },
            headers=FRESH,
        )

    @app.get("/api/drift")
    def drift() -> JSONResponse:
        with reading.open_tables() as tables:
            moves = read_drift(tables)
        return JSONResponse({"features": [_json_ready(move) for move in moves]}, headers=FRESH)

    @app.get("/reports/{execution_id}/{stage}")
    def report(execution_id: str, stage: str) -> HTMLResponse:
        with reading.open_tables() as tables:
            row = read_run(tables, reading.dag_id, execution_id)
        judged = row["quality"].get(stage) if row else None
        if judged is None:
            raise HTTPException(404, "no such report")
        try:
            content = reading.read_report(judged["report"])
        except SourceMissing as missing:
            return HTMLResponse(f"<p>{escape(str(missing))}</p>", status_code=404)
        return HTMLResponse(content, headers={"Content-Security-Policy": REPORT_POLICY})


def _run(row: Mapping[str, Any], prices: CostSettings) -> dict[str, Any]:
    """A run's row in short form for the page, which loads hundreds of them."""
    quality = row["quality"]
    cost = price_run(row["tasks"], prices)
    return {
        "dag": row["dag_id"],
        "id": row["execution_id"],
        "type": row["run_type"],
        "as_of": row["as_of_date"].isoformat() if row["as_of_date"] else None,
        "cut_off": row["as_of"].isoformat() if row["as_of"] else None,
        "state": row["state"],
        "started": row["started_at"].isoformat(),
        "ended": row["ended_at"].isoformat(),
        "seconds": round((row["ended_at"] - row["started_at"]).total_seconds(), 1),
        "failed_task": row["failed_task"],
        "failure": row["failure"],
        "dry": bool(row["params"].get("dry_run") or row["params"].get("validate_only")),
        "score": row["quality_score"],
        "grade": row["quality_grade"],
        "stages": {stage: [judged["score"], judged["grade"]] for stage, judged in quality.items()},
        "breaches": [
            {
                name: breach[name]
                for name in ("stage", "check", "severity", "view", "title", "threshold", "observed")
            }
            for judged in quality.values()
            for breach in judged["breaches"]
        ],
        "extracted": row["records_extracted"],
        "cleaned": row["records_cleaned"],
        "duplicates": row["records_duplicate"],
        "outside": row["records_outside"],
        "quarantined": row["records_quarantined"],
        "reasons": row["quarantined"],
        "accepted_rate": row["accepted_rate"],
        "transformed": row["records_transformed"],
        "inserted": row["records_inserted"],
        "updated": row["records_updated"],
        "unchanged": row["records_unchanged"],
        "bytes_read": row["bytes_read"],
        "bytes_written": row["bytes_written"],
        "cost": float(cost.total) if cost else None,
        "tasks": {
            name: [
                outcome["state"],
                outcome.get("seconds"),
                outcome.get("peak_memory_bytes"),
                float(cost.tasks[name]) if cost and name in cost.tasks else None,
            ]
            for name, outcome in row["tasks"].items()
        },
        "players": {name: of for name, of in row["players"].items() if name not in NOT_LISTED}
        if row["players"]
        else None,
    }


def _movements(row: Mapping[str, Any]) -> list[list[Any]]:
    """Who has moved between segments: days, dimension, from, to, players, reason."""
    return [
        [flow[name] for name in ("days", "dimension", "from_segment", "to_segment", "players", "reason")]
        for flow in (row["players"] or {}).get("movements", ())
    ]


def _json_ready(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in row.items()}
