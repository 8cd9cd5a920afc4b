"""What every task does besides its work: it reports its outcome in its log and in one small XCom.

Hooks and callbacks run in the task's own process. A killed task runs none of them. `record_run` and the DAG's failure
callback then find no outcome and report that the task was killed.
"""

from __future__ import annotations

import logging
from typing import Any

from airflow.sdk.exceptions import AirflowException, AirflowRuntimeError

from crmbet.metering import Usage
from crmbet.monitoring.outcome import Failure, Stopwatch, TaskOutcome, peak_memory_bytes
from crmbet.orchestration import dags_test
from crmbet.redaction import redact
from crmbet.run.logs import bind, log_outcome, unbind

OUTCOME = "outcome"
"""XCom key of the outcome. Airflow deletes it when the task is retried."""
AIRFLOW_FAILURES = (AirflowException, AirflowRuntimeError, EOFError, OSError)
"""What asking Airflow may raise: its own errors, and those of the socket to the process that answers."""

log = logging.getLogger(__name__)

SPENT = "spent"
"""Key of what earlier tries have used, in the store of Airflow that survives retries."""

_stopwatches: dict[str, Stopwatch] = {}


def begin(context: Any) -> None:
    """Before a task's work: add the run to every line of the log, and start the measurement.

    Raises `PermanentFailure` if the task belongs to `airflow dags test`, and a scheduler has started it.
    """
    ti = context["ti"]
    if dags_test.is_of_dags_test(context):
        dags_test.require_own_process()
        dags_test.open_log(context)
    bind(component=type(context["task"]).__name__, execution_id=context["dag_run"].run_id)
    _stopwatches[ti.task_id] = Stopwatch.start(_spent(context))


def succeed(context: Any, result: Any = None) -> None:
    """After a task's work: leave its outcome for the run's record, and describe its output in its outlets' events."""
    _push(context, _outcome(context, "success"))
    for asset in context["task"].outlets:
        context["outlet_events"][asset].extra = _describe_output(context, result)
    _end(context)


def skip(context: Any) -> None:
    """The task skipped itself because of a param."""
    _push(context, _outcome(context, "skipped"))
    _end(context)


def retry(context: Any) -> None:
    """The try failed and Airflow will retry it. Nobody needs an alert, so only the log has a line."""
    log_outcome(log, _describe_end("RETRY", context), level=logging.WARNING)
    _end(context)


def fail(context: Any) -> None:
    """The task has failed for good: log it, and leave its failure for the one message that the run's failure sends."""
    log_outcome(log, _describe_end("FAILED", context), level=logging.ERROR)
    _push(context, _outcome(context, "failed", Failure.of(context.get("exception"))))
    _end(context)


def _end(context: Any) -> None:
    unbind()
    dags_test.close_log(context)


WATCHED: dict[str, Any] = {
    "owner": "crmbet",
    "pre_execute": begin,
    "post_execute": succeed,
    "on_failure_callback": fail,
    "on_retry_callback": retry,
    "on_skipped_callback": skip,
}
"""A DAG's default arguments."""


def _describe_end(outcome: str, context: Any) -> str:
    ti, dag_run = context["ti"], context["dag_run"]
    return redact(
        f"{outcome} dag={dag_run.dag_id} run={dag_run.run_id} task={ti.task_id} try={ti.try_number}: "
        f"{context.get('exception')}"
    )


def _outcome(context: Any, state: str, failure: Failure | None = None) -> TaskOutcome:
    ti = context["ti"]
    stopwatch = _stopwatches.pop(ti.task_id, None)
    return TaskOutcome(
        state=state,
        try_number=ti.try_number,
        seconds=stopwatch.seconds if stopwatch else None,
        peak_memory_bytes=peak_memory_bytes(),
        usage=stopwatch.usage if stopwatch else None,
        failure=failure,
    )


def keep_spent(context: Any) -> None:
    """The try has failed, and Airflow does not know it yet: leave what it and those before it have used.

    The callbacks of a failure come too late: the next try is another task instance, and XComs are gone by then.
    """
    import httpx

    stopwatch = _stopwatches.get(context["ti"].task_id)
    if stopwatch is None:
        return
    try:
        context["task_state_store"].set(SPENT, stopwatch.usage.model_dump())
    except (*AIRFLOW_FAILURES, httpx.HTTPError) as error:
        log.warning("what this try has used is not counted: %s", type(error).__name__)


def _spent(context: Any) -> Usage | None:
    """What failed tries before this one have used; None if there were none, or if they could not tell."""
    import httpx

    if context["ti"].try_number <= 1:
        return None
    try:
        kept = context["task_state_store"].get(SPENT)
    except (*AIRFLOW_FAILURES, httpx.HTTPError) as error:
        log.warning("what earlier tries have used cannot be read: %s", type(error).__name__)
        return None
    return Usage.model_validate(kept) if kept else None


def _push(context: Any, outcome: TaskOutcome) -> None:
    try:
        context["ti"].xcom_push(key=OUTCOME, value=outcome.model_dump(exclude_none=True))
    except AIRFLOW_FAILURES as error:
        # The task keeps its own outcome.
        log.warning("the task's outcome could not be written for the run's record: %s", type(error).__name__)


def _describe_output(context: Any, result: Any) -> dict[str, Any]:
    counts = {key: value for key, value in (result or {}).items() if isinstance(value, int | str | None)}
    judged = context["ti"].xcom_pull(task_ids="validate") or {}
    return {
        "run_id": context["dag_run"].run_id,
        "as_of": counts.get("as_of"),
        "rows": counts.get("staged"),
        "grade": judged.get("grade"),
        "score": judged.get("score"),
    }
