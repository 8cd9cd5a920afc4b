"""When an alert is sent, and what it says. One incident is one message (docs/adr/0013).

Tasks only log (crmbet.orchestration.watching). A run with six retries and a killed task is one incident: its message is
sent when the run itself has failed. That callback runs on the DAG processor, so it also runs if a task was killed. The
triggerer reports a missed deadline, unless the run's failure was reported before.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.sdk import AsyncCallback, DeadlineAlert, DeadlineReference, timezone  # type: ignore[attr-defined]

from crmbet.monitoring.outcome import Failure, TaskOutcome
from crmbet.orchestration.record import record
from crmbet.orchestration.watching import OUTCOME
from crmbet.run.schedule import time_limit
from crmbet.run.tasks import EXTRACTS, RECORD

if TYPE_CHECKING:
    from crmbet.monitoring.alerts.message import Kind, Message

LATEST = time_limit(os.environ, "deadline_minutes")
"""A run is late this long after it was queued. Backfills are never late. The schedule queues its runs at midnight."""
LEVELS: Mapping[Kind, int] = {
    "failed": logging.ERROR,
    "deadline": logging.ERROR,
    "set_aside": logging.WARNING,
    "recovered": logging.INFO,
}
"""How an alert is logged."""
PAGE = "crmbet"
"""Where the monitoring page is mounted below the API server (crmbet_monitoring_plugin)."""

log = logging.getLogger(__name__)


def tell_failure(context: Any) -> None:
    """A run has failed: send an alert, log it and store it. Never raises."""
    ti, dag_id, run_id = context.get("ti"), context["dag"].dag_id, context["run_id"]
    row = _row(context, "failed")
    task_id = _first_failed(context) or (row or {}).get("failed_task") or (ti.task_id if ti else None)
    outcome = _outcome(dag_id, run_id, task_id, row)
    failure = outcome.failure or Failure.of(None)
    if context.get("reason") == "all_tasks_deadlocked":
        failure = Failure(
            kind="Unforeseen", what="no task of the run can start any more", next_step="open the run"
        )
    as_of = _as_of_date(row, dag_id, run_id)
    _send(
        "failed",
        dag_id=dag_id,
        run_id=run_id,
        failure=failure,
        task_id=task_id,
        try_number=outcome.try_number or (ti.try_number if ti else None),
        as_of=as_of,
        quality=(row or {}).get("quality") or {},
    )


def tell_success(context: Any) -> None:
    """A run has succeeded: log it. Never raises.

    A message is sent if an alert of this run was sent before, and one for each warning that a task has left.
    """
    dag_id, run_id = context["dag"].dag_id, context["run_id"]
    log.info("SUCCESS dag=%s run=%s", dag_id, run_id)
    row = _row(context, "success")
    if _was_alerted(dag_id, run_id, ("failed", "deadline")):
        failure = Failure(kind="Recovered", what="the run has succeeded after its alert", next_step="nothing")
        _send(
            "recovered", dag_id=dag_id, run_id=run_id, failure=failure, as_of=_as_of_date(row, dag_id, run_id)
        )
    _tell_warnings(dag_id, run_id, row)


async def tell_deadline(context: Mapping[str, Any], **_: Any) -> None:
    """A run has missed its deadline. Never raises."""
    import asyncio

    dag_run = context["dag_run"]
    dag_id, run_id = dag_run["dag_id"], dag_run["dag_run_id"]
    if dag_run.get("run_type") == "backfill" or dag_run.get("state") == "failed":
        log.info(
            "deadline passed dag=%s run=%s state=%s: no alert is sent", dag_id, run_id, dag_run.get("state")
        )
        return
    failure = Failure(
        kind="DeadlineMissed",
        what=f"the run has not succeeded within {LATEST.total_seconds() / 3600:g} hours of being queued",
        why=f"its state is {dag_run.get('state')}",
        next_step="open the run and look at its first unfinished task: it waits, is being retried, or takes long",
    )
    # In a thread, because connections and sockets would block the triggerer's other triggers.
    await asyncio.to_thread(_send_late, dag_id, run_id, failure)


def _deadline(command: Sequence[str]) -> DeadlineAlert | None:
    """The deadline of a run, or None under `airflow dags test`.

    That command crashes at the end of a DAG that has a deadline (apache/airflow issue 73428).
    """
    if list(command) == ["dags", "test"]:
        return None
    return DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=LATEST,
        callback=AsyncCallback("crmbet.orchestration.alerts.tell_deadline"),
    )


ALERTED: dict[str, Any] = {
    "on_failure_callback": tell_failure,
    "on_success_callback": tell_success,
    "deadline": _deadline(sys.argv[1:3]),
}
"""Arguments of every DAG."""


def links_of(
    dag_id: str,
    run_id: str,
    *,
    task_id: str | None,
    try_number: int | None,
    anchor: str,
    stages: Mapping[str, Any],
) -> dict[str, str]:
    """Links for a message: name to an address of the API server."""
    from airflow.sdk.configuration import conf

    base = conf.get("api", "base_url", fallback="http://localhost:8080").rstrip("/")
    run = f"{base}/dags/{quote(dag_id, safe='')}/runs/{quote(run_id, safe='')}"
    links = {"run": run, "page": f"{base}/plugin/{PAGE}", "runbook": f"{base}/{PAGE}/runbook#{anchor}"}
    if task_id:
        suffix = f"?try_number={try_number}" if try_number else ""
        links = {"log": f"{run}/tasks/{quote(task_id, safe='')}{suffix}", **links}
    for stage, quality in stages.items():
        if not quality["passed"]:
            links["report"] = f"{base}/{PAGE}/reports/{quote(run_id, safe='')}/{stage}"
    return links


def _tell_warnings(dag_id: str, run_id: str, row: Mapping[str, Any] | None) -> None:
    """Send a message for each warning that a task of a run has left. A backfill sends none: the daily run does."""
    if row is None or row["run_type"] == "backfill":
        return
    for task_id, reported in row["tasks"].items():
        outcome = TaskOutcome.model_validate(reported)
        if outcome.warning:
            _send(
                "set_aside",
                dag_id=dag_id,
                run_id=run_id,
                failure=outcome.warning,
                task_id=task_id,
                try_number=outcome.try_number,
                as_of=_as_of_date(row, dag_id, run_id),
            )


def _send_late(dag_id: str, run_id: str, failure: Failure) -> None:
    if not _was_alerted(dag_id, run_id, ("failed",)):
        _send("deadline", dag_id=dag_id, run_id=run_id, failure=failure)


def _send(
    kind: Kind,
    *,
    dag_id: str,
    run_id: str,
    failure: Failure,
    task_id: str | None = None,
    try_number: int | None = None,
    as_of: str | None = None,
    quality: Mapping[str, Any] | None = None,
) -> None:
    from crmbet.monitoring.alerts.channels import send_to_all
    from crmbet.monitoring.alerts.message import Message, anchor_of

    links = links_of(
        dag_id,
        run_id,
        task_id=task_id,
        try_number=try_number,
        anchor=anchor_of(failure.kind),
        stages=quality or {},
    )
    message = Message(
        kind=kind,
        dag_id=dag_id,
        execution_id=run_id,
        failure=failure,
        as_of=as_of,
        task_id=task_id,
        try_number=try_number,
        breaches=_breaches(quality or {}),
        links=links,
    )
    delivered = send_to_all(configured_channels(), message)
    level = LEVELS[kind]
    log.log(level, "ALERT %s dag=%s run=%s task=%s: %s", kind, dag_id, run_id, task_id, failure.what)
    for name, result in delivered.items():
        log.log(logging.INFO if result == "sent" else logging.WARNING, "alert by %s: %s", name, result)
    if not delivered:
        log.info("no alert channel is configured, so the alert is only in this log (docs/deployment.md)")
    _store(message, delivered)


def configured_channels() -> dict[str, Any]:
    """The alert connections that exist, by id. One that cannot be read is logged and left out."""
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    from crmbet.monitoring.alerts.channels import CHANNELS

    connections = {}
    for name in CHANNELS:
        try:
            connections[name] = BaseHook.get_connection(name)
        except AirflowNotFoundException:
            continue
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the other channels get the message
            log.warning("the Airflow connection %s cannot be read: %s", name, type(error).__name__)
    return connections


def _first_failed(context: Any) -> str | None:
    """The first task, in the run's order, that failed itself. Airflow gives the last one, which may be `record_run`.

    None if Airflow cannot be asked: `dags test` runs this callback outside of any task.
    """
    ti, dag_id, run_id = context.get("ti"), context["dag"].dag_id, context["run_id"]
    if ti is None:
        return None
    try:
        states = ti.get_task_states(dag_id=dag_id, run_ids=[run_id])[run_id]
    except Exception as error:  # noqa: BLE001 - a message with fewer facts is better than none
        log.debug("no task states of %s: %s", run_id, type(error).__name__)
        return None
    for task in context["dag"].topological_sort():
        if str(getattr(states.get(task.task_id), "value", states.get(task.task_id))) == "failed":
            return str(task.task_id)
    return None


def _outcome(dag_id: str, run_id: str, task_id: str | None, row: Mapping[str, Any] | None) -> TaskOutcome:
    """The outcome that the failed task reported in its XCom. `dags test` has it only in the run's row."""
    reported, readable = None, False
    if task_id:
        reported, readable = _pull(dag_id, run_id, task_id, OUTCOME)
        reported = reported or ((row or {}).get("tasks") or {}).get(task_id)
    if reported:
        return TaskOutcome.model_validate(reported)
    if readable:
        return TaskOutcome(state="failed", failure=Failure.of(None))
    unknown = Failure(
        kind="Unforeseen",
        what="a task failed, and its reason cannot be read",
        next_step="read the end of its log",
    )
    return TaskOutcome(state="failed", failure=unknown)


