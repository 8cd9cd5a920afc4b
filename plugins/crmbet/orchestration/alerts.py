"""When somebody is told, and what of: one message for one incident.

Tasks only log (crmbet.orchestration.watching): a run with six retries and a killed task is one incident, and its
message is sent when the run itself has failed. That callback runs on the DAG processor, which is there when a task was
killed. A missed deadline is told by the triggerer, unless the run's failure has been told already.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.sdk import AsyncCallback, DeadlineAlert, DeadlineReference, timezone  # type: ignore[attr-defined]

from crmbet.monitoring.outcome import Failure, TaskOutcome
from crmbet.orchestration.record import RECORD, record
from crmbet.orchestration.watching import OUTCOME

if TYPE_CHECKING:
    from crmbet.monitoring.alerts.message import Kind, Message

LATEST = timedelta(hours=6)
"""After being queued a run is late, unless it is one of a backfill. The schedule's runs are queued at midnight."""
PAGE = "crmbet"

log = logging.getLogger(__name__)


def tell_failure(context: Any) -> None:
    """A run has failed: log it, keep it, send it. Never raises."""
    ti, dag_id, run_id = context.get("ti"), context["dag"].dag_id, context["run_id"]
    row = _row(context, "failed")
    task_id = _first_failed(context) or (row or {}).get("failed_task") or (ti.task_id if ti else None)
    outcome = _outcome(dag_id, run_id, task_id, row)
    failure = outcome.failure or Failure.of(None)
    if context.get("reason") == "all_tasks_deadlocked":
        failure = Failure(
            kind="Unforeseen", what="no task of the run can start any more", next_step="look at the run"
        )
    as_of = _as_of_date(row, dag_id, run_id)
    _tell(
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
    """A run has succeeded: log it, and send it if its failure had been sent before. Never raises."""
    dag_id, run_id = context["dag"].dag_id, context["run_id"]
    log.info("SUCCESS dag=%s run=%s", dag_id, run_id)
    row = _row(context, "success")
    if _was_told(dag_id, run_id, ("failed", "deadline")):
        failure = Failure(kind="Recovered", what="the run has succeeded after its alert", next_step="nothing")
        _tell(
            "recovered", dag_id=dag_id, run_id=run_id, failure=failure, as_of=_as_of_date(row, dag_id, run_id)
        )


async def tell_deadline(context: Mapping[str, Any], **_: Any) -> None:
    """A run has not ended in time. Never raises."""
    import asyncio

    dag_run = context["dag_run"]
    dag_id, run_id = dag_run["dag_id"], dag_run["dag_run_id"]
    if dag_run.get("run_type") == "backfill" or dag_run.get("state") == "failed":
        log.info(
            "deadline passed dag=%s run=%s state=%s: nobody is told", dag_id, run_id, dag_run.get("state")
        )
        return
    failure = Failure(
        kind="DeadlineMissed",
        what=f"the run has not succeeded within {LATEST.total_seconds() / 3600:g} hours of being queued",
        why=f"its state is {dag_run.get('state')}",
        next_step="open the run and look at the first task that is not green: it waits, retries or runs long",
    )
    # Connections and sockets block: they must not stop the triggerer's other triggers.
    await asyncio.to_thread(_tell_late, dag_id, run_id, failure)


def _deadline(command: Sequence[str]) -> DeadlineAlert | None:
    """None under `airflow dags test`, which cannot end a DAG that has one (apache/airflow issue 73428)."""
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
"""Arguments of a DAG."""


def links_of(
    dag_id: str,
    run_id: str,
    task_id: str | None,
    try_number: int | None,
    anchor: str,
    stages: Mapping[str, Any],
) -> dict[str, str]:
    """Where to look: addresses below the API server's."""
    from airflow.sdk.configuration import conf

    base = conf.get("api", "base_url", fallback="http://localhost:8080").rstrip("/")
    run = f"{base}/dags/{quote(dag_id, safe='')}/runs/{quote(run_id, safe='')}"
    links = {"run": run, "page": f"{base}/plugin/{PAGE}", "runbook": f"{base}/{PAGE}/runbook#{anchor}"}
    if task_id:
        suffix = f"?try_number={try_number}" if try_number else ""
        links = {"log": f"{run}/tasks/{quote(task_id, safe='')}{suffix}", **links}
    for stage, judged in stages.items():
        if not judged["passed"]:
            links["report"] = f"{base}/{PAGE}/reports/{quote(run_id, safe='')}/{stage}"
    return links


def _tell_late(dag_id: str, run_id: str, failure: Failure) -> None:
    if not _was_told(dag_id, run_id, ("failed",)):
        _tell("deadline", dag_id=dag_id, run_id=run_id, failure=failure)


def _tell(
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

    links = links_of(dag_id, run_id, task_id, try_number, anchor_of(failure.kind), quality or {})
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
    level = logging.INFO if kind == "recovered" else logging.ERROR
    log.log(level, "ALERT %s dag=%s run=%s task=%s: %s", kind, dag_id, run_id, task_id, failure.what)
    for name, result in delivered.items():
        log.log(logging.INFO if result == "sent" else logging.WARNING, "alert by %s: %s", name, result)
    if not delivered:
        log.info("no alert channel is configured: this log is all (docs/deployment.md)")
    _keep(message, delivered)


def configured_channels() -> dict[str, Any]:
    """The connections that exist; one that cannot be read is named and passed over."""
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    from crmbet.monitoring.alerts.channels import CHANNELS

    found = {}
    for name in CHANNELS:
        try:
            found[name] = BaseHook.get_connection(name)
        except AirflowNotFoundException:
            continue
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the others carry the message
            log.warning("the Airflow connection %s cannot be read: %s", name, type(error).__name__)
    return found


def _first_failed(context: Any) -> str | None:
    """The first task, in the run's order, that failed itself. Airflow names the last one, which may be the record.

    None where it cannot be asked: `dags test` runs this callback outside of any task.
    """
    ti, dag_id, run_id = context.get("ti"), context["dag"].dag_id, context["run_id"]
    if ti is None:
        return None
    try:
        states = ti.get_task_states(dag_id=dag_id, run_ids=[run_id])[run_id]
    except Exception as error:  # noqa: BLE001 - a message that says less is better than none
        log.debug("no task states of %s: %s", run_id, type(error).__name__)
        return None
    for task in context["dag"].topological_sort():
        if str(getattr(states.get(task.task_id), "value", states.get(task.task_id))) == "failed":
            return str(task.task_id)
    return None


def _outcome(dag_id: str, run_id: str, task_id: str | None, row: Mapping[str, Any] | None) -> TaskOutcome:
    """What the failed task said: in its XCom, or in the run's row, which is all that `dags test` has."""
    said, asked = None, False
    if task_id:
        said, asked = _pull(dag_id, run_id, task_id, OUTCOME)
        said = said or ((row or {}).get("tasks") or {}).get(task_id)
    if said:
        return TaskOutcome.model_validate(said)
    if asked:
        return TaskOutcome(state="failed", failure=Failure.of(None))
    unknown = Failure(
        kind="Unforeseen", what="a task failed and cannot be asked why", next_step="read the end of its log"
    )
    return TaskOutcome(state="failed", failure=unknown)


def _pull(dag_id: str, run_id: str, task_id: str, key: str) -> tuple[Any, bool]:
    """An XCom's value, None if there is none; and whether it could be asked for."""
    from airflow.sdk.execution_time.xcom import XCom

    try:
        return XCom.get_one(dag_id=dag_id, run_id=run_id, task_id=task_id, key=key), True
    except Exception as error:  # noqa: BLE001 - a message that says less is better than none
        log.debug("no XCom %s of %s: %s", key, task_id, type(error).__name__)
        return None, False


def _as_of_date(row: Mapping[str, Any] | None, dag_id: str, run_id: str) -> str | None:
    if row and row["as_of_date"]:
        return str(row["as_of_date"])
    for task_id in ("extract_s3", "extract_pg"):
        handed, _ = _pull(dag_id, run_id, task_id, "return_value")
        if handed and handed.get("as_of"):
            return str(handed["as_of"])
    return None


def _breaches(quality: Mapping[str, Any]) -> tuple[Any, ...]:
    """What did not hold, with some of the rows: from the report, since the database keeps no keys."""
    from crmbet.monitoring.metrics import StageQuality, list_breaches
    from crmbet.orchestration.context import read_report

    found: list[Any] = []
    for stage, judged in quality.items():
        if not judged["passed"]:
            try:
                found += list_breaches(stage, read_report(judged["report"].removesuffix("html") + "json"))
            except Exception as error:  # noqa: BLE001 - as above
                log.warning("the report cannot be read for the alert: %s", type(error).__name__)
                found += StageQuality.model_validate(judged).breaches
    return tuple(found)


def _row(context: Any, state: str) -> dict[str, Any] | None:
    """The run's row. If the task that writes it was killed, there is none or an older try's: it is written here."""
    dag_id, run_id = context["dag"].dag_id, context["run_id"]
    row = _read_row(dag_id, run_id)
    if (row and row["state"] == state) or RECORD not in context["dag"].task_ids or context.get("ti") is None:
        return row
    try:
        record(context)
    except Exception as error:  # noqa: BLE001 - as above
        log.warning("the run's row cannot be written in place of %s: %s", RECORD, type(error).__name__)
        return row
    log.info("the run's row was written in place of %s, which left none", RECORD)
    return _read_row(dag_id, run_id)


def _read_row(dag_id: str, run_id: str) -> dict[str, Any] | None:
    from crmbet.monitoring.tables import monitoring, read_run
    from crmbet.orchestration.context import target_dsn

    try:
        with monitoring(target_dsn()) as connection:
            return read_run(connection, dag_id, run_id)
    except Exception as error:  # noqa: BLE001 - as above
        log.warning("the run's row cannot be read for the alert: %s", error)
        return None


def _was_told(dag_id: str, run_id: str, kinds: tuple[str, ...]) -> bool:
    from crmbet.monitoring.tables import monitoring, was_alerted
    from crmbet.orchestration.context import target_dsn

    try:
        with monitoring(target_dsn()) as connection:
            return was_alerted(connection, dag_id, run_id, kinds)
    except Exception as error:  # noqa: BLE001 - as above
        log.warning("alerts of this run cannot be looked up: %s", error)
        return False


def _keep(message: Message, delivered: dict[str, str]) -> None:
    from crmbet.monitoring.tables import Alert, ensure_tables, monitoring, write_alert
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
        with monitoring(target_dsn()) as connection:
            ensure_tables(connection)
            write_alert(connection, alert)
    except Exception as error:  # noqa: BLE001 - as above: the message is out
        log.warning("the alert cannot be kept for the monitoring page: %s", error)
