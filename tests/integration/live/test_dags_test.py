"""`airflow dags test` beside a running scheduler."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from local import airflow
from local.processes import Daemon
from tests.integration.live.running import DAG, Live

pytestmark = pytest.mark.integration


def test_an_unpaused_dag_is_refused_in_one_sentence_before_there_is_a_run(live: Live) -> None:
    before = runs_and_alerts(live)

    done = dags_test(live)

    assert done.returncode == 2, done.stdout + done.stderr
    [line] = [line for line in done.stderr.splitlines() if "scheduler" in line]
    assert line.startswith(
        f"`airflow dags test` does nothing, since the scheduler would take the tasks of {DAG} as well"
    )
    assert "Traceback" not in done.stdout + done.stderr
    assert runs_and_alerts(live) == before


def dags_test(live: Live) -> subprocess.CompletedProcess[str]:
    """The command, in the environment of the scheduler."""
    scheduler = Daemon(live.workspace, "scheduler").process()
    assert scheduler is not None
    return subprocess.run(
        [airflow.executable("airflow"), "dags", "test", DAG, "2024-04-09"],
        env=scheduler.environ(), capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def runs_and_alerts(live: Live) -> list[tuple[Any, ...]]:
    runs = live.query("airflow", "SELECT run_id FROM dag_run ORDER BY run_id")
    return runs + live.target("SELECT alert_id FROM ml_features.alerts ORDER BY alert_id")
