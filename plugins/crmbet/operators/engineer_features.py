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
        from crmbet.contracts import load_source_contracts, load_table_contract
        from crmbet.features import engineer_features
        from crmbet.operators.airflow_run import open_run
        from crmbet.operators.handover import hand_over, read_cleaned

        at = open_run(context)
        with at.engine() as engine:
            manifest = engineer_features(
                engine, at.store, at.run, load_source_contracts(), load_table_contract(), read_cleaned(at)
            )
        return hand_over(
            at, self.task_id, manifest, {"users": manifest.users, "days_built": manifest.days_built}
        )
