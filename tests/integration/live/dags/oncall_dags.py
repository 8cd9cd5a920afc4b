"""The real DAG, whose failures are not tried again so that a test need not wait, and one that misses its deadline."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path
from runpy import run_path

from airflow.sdk import (  # type: ignore[attr-defined]
    DAG,
    AsyncCallback,
    DeadlineAlert,
    DeadlineReference,
    task,
)
from airflow.sdk.definitions.timetables.simple import NullTimetable

from crmbet.orchestration.alerts import ALERTED

PROJECT = Path(__file__).parents[4]

# Nobody but the test starts a run.
dag = run_path(str(PROJECT / "dags" / "user_features_daily.py"))["dag"]
dag.timetable = NullTimetable()
for one in dag.tasks:
    one.retries = 0

late = DeadlineAlert(
    reference=DeadlineReference.DAGRUN_QUEUED_AT,
    interval=timedelta(seconds=2),
    callback=AsyncCallback("crmbet.orchestration.alerts.tell_deadline"),
)

with DAG("late", schedule=None, **{**ALERTED, "deadline": late}) as late_dag:

    @task
    def dawdle() -> None:
        """Longer than the deadline."""
        time.sleep(15)

    dawdle()
