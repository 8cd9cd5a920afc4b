"""The form for erasures: ids go into the table of requests, by the login of the privacy office, and nowhere else."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from typing import Any

import psycopg2
import pytest
from fastapi import Header, HTTPException
from fastapi.testclient import TestClient

from bench.page import serving
from crmbet.contracts.files import load_table_contract
from crmbet.databases.sessions import open_session
from crmbet.erasure.asking import LONGEST_ID, MOST_IDS, open_requests
from crmbet.erasure.ledger import ensure_tables
from crmbet.erasure.page.app import Office, create_form
from crmbet.load.session import LoadSession
from crmbet.run.schemas import DEFAULT_SCHEMA, ROLES
from crmbet.run.settings import TimeoutSettings
from tests.integration.roles import as_login, create_roles, drop_roles, make_login_of_loader

pytestmark = pytest.mark.integration

ANA = {"As": "ana"}
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def officer(as_: str = Header(alias="As")) -> str:
    """Stands for Airflow's login: whoever is ana is an officer."""
    if as_ != "ana":
        raise HTTPException(403)
    return as_


@pytest.fixture(scope="module")
def admin_url(new_database: Callable[[], str]) -> Iterator[str]:
    """A database with the tables of erasure, which the loader has made."""
    url = new_database()
    create_roles(url)
    with closing(open_session(make_login_of_loader(url), TimeoutSettings())) as connection:
        ensure_tables(
            LoadSession(
                connection=connection, contract=load_table_contract(), run_id="r", lock_timeout_seconds=5
            )
        )
    with closing(psycopg2.connect(url)) as admin, admin, admin.cursor() as cursor:
        cursor.execute("ALTER ROLE crmbet_privacy LOGIN")
        cursor.execute(f"GRANT CONNECT ON DATABASE {admin.info.dbname} TO crmbet_privacy")
    yield url
    drop_roles([url], groups=list(ROLES))


def office_of(url: str) -> Office:
    return Office(
        brand="aurora",
        pages=lambda: {"default": "crmbet-erasure", "aurora": "crmbet-erasure__aurora"},
        open_requests=partial(open_requests, url, DEFAULT_SCHEMA),
    )


def form_of(url: str) -> TestClient:
    return TestClient(create_form(officer, office_of(url)), headers=ANA)


@pytest.fixture
def form(admin_url: str) -> TestClient:
    return form_of(as_login(admin_url, "crmbet_privacy"))


def written(admin_url: str) -> list[tuple[Any, ...]]:
    with closing(psycopg2.connect(admin_url)) as admin, admin.cursor() as cursor:
        cursor.execute(
            "SELECT user_id, requested_by, entered_by, state FROM ml_features.erasure_requests ORDER BY request_id"
        )
        return cursor.fetchall()


