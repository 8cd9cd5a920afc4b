"""A task that fails on its connections: its log, its XComs, its row, its alert and its messages show no password.

Each connection has a password of its own, which nothing else in the world spells. What leaves the process is searched
for all of them.
"""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import psycopg2
import pytest
from airflow.sdk.log import _secrets_masker  # type: ignore[attr-defined]
from sqlalchemy import text

from crmbet.failures import BadSetting, CrmbetError, LostConnection, SourceMissing, TemporaryFailure
from crmbet.monitoring.alerts.channels import SENT, send_to_all
from crmbet.monitoring.alerts.message import Message
from crmbet.monitoring.outcome import Failure
from crmbet.operators.extract_pg import ExtractPgOperator
from crmbet.orchestration.context import load_session
from crmbet.orchestration.incidents import configured_channels
from crmbet.orchestration.watching import fail, retry
from crmbet.redaction import _spellings
from crmbet.run.settings import Settings
from tests.integration.conftest import FinishedRun, Operator
from tests.integration.databases.servers import Proxy
from tests.integration.live.sinks import WebSink, web_sink

pytestmark = pytest.mark.integration

CANARIES = {
    "source": "canary 1 'of' the \"source\"",
    "target": "canary-2@target:/%",
    "lake": "canary-4-lake/+=",
    "lake's endpoint": "canary-5-endpoint",
    "alerts_webhook": "canary3webhook",
    "alerts_webhook's address": "canary-6-webhook",
    "alerts_slack": "T0/B0/canary-7-slack",
    "alerts_email": "canary-8-mail",
}
ENDPOINT, HOOK = CANARIES["lake's endpoint"], CANARIES["alerts_webhook's address"]
# Nearly empty pages that are counted, since the engine shares a table out by thousands of pages.
TABLE = """
CREATE TABLE tbl_transactions WITH (fillfactor = 10) AS
SELECT gen_random_uuid() AS transaction_id, 'u' || n AS user_id, 1::numeric(10, 2) AS amount, 'bet' AS transaction_type,
    'completed' AS status, timestamp '2026-08-01' + n * interval '1 second' AS created_at
FROM generate_series(1, 30000) AS n;
ANALYZE tbl_transactions;
CREATE ROLE narrow LOGIN CONNECTION LIMIT 2;
GRANT SELECT ON tbl_transactions TO narrow
"""
BREAK = """
ALTER TABLE tbl_transactions RENAME TO hidden;
CREATE VIEW tbl_transactions AS SELECT * FROM hidden WHERE pg_terminate_backend(pg_backend_pid())
"""


@pytest.fixture(scope="module")
def proxies(new_database: Callable[[], str]) -> Iterator[dict[str, Proxy]]:
    """Source and target, by TCP."""
    source = new_database()
    with closing(psycopg2.connect(source)) as admin, admin, admin.cursor() as cursor:
        cursor.execute(TABLE)
    made = {"source": Proxy(source), "target": Proxy(new_database())}
    yield made
    for proxy in made.values():
        proxy.close()
    with closing(psycopg2.connect(source)) as admin, admin, admin.cursor() as cursor:
        cursor.execute("DROP OWNED BY narrow; DROP ROLE narrow")


