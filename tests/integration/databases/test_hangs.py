"""Servers that accept and never answer, or that stop answering: every wait ends, and with an error that is retried."""

from __future__ import annotations

import json
import math
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from threading import Timer
from typing import Any

import duckdb
import psycopg2
import pytest
from psycopg2 import extensions
from psycopg2.extensions import parse_dsn

from crmbet.databases import postgres
from crmbet.databases.duckdb import LakeAccess, attach_postgres, open_engine
from crmbet.databases.duckdb_failures import failures_explained
from crmbet.databases.sessions import open_session, session_options, silence_limit
from crmbet.databases.silence import limit_server
from crmbet.datasets.prefetch import fetch_ahead
from crmbet.failures import LostConnection, TemporaryFailure
from crmbet.orchestration.context import open_lake
from crmbet.run.settings import Settings, TimeoutSettings
from crmbet.storage.object_store import ObjectStore
from tests.integration.databases.servers import (
    Proxy,
    dripping_web_server,
    server_that_stops_after_the_login,
    silent_server,
)

pytestmark = pytest.mark.integration

IMPATIENT = TimeoutSettings(
    connect_timeout_seconds=2, answer_timeout_seconds=1, statement_timeout_seconds=1, idle_timeout_seconds=1
)
"""A silent connection is ended after three seconds: the server's time-out, and two more."""
LONGEST_SECONDS = 12


@pytest.fixture(scope="module")
def database(new_database: Callable[[], str]) -> str:
    url = new_database()
    with closing(psycopg2.connect(url)) as admin, admin, admin.cursor() as cursor:
        cursor.execute("CREATE TABLE numbers AS SELECT n FROM generate_series(1, 100000) AS n")
    return url


@pytest.fixture
def proxy(database: str) -> Iterator[Proxy]:
    made = Proxy(database)
    yield made
    made.close()


@pytest.fixture
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    with open_engine(Settings(lake_bucket="unused")) as opened:
        yield opened


@pytest.fixture(autouse=True)
def in_time() -> Iterator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < LONGEST_SECONDS


def ask(connection: extensions.connection, *queries: str, pause: float = 0) -> None:
    """Run queries in one transaction, and wait after each."""
    with postgres.transaction(connection, where="target") as cursor:
        for query in queries:
            cursor.execute(query)
            time.sleep(pause)


def test_a_server_that_stops_answering_the_engine_is_lost(
    engine: duckdb.DuckDBPyConnection, proxy: Proxy
) -> None:
    query = "SELECT count(*) FROM source.numbers"
    attach_postgres(engine, proxy.url("Canary7"), "source", read_only=True, timeouts=IMPATIENT)
    engine.execute(query)
    proxy.freeze()

    with pytest.raises(LostConnection), failures_explained("source"):
        engine.execute(query).fetchall()


