"""The operator `engineer_features`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context


class EngineerFeaturesOperator(BaseOperator):
    """Bring the daily state up to date and compute the feature row of every player as of the run's instant."""

    def execute(self, context: Context) -> dict[str, Any]:
        """Write `engineer_features.json`; returns its address and the number of players."""
        from crmbet.orchestration.context import open_run
        from crmbet.orchestration.handover import end_dry_run, hand_over, plan_table, stages_of

        airflow_run = open_run(context)
        stages = stages_of(airflow_run)
        manifest = stages.healed(stages.engineer)
        counts = {
            "users": manifest.users,
            "days_built": manifest.days_built,
            "sessions_built": manifest.sessions_built,
        }
        if airflow_run.run.params.dry_run:
            table = plan_table(manifest, airflow_run.run.as_of_date)
            self.log.info(
                "dry run: %d days of state and %d of sessions would be made; rows of the table: %s",
                manifest.days_built,
                manifest.sessions_built,
                table,
            )
            end_dry_run(context, airflow_run, manifest, {**counts, "table": table})
        return hand_over(airflow_run, self.task_id, manifest, counts)
