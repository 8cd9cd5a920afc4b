"""A run's row in `ml_features.pipeline_runs`: what Airflow and the manifests know of a run that has ended."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow.sdk import timezone

from crmbet.failures import CrmbetError

if TYPE_CHECKING:
    from crmbet.monitoring.metrics import RunMetrics
    from crmbet.monitoring.outcome import TaskOutcome
    from crmbet.run.run import Run

log = logging.getLogger(__name__)

RECORD = "record_run"
"""Its id in every DAG: a run's row says nothing of the task that writes it."""

GAUGES = (
    "records_extracted",
    "records_cleaned",
    "records_quarantined",
    "records_transformed",
    "records_loaded",
    "data_quality_score",
    "accepted_rate",
    "duration_seconds",
)
"""Figures of a run that are metrics of Airflow too, as `crmbet.<name>`."""


def record(context: Any) -> RunMetrics:
    """Collect a run's figures and keep them: its row, and gauges."""
    from crmbet.monitoring.tables import ensure_tables, monitoring, write_run
    from crmbet.orchestration.context import target_dsn

    metrics = _collect(context)
    with monitoring(target_dsn()) as connection:
        ensure_tables(connection)
        write_run(connection, metrics)
    publish_gauges(metrics)
    return metrics


def _collect(context: Any) -> RunMetrics:
    """All figures, or at least who failed: params or settings may be what is wrong, or the lake."""
    from crmbet.monitoring.metrics import collect_metrics
    from crmbet.orchestration.context import open_run

    tasks = read_outcomes(context)
    try:
        airflow_run = open_run(context)
        known = begin_metrics(context, tasks, airflow_run.run)
        with airflow_run.work() as work:
            return collect_metrics(known, work)
    except CrmbetError as failure:
        log.warning("the run's figures cannot be read, only its outcome is kept: %s", failure)
        return begin_metrics(context, tasks)


def begin_metrics(context: Any, tasks: dict[str, TaskOutcome], run: Run | None = None) -> RunMetrics:
    """What Airflow knows of a run that has ended: who it is and how its tasks went."""
    from crmbet.monitoring.metrics import RunMetrics, installed_versions

    dag_run = context["dag_run"]
    failed = [name for name, outcome in tasks.items() if outcome.state == "failed"]
    first = tasks[failed[0]].failure if failed else None
    broken = [name for name, outcome in tasks.items() if outcome.state not in ("success", "skipped")]
    return RunMetrics(
        dag_id=dag_run.dag_id,
        execution_id=dag_run.run_id,
        run_type=str(getattr(dag_run.run_type, "value", dag_run.run_type)),
        brand=run.settings.brand if run else "",
        as_of=run.window.as_of if run else None,
        as_of_date=run.as_of_date if run else None,
        state="failed" if broken else "success",
        # `dags test` says that the run started at its logical date, which may lie years back.
        started_at=max(dag_run.start_date or dag_run.run_after, dag_run.run_after),
        ended_at=timezone.utcnow(),
        failed_task=failed[0] if failed else None,
        failure=first.what if first else None,
        tasks=tasks,
        params=dict(context["params"]),
        versions=installed_versions(),
    )


def read_outcomes(context: Any) -> dict[str, TaskOutcome]:
    """What became of every other task of the run, in its order: from Airflow's states and what the tasks said."""
    from crmbet.monitoring.outcome import Failure, TaskOutcome
    from crmbet.orchestration.watching import OUTCOME

    ti, dag_run = context["ti"], context["dag_run"]
    states = ti.get_task_states(dag_id=dag_run.dag_id, run_ids=[dag_run.run_id])[dag_run.run_id]
    outcomes = {}
    for task in context["dag"].topological_sort():
        if task.task_id == RECORD:
            continue
        state = str(getattr(states.get(task.task_id), "value", states.get(task.task_id)))
        said = ti.xcom_pull(task_ids=task.task_id, key=OUTCOME)
        if said and said["state"] == state:
            outcomes[task.task_id] = TaskOutcome.model_validate(said)
        else:
            failure = Failure.of(None) if state == "failed" else None
            outcomes[task.task_id] = TaskOutcome(state=state, failure=failure)
    return outcomes


def publish_gauges(metrics: RunMetrics) -> None:
    """The run's figures as Airflow's own metrics: StatsD or OpenTelemetry, where they are switched on."""
    from airflow.sdk.observability.stats import Stats

    for name in GAUGES:
        value = getattr(metrics, name)
        if value is not None:
            Stats.gauge(f"crmbet.{name}", float(value), tags={"dag_id": metrics.dag_id})
