"""The operator `take_erasure_requests`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, timezone

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context


class TakeErasureRequestsOperator(BaseOperator):
    """Enter the players who asked to be erased into the ledger, unless the law demands to keep them for now."""

    def execute(self, context: Context) -> dict[str, Any]:
        """Returns how many requests were taken, of how many players, and how many have to wait. Skips if none was."""
        from airflow.sdk.exceptions import AirflowSkipException

        from crmbet.erasure.ledger import ensure_tables
        from crmbet.erasure.requests import take_requests
        from crmbet.orchestration.context import erasure_key, load_session, open_run

        run = open_run(context).run
        today = timezone.utcnow().astimezone(run.settings.zone).date()
        with load_session(run.run_id, run.settings) as session:
            ensure_tables(session)
            taken = take_requests(session, erasure_key, today, run.settings.erasure.legal_retention_days)
        if not taken.requests:
            raise AirflowSkipException(f"nobody is to be erased now; {len(taken.held)} requests have to wait")
        self.log.info("%d requests of %d players are being fulfilled", len(taken.requests), taken.players)
        return {"requests": len(taken.requests), "players": taken.players, "held": len(taken.held)}
