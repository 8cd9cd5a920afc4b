"""What a connection leaves to the environment and to service files is read as libpq reads it."""

from __future__ import annotations

from pathlib import Path

import pytest
from psycopg2.extensions import parse_dsn

from crmbet.databases.libpq_defaults import completed
from crmbet.databases.sessions import hosts, session_options
from crmbet.failures import BadSetting
from crmbet.redaction import redact
from crmbet.run.settings import TimeoutSettings

pytestmark = pytest.mark.unit

SERVICES = """
# services of the warehouse
[reports]
host=reports

[warehouse]
host=first,second
port=5433
password=canary-of-the-service
connect_timeout=9
options=-c statement_timeout=7s
[reports]
port=1
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without a service file, and an environment without libpq's variables."""
    for name in ("PGSERVICE", "PGSERVICEFILE", "PGSYSCONFDIR", "PGHOST", "PGHOSTADDR", "PGPORT", "PGOPTIONS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_nothing_is_added_where_nothing_is_said(home: Path) -> None:
    assert completed({"host": "warehouse"}) == {"host": "warehouse"}
    assert completed({}) == {}


def test_the_environment_comes_after_the_service_and_the_service_after_the_connection(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / ".pg_service.conf").write_text(SERVICES)
    monkeypatch.setenv("PGPORT", "1234")
    monkeypatch.setenv("PGHOSTADDR", "127.0.0.1")

    found = completed({"service": "warehouse", "host": "third"})

    assert found == {
        "host": "third", "port": "5433", "hostaddr": "127.0.0.1", "password": "canary-of-the-service",
        "connect_timeout": "9", "options": "-c statement_timeout=7s",
    }  # fmt: skip


def test_the_options_of_a_service_win_over_our_time_outs_and_its_secrets_are_known(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / ".pg_service.conf").write_text(SERVICES)
    monkeypatch.setenv("PGSERVICE", "warehouse")

    options = session_options("dbname=crm", TimeoutSettings())

    assert options["connect_timeout"] == "9"
    assert "-c statement_timeout=7s" in options["options"]
    assert hosts(options) == [("first", 5433), ("second", 5433)]
    assert redact("it said canary-of-the-service") == "it said ***"


def test_the_options_of_the_environment_win_over_our_time_outs(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGOPTIONS", "-c statement_timeout=8s")
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "8")

    options = session_options("dbname=crm", TimeoutSettings())

    assert options["connect_timeout"] == "8"
    assert "-c statement_timeout=8s" in options["options"]


@pytest.mark.parametrize("variable", ["PGSERVICEFILE", "PGSYSCONFDIR"])
def test_a_service_is_looked_for_where_libpq_looks(
    home: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    file = home / "etc" / "pg_service.conf"
    file.parent.mkdir()
    file.write_text(SERVICES)
    monkeypatch.setenv(variable, str(file if variable == "PGSERVICEFILE" else file.parent))

    assert completed({"service": "reports"}) == {"host": "reports"}


def test_a_service_file_of_the_connection_is_read(home: Path) -> None:
    (home / "mine.conf").write_text(SERVICES)

    assert completed({"service": "reports", "servicefile": str(home / "mine.conf")}) == {"host": "reports"}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "no service file"),
        ("", "no service file"),
        ("[warehouse]\nhost\n", "line 2"),
        ("[warehouse]\nno such option=1\n", "line 2"),
        ("[warehouse]\nservice=other\n", "line 2"),
        ("[warehouse]\n\nldap://canary-ldap/dc=x?y\n", "line 3"),
    ],
)
def test_a_service_that_cannot_be_read_is_refused_in_a_sentence(
    home: Path, content: str | None, why: str
) -> None:
    if content is not None:
        (home / ".pg_service.conf").write_text(content)

    with pytest.raises(BadSetting, match="the service warehouse") as refused:
        session_options("service=warehouse password=canary-7", TimeoutSettings())

    assert why in refused.value.why
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize(
    ("dsn", "found"),
    [
        ("host=first,second port=5433,5434", [("first", 5433), ("second", 5434)]),
        ("host=first,second hostaddr=10.0.0.1,", [("10.0.0.1", 5432), ("second", 5432)]),
        ("hostaddr=10.0.0.1", [("10.0.0.1", 5432)]),
        ("host=/run/pg", []),
        ("host=@abstract", []),
        ("dbname=crm", []),
    ],
)
def test_every_host_that_libpq_may_connect_to_is_named(dsn: str, found: list[tuple[str, int]]) -> None:
    assert hosts(parse_dsn(dsn)) == found
