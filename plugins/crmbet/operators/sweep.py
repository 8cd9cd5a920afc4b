"""The operator `sweep`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context


class SweepOperator(BaseOperator):
    """Remove what the run's plan names, and nothing else."""

    def execute(self, context: Context) -> dict[str, Any]:
        """Returns how many objects were removed."""
        from airflow.sdk.exceptions import AirflowSkipException

        from crmbet.orchestration.context import open_run
        from crmbet.run.records import read_manifest
        from crmbet.sweep import SweepPlan, sweep

        airflow_run = open_run(context)
        plan = read_manifest(airflow_run.store, airflow_run.run.prefix, "plan_sweep", SweepPlan)
        if airflow_run.run.params.dry_run:
            raise AirflowSkipException("dry_run: nothing was removed; plan_sweep lists what would be")
        return {"removed": sweep(airflow_run.store, airflow_run.run.layout, airflow_run.run.settings, plan)}