def test_ids_of_the_form_are_requests_that_say_who_asked(
    form: TestClient, admin_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    answer = form.post("/requests", json={"user_ids": " u0000349 \n\nU0000349\nana's id\n"})

    assert answer.status_code == 201, answer.text
    assert written(admin_url) == [
        ("u0000349", "crmbet_privacy", "ana", "open"),
        ("ana's id", "crmbet_privacy", "ana", "open"),
    ]
    numbers = answer.json()["requests"]
    assert len(numbers) == 2
    rows = form.get("/requests", params={"language": "pt-BR"}).json()["rows"]
    assert [(row[0], row[2], row[3]) for row in rows] == [
        (str(number), "ana", "espera a próxima execução") for number in reversed(numbers)
    ]
    assert "ana has asked for 2 erasures" in caplog.text
    shown = answer.text + form.get("/requests").text + form.get("/").text + caplog.text
    assert "349" not in shown
    assert "ana's id" not in shown


@pytest.mark.parametrize(
    ("ids", "why"),
    [
        (" \n ", "there is no id"),
        ("good\nb\x00ad", "line 2 is no id"),
        ("x" * (LONGEST_ID + 1), "line 1 is no id"),
        ("\n".join(f"p{n}" for n in range(MOST_IDS + 1)), "more than 1000 ids"),
    ],
)
def test_what_is_no_id_writes_nothing(form: TestClient, admin_url: str, ids: str, why: str) -> None:
    before = written(admin_url)

    answer = form.post("/requests", json={"user_ids": ids})

    assert (answer.status_code, why in answer.json()["said"]) == (422, True), answer.text
    assert written(admin_url) == before


def test_only_an_officer_sees_any_of_it(form: TestClient, admin_url: str) -> None:
    before = written(admin_url)
    for path in ("/", "/requests", "/static/form.js", "/static/form.css"):
        assert form.get(path, headers={"As": "rui"}).status_code == 403, path
        assert form.get(path).status_code == 200, path
    assert form.post("/requests", json={"user_ids": "u1"}, headers={"As": "rui"}).status_code == 403
    assert form.get("/static/app.py").status_code == 404
    assert form.get("/openapi.json").status_code == 404
    assert written(admin_url) == before


def test_another_site_cannot_ask_with_an_officers_cookie(form: TestClient, admin_url: str) -> None:
    before = written(admin_url)
    body = '{"user_ids": "u1"}'
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        assert form.post("/requests", content=body, headers={"Content-Type": kind}).status_code == 415
    for site in ("cross-site", "same-site", "none"):
        headers = {"Content-Type": "application/json", "Sec-Fetch-Site": site}
        assert form.post("/requests", content=body, headers=headers).status_code == 403
    preflight = form.options(
        "/requests", headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    )
    assert "access-control-allow-origin" not in preflight.headers
    assert written(admin_url) == before


def test_the_page_speaks_both_languages_and_leads_to_the_other_brands(form: TestClient) -> None:
    english, portuguese = form.get("/").text, form.get("/?language=pt-BR").text
    assert "Ask for erasure" in english
    assert "Pedir o apagamento" in portuguese
    assert 'href="../crmbet-erasure/?language=pt-BR"' in portuguese


def test_another_login_or_a_missing_table_is_explained(admin_url: str, new_database: Any) -> None:
    loader = form_of(as_login(admin_url, "crmbet_monitor"))
    with closing(psycopg2.connect(admin_url)) as admin, admin, admin.cursor() as cursor:
        cursor.execute("ALTER ROLE crmbet_monitor LOGIN")
        cursor.execute(f"GRANT CONNECT ON DATABASE {admin.info.dbname} TO crmbet_monitor")
    for form, said in (
        (loader, "PostgreSQL refuses access"),
        (form_of(new_database()), "there is no table of requests yet"),
    ):
        answer = form.post("/requests", json={"user_ids": "u1"})
        assert (answer.status_code, said in answer.json()["said"]) == (503, True), answer.text
        assert "u1" not in answer.text


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian: apt-get install chromium)")
def test_the_form_in_a_browser(admin_url: str) -> None:
    from playwright.sync_api import sync_playwright

    office = office_of(as_login(admin_url, "crmbet_privacy"))
    with serving(create_form(lambda: "rui", office)) as address, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        complaints: list[str] = []
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{address}/?language=pt-BR")
        page.locator("#ids").fill("zoe\nZOE \n<b>bia</b>")
        page.locator("button").click()
        assert page.locator("#said").inner_text() == "", "the box is not ticked, so nothing is sent"
        page.locator("#sure").check()
        page.locator("button").click()
        page.get_by_text("Gravados: 2 pedidos").wait_for()
        page.locator("#rows tr").nth(1).wait_for()
        first = page.locator("#rows tr").first.inner_text()
        assert page.locator("#ids").input_value() == ""
        browser.close()
    assert complaints == []
    assert "espera a próxima execução" in first
    assert [(user_id, asked_by) for user_id, _, asked_by, _ in written(admin_url)[-2:]] == [
        ("zoe", "rui"), ("<b>bia</b>", "rui"),
    ]  # fmt: skip
