"""What Airflow's connections become, and what becomes of their secrets."""

from __future__ import annotations

import json

import pytest
from airflow.sdk.log import _secrets_masker  # type: ignore[attr-defined]
from psycopg2.extensions import parse_dsn

from crmbet.orchestration.context import monitoring_dsn, source_dsn
from crmbet.redaction import _spellings, redact

pytestmark = pytest.mark.unit

AWKWARD = "canary 'p@ss' \\ \"x\" %/:"


def define(patch: pytest.MonkeyPatch, name: str, **parts: object) -> None:
    connection = {"conn_type": "postgres", "host": "warehouse", "schema": "crm", "login": "loader", **parts}
    patch.setenv(f"AIRFLOW_CONN_CRMBET_{name.upper()}", json.dumps(connection))


def test_from_then_on_neither_we_nor_airflow_show_the_secrets_of_a_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key_phrase = "canary of the key"
    define(monkeypatch, "source", password=AWKWARD, extra={"sslpassword": key_phrase, "sslmode": "require"})

    dsn = source_dsn()

    assert (parse_dsn(dsn)["password"], parse_dsn(dsn)["sslpassword"]) == (AWKWARD, key_phrase)
    for spelling in (*_spellings(AWKWARD), *_spellings(key_phrase)):
        assert "anary" not in redact(f"the engine said [{spelling}] to us")
        assert "anary" not in str(_secrets_masker().redact(f"the engine said [{spelling}] to us"))


def test_the_page_has_a_login_of_its_own_if_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    define(monkeypatch, "target", login="crmbet_loader")
    assert parse_dsn(monitoring_dsn())["user"] == "crmbet_loader"

    define(monkeypatch, "monitoring", login="crmbet_monitor")
    assert parse_dsn(monitoring_dsn())["user"] == "crmbet_monitor"