@pytest.mark.full
@pytest.mark.parametrize("place", ["service", "PGSERVICE", "PGHOST", "PGHOSTADDR"])
def test_a_server_whose_host_the_connection_does_not_name_is_watched_too(
    engine: duckdb.DuckDBPyConnection,
    proxy: Proxy,
    place: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rest = f"dbname={proxy.database} user={proxy.user}"
    services = tmp_path / "services.conf"
    services.write_text(f"[warehouse]\nhost=127.0.0.1\nport={proxy.port}\n")
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    if place == "service":
        rest += " service=warehouse"
    elif place == "PGSERVICE":
        monkeypatch.setenv("PGSERVICE", "warehouse")
    else:
        monkeypatch.setenv(place, "127.0.0.1")
        monkeypatch.setenv("PGPORT", str(proxy.port))
    query = "SELECT count(*) FROM source.numbers"
    attach_postgres(engine, rest, "source", read_only=True, timeouts=IMPATIENT)
    engine.execute(query)
    proxy.freeze()

    with pytest.raises(LostConnection), failures_explained("source"):
        engine.execute(query).fetchall()


@pytest.mark.full
def test_a_server_that_drips_is_lost(engine: duckdb.DuckDBPyConnection, proxy: Proxy) -> None:
    """No byte comes late, and yet the answer takes longer than the server may work on a statement."""
    attach_postgres(engine, proxy.url("Canary7"), "source", read_only=True, timeouts=IMPATIENT)
    query = "SELECT max(n) FROM source.numbers"
    engine.execute(query).fetchall()
    with closing(open_session(proxy.url("Canary7"), IMPATIENT)) as connection:
        ask(connection, "SELECT 1")
        proxy.drip()

        with pytest.raises(LostConnection), failures_explained("source"):
            engine.execute(query).fetchall()
        with pytest.raises(LostConnection):
            ask(connection, "SELECT 1")


@pytest.mark.full
def test_a_server_that_stops_answering_psycopg2_right_after_the_login() -> None:
    """psycopg2 asks a server for dates in the form of ISO before it gives the connection to us."""
    with server_that_stops_after_the_login(DateStyle="SQL, DMY") as port:
        url = f"postgresql://loader@127.0.0.1:{port}/crm"
        with pytest.raises(LostConnection), postgres.failures_explained("target"):
            open_session(url, IMPATIENT)


def test_a_connection_asks_nothing_before_it_has_its_limit(
    engine: duckdb.DuckDBPyConnection, database: str
) -> None:
    name = parse_dsn(database)["dbname"]
    with closing(psycopg2.connect(database)) as admin, admin, admin.cursor() as cursor:
        cursor.execute(f"ALTER DATABASE {name} SET DateStyle = 'German, DMY'")
    try:
        with closing(open_session(database, IMPATIENT)) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT source, setting FROM pg_settings WHERE name = 'DateStyle'")
            # What is set by a query has the source "session".
            assert cursor.fetchall() == [("client", "ISO, MDY")]
        attach_postgres(engine, database, "source", read_only=True, timeouts=IMPATIENT)
        # Views of the source may read dates by the database's DateStyle.
        shown = engine.execute("FROM postgres_query('source', 'SELECT current_setting(''DateStyle'')')")
        assert shown.fetchall() == [("German, DMY",)]
    finally:
        with closing(psycopg2.connect(database)) as admin, admin, admin.cursor() as cursor:
            cursor.execute(f"ALTER DATABASE {name} RESET DateStyle")


class _TimeOut(BaseException):
    """As Airflow's, which is no Exception either."""


def _read_at_once(store: ObjectStore, keys: list[str]) -> None:
    store.read_all(keys)


def _fetch_ahead(store: ObjectStore, keys: list[str]) -> None:
    with closing(fetch_ahead(store, Settings.of(lake_bucket="unused"), [keys, keys])) as batches:
        next(batches)


@pytest.mark.full
@pytest.mark.parametrize("read", [_read_at_once, _fetch_ahead])
def test_the_end_of_a_task_does_not_wait_for_threads_that_wait_for_the_lake(
    monkeypatch: pytest.MonkeyPatch, read: Callable[[ObjectStore, list[str]], None]
) -> None:
    def ring(*_: object) -> None:
        raise _TimeOut

    with dripping_web_server() as address:
        extra = {"endpoint_url": address, "region_name": "us-east-1"}
        lake = {"conn_type": "aws", "login": "Canary7key", "password": "Canary7secret", "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_CRMBET_LAKE", json.dumps(lake))
        store = open_lake(Settings.of(lake_bucket="unused", answer_timeout_seconds=1))
        before = signal.signal(signal.SIGALRM, ring)
        signal.setitimer(signal.ITIMER_REAL, 2)
        try:
            with pytest.raises(_TimeOut):
                read(store, [f"key {number}" for number in range(40)])
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)


@pytest.mark.full
def test_a_server_that_stops_in_the_middle_of_its_answer_is_lost(
    engine: duckdb.DuckDBPyConnection, proxy: Proxy
) -> None:
    attach_postgres(engine, proxy.url("Canary7"), "source", read_only=True, timeouts=IMPATIENT)
    Timer(0.3, proxy.freeze).start()

    with pytest.raises(LostConnection), failures_explained("source"):
        engine.execute(
            "FROM postgres_query('source', 'SELECT n, repeat(''x'', 10000) FROM public.numbers')"
        ).fetchall()


@pytest.mark.full
def test_a_server_that_stops_answering_psycopg2_is_lost(proxy: Proxy) -> None:
    with closing(open_session(proxy.url("Canary7"), IMPATIENT)) as connection:
        ask(connection, "SELECT 1")
        proxy.freeze()
        with pytest.raises(LostConnection):
            ask(connection, "SELECT 1")


@pytest.mark.full
def test_a_server_that_accepts_and_never_answers(engine: duckdb.DuckDBPyConnection) -> None:
    with silent_server() as port:
        url = f"postgresql://loader@127.0.0.1:{port}/crm"
        with pytest.raises(LostConnection), postgres.failures_explained("target"):
            open_session(url, IMPATIENT)
        with pytest.raises(LostConnection):
            attach_postgres(engine, url, "source", read_only=True, timeouts=IMPATIENT)


@pytest.mark.full
def test_a_lake_that_accepts_and_never_answers_the_engine() -> None:
    with silent_server() as port:
        keys = {"access_key": "Canary7key", "secret_key": "Canary7secret"}
        lake = LakeAccess(region="us-east-1", endpoint_url=f"http://127.0.0.1:{port}", **keys)
        settings = Settings.of(lake_bucket="unused", answer_timeout_seconds=1)
        with (
            open_engine(settings, lake) as engine,
            pytest.raises(LostConnection),
            failures_explained("lake"),
        ):
            engine.execute("SELECT * FROM read_parquet('s3://lake/x.parquet')")


