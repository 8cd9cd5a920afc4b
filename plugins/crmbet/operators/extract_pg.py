"""The operator `extract_pg`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context


class ExtractPgOperator(BaseOperator):
    """Capture every day of the transactions that is new or changed, and say which captures the run uses."""

    def execute(self, context: Context) -> dict[str, Any]:
        """Write `extract_pg.json`; returns its address and the number of rows."""
        from crmbet.contracts.files import load_source_contracts
        from crmbet.databases.duckdb import attach_postgres
        from crmbet.extract.postgres import SOURCE, capture_relation
        from crmbet.extract.records import ExtractManifest
        from crmbet.orchestration.context import open_run, source_dsn
        from crmbet.orchestration.handover import end_dry_run, hand_over, log_changes, plan_captures

        airflow_run = open_run(context)
        contract = load_source_contracts()["transactions"]
        with airflow_run.work() as work:
            attach_postgres(work.connection, source_dsn(), SOURCE, read_only=True)
            captures = capture_relation(work, contract)
        manifest = ExtractManifest(sources={contract.name: captures})
        if airflow_run.run.params.dry_run:
            end_dry_run(
                context, airflow_run, manifest, {contract.name: plan_captures(contract.name, captures)}
            )
        log_changes(manifest.sources)
        return hand_over(airflow_run, self.task_id, manifest, {contract.name: captures.extracted})
