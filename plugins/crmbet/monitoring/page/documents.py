"""What the page is made of: its text, its scripts, its sentences, and the runbook. None of it depends on data."""

from __future__ import annotations

from html import escape
from itertools import pairwise
from pathlib import Path

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse

from crmbet.texts import LANGUAGES, Language, texts_in

STATIC = Path(__file__).parent / "static"
RUNBOOK = Path(__file__).parents[4] / "docs" / "runbook.md"
MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript"}
"""The files that pages load. No other file of the folder is served."""
FILES = {
    path.relative_to(STATIC).as_posix(): MEDIA_TYPES[path.suffix]
    for path in sorted(STATIC.rglob("*"))
    if path.suffix in MEDIA_TYPES
}
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
)
REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"
"""A report loads nothing and runs nothing, whatever text it contains."""


def add_documents(app: FastAPI, language: Language) -> None:
    """Add the page in its language, the files that it loads, the sentences of each language, and the runbook."""

    @app.get("/")
    def page() -> HTMLResponse:
        text = (STATIC / "index.html").read_text(encoding="utf-8")
        return HTMLResponse(
            text.replace('<html lang="en">', f'<html lang="{language}">').replace(
                "</head>", f"{_modules()}</head>"
            ),
            headers={"Content-Security-Policy": PAGE_POLICY},
        )

    @app.get("/static/{name:path}")
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


def _modules() -> str:
    """Links by which a browser loads all modules at once, and not each after the one that asks for it."""
    names = [name for name in FILES if name.endswith(".js") and "-" not in name]
    return "".join(f'<link rel="modulepreload" href="static/{escape(name)}">\n' for name in names)


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
