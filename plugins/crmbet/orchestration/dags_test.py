"""What is different under `airflow dags test`: no scheduler owns the run, and nobody writes the logs of its tasks.

The command runs every task in its own process. If the DAG is unpaused and a scheduler is running, that scheduler takes
the tasks of the run as well, with the settings of its own workers. So the command is refused before there is a run. If
somebody unpauses the DAG later, the scheduler's copies refuse to work.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from crmbet.failures import PermanentFailure

USER = "dag_test"
"""Who has triggered such a run, as Airflow names it."""
NOTHING_DONE = 2
"""Exit status of a command that was refused, so that there is no run."""
NEXT = "pause the DAG and run the command again, or start the run in the UI or by `airflow dags trigger`"

log = logging.getLogger(__name__)

_handlers: dict[str, logging.Handler] = {}
"""By task: what writes the log of a task that is running."""


def is_of_dags_test(context: Any) -> bool:
    """Whether a task belongs to a run of `airflow dags test`."""
    return _is_by_dags_test(context["dag_run"])


def started_at(dag_run: Any, now: datetime) -> datetime:
    """When a run last started; never later than `now`.

    `dags test` reports the logical date as the start. It may lie years back, or ahead.
    """
    if _is_by_dags_test(dag_run) or dag_run.start_date is None:
        started: datetime = dag_run.run_after
    else:
        started = max(dag_run.start_date, dag_run.run_after)
    # The clock of the scheduler may be a little fast.
    return min(started, now)


def refuse_beside_scheduler(command: Sequence[str]) -> None:
    """End this process if its command is `airflow dags test` of an unpaused DAG, and a scheduler is running.

    It is called while the DAG is parsed, which is the only code of ours that runs before there is a run.
    """
    named = command[3:]
    if list(command[1:3]) != ["dags", "test"] or not named:
        return
    from crmbet.orchestration.metadata import taken_by_scheduler

    taken = taken_by_scheduler(named)
    if taken is None:
        return
    refusal = PermanentFailure(
        f"`airflow dags test` does nothing, since the scheduler would take the tasks of {taken} as well",
        where="the DAG is unpaused, and a scheduler is running",
        next_step=NEXT,
    )
    sys.stdout.flush()
    sys.stderr.write(f"{refusal}\n")
    sys.stderr.flush()
    # Airflow catches whatever parsing raises, SystemExit too, and goes on to say that there is no such DAG.
    os._exit(NOTHING_DONE)


def require_own_process() -> None:
    """Raise `PermanentFailure` if a scheduler has started this task of a run of `airflow dags test`."""
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.supervisor import InProcessSupervisorComms

    comms = getattr(task_runner, "SUPERVISOR_COMMS", None)
    if comms is None or isinstance(comms, InProcessSupervisorComms):
        return
    raise PermanentFailure(
        "the scheduler has taken a task of a run that belongs to `airflow dags test`, so the task does nothing",
        where="the DAG is unpaused, and a scheduler is running",
        why="the task would run twice, once in each of the two, perhaps with other settings",
        next_step=NEXT,
    )


def open_log(context: Any) -> None:
    """Write the task's log as JSON lines to the file that a scheduler's worker would write, until `close_log`."""
    from airflow.sdk.configuration import conf

    ti = context["ti"]
    folder = Path(conf.get("logging", "base_log_folder")) / f"dag_id={ti.dag_id}" / f"run_id={ti.run_id}"
    path = folder / f"task_id={ti.task_id}" / f"attempt={ti.try_number}.log"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(path, encoding="utf-8")
    except OSError as error:
        log.warning(
            "the task's log cannot be written to the folder of logs, so it is on the screen alone: %s",
            type(error).__name__,
        )
        return
    handler.setFormatter(_json_lines())
    logging.getLogger().addHandler(handler)
    _handlers[ti.task_id] = handler


def close_log(context: Any) -> None:
    """Stop writing the task's log."""
    handler = _handlers.pop(context["ti"].task_id, None)
    if handler is not None:
        logging.getLogger().removeHandler(handler)
        handler.close()


def _is_by_dags_test(dag_run: Any) -> bool:
    return getattr(dag_run, "triggering_user_name", None) == USER


def _json_lines() -> logging.Formatter:
    """One JSON object a line, with the fields of Airflow's own files, and without the secrets that Airflow knows."""
    from airflow.sdk.log import redact  # type: ignore[attr-defined]
    from structlog.contextvars import merge_contextvars
    from structlog.processors import JSONRenderer, TimeStamper, format_exc_info
    from structlog.stdlib import ProcessorFormatter, add_log_level, add_logger_name

    def without_secrets(_logger: Any, _method: str, event: Any) -> Any:
        return redact(event)

    return ProcessorFormatter(
        foreign_pre_chain=[merge_contextvars, add_log_level, add_logger_name],
        processors=[
            TimeStamper(fmt="iso", utc=True),
            format_exc_info,
            ProcessorFormatter.remove_processors_meta,
            without_secrets,
            JSONRenderer(ensure_ascii=False),
        ],
    )
