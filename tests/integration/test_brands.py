"""Two brands in one database, with the same player ids in both and days of different zones: not a cell crosses."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from crmbet.contracts.files import load_table_contract
from crmbet.erasure.ledger import ensure_tables
from crmbet.load.session import LoadSession
from crmbet.run.tasks import TASKS
from crmbet.sweep import SweepPlan
from local.simulator import World, deliver

pytestmark = pytest.mark.integration

AS_OF = date(2024, 4, 10)
OURS = World(seed=11, players=40, start_day=AS_OF - timedelta(days=3), end_day=AS_OF)
THEIRS = replace(OURS, seed=12, operator_timezone="Asia/Tokyo")
UNGATED = [task for task in TASKS if task not in ("validate_raw", "validate")]
"""So few players are no match for the gates, and these know of no brand."""
CELLS = "SELECT to_jsonb(f) - '{{updated_at,known_at,created_at}}'::text[] FROM {}.user_features AS f ORDER BY user_id"
AURORA = "user_features_daily__aurora"


def cells(url: str, schema: str) -> list[tuple[Any, ...]]:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(CELLS.format(schema))
        return cursor.fetchall()


def erase_of_aurora(operator: Any, user_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Erase a player of the brand, whose id another player of the brand of the environment has, too."""
    key = {"conn_type": "generic", "password": "0123456789abcdef0123456789abcdef"}
    monkeypatch.setenv("AIRFLOW_CONN_CRMBET_ERASURE", json.dumps(key))
    contract = load_table_contract().in_schema("ml_features_aurora")
    with closing(psycopg2.connect(operator.target_url)) as connection:
        ensure_tables(
            LoadSession(connection=connection, contract=contract, run_id="r", lock_timeout_seconds=5)
        )
        with connection, connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO ml_features_aurora.erasure_requests (user_id) VALUES (%s)", (user_id,)
            )
    tasks = ["take_erasure_requests", "erase_players"]
    operator.execute(tasks, run_id="erased", dag_id="user_features_erasure__aurora")
    assert operator.query(
        "SELECT state, (SELECT count(*) FROM ml_features_aurora.erasure_ledger), "
        "to_regclass('ml_features.erasure_ledger') "
        "FROM ml_features_aurora.erasure_requests"
    ) == [("erased", 1, None)]


def source_of(monkeypatch: pytest.MonkeyPatch, connection_id: str, url: str) -> None:
    found = json.loads(os.environ["AIRFLOW_CONN_CRMBET_SOURCE"])
    database = psycopg2.extensions.parse_dsn(url)["dbname"]
    monkeypatch.setenv(f"AIRFLOW_CONN_{connection_id.upper()}", json.dumps(found | {"schema": database}))


def test_not_a_cell_crosses_and_a_file_that_goes_takes_its_dags_alone(
    open_operator: Callable[..., Any],
    new_database: Callable[[], str],
    services: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What the other brand's table has if it is alone.
    alone = open_operator()
    deliver(THEIRS, bucket=alone.bucket, source_url=alone.source_url)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CRMBET_BRAND", "aurora")
        patch.setenv("CRMBET_OPERATOR_TIMEZONE", THEIRS.operator_timezone)
        alone.execute(UNGATED, run_id="run", as_of=AS_OF.isoformat())
    expected = cells(alone.target_url, "ml_features")

    operator = open_operator()
    deliver(OURS, bucket=operator.bucket, source_url=operator.source_url)
    operator.execute(UNGATED, run_id="run", as_of=AS_OF.isoformat())
    ours = cells(operator.target_url, "ml_features")
    kept = {entry.key for entry in operator.store.list("crmbet/")}

    aurora_source = new_database()
    lake = f"{operator.bucket}-aurora"
    services.object_store.create_bucket(lake)
    deliver(THEIRS, bucket=lake, source_url=aurora_source)
    source_of(monkeypatch, "aurora_source", aurora_source)
    monkeypatch.setenv("CRMBET_BRANDS_DIRECTORY", str(tmp_path))
    (tmp_path / "default.yaml").write_text("")
    (tmp_path / "aurora.yaml").write_text(
        f"lake_bucket: {lake}\nsource_connection: aurora_source\noperator_timezone: Asia/Tokyo\n"
    )
    operator.execute(UNGATED, run_id="run", dag_id=AURORA, as_of=AS_OF.isoformat())

    theirs = cells(operator.target_url, "ml_features_aurora")
    shared = {row["user_id"] for (row,) in ours} & {row["user_id"] for (row,) in theirs}
    assert shared, "the brands have player ids in common"
    assert theirs == expected
    assert cells(operator.target_url, "ml_features") == ours != theirs
    assert {entry.key for entry in operator.store.list("crmbet/")} == kept

    found = operator.execute(["plan_sweep"], run_id="swept", dag_id="user_features_weekly")
    assert not found.manifest("plan_sweep", SweepPlan).done_files

    player = min(shared)
    kept = {entry.key for entry in operator.store.list("crmbet/")}
    erase_of_aurora(operator, player, monkeypatch)
    assert cells(operator.target_url, "ml_features") == ours
    assert {entry.key for entry in operator.store.list("crmbet/")} == kept
    rebuilt = {"run_id": "rebuilt", "as_of": AS_OF.isoformat(), "full_refresh": True}
    operator.execute(UNGATED, **rebuilt)
    operator.execute(UNGATED, dag_id=AURORA, **rebuilt)
    assert [row["user_id"] for (row,) in cells(operator.target_url, "ml_features")] == [
        row["user_id"] for (row,) in ours
    ], "our ledger does not know their player"
    theirs = cells(operator.target_url, "ml_features_aurora")
    assert player not in {row["user_id"] for (row,) in theirs}

    (tmp_path / "aurora.yaml").unlink()
    with pytest.raises(KeyError, match=AURORA):
        operator.execute(UNGATED, run_id="gone", dag_id=AURORA)
    assert cells(operator.target_url, "ml_features_aurora") == theirs


def test_a_run_of_a_brand_is_recorded_and_told_with_its_name_in_its_own_schema(
    open_operator: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = open_operator()
    monkeypatch.setenv("CRMBET_BRANDS_DIRECTORY", str(tmp_path))
    # A bad value that no DAG file looks at: the run fails at once, and is recorded all the same.
    (tmp_path / "aurora.yaml").write_text("max_psi: -1\n")

    failed = operator.run(dag_id=AURORA, logical_date=datetime.combine(AS_OF, datetime.min.time(), UTC))

    assert failed.states["extract_s3"] == "failed"
    ((dag_id, task, failure),) = operator.query(
        "SELECT dag_id, failed_task, failure FROM ml_features_aurora.pipeline_runs"
    )
    assert (dag_id, task[:8]) == (AURORA, "extract_")
    assert "CRMBET_MAX_PSI has a bad value" in failure
    assert operator.query("SELECT to_regnamespace('ml_features')") == [(None,)]
