"""The operator `check_erasure_deadlines`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, timezone

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context


class CheckErasureDeadlinesOperator(BaseOperator):
    """Fail, and so alert, if somebody who asked to be erased has waited for too long, or if the erasure failed.

    It runs whatever became of the erasure, and Airflow decides by the last task of a run alone whether it failed.
    """

    def execute(self, context: Context) -> None:
        """Raises `ErasureOverdue`."""
        from airflow.sdk.exceptions import AirflowFailException

        from crmbet.erasure.requests import refuse_overdue
        from crmbet.orchestration.context import load_session, open_run

        run = open_run(context).run
        with load_session(run.run_id, run.settings) as session:
            refuse_overdue(session, timezone.utcnow(), run.settings.erasure.erasure_deadline_days)
        ti: Any = context["ti"]
        states = ti.get_task_states(dag_id=ti.dag_id, run_ids=[ti.run_id])[ti.run_id]
        broken = [task for task in self.upstream_task_ids if str(states[task]) not in ("success", "skipped")]
        if broken:
            raise AirflowFailException(f"{', '.join(sorted(broken))} failed: the log there says why")
