"""The DAG files as Airflow sees them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag

from local.workspace import PROJECT


@pytest.fixture(scope="session")
def dag_bag() -> DagBag:
    return DagBag(dag_folder=str(PROJECT / "dags"))


@pytest.fixture(scope="session")
def dag(dag_bag: DagBag) -> Any:
    return dag_bag.dags["user_features_daily"]


@pytest.fixture(scope="session")
def ask() -> Callable[..., Any]:
    """Runs a script in a fresh process, as one of Airflow's would start, and returns the JSON that it prints last."""

    def run(script: str, **environ: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-c", script],
            env=os.environ | {"PYTHONPATH": str(PROJECT / "plugins")} | environ,
            cwd=PROJECT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run
