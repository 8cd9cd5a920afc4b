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
        from crmbet.contracts import load_source_contracts
        from crmbet.engine import attach_postgres
        from crmbet.ingest.postgres import SOURCE, capture_relation, plan_relation
        from crmbet.manifest import ExtractManifest
        from crmbet.operators.airflow_run import open_run, source_dsn
        from crmbet.operators.handover import end_dry_run, hand_over

        at = open_run(context)
        contract = load_source_contracts()["transactions"]
        with at.engine() as engine:
            attach_postgres(engine, source_dsn(), SOURCE, read_only=True)
            if at.run.params.dry_run:
                days = plan_relation(engine, at.store, at.run, contract)
                end_dry_run(context, {contract.name: {day.chunk: day.rows for day in days}})
            captures = capture_relation(engine, at.store, at.run, contract)
        manifest = ExtractManifest(sources={contract.name: captures})
        return hand_over(at, self.task_id, manifest, {contract.name: captures.extracted})
