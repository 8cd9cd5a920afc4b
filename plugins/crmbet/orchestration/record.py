"""A run's row in `ml_features.pipeline_runs`, made from what Airflow and the manifests know about an ended run."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import timezone

from crmbet.failures import CrmbetError
from crmbet.orchestration.dags_test import started_at
from crmbet.run.tasks import ERASE, RECORD, RESTORE

if TYPE_CHECKING:
    from crmbet.monitoring.costs import Cost
    from crmbet.monitoring.metrics import RunMetrics
    from crmbet.monitoring.outcome import TaskOutcome
    from crmbet.monitoring.tables import MonitoringTables
    from crmbet.run.run import Run

log = logging.getLogger(__name__)

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
"""Figures of a run that are also published as metrics of Airflow, as `crmbet.<name>`."""


def record(context: Any) -> RunMetrics:
    """Collect a run's figures, write its row and publish its gauges."""
    from crmbet.monitoring.tables import ensure_tables, open_monitoring, write_run
    from crmbet.orchestration.context import target_of

    metrics = _collect(context)
    with open_monitoring(*target_of(metrics.dag_id)) as tables:
        ensure_tables(tables)
        metrics = warn_of_cost(tables, metrics)
        write_run(tables, metrics)
    publish_gauges(metrics)
    return metrics


def cost_of(metrics: RunMetrics) -> Cost | None:
    """What a run costs at the prices of its brand. None if no task has told what it used."""
    from crmbet.monitoring.costs import price_run
    from crmbet.orchestration.context import prices_of

    return price_run(metrics.model_dump()["tasks"], prices_of(metrics.dag_id))


def warn_of_cost(tables: MonitoringTables, metrics: RunMetrics) -> RunMetrics:
    """The run, with a warning if it costs twice its usual."""
    from crmbet.monitoring.costs import describe_cost, usual_cost
    from crmbet.monitoring.tables import read_costs
    from crmbet.orchestration.context import prices_of, spoken_texts

    cost = cost_of(metrics)
    # An erasure has no usual cost: on most days there is nobody to erase.
    if metrics.state != "success" or cost is None or ERASE in metrics.tasks:
        return metrics
    prices = prices_of(metrics.dag_id)
    usual = usual_cost(metrics.model_dump(), read_costs(tables, metrics.dag_id), prices)
    told = describe_cost(cost, usual, prices, spoken_texts(metrics.dag_id))
    if told is None:
        return metrics
    tasks, warning = told
    # A task has one warning, and what is told of data is more urgent.
    task = next((task for task in tasks if metrics.tasks[task].warning is None), None)
    if task is None:
        return metrics
    warned = metrics.tasks[task].model_copy(update={"warning": warning})
    return metrics.model_copy(update={"tasks": {**metrics.tasks, task: warned}})


def _collect(context: Any) -> RunMetrics:
    """All figures of the run. If params, settings or the lake are at fault, only what Airflow knows about it."""
    from crmbet.monitoring.metrics import collect_metrics
    from crmbet.orchestration.context import open_run

    tasks = read_outcomes(context)
    if RESTORE in tasks:
        return _collect_restore(context, tasks)
    if ERASE in tasks:
        return _collect_erasure(context, tasks)
    try:
        airflow_run = open_run(context)
        known = begin_metrics(context, tasks, airflow_run.run)
        with airflow_run.work() as work:
            return collect_metrics(known, work)
    except CrmbetError as failure:
        log.warning("the run's figures cannot be read, so its row has only its outcome: %s", failure)
        return begin_metrics(context, tasks)


