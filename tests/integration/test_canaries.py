"""A run that fails on its connections: its log, its XComs, its row, its alert and its messages show no password.

Each connection has a password of its own, which nothing else in the world spells. What leaves the process is searched
for all of them.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import psycopg2
import pytest
from sqlalchemy import text

from crmbet.redaction import _spellings
from tests.integration.conftest import FinishedRun, Operator
from tests.integration.databases.servers import Proxy
from tests.integration.live.sinks import WebSink, web_sink

pytestmark = pytest.mark.integration

CANARIES = {
    "source": "canary 1 'of' the \"source\"",
    "target": "canary-2@target:/%",
    "alerts_webhook": "canary3webhook",
}
TABLE = """
CREATE TABLE tbl_transactions AS
SELECT gen_random_uuid() AS transaction_id, 'u' || n AS user_id, 1::numeric(10, 2) AS amount, 'bet' AS transaction_type,
    'completed' AS status, timestamp '2026-08-01' + n * interval '1 second' AS created_at
FROM generate_series(1, 50000) AS n
"""


@pytest.fixture(scope="module")
def sink() -> Iterator[WebSink]:
    with web_sink() as opened:
        yield opened


@pytest.fixture(scope="module")
def operator(open_operator: Callable[..., Operator], sink: WebSink) -> Iterator[Operator]:
    """An operator with a table of transactions, whose connections all have canaries."""
    made = open_operator()
    with closing(psycopg2.connect(made.source_url)) as admin, admin, admin.cursor() as cursor:
        cursor.execute(TABLE)
    proxies = []
    with pytest.MonkeyPatch.context() as patch:
        for name, url in (("source", made.source_url), ("target", made.target_url)):
            proxy = Proxy(url)
            proxies.append(proxy)
            connection = {
                "conn_type": "postgres", "host": "127.0.0.1", "port": proxy.port, "schema": proxy.database,
                "login": proxy.user, "password": CANARIES[name],
            }  # fmt: skip
            patch.setenv(f"AIRFLOW_CONN_CRMBET_{name.upper()}", json.dumps(connection))
        webhook = {"conn_type": "http", "host": f"{sink.url}/told", "password": CANARIES["alerts_webhook"]}
        patch.setenv("AIRFLOW_CONN_CRMBET_ALERTS_WEBHOOK", json.dumps(webhook))
        yield made
        for proxy in proxies:
            proxy.close()


def change(patch: pytest.MonkeyPatch, name: str, **parts: Any) -> None:
    variable = f"AIRFLOW_CONN_CRMBET_{name.upper()}"
    patch.setenv(variable, json.dumps(json.loads(os.environ[variable]) | parts))


@pytest.fixture(params=["limit", "wrong database", "TLS", "unreachable", "lost after attach"])
def fault(
    request: pytest.FixtureRequest, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """One kind of failure of the source."""
    kind = request.param
    with closing(psycopg2.connect(operator.source_url)) as admin:
        admin.autocommit = True
        cursor = admin.cursor()
        if kind == "limit":
            cursor.execute(
                "CREATE ROLE narrow LOGIN CONNECTION LIMIT 2; GRANT SELECT ON tbl_transactions TO narrow"
            )
            change(monkeypatch, "source", login="narrow")
            monkeypatch.setenv("CRMBET_THREADS", "4")
        elif kind == "wrong database":
            change(monkeypatch, "source", schema="nowhere")
        elif kind == "TLS":
            change(monkeypatch, "source", extra={"sslmode": "require"})
        elif kind == "unreachable":
            change(monkeypatch, "source", port=9)
        else:
            cursor.execute("ALTER TABLE tbl_transactions RENAME TO hidden")
            cursor.execute(
                "CREATE VIEW tbl_transactions AS SELECT * FROM hidden WHERE pg_terminate_backend(pg_backend_pid())"
            )
        yield kind
        if kind == "limit":
            cursor.execute("DROP OWNED BY narrow; DROP ROLE narrow")
        if kind == "lost after attach":
            cursor.execute("DROP VIEW tbl_transactions; ALTER TABLE hidden RENAME TO tbl_transactions")


def left(run: FinishedRun) -> str:
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


def test_nothing_that_leaves_a_failed_run_shows_a_password(
    operator: Operator, sink: WebSink, fault: str, caplog: Any, capfd: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    sink.posts.clear()

    run = operator.run(logical_date=datetime(2026, 8, 12, tzinfo=UTC), use_executor=False)

    assert run.states["extract_pg"] == "failed"
    printed = capfd.readouterr()
    gone = {
        "log": caplog.text + printed.out + printed.err,
        "Airflow's database": left(run),
        "figures of runs": str(operator.query("SELECT to_jsonb(r) FROM ml_features.pipeline_runs AS r")),
        "alerts": str(operator.query("SELECT to_jsonb(a) FROM ml_features.alerts AS a")),
        "webhook": str([body for _, _, body in sink.posts]),
        "store": "".join(str(operator.store.read(entry.key)) for entry in operator.store.list("crmbet/")),
    }
    assert "crmbet_source" in gone["log"]
    assert "crmbet_source" in gone["figures of runs"]
    for where, shown in gone.items():
        for name, canary in CANARIES.items():
            for spelling in _spellings(canary):
                assert spelling not in shown, f"{where} shows the password of crmbet_{name}"
