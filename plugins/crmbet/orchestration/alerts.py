"""When an alert is sent, and what it says. One incident is one message (docs/adr/0013).

Tasks only log (crmbet.orchestration.watching). A run with six retries and a killed task is one incident: its message is
sent when the run itself has failed. That callback runs on the DAG processor, so it also runs if a task was killed. The
DAG processor kills a callback after a while, with all that wait behind it. Therefore there is a second line: the next
run, of whichever DAG, tells of failed runs that nobody was told of, and the deadline of a failed run does the same.

What servers and Airflow may raise is caught (`incidents.FAILURES`). A fault of our own is raised: Airflow logs and
counts it, and a test fails.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import AsyncCallback, DeadlineAlert, DeadlineReference, timezone  # type: ignore[attr-defined]

from crmbet.monitoring.alerts.budget import within
from crmbet.monitoring.outcome import Failure, TaskOutcome
from crmbet.orchestration import incidents
from crmbet.orchestration.dags_test import refuse_beside_scheduler, started_at
from crmbet.orchestration.incidents import FAILURES, Known
from crmbet.orchestration.record import record
from crmbet.run.brands import brand_of
from crmbet.run.schedule import time_limit
from crmbet.run.tasks import APPROVE, COMPARE, PUBLISH, RECORD, STREAM, TASKS

GRACE = timedelta(minutes=10)
"""How long a failed run is left to its own callback."""
FORGOTTEN = timedelta(days=7)
"""Nobody wants to hear of runs that failed longer ago than this."""
ROW_SECONDS = 30
"""How long a callback may take to write the row that `record_run` has not written, if it has so long."""
PATIENCE_SECONDS = 20
"""How long the deadline waits for the target database, which it asks `LOOKS` times."""
LOOKS = 3
SECONDS_BETWEEN_LOOKS = 61
NOBODY_HEARS = "no channel takes a message, so the next run tries again"

log = logging.getLogger(__name__)


def tell_failure(context: Any) -> None:
    """A run has failed: send an alert, then log and store it."""
    ti, dag_id, run_id = context.get("ti"), context["dag"].dag_id, context["run_id"]
    if not incidents.has_time(dag_id):
        log.warning("no time is left to tell that %s of %s has failed: the next run tells it", run_id, dag_id)
        return
    known = incidents.look(dag_id, run_id, _since(context))
    if known.is_told:
        log.info("somebody has told already that %s of %s has failed", run_id, dag_id)
        return
    row = known.row if known.row and known.row["state"] == "failed" else None
    task_id = None
    # Under `airflow dags test` the DAG is another object, which cannot sort its tasks, and Airflow cannot be asked.
    if incidents.can_ask_airflow():
        order = [task.task_id for task in context["dag"].topological_sort()]
        task_id = incidents.first_failed(dag_id, run_id, order)
    task_id = task_id or (row or {}).get("failed_task")
    deadlocked = context.get("reason") == "all_tasks_deadlocked"
    _send_failure(
        dag_id,
        run_id,
        task_id or (ti.task_id if ti else None),
        row,
        try_number=ti.try_number if ti else None,
        deadlocked=deadlocked,
    )
    if row is None and known.is_certain:
        _write_row(context)


def tell_success(context: Any) -> None:
    """A run has succeeded: log it.

    A message is sent if an alert of this run was sent before, and one for each warning that a task has left.
    """
    dag_id, run_id = context["dag"].dag_id, context["run_id"]
    log.info("SUCCESS dag=%s run=%s", dag_id, run_id)
    known = incidents.look(dag_id, run_id, _since(context))
    is_recorded = known.row is not None and known.row["state"] == "success"
    if not is_recorded and known.is_certain and _write_row(context):
        known = incidents.look(dag_id, run_id, known.since)
    row = known.row if known.row and known.row["state"] == "success" else None
    if known.was_alerted("failed", "deadline"):
        failure = Failure(kind="Recovered", what="the run has succeeded after its alert", next_step="nothing")
        as_of = incidents.as_of_date(row, dag_id, run_id)
        incidents.send("recovered", dag_id=dag_id, run_id=run_id, failure=failure, as_of=as_of)
    if row is not None:
        _tell_warnings(row, known)


def tell_question(context: Any, reasons: Sequence[str], until: datetime, as_of: str) -> None:
    """A run is about to wait for a person's answer: say so, since without an answer `until` then it is rejected."""
    from crmbet.orchestration.context import spoken_texts

    ti, dag_id = context["ti"], context["dag"].dag_id
    say = spoken_texts(dag_id)
    failure = Failure(
        kind="LoadAsked",
        what=say("a person has to say whether the run may load: {reasons}", reasons="; ".join(reasons)),
        why=say("without an answer by {until} the load is rejected", until=f"{until:%Y-%m-%d %H:%M %Z}"),
        next_step="open the run, read the question below Required Actions, and answer it",
    )
    try:
        incidents.send(
            "asked",
            dag_id=dag_id,
            run_id=context["run_id"],
            failure=failure,
            task_id=ti.task_id,
            try_number=ti.try_number,
            as_of=as_of,
        )
    except FAILURES as error:
        log.warning("nobody can be told that the run waits: %s", incidents.describe(error))