def _pull(dag_id: str, run_id: str, task_id: str, key: str) -> tuple[Any, bool]:
    """An XCom's value, None if there is none, and whether XComs could be read at all."""
    from airflow.sdk.execution_time.xcom import XCom

    try:
        return XCom.get_one(dag_id=dag_id, run_id=run_id, task_id=task_id, key=key), True
    except Exception as error:  # noqa: BLE001 - a message with fewer facts is better than none
        log.debug("no XCom %s of %s: %s", key, task_id, type(error).__name__)
        return None, False


def _as_of_date(row: Mapping[str, Any] | None, dag_id: str, run_id: str) -> str | None:
    if row and row["as_of_date"]:
        return str(row["as_of_date"])
    for task_id in EXTRACTS:
        result, _ = _pull(dag_id, run_id, task_id, "return_value")
        if result and result.get("as_of"):
            return str(result["as_of"])
    return None


def _breaches(quality: Mapping[str, Any]) -> tuple[Any, ...]:
    """The failed expectations with the ids of some rows. They are read from the report: the database has no ids."""
    from crmbet.monitoring.metrics import StageQuality, list_breaches
    from crmbet.orchestration.context import read_report

    breaches: list[Any] = []
    for stage, judged in quality.items():
        if not judged["passed"]:
            try:
                breaches += list_breaches(stage, read_report(judged["report"].removesuffix("html") + "json"))
            except Exception as error:  # noqa: BLE001 - as above
                log.warning("the report cannot be read for the alert: %s", type(error).__name__)
                breaches += StageQuality.model_validate(judged).breaches
    return tuple(breaches)


