"""The password of a connection is in no error of the engine or of psycopg2, whatever goes wrong and whenever."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any

import duckdb
import psycopg2
import pytest

from crmbet.databases import postgres
from crmbet.databases.duckdb import LakeAccess, attach_postgres, open_engine
from crmbet.databases.duckdb_failures import explain_copy, failures_explained
from crmbet.databases.sessions import open_session
from crmbet.databases.statements import Fragment, literal
from crmbet.failures import (
    AccessRefused,
    BadSetting,
    CrmbetError,
    LostConnection,
    SourceMissing,
    TemporaryFailure,
)
from crmbet.redaction import _spellings
from crmbet.run.settings import Settings, TimeoutSettings
from tests.integration.databases.servers import Proxy, refusing_server, silent_server

pytestmark = pytest.mark.integration

QUICK = TimeoutSettings(connect_timeout_seconds=2, statement_timeout_seconds=5)
PASSWORDS = (
    "Canary7plain",
    "canary 7 'quoted' \"twice\"",
    "c@nary:7/%2F?#&=;\\back\\'slash",
    "çãnáry-7-日本",
)


@pytest.fixture
def proxy(new_database: Callable[[], str], database: str) -> Iterator[Proxy]:
    made = Proxy(database)
    yield made
    made.close()


@pytest.fixture(scope="module")
def database(new_database: Callable[[], str]) -> Iterator[str]:
    """A database with a table of which the engine reads the pages over several connections."""
    url = new_database()
    with closing(psycopg2.connect(url)) as admin, admin, admin.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE wide AS SELECT n, repeat('x', 1500) AS text FROM generate_series(1, 10000) AS n"
        )
        cursor.execute("CREATE VIEW fatal AS SELECT pg_terminate_backend(pg_backend_pid())")
        cursor.execute("ANALYZE wide")
        cursor.execute("CREATE ROLE limited LOGIN CONNECTION LIMIT 2")
        cursor.execute("GRANT SELECT ON wide TO limited")
        cursor.execute(f"GRANT CONNECT ON DATABASE {admin.info.dbname} TO limited")
    yield url
    with closing(psycopg2.connect(url)) as admin, admin, admin.cursor() as cursor:
        cursor.execute("DROP OWNED BY limited; DROP ROLE limited")


@pytest.fixture
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    with open_engine(Settings.of(lake_bucket="unused", threads=4)) as opened:
        yield opened
        # The engine must not be closed within a transaction with a server that has gone: it would abort the process.
        with suppress(duckdb.Error):
            opened.rollback()


def attach(engine: duckdb.DuckDBPyConnection, url: str) -> None:
    with suppress(duckdb.Error):
        engine.execute("DETACH source")
    attach_postgres(engine, url, "source", read_only=True, timeouts=QUICK)


def failure_of(action: Callable[[], Any], password: str) -> CrmbetError:
    """The error, whose text, parts and traceback show the password in no spelling."""
    with (
        pytest.raises(CrmbetError) as failure,
        failures_explained("source"),
        postgres.failures_explained("target"),
    ):
        action()
    shown = (
        "".join(traceback.format_exception(failure.value)) + repr(failure.value) + repr(vars(failure.value))
    )
    for spelling in _spellings(password):
        assert spelling not in shown
    return failure.value


@pytest.mark.parametrize("password", PASSWORDS)
def test_every_way_to_fail_to_attach(engine: duckdb.DuckDBPyConnection, proxy: Proxy, password: str) -> None:
    def failed(url: str) -> type[CrmbetError]:
        return type(failure_of(lambda: attach(engine, url), password))

    url = proxy.url(password)
    assert failed(url.replace(proxy.database, "nowhere")) is SourceMissing
    assert failed(url.replace("postgres:", "nobody_at_all:")) is SourceMissing
    assert failed(proxy.url(password, sslmode="require")) is LostConnection
    assert failed(proxy.url(password, sslrootcert="/nowhere/ca.pem", sslmode="verify-full")) is LostConnection
    with refusing_server('password authentication failed for user "loader"') as port:
        assert failed(url.replace(str(proxy.port), str(port))) is AccessRefused
    with refusing_server("sorry, too many clients already", "53300") as port:
        assert failed(url.replace(str(proxy.port), str(port))) is TemporaryFailure
    proxy.cut()
    assert failed(url) is LostConnection


@pytest.mark.full
def test_a_time_out_while_attaching(engine: duckdb.DuckDBPyConnection, database: str) -> None:
    with silent_server() as port:
        url = f"postgresql://loader:{PASSWORDS[0]}@127.0.0.1:{port}/crm"
        started = time.monotonic()
        assert type(failure_of(lambda: attach(engine, url), PASSWORDS[0])) is LostConnection
        assert type(failure_of(lambda: open_session(url, QUICK), PASSWORDS[0])) is LostConnection
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("password", PASSWORDS)
def test_every_way_to_fail_later(engine: duckdb.DuckDBPyConnection, proxy: Proxy, password: str) -> None:
    limited = proxy.url(password).replace("postgres:", "limited:")
    attach(engine, limited)
    engine.begin()
    engine.execute("SELECT min(n) FROM source.wide")
    # The scan took the two connections that the login may have, and the transaction keeps them.
    failure = failure_of(lambda: engine.cursor().execute("SELECT max(n) FROM source.wide"), password)
    assert type(failure) is TemporaryFailure
    assert "CONNECTION LIMIT" in failure.why
    engine.rollback()

    attach(engine, proxy.url(password))
    lost = failure_of(lambda: engine.execute("SELECT * FROM source.fatal").fetchall(), password)
    assert type(lost) is LostConnection
    with suppress(duckdb.Error):
        engine.execute("SELECT min(n) FROM source.wide")
    proxy.cut()
    for _ in range(2):
        gone = failure_of(lambda: engine.execute("SELECT min(n) FROM source.wide").fetchall(), password)
        assert type(gone) is LostConnection


@pytest.mark.parametrize("password", PASSWORDS)
def test_a_copy_into_a_target_whose_login_has_too_few_connections(
    engine: duckdb.DuckDBPyConnection, proxy: Proxy, password: str
) -> None:
    attach(engine, proxy.url(password).replace("postgres:", "limited:"))
    engine.begin()
    engine.execute("SELECT min(n) FROM source.wide")
    with pytest.raises(duckdb.Error) as raised:
        engine.cursor().execute("SELECT max(n) FROM source.wide")
    engine.rollback()

    failure = explain_copy(raised.value, what="the table", where="target", remake="make it again")

    assert type(failure) is TemporaryFailure
    for spelling in _spellings(password):
        assert spelling not in str(raised.value) + str(failure)


@pytest.mark.parametrize("password", PASSWORDS)
def test_no_statement_and_no_catalogue_of_the_engine_shows_the_password(
    engine: duckdb.DuckDBPyConnection, proxy: Proxy, password: str
) -> None:
    attach(engine, proxy.url(password))

    shown = str(engine.execute("SELECT * FROM duckdb_databases()").fetchall())
    shown += str(engine.execute("SELECT * FROM duckdb_secrets()").fetchall())
    shown += str(engine.execute("SELECT * FROM duckdb_settings()").fetchall())

    for spelling in _spellings(password):
        assert spelling not in shown


@pytest.mark.parametrize("password", PASSWORDS)
def test_every_way_that_psycopg2_fails(proxy: Proxy, password: str) -> None:
    def failed(url: str) -> type[CrmbetError]:
        return type(failure_of(lambda: open_session(url, QUICK), password))

    url = proxy.url(password)
    assert failed(url.replace(proxy.database, "nowhere")) is SourceMissing
    assert failed(proxy.url(password, sslmode="require")) is LostConnection
    with refusing_server('password authentication failed for user "loader"') as port:
        assert failed(url.replace(str(proxy.port), str(port))) is AccessRefused
    with refusing_server("sorry, too many clients already", "53300") as port:
        assert failed(url.replace(str(proxy.port), str(port))) is TemporaryFailure
    proxy.cut()
    assert failed(url) is LostConnection


def test_a_key_of_the_lake_that_the_engine_cannot_take_is_not_repeated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lake = LakeAccess(region="us-east-1", access_key="Canary7 key", secret_key="Canary7 'secret'")  # noqa: S106
    # A name of an option that the engine does not know: it quotes the whole statement.
    monkeypatch.setattr("crmbet.databases.duckdb.literal", lambda value: Fragment(f"{literal(value)} OOPS 1"))

    with pytest.raises(duckdb.Error) as failure, open_engine(Settings(lake_bucket="unused"), lake):
        pass

    shown = "".join(traceback.format_exception(failure.value))
    assert "OOPS" in shown
    assert "Canary7" not in shown


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://loader:Canary 7@[warehouse/crm",
        "postgresql://loader:Canary 7@warehouse/crm?sslmode",
        "postgresql://loader:Canary7@warehouse/crm?no_such_option=1",
        "postgresql://loader:Canary7%zz@warehouse/crm",
        "host=warehouse password='Canary7",
        "host=warehouse password Canary7",
    ],
)
def test_an_address_that_cannot_be_read_is_not_repeated(engine: duckdb.DuckDBPyConnection, url: str) -> None:
    for action in (lambda: attach(engine, url), lambda: open_session(url, QUICK)):
        failure = failure_of(action, "Canary 7")
        assert type(failure) is BadSetting
        assert "Canary" not in str(failure)


def test_every_libpq_option_of_the_connection_reaches_the_engines_sessions(
    engine: duckdb.DuckDBPyConnection, proxy: Proxy
) -> None:
    options = {
        "application_name": "it's \"ours\" \\ = x", "client_encoding": "UTF8", "connect_timeout": "7",
        "sslmode": "disable",
        "gssencmode": "disable", "keepalives": "0", "keepalives_idle": "9", "tcp_user_timeout": "5000",
        "target_session_attrs": "any", "load_balance_hosts": "disable", "channel_binding": "disable",
        "hostaddr": "127.0.0.1",
        "options": "-c work_mem=5MB -c statement_timeout=7s", "fallback_application_name": "x", "sslcompression": "0",
        "sslsni": "0", "ssl_min_protocol_version": "TLSv1.2", "krbsrvname": "postgres", "passfile": "/nowhere/passes",
        "sslcertmode": "allow", "sslcert": "/nowhere/cert", "sslkey": "/nowhere/key", "sslcrl": "/nowhere/crl",
        "gssdelegation": "0", "replication": "false", "keepalives_count": "2", "keepalives_interval": "3",
    }  # fmt: skip
    attach(engine, proxy.url(PASSWORDS[1], **options))

    asked = "SELECT current_setting(name) FROM (VALUES ('application_name'), ('work_mem'), ('statement_timeout'), "
    asked += "('search_path')) AS names(name)"
    rows = engine.execute("FROM postgres_query('source', ?)", [asked]).fetchall()
    assert rows == [(options["application_name"],), ("5MB",), ("7s",), ("pg_catalog,pg_temp",)]
