"""Connections as a deployment writes them: rightly, wrongly, and as the original specification does."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from psycopg2.extensions import parse_dsn

from crmbet.failures import BadSetting
from crmbet.orchestration.context import dsn_of, require_connection

pytestmark = pytest.mark.unit

PROJECT = Path(__file__).parents[3]
SECRET = "hunter2-canary"  # noqa: S105 - nobody's
URL = f"postgresql://loader:{SECRET}@warehouse:6432/crm?sslmode=require"
VARIABLE = "AIRFLOW_CONN_CRMBET_TARGET"


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (f'{{"conn_type": "postgres", "password": "{SECRET}"', "is not valid JSON: Expecting ',' delimiter, at line 1"),
        (f'{{"conn_type": "postgres", "password": "{SECRET}",}}', "is not valid JSON: "),
        (f"{{'conn_type': 'postgres', 'password': '{SECRET}'}}", "is not valid JSON: "),
        (f'{{conn_type: postgres, password: {SECRET}}}', "is not valid JSON: "),
        (f'{{"conn_type": "postgres", "pasword": "{SECRET}"}}', "has fields that no connection has: pasword"),
        (f'{{"conn_type": "postgres", "password": "{SECRET}", "port": "{SECRET}"}}', "the port in AIRFLOW_CONN_"),
        (f"postgresql://loader:{SECRET}@warehouse:{SECRET}/crm", "is neither JSON nor a URL that Airflow can read"),
    ],
)  # fmt: skip
def test_a_variable_that_cannot_be_read_is_reported_as_what_it_is(
    monkeypatch: pytest.MonkeyPatch, value: str, why: str
) -> None:
    monkeypatch.setenv(VARIABLE, value)
    # It does not stand in for a connection that somebody meant to make.
    monkeypatch.setenv("DATABASE_URL", URL)

    with pytest.raises(BadSetting, match="connection crmbet_target cannot be read") as refused:
        dsn_of("crmbet_target")

    assert why in refused.value.why
    assert VARIABLE in refused.value.why
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    ("extra", "why"),
    [
        (f'{{"sslmode": "require", "sslpassword": "{SECRET}"', "it is not valid JSON: "),
        (f'["{SECRET}"]', "not an object"),
        (f'"{SECRET}"', "not an object"),
    ],
)
def test_an_extra_that_cannot_be_read_is_not_passed_over(
    monkeypatch: pytest.MonkeyPatch, extra: str, why: str
) -> None:
    monkeypatch.setenv(VARIABLE, json.dumps({"conn_type": "postgres", "host": "warehouse", "extra": extra}))

    with pytest.raises(
        BadSetting, match="extra of the Airflow connection crmbet_target cannot be read"
    ) as refused:
        dsn_of("crmbet_target")

    assert why in refused.value.why
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("value", ["", "  "])
def test_a_connection_that_does_not_exist_is_said_not_to(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(VARIABLE, value)

    with pytest.raises(BadSetting, match="connection crmbet_target does not exist"):
        dsn_of("crmbet_target")


@pytest.mark.parametrize(
    "url",
    [
        URL,
        URL.replace("postgresql", "postgres"),
        URL.replace("postgresql", "postgresql+psycopg2"),
        f"  {URL}\n",
        "postgresql://user:pass@localhost:5432/crmbet",
        "postgresql://loader:p%40ss%2Fw%C3%B6rd@warehouse/crm",
        "postgresql:///crm?host=/run/pg&port=5433",
        "postgresql://first:5432,second:5433/crm?target_session_attrs=read-write",
    ],
)
def test_database_url_stands_for_source_and_target(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("DATABASE_URL", url)

    plain = url.strip().replace("+psycopg2", "")
    assert parse_dsn(dsn_of("crmbet_source")) == parse_dsn(dsn_of("crmbet_target")) == parse_dsn(plain)


def test_a_connection_wins_over_database_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", URL)
    monkeypatch.setenv(VARIABLE, '{"conn_type": "postgres", "host": "elsewhere"}')

    assert parse_dsn(dsn_of("crmbet_target")) == {"host": "elsewhere"}
    assert parse_dsn(dsn_of("crmbet_source"))["host"] == "warehouse"


def test_database_url_does_not_stand_for_the_lake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", URL)

    with pytest.raises(BadSetting, match="crmbet_lake does not exist"):
        require_connection("crmbet_lake")


@pytest.mark.parametrize(
    "url", [f"mysql://u:{SECRET}@host/db", SECRET, f"postgresql://u:{SECRET}@host:port/db"]
)
def test_a_database_url_of_something_else_is_refused_without_repeating_it(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)

    with pytest.raises(BadSetting, match="DATABASE_URL is not a URL of PostgreSQL") as refused:
        dsn_of("crmbet_source")

    assert SECRET not in str(refused.value)


@pytest.fixture(autouse=True)
def no_connections(monkeypatch: pytest.MonkeyPatch) -> Any:
    for name in (VARIABLE, "AIRFLOW_CONN_CRMBET_SOURCE", "AIRFLOW_CONN_CRMBET_LAKE", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)


def test_a_database_on_several_hosts_is_written_as_the_documents_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose hands DATABASE_URL on as a URL of Airflow, which has one port."""
    text = (PROJECT / "docs" / "deployment.md").read_text(encoding="utf-8")
    [example] = re.findall(rf"^{VARIABLE}='(.*first,second.*)'$", text, re.MULTILINE)
    monkeypatch.setenv(VARIABLE, example)

    assert parse_dsn(dsn_of("crmbet_target")) == {
        "host": "first,second", "port": "5432,5433", "dbname": "crm", "user": "crmbet_loader", "password": "SECRET",
        "target_session_attrs": "read-write",
    }  # fmt: skip


def test_no_command_of_the_documents_writes_secrets_into_a_file() -> None:
    texts = [path.read_text(encoding="utf-8") for path in (PROJECT / "docs").rglob("*.md")]
    commands = [
        line for text in texts for line in text.splitlines() if line.startswith("docker compose config")
    ]

    assert commands
    assert all("--no-interpolate" in command for command in commands)
