"""The real DAG, whose failures are not tried again so that a test need not wait, and one that misses its deadline.

Two tasks are killed as soon as they begin. A test that waits for a task to begin, and kills it then, may come too late.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from runpy import run_path
from typing import Any

from airflow.sdk import (  # type: ignore[attr-defined]
    DAG,
    AsyncCallback,
    DeadlineAlert,
    DeadlineReference,
    task,
)
from airflow.sdk.definitions.timetables.simple import NullTimetable

from crmbet.orchestration.alerts import alerted

KILLED_TASKS = {("killed", "extract_s3"), ("broken", "record_run")}
"""Ids of runs, and of their tasks."""
PROJECT = Path(__file__).parents[4]
LATE_IS_TOLD = Path(os.environ["AIRFLOW_HOME"]) / "late-is-told"
"""The test makes it."""


def be_killed(begin: Callable[[Any], None], context: Any) -> None:
    """Begin a task. Then kill this process, as the kernel does when memory runs out, if the task is to be killed."""
    begin(context)
    if (context["run_id"], context["ti"].task_id) in KILLED_TASKS:
        os.kill(os.getpid(), signal.SIGKILL)


# Nobody but the test starts a run.
dag = run_path(str(PROJECT / "dags" / "user_features_daily.py"))["dag"]
dag.timetable = NullTimetable()
for one in dag.tasks:
    one.retries = 0
    one._pre_execute_hook = partial(be_killed, one._pre_execute_hook)

late = DeadlineAlert(
    reference=DeadlineReference.DAGRUN_QUEUED_AT,
    interval=timedelta(seconds=2),
    callback=AsyncCallback("crmbet.orchestration.alerts.tell_deadline"),
)

with DAG("late", schedule=None, **{**alerted(os.environ), "deadline": late}) as late_dag:

    @task
    def dawdle() -> None:
        """Until the deadline is reported, which a busy machine does late."""
        while not LATE_IS_TOLD.exists():
            time.sleep(0.1)

    dawdle()
