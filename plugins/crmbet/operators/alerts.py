"""What happens when a task or a run fails: one line in the log that says where to look."""

from __future__ import annotations

import logging
from typing import Any

log = logging.getLogger(__name__)


def log_failure(context: Any) -> None:
    """Log the failure of a task, or of a run where no task is at hand (a killed task fires only this)."""
    dag_run = context.get("dag_run")
    task_instance = context.get("task_instance") or context.get("ti")
    exception = context.get("exception") or context.get("reason")
    log.error(
        "FAILED dag=%s run=%s task=%s try=%s: %s",
        getattr(dag_run, "dag_id", None),
        getattr(dag_run, "run_id", None),
        getattr(task_instance, "task_id", None),
        getattr(task_instance, "try_number", None),
        exception,
    )