@pytest.mark.full
@pytest.mark.parametrize(
    ("given", "times"), [({}, (2, 1)), ({"connect_timeout": 9, "read_timeout": 2}, (9, 2))]
)
def test_a_lake_that_accepts_and_never_answers_boto3(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, int], times: tuple[int, int]
) -> None:
    """The connection's own `config_kwargs` win."""
    with silent_server() as port:
        extra = {
            "endpoint_url": f"http://127.0.0.1:{port}", "region_name": "us-east-1",
            "config_kwargs": {"retries": {"total_max_attempts": 1}, **given},
        }  # fmt: skip
        lake = {"conn_type": "aws", "login": "Canary7key", "password": "Canary7secret", "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_CRMBET_LAKE", json.dumps(lake))
        settings = Settings.of(lake_bucket="unused", connect_timeout_seconds=2, answer_timeout_seconds=1)
        store = open_lake(settings)

        config = store._client.meta.config
        assert (config.connect_timeout, config.read_timeout) == times
        with pytest.raises(LostConnection, match="ReadTimeoutError") as failure:
            store.read("x")
    assert "Canary" not in "".join(traceback.format_exception(failure.value))


def test_a_session_that_only_waits_for_us_is_ended_by_the_server(database: str) -> None:
    with closing(open_session(database, IMPATIENT)) as connection, pytest.raises(LostConnection):
        ask(connection, "SELECT 1", "SELECT 2", pause=1.5)


def test_a_statement_that_takes_too_long_is_ended_by_the_server(
    engine: duckdb.DuckDBPyConnection, database: str
) -> None:
    with closing(open_session(database, IMPATIENT)) as connection, pytest.raises(TemporaryFailure):
        ask(connection, "SELECT pg_sleep(30)")
    attach_postgres(engine, database, "source", read_only=True, timeouts=IMPATIENT)
    with pytest.raises(TemporaryFailure), failures_explained("source"):
        engine.execute("FROM postgres_query('source', 'SELECT pg_sleep(30)::text')").fetchall()


@pytest.mark.full
def test_a_session_without_a_limit_and_one_that_waits_for_us_are_left_alone(proxy: Proxy) -> None:
    # The engine's sessions with the same server have a limit.
    limit_server([("127.0.0.1", proxy.port)], 1)
    patient = proxy.url("Canary7", options="-c statement_timeout=0")
    with (
        closing(open_session(patient, IMPATIENT)) as unlimited,
        closing(open_session(proxy.url("Canary7"), IMPATIENT)) as idle,
    ):
        ask(idle, "SELECT 1")
        ask(unlimited, "SELECT pg_sleep(4)", "SELECT 1")
        ask(idle, "SELECT 1")


@pytest.mark.parametrize(
    ("options", "seconds"),
    [
        ("", 12),
        ("-c statement_timeout=30s", 32),
        ("-cstatement_timeout=30000", 32),
        ("--statement_timeout=30000ms", 32),
        ("--statement-timeout=1min", 62),
        ("-c STATEMENT_TIMEOUT=1h", 3602),
        ("-c statement_timeout=5s -c statement_timeout=40s", 42),
        ("-c idle_in_transaction_session_timeout=50s", 52),
        ("-c statement_timeout=0", math.inf),
        ("-c idle_in_transaction_session_timeout=0 -c work_mem=4MB", math.inf),
    ],
)
def test_what_the_connection_says_decides_how_long_a_server_may_be_silent(
    options: str, seconds: float
) -> None:
    timeouts = TimeoutSettings(
        connect_timeout_seconds=2, statement_timeout_seconds=10, idle_timeout_seconds=8
    )
    dsn = f"host=warehouse options='{options}'"

    assert silence_limit(session_options(dsn, timeouts)["options"], timeouts) == seconds


def test_the_options_of_a_connection_win_but_for_the_search_path() -> None:
    timeouts = TimeoutSettings(connect_timeout_seconds=3, answer_timeout_seconds=30)
    dsn = (
        "postgresql://loader@warehouse/crm?connect_timeout=9&keepalives=0&application_name=mine"
        "&options=-c%20search_path%3Dcrm%20-c%20statement_timeout%3D7s"
    )

    options = session_options(dsn, timeouts)
    assert parse_dsn(dsn).items() - {"options": parse_dsn(dsn)["options"]}.items() <= options.items()
    assert options["tcp_user_timeout"] == "30000"
    assert options["options"].endswith(
        "-c search_path=crm -c statement_timeout=7s -c search_path=pg_catalog,pg_temp"
    )
    firm: dict[str, Any] = session_options(dsn, timeouts, firm=True)
    assert (firm["connect_timeout"], firm["application_name"]) == ("3", "mine")
    assert firm["options"].endswith(
        "-c idle_in_transaction_session_timeout=1800s -c search_path=pg_catalog,pg_temp"
    )
