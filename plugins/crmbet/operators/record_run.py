"""The operator `record_run`."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from crmbet.orchestration.alerts import tell_untold
from crmbet.orchestration.record import cost_of, record
from crmbet.run.logs import log_outcome

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context


log = logging.getLogger(__name__)


class RecordRunOperator(BaseOperator):
    """Write the run's row of `ml_features.pipeline_runs`, whether or not the run went well.

    A teardown task: it runs when all others have ended. Its own state does not decide that of the run. It also tells of
    earlier runs that failed and that nobody was told of.
    """

    def execute(self, context: Context) -> dict[str, Any]:
        """Returns the run's state, score, counts and cost."""
        metrics = record(context)
        cost = cost_of(metrics)
        figures = {
            "records_processed": metrics.records_extracted,
            "quality_score": metrics.data_quality_score,
            "cost": float(cost.total) if cost else None,
        }
        what = "has succeeded" if metrics.state == "success" else f"has failed at {metrics.failed_task}"
        log_outcome(log, f"the run {what}", figures)
        tell_untold(context)
        return {
            "state": metrics.state,
            "failed_task": metrics.failed_task,
            "quality_score": metrics.data_quality_score,
            "records_extracted": metrics.records_extracted,
            "records_loaded": metrics.records_loaded,
            "cost": figures["cost"],
        }