@pytest.fixture
def connections(proxies: dict[str, Proxy], monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Defines the connections of databases with their canaries, and one of them with other parts."""

    def define(of: str = "source", **parts: Any) -> None:
        for name, proxy in proxies.items():
            connection = {
                "conn_type": "postgres", "host": "127.0.0.1", "port": proxy.port, "schema": proxy.database,
                "login": proxy.user, "password": CANARIES[name], **(parts if name == of else {}),
            }  # fmt: skip
            monkeypatch.setenv(f"AIRFLOW_CONN_CRMBET_{name.upper()}", json.dumps(connection))

    define()
    return define


def assert_no_canary(gone: dict[str, str]) -> None:
    for where, shown in gone.items():
        for name, canary in CANARIES.items():
            for spelling in _spellings(canary):
                assert spelling not in shown, f"{where} shows the password of crmbet_{name}"


@pytest.mark.few(3)
@pytest.mark.parametrize(
    ("parts", "kind"),
    [
        ({"login": "narrow"}, TemporaryFailure),
        ({"schema": "nowhere"}, SourceMissing),
        ({"login": "nobody_at_all"}, SourceMissing),
        ({"extra": {"sslmode": "require"}}, LostConnection),
        ({"port": 9}, LostConnection),
        ({"extra": {"options": "-c no_such_setting=1"}}, LostConnection),
        ({"extra": {"connect_timeout": "never"}}, LostConnection),
        ({"host": "host with 'quotes' and blanks"}, LostConnection),
    ],
)
def test_nothing_that_a_failed_task_leaves_shows_a_password(
    bucket: str,
    connections: Callable[..., None],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    parts: dict[str, Any],
    kind: type[Exception],
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("CRMBET_THREADS", "4")
    connections(**parts)

    gone = _fail(kind, caplog)

    assert "crmbet_source" in gone["message"]
    assert_no_canary(gone)


def test_nothing_that_a_task_leaves_whose_source_takes_no_more_connections_shows_a_password(
    bucket: str,
    connections: Callable[..., None],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    proxies: dict[str, Proxy],
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("CRMBET_THREADS", "4")
    few = Proxy(proxies["source"].server_url, most=1)
    connections(port=few.port)
    try:
        assert_no_canary(_fail(LostConnection, caplog))
    finally:
        few.close()


def test_nothing_that_a_task_leaves_whose_source_went_away_shows_a_password(
    bucket: str, connections: Callable[..., None], caplog: pytest.LogCaptureFixture, proxies: dict[str, Proxy]
) -> None:
    caplog.set_level(logging.DEBUG)
    url = proxies["source"].url("unused")
    with closing(psycopg2.connect(url)) as admin, admin, admin.cursor() as cursor:
        cursor.execute(BREAK)
    try:
        assert_no_canary(_fail(LostConnection, caplog))
    finally:
        with closing(psycopg2.connect(url)) as admin, admin, admin.cursor() as cursor:
            cursor.execute("DROP VIEW tbl_transactions; ALTER TABLE hidden RENAME TO tbl_transactions")


@pytest.mark.parametrize(
    ("endpoint", "kind"),
    [
        (f"http://key:{ENDPOINT}@127.0.0.1:9", LostConnection),
        (f"http://key:{ENDPOINT}@my_host:9", BadSetting),
        (f"http://key:{ENDPOINT}@host name:9", BadSetting),
        (f"http://key:{ENDPOINT} x@127.0.0.1:9", BadSetting),
        (f"http://key:{ENDPOINT}@127.0.0.1:port", BadSetting),
        (f"key:{ENDPOINT}@127.0.0.1:9", BadSetting),
    ],
)
def test_nothing_that_a_task_leaves_whose_lake_fails_shows_a_password(
    bucket: str,
    connections: Callable[..., None],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    endpoint: str,
    kind: type[Exception],
) -> None:
    caplog.set_level(logging.DEBUG)
    extra = {
        "endpoint_url": endpoint,
        "region_name": "us-east-1",
        "config_kwargs": {"retries": {"total_max_attempts": 1}},
    }
    lake = {"conn_type": "aws", "login": "canary-key", "password": CANARIES["lake"], "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_CRMBET_LAKE", json.dumps(lake))

    gone = _fail(kind, caplog)

    # S3's client writes addresses into its own log. Airflow's filter takes their secrets out.
    assert_no_canary({**gone, "log": str(_secrets_masker().redact(gone["log"]))})


@pytest.mark.parametrize("parts", [
    {"schema": "nowhere"}, {"login": "nobody_at_all"}, {"port": 9}, {"extra": {"sslmode": "require"}},
    {"extra": {"connect_timeout": "never"}}, {"host": "host with 'quotes' and blanks"},
])  # fmt: skip
def test_nothing_that_a_task_leaves_whose_target_fails_shows_a_password(
    bucket: str, connections: Callable[..., None], caplog: pytest.LogCaptureFixture, parts: dict[str, Any]
) -> None:
    caplog.set_level(logging.DEBUG)
    connections("target", **parts)

    with (
        pytest.raises(CrmbetError) as failure,
        load_session("manual__canary", Settings(lake_bucket="unused")) as session,
        session.transaction(),
    ):
        pass

    assert "crmbet_target" in str(failure.value)
    assert_no_canary({"traceback": "".join(traceback.format_exception(failure.value)), "log": caplog.text})


@pytest.mark.parametrize(
    "address", ["{sink}/fail", "http://127.0.0.1:9/told", "http://[127.0.0.1/told", "ftp://x"]
)
def test_nothing_that_a_failing_channel_leaves_shows_a_password(
    sink: WebSink, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    caplog.set_level(logging.DEBUG)
    scheme, _, rest = address.format(sink=sink.url).partition("://")
    with_secret = f"{scheme}://hook:{HOOK}@{rest}"
    given = {
        "webhook": {"conn_type": "http", "host": with_secret, "password": CANARIES["alerts_webhook"]},
        "slack": {"conn_type": "http", "host": with_secret, "password": CANARIES["alerts_slack"]},
        "email": {
            "conn_type": "smtp", "host": "127.0.0.1", "port": 9, "login": "ops", "password": CANARIES["alerts_email"],
            "extra": {"to": "ops@example.com", "disable_ssl": True},
        },
    }  # fmt: skip
    for name, connection in given.items():
        monkeypatch.setenv(f"AIRFLOW_CONN_CRMBET_ALERTS_{name.upper()}", json.dumps(connection))
    failure = Failure.of(LostConnection("PostgreSQL cannot be reached"))
    message = Message(
        kind="failed", dag_id="user_features_daily", execution_id="manual__canary", failure=failure
    )

    results = send_to_all(configured_channels(), message, 4)

    assert len(results) == len(given)
    assert SENT not in results.values()
    assert_no_canary({"results": str(results), "log": caplog.text})


def _fail(kind: type[Exception], caplog: pytest.LogCaptureFixture) -> dict[str, str]:
    """Execute extract_pg as Airflow would; all texts that leave the process when it fails."""
    now = datetime(2026, 8, 12, 6, tzinfo=UTC)
    dag_run = SimpleNamespace(
        dag_id="user_features_daily", run_id="manual__canary", run_type="manual", start_date=now, run_after=now,
        logical_date=None, data_interval_end=None,
    )  # fmt: skip
    pushed: list[Any] = []
    ti = SimpleNamespace(
        task_id="extract_pg", try_number=1, xcom_push=lambda key, value: pushed.append((key, value))
    )
    context = {"params": {}, "dag_run": dag_run, "ti": ti}
    with pytest.raises(kind) as failure:
        ExtractPgOperator(task_id="extract_pg").execute(context)  # type: ignore[arg-type]
    retry({**context, "exception": failure.value})
    fail({**context, "exception": failure.value})
    message = Message(
        kind="failed", dag_id="user_features_daily", execution_id="manual__canary", failure=Failure.of(failure.value)
    )  # fmt: skip
    assert pushed, "the failure is left for the run's row"
    return {
        "traceback": "".join(traceback.format_exception(failure.value)),
        "log": caplog.text,
        "XCom": str(pushed) + json.dumps(pushed),
        "message": message.to_text()
        + message.to_html()
        + str(message.to_slack())
        + json.dumps(message.to_document()),
    }


@pytest.fixture(scope="module")
def sink() -> Iterator[WebSink]:
    with web_sink() as opened:
        yield opened


def _left(run: FinishedRun) -> str:
    """What Airflow's database has of a run."""
    from airflow import settings

    engine: Any = settings.engine
    with engine.connect() as connection:
        rows = [
            *connection.execute(text("SELECT * FROM xcom WHERE run_id = :run"), {"run": run.run_id}),
            *connection.execute(text("SELECT * FROM rendered_task_instance_fields")),
            *connection.execute(text("SELECT * FROM log")),
        ]
    return str(rows)


@pytest.mark.full
def test_nothing_that_leaves_a_failed_run_shows_a_password(
    open_operator: Callable[[], Operator],
    connections: Callable[..., None],
    sink: WebSink,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    proxies: dict[str, Proxy],
) -> None:
    operator = open_operator()
    connections(login="narrow")
    webhook = {"conn_type": "http", "host": f"{sink.url}/told", "password": CANARIES["alerts_webhook"]}
    monkeypatch.setenv("AIRFLOW_CONN_CRMBET_ALERTS_WEBHOOK", json.dumps(webhook))
    monkeypatch.setenv("CRMBET_THREADS", "4")
    caplog.set_level(logging.DEBUG)

    run = operator.run(logical_date=datetime(2026, 8, 12, tzinfo=UTC), use_executor=False)

    assert run.states["extract_pg"] == "failed"
    printed = capfd.readouterr()
    with (
        closing(psycopg2.connect(proxies["target"].url(CANARIES["target"]))) as target,
        target.cursor() as cursor,
    ):
        cursor.execute("SELECT to_jsonb(r) FROM ml_features.pipeline_runs AS r")
        figures = str(cursor.fetchall())
        cursor.execute("SELECT to_jsonb(a) FROM ml_features.alerts AS a")
        alerts = str(cursor.fetchall())
    gone = {
        "log": caplog.text + printed.out + printed.err,
        "Airflow's database": _left(run),
        "figures of runs": figures,
        "alerts": alerts,
        "webhook": str([body for _, _, body in sink.posts]),
        "store": "".join(str(operator.store.read(entry.key)) for entry in operator.store.list("crmbet/")),
    }
    assert "CONNECTION LIMIT" in gone["log"]
    assert "CONNECTION LIMIT" in gone["figures of runs"]
    assert_no_canary(gone)
