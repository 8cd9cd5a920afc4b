"""The page with the form, as a FastAPI app. Whoever serves it says who may see it, and where requests go.

An id comes in the body of a POST, and goes into the table of requests. Airflow keeps what its own forms are given; this
is none of them, and nothing here reaches a log, an address or an answer.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response
from pydantic import BaseModel, Field

from crmbet.erasure.asking import MOST_IDS, Asked, NotIds, RequestTable, distinct_ids
from crmbet.failures import CrmbetError
from crmbet.texts import DEFAULT_LANGUAGE, LANGUAGES, Language, texts_in

log = logging.getLogger(__name__)

FOLDER = Path(__file__).parent
FILES = {"form.css": "text/css", "form.js": "text/javascript"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; "
    "frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
)
FRESH = {"Cache-Control": "no-store"}
JSON = "application/json"
STATES: Mapping[str, str] = {
    "open": "waits for the next run",
    "held": "must be kept for now",
    "erasing": "is being erased",
    "erased": "erased",
}
"""The states of a request in words."""
REFUSALS: Mapping[str, str] = {
    "none": "Nothing was written: there is no id.",
    "many": "Nothing was written: there are more than {most} ids.",
    "unreadable": "Nothing was written: line {line} is no id. It is too long, or has letters that cannot be read.",
}
"""Why no request was written."""


@dataclass(frozen=True, kw_only=True)
class Office:
    """Where the requests of one brand go, and what the page says of it."""

    brand: str
    pages: Callable[[], Mapping[str, str]]
    """The pages of all brands: a brand's name, and the folder of its page."""
    open_requests: Callable[[], AbstractContextManager[RequestTable]]


class Given(BaseModel):
    """What the form sends."""

    user_ids: str = Field(max_length=300_000)
    """An id in each line."""


def create_form(officer: Callable[..., Any], office: Office, usual: Language = DEFAULT_LANGUAGE) -> FastAPI:
    """Create the app. `officer` is a dependency that names the user, or refuses. It guards every route."""
    app = FastAPI(title="crmbet erasure", dependencies=[Depends(officer)], openapi_url=None)

    @app.exception_handler(CrmbetError)
    def explain(_: Request, failure: CrmbetError) -> JSONResponse:
        log.warning("the form for erasures does not work: %s", failure)
        return JSONResponse({"said": f"{failure.what}. {failure.next_step}"}, status_code=503)

    @app.get("/")
    def page(language: str | None = None) -> HTMLResponse:
        text = render_page(office, _language(language, usual))
        return HTMLResponse(text, headers=FRESH | {"Content-Security-Policy": POLICY})

    @app.get("/static/{name}")
    def static(name: str) -> FileResponse:
        if name not in FILES:
            raise HTTPException(404)
        return FileResponse(FOLDER / name, media_type=FILES[name], headers={"Cache-Control": "no-cache"})

    @app.get("/requests")
    def requests(language: str | None = None) -> JSONResponse:
        """The newest requests, as the cells of a table."""
        with office.open_requests() as table:
            asked = table.newest()
        say = texts_in(_language(language, usual))
        return JSONResponse({"rows": [_cells(each, say) for each in asked]}, headers=FRESH)

    @app.post("/requests", dependencies=[Depends(_from_this_page)])
    def ask(given: Given, language: str | None = None, asked_by: str = Depends(officer)) -> JSONResponse:
        """Write a request for each id."""
        say = texts_in(_language(language, usual))
        try:
            user_ids = distinct_ids(given.user_ids.splitlines())
        except NotIds as error:
            said = say(REFUSALS[error.why], line=error.line, most=MOST_IDS)
            return JSONResponse({"said": said}, status_code=422, headers=FRESH)
        with office.open_requests() as table:
            numbers = table.add(user_ids, asked_by)
        log.info("%s has asked for %d erasures by the form: requests %s", asked_by, len(numbers), numbers)
        said = say(
            "Written: {count} requests, numbers {numbers}. The next run of the erasure fulfils them.",
            count=len(numbers),
            numbers=", ".join(map(str, numbers)),
        )
        return JSONResponse({"said": said, "requests": numbers}, status_code=201, headers=FRESH)

    @app.get("")
    def without_slash(request: Request) -> Response:
        return RedirectResponse(f"{request.url.path}/")

    return app


def render_page(office: Office, language: Language) -> str:
    """The page in a language."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined)
    pages = office.pages()
    return environment.get_template("form.html").render(
        brand=office.brand,
        pages=pages if len(pages) > 1 else {},
        language=language,
        languages=LANGUAGES,
        say=texts_in(language),
    )


def _from_this_page(request: Request) -> None:
    """Refuse what another site makes a browser send with the user's cookie.

    A browser asks our server before it sends JSON for another site, and our server does not agree. It also says which
    site began the request.
    """
    kind, _, _ = request.headers.get("content-type", "").partition(";")
    if kind.strip().lower() != JSON:
        raise HTTPException(415, "send JSON")
    if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        raise HTTPException(403, "another site has sent this")


def _cells(asked: Asked, say: Any) -> list[str]:
    ended = f"{asked.ended_at:%Y-%m-%d %H:%M}" if asked.ended_at else ""
    state = say(STATES[asked.state])
    return [
        str(asked.request_id),
        f"{asked.requested_at:%Y-%m-%d %H:%M}",
        asked.asked_by,
        f"{state}: {asked.reason}" if asked.reason else state,
        ended,
        asked.certificate_id or "",
    ]


def _language(asked: str | None, usual: Language) -> Language:
    return next((each for each in LANGUAGES if each == asked), usual)
