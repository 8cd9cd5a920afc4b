"""The monitoring page and its data, as a FastAPI app. The dependencies that it is given decide who may see it.

Nothing here is cached: the page shows whether today's data can be trusted, so it must not show yesterday's answer.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any

from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse

from crmbet.failures import CrmbetError, SourceMissing
from crmbet.monitoring.tables import (
    open_monitoring,
    read_alerts,
    read_drift,
    read_run,
    read_runs,
    read_table_run,
)
from crmbet.run.tasks import TASKS
from crmbet.texts import DEFAULT_LANGUAGE, LANGUAGES, Language, texts_in

STATIC = Path(__file__).parent / "static"
RUNBOOK = Path(__file__).parents[4] / "docs" / "runbook.md"
FILES = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "echarts-6.1.0.min.js": "text/javascript",
}
"""The files that the page loads. No other file of the folder is served."""
DAG_ID = "user_features_daily"
MOST_RUNS = 1_000
ALERTS_SHOWN = 30
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
)
REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"
"""A report loads nothing and runs nothing, whatever text it contains."""

log = logging.getLogger(__name__)


def create_app(
    dependencies: Sequence[Any],
    target_dsn: Callable[[], str],
    read_report: Callable[[str], bytes],
    language: Language = DEFAULT_LANGUAGE,
) -> FastAPI:
    """Create the app. The `dependencies` guard every route.

    `target_dsn` returns the libpq connection string of the database with the tables of monitoring. `read_report`
    returns the content of a report, given the address that a run's row has. Both are called for each request. The page
    begins in `language`, and a reader may choose another.
    """
    app = FastAPI(title="crmbet monitoring", dependencies=dependencies, openapi_url=None)
    app.add_middleware(GZipMiddleware, minimum_size=1_000)

    @app.exception_handler(CrmbetError)
    def explain(_: Request, failure: CrmbetError) -> JSONResponse:
        log.warning("the monitoring page has no data: %s", failure)
        return JSONResponse({"what": failure.what, "next": failure.next_step}, status_code=503)

    _add_page(app, language)
    _add_data(app, target_dsn, read_report)
    return app


def _add_page(app: FastAPI, language: Language) -> None:
    """Add the routes that do not depend on data: the page, the files and sentences that it loads, and the runbook."""

    @app.get("/")
    def page() -> HTMLResponse:
        text = (STATIC / "index.html").read_text(encoding="utf-8")
        return HTMLResponse(
            text.replace('<html lang="en">', f'<html lang="{language}">'),
            headers={"Content-Security-Policy": PAGE_POLICY},
        )

    @app.get("/static/{name}")
    def static(name: str) -> FileResponse:
        if name not in FILES:
            raise HTTPException(404)
        # The content of a file with a version in its name never changes.
        caching = "private, max-age=31536000, immutable" if "-" in name else "no-cache"
        return FileResponse(STATIC / name, media_type=FILES[name], headers={"Cache-Control": caching})

    @app.get("/texts/{name}")
    def texts(name: str) -> JSONResponse:
        known = next((each for each in LANGUAGES if each == name), None)
        if known is None:
            raise HTTPException(404)
        return JSONResponse(dict(texts_in(known).sentences), headers={"Cache-Control": "no-cache"})

    @app.get("/runbook")
    def runbook() -> HTMLResponse:
        return HTMLResponse(render_runbook(), headers={"Content-Security-Policy": REPORT_POLICY})

    @app.get("")
    def without_slash(request: Request) -> Response:
        return RedirectResponse(f"{request.url.path}/")


def _add_data(app: FastAPI, target_dsn: Callable[[], str], read_report: Callable[[str], bytes]) -> None:
    """Add the routes that read what runs have written."""

    @app.get("/api/overview")
    def overview(runs: int = Query(default=400, ge=1, le=MOST_RUNS)) -> JSONResponse:
        with open_monitoring(target_dsn()) as connection:
            rows = read_runs(connection, DAG_ID, runs)
            # A long backfill may have pushed it out of the newest runs.
            loaded = read_table_run(connection, DAG_ID)
            alerts = read_alerts(connection, ALERTS_SHOWN)
        return JSONResponse(
            {
                "now": datetime.now(UTC).isoformat(),
                "dag_id": DAG_ID,
                "tasks": list(TASKS),
                "table": _run(loaded) | {"movements": _movements(loaded)} if loaded else None,
                "runs": [_run(row) for row in rows],
                "alerts": [_json_ready(alert) for alert in alerts],
            },
            headers={"Cache-Control": "no-store"},
        )

    @app.get("/api/drift")
    def drift() -> JSONResponse:
        with open_monitoring(target_dsn()) as connection:
            moves = read_drift(connection)
        return JSONResponse(
            {"features": [_json_ready(move) for move in moves]}, headers={"Cache-Control": "no-store"}
        )

    @app.get("/reports/{execution_id}/{stage}")
    def report(execution_id: str, stage: str) -> HTMLResponse:
        with open_monitoring(target_dsn()) as connection:
            row = read_run(connection, DAG_ID, execution_id)
        judged = row["quality"].get(stage) if row else None
        if judged is None:
            raise HTTPException(404, "no such report")
        try:
            content = read_report(judged["report"])
        except SourceMissing as missing:
            return HTMLResponse(f"<p>{escape(str(missing))}</p>", status_code=404)
        return HTMLResponse(content, headers={"Content-Security-Policy": REPORT_POLICY})


def _run(row: Mapping[str, Any]) -> dict[str, Any]:
    """A run's row in short form for the page, which loads hundreds of them."""
    quality = row["quality"]
    return {
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
        "tasks": {
            name: [outcome["state"], outcome.get("seconds"), outcome.get("peak_memory_bytes")]
            for name, outcome in row["tasks"].items()
        },
        # Only those of today's table are shown.
        "players": {name: of for name, of in row["players"].items() if name != "movements"}
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


def render_runbook() -> str:
    """docs/runbook.md as an HTML page. Its headings have ids, so that alerts can link to them."""
    from markdown_it import MarkdownIt

    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(RUNBOOK.read_text(encoding="utf-8"))
    for heading, text in pairwise(tokens):
        if heading.type == "heading_open":
            heading.attrSet("id", text.content.lower().replace(" ", "-"))
    body = markdown.renderer.render(tokens, markdown.options, {})
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8><title>crmbet runbook</title>"
        "<meta name=viewport content='width=device-width,initial-scale=1'><style>"
        ":root{color-scheme:light dark}body{font:16px/1.55 system-ui,sans-serif;max-width:46rem;margin:2rem auto;"
        "padding:0 1rem}h2{margin-top:2.5rem;border-top:1px solid #8884;padding-top:1rem}"
        "code,pre{font:.9em ui-monospace,monospace;background:#8882;border-radius:4px}code{padding:.1em .3em}"
        "pre{padding:.8em;overflow:auto}pre code{background:none;padding:0}table{border-collapse:collapse}"
        "td,th{border:1px solid #8884;padding:.3em .6em;text-align:left}:target{background:#fc03}"
        f"</style></head><body>{body}</body></html>"
    )
