"""The command of the original specification in a process of its own: its run has the id that was asked for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crmbet.failures import BadParam
from crmbet.pipeline import PipelineConfig, run_pipeline
from local.workspace import PROJECT

pytestmark = pytest.mark.integration

RUN = "etl_20250625_103045"


@pytest.mark.full
def test_a_run_of_the_command_has_its_id_everywhere_and_its_failure_is_told(
    open_operator: Callable[..., Any],
) -> None:
    operator = open_operator()

    done = run_command()

    # The lake is empty.
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"{RUN} has failed" in done.stdout
    [(state, task, params)] = operator.query(
        f"SELECT state, failed_task, params FROM ml_features.pipeline_runs WHERE execution_id = '{RUN}'"
    )
    assert (state, task, params["validate_only"]) == ("failed", "extract_s3", True)
    assert operator.query("SELECT kind, execution_id, task_id FROM ml_features.alerts") == [
        ("failed", RUN, "extract_s3")
    ]
    logs = (
        Path(os.environ["AIRFLOW__LOGGING__BASE_LOG_FOLDER"]) / "dag_id=user_features_daily" / f"run_id={RUN}"
    )
    lines = [
        json.loads(line) for path in logs.glob("task_id=*/*.log") for line in path.read_text().splitlines()
    ]
    said = {line["component"]: line for line in lines if "message" in line}
    assert said.keys() >= {"ExtractS3Operator", "RecordRunOperator"}
    for line in said.values():
        assert line["execution_id"] == RUN
        assert {"timestamp", "level", "component", "message", "as_of"} <= line.keys()

    again = run_command()

    assert again.returncode == 2, again.stdout + again.stderr
    assert "has failed" not in again.stdout
    taken = f"a run with the execution_id {RUN} exists already"
    [line] = again.stderr.splitlines()
    assert taken in line
    with pytest.raises(BadParam, match=taken):
        run_pipeline(
            PipelineConfig(
                s3_bucket=operator.bucket, db_url=operator.source_url, target_url=operator.target_url
            ),
            execution_id=RUN,
        )


def run_command() -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "run_pipeline.py", "--execution-id", RUN, "--validate-only"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