async def tell_deadline(context: Mapping[str, Any], **_: Any) -> None:
    """The deadline of a run has passed: it is late, or it has failed and perhaps nobody was told."""
    import asyncio

    dag_run = context["dag_run"]
    dag_id, run_id, state = dag_run["dag_id"], dag_run["dag_run_id"], dag_run.get("state")
    # In a thread, because connections and sockets would block the triggerer's other triggers.
    if state == "failed":
        await asyncio.to_thread(_tell_unless_told, dag_id, run_id, _instant(dag_run.get("start_date")))
    elif dag_run.get("run_type") == "backfill":
        log.info("deadline passed dag=%s run=%s state=%s: backfills are never late", dag_id, run_id, state)
    else:
        await asyncio.to_thread(_tell_late, dag_id, run_id, str(state))


def tell_untold(context: Any) -> None:
    """Tell of failed runs and of warnings that nobody was told of: the callback was killed, or no channel took them.

    It also writes the alerts to the target that could not be written when they were sent. `record_run` calls it at the
    end of every run. If the target or Airflow does not answer, the next run does it.
    """
    from crmbet.monitoring.tables import (
        begin_telling,
        list_untold,
        list_warned,
        open_monitoring,
        read_alerts_of,
    )
    from crmbet.orchestration.context import target_of

    own, now = (context["dag"].dag_id, context["dag_run"].run_id), timezone.utcnow()
    try:
        with open_monitoring(*target_of(own[0])) as tables:
            # Side by side, two runs would tell the same.
            if not begin_telling(tables):
                return
            incidents.write_notes(tables, own[0])
            untold = list_untold(tables, since=now - FORGOTTEN, before=now - GRACE)
            for row in untold:
                if (row["dag_id"], row["execution_id"]) == own:
                    continue
                if not incidents.is_heard(incidents.send_row(row)):
                    log.warning(NOBODY_HEARS)
                    return
            for row in list_warned(tables, since=now - FORGOTTEN, before=now - GRACE):
                alerts = read_alerts_of(tables, row["dag_id"], row["execution_id"])
                known = Known(row=row, alerts=tuple(alerts), since=row["started_at"])
                if not _tell_warnings(row, known, is_late=True):
                    log.warning(NOBODY_HEARS)
                    return
    except FAILURES as error:
        log.warning(
            "what nobody was told of earlier runs is left to the next run: %s", incidents.describe(error)
        )


def _deadline(command: Sequence[str], environ: Mapping[str, str]) -> DeadlineAlert | None:
    """The deadline of a run, or None under `airflow dags test`. Backfills are never late.

    That command crashes at the end of a DAG that has a deadline (apache/airflow issue 73428).
    """
    if list(command) == ["dags", "test"]:
        return None
    return DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=time_limit(environ, "deadline_minutes"),
        callback=AsyncCallback("crmbet.orchestration.alerts.tell_deadline"),
    )


def alerted(environ: Mapping[str, str]) -> dict[str, Any]:
    """Arguments of every DAG; `environ` has the variables of its brand."""
    return {
        "on_failure_callback": tell_failure,
        "on_success_callback": tell_success,
        "deadline": _deadline(sys.argv[1:3], environ),
    }


# Every DAG imports this module, and there is no run yet.
refuse_beside_scheduler(sys.argv)


def _send_failure(
    dag_id: str,
    run_id: str,
    task_id: str | None,
    row: Mapping[str, Any] | None,
    *,
    try_number: int | None = None,
    deadlocked: bool = False,
    is_late: bool = False,
) -> None:
    outcome = incidents.outcome_of(dag_id, run_id, task_id, row)
    failure = outcome.failure or Failure.of(None)
    if deadlocked:
        failure = Failure(
            kind="Unforeseen", what="no task of the run can start any more", next_step="open the run"
        )
    as_of = incidents.as_of_date(row, dag_id, run_id)
    quality = row["quality"] if row else incidents.failed_gate(dag_id, run_id, as_of, task_id, failure)
    incidents.send(
        "failed",
        dag_id=dag_id,
        run_id=run_id,
        failure=failure,
        task_id=task_id,
        try_number=outcome.try_number or try_number,
        as_of=as_of,
        quality=quality,
        is_late=is_late,
    )


