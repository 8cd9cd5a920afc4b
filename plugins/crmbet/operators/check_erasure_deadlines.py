"""The operator `check_erasure_deadlines`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import BaseOperator, timezone

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context


class CheckErasureDeadlinesOperator(BaseOperator):
    """Fail, and so alert, if somebody who asked to be erased has waited for too long."""

    def execute(self, context: Context) -> None:
        """Raises `ErasureOverdue`."""
        from crmbet.erasure.requests import refuse_overdue
        from crmbet.orchestration.context import load_session, open_run

        run = open_run(context).run
        with load_session(run.run_id, run.settings) as session:
            refuse_overdue(session, timezone.utcnow(), run.settings.erasure.erasure_deadline_days)