def _row(context: Any, state: str) -> dict[str, Any] | None:
    """The run's row. It is written here if `record_run` was killed, so that there is none or only an older one."""
    dag_id, run_id = context["dag"].dag_id, context["run_id"]
    row = _read_row(dag_id, run_id)
    if (row and row["state"] == state) or RECORD not in context["dag"].task_ids or context.get("ti") is None:
        return row
    try:
        record(context)
    except Exception as error:  # noqa: BLE001 - as above
        log.warning(
            "%s has not written the run's row, and it cannot be written here: %s",
            RECORD,
            type(error).__name__,
        )
        return row
    log.info("%s had not written the run's row, so it was written here", RECORD)
    return _read_row(dag_id, run_id)


def _read_row(dag_id: str, run_id: str) -> dict[str, Any] | None:
    from crmbet.monitoring.tables import open_monitoring, read_run
    from crmbet.orchestration.context import target_dsn

    try:
        with open_monitoring(target_dsn()) as connection:
            return read_run(connection, dag_id, run_id)
    except Exception as error:  # noqa: BLE001 - as above
        log.warning("the run's row cannot be read for the alert: %s", error)
        return None


def _was_alerted(dag_id: str, run_id: str, kinds: tuple[str, ...]) -> bool:
    from crmbet.monitoring.tables import open_monitoring, was_alerted
    from crmbet.orchestration.context import target_dsn

    try:
        with open_monitoring(target_dsn()) as connection:
            return was_alerted(connection, dag_id, run_id, kinds)
    except Exception as error:  # noqa: BLE001 - as above
        log.warning("earlier alerts of this run cannot be read: %s", error)
        return False


def _store(message: Message, delivered: dict[str, str]) -> None:
    from crmbet.monitoring.tables import Alert, ensure_tables, open_monitoring, write_alert
    from crmbet.orchestration.context import target_dsn

    alert = Alert(
        raised_at=timezone.utcnow(),
        kind=message.kind,
        dag_id=message.dag_id,
        execution_id=message.execution_id,
        as_of_date=date.fromisoformat(message.as_of) if message.as_of else None,
        task_id=message.task_id,
        try_number=message.try_number,
        what=message.failure.what,
        next_step=message.failure.next_step,
        anchor=message.anchor,
        delivered=delivered,
    )
    try:
        with open_monitoring(target_dsn()) as connection:
            ensure_tables(connection)
            write_alert(connection, alert)
    except Exception as error:  # noqa: BLE001 - as above, and the message was sent
        log.warning("the alert cannot be stored for the monitoring page: %s", error)
