"""The operator `plan_sweep`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context


class PlanSweepOperator(BaseOperator):
    """Find out which of our objects no kept manifest names any more. Removes nothing."""

    def execute(self, context: Context) -> dict[str, Any]:
        """Write `plan_sweep.json`; returns its address and how many objects and bytes would go, by reason."""
        from crmbet.orchestration.context import open_run
        from crmbet.orchestration.handover import hand_over
        from crmbet.sweep import plan_sweep

        airflow_run = open_run(context)
        plan = plan_sweep(
            airflow_run.store, airflow_run.run.layout, airflow_run.run.settings, airflow_run.run.known_at
        )
        for folder in plan.unknown:
            self.log.warning(
                "%s has objects that crmbet does not write; they are left alone",
                airflow_run.store.url(folder),
            )
        counts = {
            "objects": len(plan.done_files) + len(plan.objects),
            "bytes": plan.size,
            "reasons": plan.reasons,
        }
        return hand_over(airflow_run, self.task_id, plan, counts)
