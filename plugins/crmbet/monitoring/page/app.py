"""The monitoring page and its data, as a FastAPI app. The dependencies that it is given decide who may see it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import JSONResponse

from crmbet.failures import CrmbetError
from crmbet.monitoring.page.audiences import add_audiences
from crmbet.monitoring.page.catalogue import add_catalogue
from crmbet.monitoring.page.documents import add_documents
from crmbet.monitoring.page.overview import add_overview
from crmbet.monitoring.page.reading import Reading
from crmbet.monitoring.page.stream import add_stream
from crmbet.monitoring.page.trail import add_trail
from crmbet.monitoring.page.underway import add_underway
from crmbet.texts import DEFAULT_LANGUAGE, Language

log = logging.getLogger(__name__)


def create_app(
    dependencies: Sequence[Any],
    may_see_people: Callable[..., Any],
    reading: Reading,
    language: Language = DEFAULT_LANGUAGE,
) -> FastAPI:
    """Create the app. The `dependencies` guard every route; those of `people/` also have the guard `may_see_people`.

    The page begins in `language`, and a reader may choose another.
    """
    app = FastAPI(title="crmbet monitoring", dependencies=dependencies, openapi_url=None)
    app.add_middleware(GZipMiddleware, minimum_size=1_000)

    @app.exception_handler(CrmbetError)
    def explain(_: Request, failure: CrmbetError) -> JSONResponse:
        log.warning("the monitoring page has no data: %s", failure)
        return JSONResponse({"what": failure.what, "next": failure.next_step}, status_code=503)

    add_documents(app, language)
    add_overview(app, reading)
    add_trail(app, reading, may_see_people)
    add_underway(app, reading)
    add_catalogue(app, reading, language)
    add_stream(app, reading)
    add_audiences(app, reading)
    return app
