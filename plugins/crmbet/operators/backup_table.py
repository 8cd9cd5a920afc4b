"""The operator `backup_table`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, timezone

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context


class BackupTableOperator(BaseOperator):
    """Make sure that the target table exists and matches its contract, and back it up unless a backup equals it."""

    def execute(self, context: Context) -> dict[str, Any]:
        """Write `backup_table.json`; returns its address, the backup's name (None if none was needed) and its rows."""
        from crmbet.load.backup import take_backup
        from crmbet.load.movements import ensure_movements
        from crmbet.load.records import BackupManifest
        from crmbet.load.target import ensure_target
        from crmbet.load.training_set import ensure_training_set
        from crmbet.orchestration.context import load_session, open_run
        from crmbet.orchestration.handover import hand_over, stop_before_loading

        airflow_run = open_run(context)
        stop_before_loading(airflow_run, context)
        with load_session(airflow_run.run.run_id, airflow_run.run.settings) as session:
            for column in ensure_target(session):
                self.log.info("added the new column %s to the target", column)
            ensure_training_set(session, airflow_run.run.settings.operator_timezone)
            ensure_movements(session, airflow_run.run.settings.operator_timezone)
            backup = take_backup(session, timezone.utcnow())
        manifest = BackupManifest(
            backup=backup.name if backup else None, rows=backup.proof.rows if backup else 0
        )
        return hand_over(airflow_run, self.task_id, manifest, manifest.model_dump())