def _tell_warnings(row: Mapping[str, Any], known: Known, *, is_late: bool = False) -> bool:
    """Send a message for each warning of a successful run that nobody was told of. False if one was not heard.

    The daily run finds what a backfill has set aside, and tells it. It does not find edits by hand that a backfill has
    put back, so every run tells those.
    """
    dag_id, run_id = row["dag_id"], row["execution_id"]
    is_heard = True
    for task_id, reported in row["tasks"].items():
        outcome = TaskOutcome.model_validate(reported)
        if outcome.warning is None or task_id in known.told_tasks:
            continue
        if row["run_type"] == "backfill" and outcome.warning.kind != "HandEdits":
            continue
        delivered = incidents.send(
            "set_aside",
            dag_id=dag_id,
            run_id=run_id,
            failure=outcome.warning,
            task_id=task_id,
            try_number=outcome.try_number,
            as_of=incidents.as_of_date(row, dag_id, run_id),
            is_late=is_late,
        )
        is_heard = is_heard and incidents.is_heard(delivered)
    return is_heard


def _tell_unless_told(dag_id: str, run_id: str, since: datetime | None) -> None:
    known = _look_patiently(dag_id, run_id, since)
    if known.is_told:
        log.info("deadline passed dag=%s run=%s: it has failed, and somebody was told", dag_id, run_id)
        return
    if known.row is not None:
        incidents.send_row(known.row)
        return
    task_id = incidents.first_failed(dag_id, run_id, [*TASKS, APPROVE, COMPARE, PUBLISH, STREAM, RECORD])
    _send_failure(dag_id, run_id, task_id, None, is_late=True)


def _tell_late(dag_id: str, run_id: str, state: str) -> None:
    if _look_patiently(dag_id, run_id, None).was_alerted("failed"):
        log.info("deadline passed dag=%s run=%s: an alert about it was sent before", dag_id, run_id)
        return
    from crmbet.orchestration.context import spoken_texts

    say = spoken_texts(dag_id)
    latest = time_limit(brand_of(dag_id, os.environ).environ, "deadline_minutes")
    hours = say.figure(f"{latest.total_seconds() / 3600:g}")
    failure = Failure(
        kind="DeadlineMissed",
        what=say("the run has not succeeded within {hours} hours of being queued", hours=hours),
        why=say("its state is {state}", state=state),
        next_step="open the run and look at its first unfinished task: it waits, is being retried, or takes long",
    )
    incidents.send("deadline", dag_id=dag_id, run_id=run_id, failure=failure)


def _look_patiently(dag_id: str, run_id: str, since: datetime | None) -> Known:
    """What is known about a run. Nothing waits for the deadline, so it asks a database that is slow again."""
    known = incidents.look(dag_id, run_id, since, PATIENCE_SECONDS)
    for _ in range(LOOKS - 1):
        if known.is_certain or known.is_told:
            break
        time.sleep(SECONDS_BETWEEN_LOOKS)
        known = incidents.look(dag_id, run_id, since, PATIENCE_SECONDS)
    return known


def _write_row(context: Any) -> bool:
    """Write the run's row if `record_run` was killed, so that there is none or only an older one."""
    dag_id, run_id = context["dag"].dag_id, context["run_id"]
    if RECORD not in context["dag"].task_ids or context.get("ti") is None:
        return False
    if not incidents.can_ask_airflow():
        log.warning(
            "%s has not written the row of %s, and `airflow dags test` cannot write it", RECORD, run_id
        )
        return False
    try:
        seconds = min(ROW_SECONDS, incidents.seconds_left() - 5)
        within(seconds, f"what {RECORD} reads", lambda: record(context))
    except FAILURES as error:
        log.warning(
            "%s has not written the row of %s of %s, and it cannot be written here: %s",
            RECORD,
            run_id,
            dag_id,
            incidents.describe(error),
        )
        return False
    log.info("%s had not written the run's row, so it was written here", RECORD)
    return True


def _since(context: Any) -> datetime | None:
    """When the run last started. Without a task, Airflow gives a callback no more than the run's id."""
    dag_run = context.get("dag_run")
    if dag_run is None:
        return None
    if not incidents.can_ask_airflow():
        # This is `airflow dags test`, and Airflow does not tell its callbacks so.
        run_after: datetime = dag_run.run_after
        return run_after
    return started_at(dag_run, timezone.utcnow())


def _instant(text: Any) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