def _collect_restore(context: Any, tasks: dict[str, TaskOutcome]) -> RunMetrics:
    """The outcome of a restore, and of what instant and how many players the table is now."""
    from crmbet.orchestration.context import settings_of

    metrics = begin_metrics(context, tasks)
    restored = context["ti"].xcom_pull(task_ids=RESTORE)
    if metrics.state != "success" or not restored or restored["as_of"] is None:
        return metrics
    settings = settings_of(metrics.dag_id)
    as_of = datetime.fromisoformat(restored["as_of"])
    return metrics.model_copy(
        update={
            "brand": settings.brand,
            "as_of": as_of,
            "as_of_date": as_of.astimezone(settings.zone).date(),
            "records_transformed": restored["rows"],
            "params": {**metrics.params, "backup": restored["backup"]},
        }
    )


def _collect_erasure(context: Any, tasks: dict[str, TaskOutcome]) -> RunMetrics:
    """The outcome of an erasure: how many requests, players, files and rows, and its certificate."""
    from crmbet.orchestration.context import settings_of

    metrics = begin_metrics(context, tasks)
    erased = context["ti"].xcom_pull(task_ids=ERASE)
    return metrics.model_copy(
        update={"brand": settings_of(metrics.dag_id).brand, "params": {**metrics.params, **(erased or {})}}
    )


def begin_metrics(context: Any, tasks: dict[str, TaskOutcome], run: Run | None = None) -> RunMetrics:
    """What Airflow knows about an ended run: its identity and the outcomes of its tasks."""
    from crmbet.monitoring.metrics import RunMetrics, installed_versions

    dag_run, now = context["dag_run"], timezone.utcnow()
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
        started_at=started_at(dag_run, now),
        ended_at=now,
        failed_task=failed[0] if failed else None,
        failure=first.what if first else None,
        tasks=tasks,
        params=dict(context["params"]),
        versions=installed_versions(),
    )


def read_outcomes(context: Any) -> dict[str, TaskOutcome]:
    """The outcome of every other task, in the run's order, from Airflow's states and the tasks' own reports."""
    from crmbet.monitoring.outcome import Failure, TaskOutcome
    from crmbet.orchestration.watching import OUTCOME

    ti, dag_run = context["ti"], context["dag_run"]
    states = ti.get_task_states(dag_id=dag_run.dag_id, run_ids=[dag_run.run_id])[dag_run.run_id]
    outcomes = {}
    for task in context["dag"].topological_sort():
        if task.task_id == RECORD:
            continue
        for name, index in _instances(task.task_id, states):
            state = str(getattr(states.get(name), "value", states.get(name)))
            reported = ti.xcom_pull(task_ids=task.task_id, key=OUTCOME, map_indexes=index)
            if reported and reported["state"] == state:
                outcomes[name] = TaskOutcome.model_validate(reported)
            else:
                failure = Failure.of(None) if state == "failed" else None
                outcomes[name] = TaskOutcome(state=state, failure=failure)
    return outcomes


def _instances(task_id: str, states: Mapping[str, Any]) -> list[tuple[str, int]]:
    """The instances of a task, by the names that Airflow's states have, each with its map index; -1: it has none."""
    parts = re.compile(rf"{re.escape(task_id)}_(\d+)")
    mapped = [(name, int(found[1])) for name in states if (found := parts.fullmatch(name))]
    return sorted(mapped, key=lambda instance: instance[1]) or [(task_id, -1)]


def publish_gauges(metrics: RunMetrics) -> None:
    """Publish the run's figures as metrics of Airflow, by StatsD or OpenTelemetry if they are switched on."""
    from airflow.sdk.observability.stats import Stats

    for name in GAUGES:
        value = getattr(metrics, name)
        if value is not None:
            Stats.gauge(f"crmbet.{name}", float(value), tags={"dag_id": metrics.dag_id})
    if (cost := cost_of(metrics)) is not None:
        Stats.gauge("crmbet.cost", float(cost.total), tags={"dag_id": metrics.dag_id})
    for task in metrics.tasks.values():
        for name, value in task.figures.items():
            if value is not None:
                Stats.gauge(f"crmbet.stream_{name}", float(value), tags={"dag_id": metrics.dag_id})
