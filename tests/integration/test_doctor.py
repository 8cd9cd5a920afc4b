"""What `python -m crmbet.doctor` says of a deployment, whole and with one thing wrong at a time."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg2
import pytest
from confluent_kafka import Producer

from bench.page import make_up_runs
from crmbet import doctor
from crmbet.contracts.files import load_table_contract
from crmbet.doctor import CHECKS, METADATA, compare_environments, examine
from crmbet.load.session import LoadSession
from crmbet.load.target import ensure_target
from crmbet.monitoring.tables import ensure_tables, open_monitoring, write_run
from crmbet.run.brands import find_brand
from crmbet.run.schemas import DEFAULT_SCHEMA
from local.simulator import World, deliver

pytestmark = pytest.mark.integration

WORLD = World(seed=7, players=30, start_day=date(2024, 3, 1), end_day=date(2024, 3, 3))
PAGE_CONNECTION = "AIRFLOW_CONN_CRMBET_MONITORING"


@pytest.fixture(scope="module")
def operator(open_operator: Callable[..., Any]) -> Any:
    """A deployment with deliveries, roles and a table."""
    operator = open_operator(as_loader=True)
    deliver(WORLD, bucket=operator.bucket, source_url=operator.source_url)
    with closing(psycopg2.connect(operator.target_url)) as connection:
        session = LoadSession(
            connection=connection, contract=load_table_contract(), run_id="first", lock_timeout_seconds=5
        )
        ensure_target(session)
    with open_monitoring(operator.target_url, DEFAULT_SCHEMA) as tables:
        ensure_tables(tables)
        for metrics in make_up_runs(1, datetime.now(UTC) - timedelta(hours=3)):
            write_run(tables, metrics)
    return operator


def findings(**environ: str) -> dict[str, tuple[str, str]]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environ.items():
            patch.setenv(name, value)
        return {name: (finding.state, finding.text) for name, finding in examine(dict(os.environ))}


@contextmanager
def changed(url: str, there: str, back: str) -> Iterator[None]:
    """A database in which something is different for a while."""
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        connection.cursor().execute(there)
        try:
            yield
        finally:
            connection.cursor().execute(back)


def admin_of(url: str) -> str:
    return url.replace("crmbet_loader@", "postgres@")


def test_a_deployment_in_order_has_eleven_lines_and_changes_nothing(operator: Any) -> None:
    before = {entry.key for entry in operator.store.list("")}

    found = findings()

    assert list(found) == list(CHECKS)
    assert len(found) == 11
    assert {name: state for name, (state, _) in found.items()} == dict.fromkeys(CHECKS, "ok") | {
        # No scheduler, no channel, no login of the page's own, and no feed of limits.
        "airflow": "note", "scheduler": "note", "roles": "note", "alerts": "note", "feeds": "note",
    }  # fmt: skip
    assert re.fullmatch(
        "4 fit their contracts, the newest of .* UTC; not delivered: limits", found["feeds"][1]
    )
    assert "login crmbet_loader; table and history match the contract" in found["target"][1]
    assert found["table"][1].endswith("loaded 3 h ago")
    assert {entry.key for entry in operator.store.list("")} == before


def test_the_command_prints_them_and_its_exit_status_says_whether_a_run_would_fail(operator: Any) -> None:
    def run(**environ: str) -> tuple[int, list[str]]:
        done = subprocess.run(
            [sys.executable, "-m", "crmbet.doctor"],
            env=os.environ | {"PYTHONPATH": "plugins"} | environ,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout.splitlines()

    status, lines = run()
    assert (status, [line.split()[1] for line in lines]) == (0, list(CHECKS))

    status, lines = run(CRMBET_MAX_PSI="much")
    assert status == 1
    assert lines[0].startswith("bad   settings   CRMBET_MAX_PSI")


def test_what_is_wrong_is_in_its_own_line(operator: Any) -> None:
    source, target = operator.source_url, operator.target_url
    unlike = operator.store.url("raw/bets/unlike.csv")
    operator.store.write("raw/bets/unlike.csv", b"bet,who\n1,2\n", "text/csv")
    amount, table = "ALTER TABLE tbl_transactions RENAME", "ALTER TABLE ml_features.user_features"
    cases = [
        (
            changed(source, f"{amount} amount TO sum", f"{amount} sum TO amount"),
            "source",
            "column amount is missing",
        ),
        (changed(target, f"{table} ADD mine text", f"{table} DROP mine"), "target", "ALTER TABLE"),
    ]
    for wrong, name, text in cases:
        with wrong:
            found = findings()
        assert found[name][0] == "bad", found
        assert text in found[name][1]
        assert {other for other, (state, _) in found.items() if state == "bad"} == {name, "feeds"}
    assert unlike in found["feeds"][1]
    operator.store.delete_all(["raw/bets/unlike.csv"])

    found = findings(CRMBET_LAKE_BUCKET="nobodys")
    assert {name for name, (state, _) in found.items() if state == "bad"} == {"lake", "feeds"}
    found = findings(CRMBET_RAW_PREFIX="elsewhere/")
    assert "the feed bets has no object" in found["feeds"][1]
    found = findings(CRMBET_BRAND="another")
    assert (found["target"][0], "brand" in found["target"][1]) == ("bad", True)
    found = findings(
        CRMBET_MAX_PSY="0.3", AIRFLOW_CONN_CRMBET_ALERTS_SLACK='{"conn_type": "slackwebhook", "extra": 1}'
    )
    assert found["settings"] == (
        "note",
        "brand default, 2 set, the others have their defaults; nothing reads CRMBET_MAX_PSY",
    )
    assert found["alerts"][0] == "bad"


def test_the_stream_is_looked_at_where_there_is_one(operator: Any) -> None:
    broker = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "mock"})
    broker.produce("doctor-bets", b"{}")
    assert broker.flush(10) == 0
    (node,) = broker.list_topics("doctor-bets", timeout=10).brokers.values()
    connection = json.dumps({"conn_type": "kafka", "host": node.host, "port": node.port})

    found = findings(CRMBET_STREAM_TOPICS="bets=doctor-bets", AIRFLOW_CONN_CRMBET_STREAM=connection)

    assert found["stream"][0] == "note"
    assert re.fullmatch(
        r"doctor-bets at .*: \d+ partitions; no run of user_features_stream has read them yet",
        found["stream"][1],
    )
    without = findings(CRMBET_STREAM_TOPICS="bets=doctor-bets")["stream"]
    assert (without[0], "crmbet_stream" in without[1]) == ("bad", True)


def test_the_pages_login_must_not_read_players(operator: Any) -> None:
    connection = json.loads(os.environ["AIRFLOW_CONN_CRMBET_TARGET"])

    def page_of(login: str) -> tuple[str, str]:
        return findings(**{PAGE_CONNECTION: json.dumps(connection | {"login": login})})["roles"]

    admin = admin_of(operator.target_url)
    let_in = f"GRANT CONNECT ON DATABASE {connection['schema']} TO crmbet_monitor"
    with changed(admin, f"ALTER ROLE crmbet_monitor LOGIN; {let_in}", "ALTER ROLE crmbet_monitor NOLOGIN"):
        assert page_of("crmbet_monitor") == (
            "ok",
            "all there; the page's login crmbet_monitor reads no player",
        )
    state, text = page_of("crmbet_loader")
    assert (state, text.partition(".")[0]) == ("bad", "the page's login crmbet_loader may read players")


def test_the_last_failure_is_told(operator: Any) -> None:
    [good] = make_up_runs(1, datetime.now(UTC))
    failed = good.model_copy(
        update={"execution_id": "x", "state": "failed", "failed_task": "clean", "failure": "it broke"}
    )
    with open_monitoring(operator.target_url, DEFAULT_SCHEMA) as tables:
        write_run(tables, failed)

    state, text = findings()["table"]

    assert state == "note"
    assert text.endswith("the last run failed at clean: it broke")


def test_a_scheduler_with_other_settings_is_found_among_the_processes(operator: Any, tmp_path: Any) -> None:
    script = tmp_path / "airflow"
    script.write_text("import time; time.sleep(60)")
    ours = dict(os.environ) | {METADATA: "postgresql://this"}
    theirs = ours | {"CRMBET_MAX_PSI": "0.4", "AIRFLOW_CONN_CRMBET_LAKE": "{}"}
    strangers = theirs | {METADATA: "postgresql://another"}
    processes = [
        subprocess.Popen([sys.executable, str(script), "scheduler"], env=environ)
        for environ in (theirs, strangers)
    ]
    try:
        deployment = doctor.Deployment(ours, find_brand(None, ours))
        state, text = (finding := doctor.check_scheduler(deployment)).state, finding.text
        same = doctor.check_scheduler(doctor.Deployment(theirs, find_brand(None, theirs)))
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert state == "bad"
    assert "differ in AIRFLOW_CONN_CRMBET_LAKE, CRMBET_MAX_PSI." in text
    assert same.state == "ok"


def test_a_difference_is_named_and_not_shown() -> None:
    ours = {"CRMBET_MAX_PSI": "0.3", "PATH": "/a", "AIRFLOW_CONN_CRMBET_TARGET": "secret"}

    assert compare_environments(ours, ours | {"PATH": "/b", "CRMBET_BRAND": " "}) == set()
    assert compare_environments(ours, {}) == {"CRMBET_MAX_PSI", "AIRFLOW_CONN_CRMBET_TARGET"}
