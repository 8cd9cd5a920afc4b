"""The operator `extract_pg`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crmbet.operators.sharded import ShardedOperator

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

    from crmbet.orchestration.context import AirflowRun
    from crmbet.run.shards import Shard


class ExtractPgOperator(ShardedOperator):
    """Capture every day of PostgreSQL's tables that is new or changed, and list the captures that the run uses.

    The source contracts of kind "postgres" name the tables.
    """

    def make_step(self, airflow_run: AirflowRun, context: Context) -> dict[str, Any]:
        """Write `extract_pg.json`; returns its address and the rows by source."""
        from crmbet.contracts.files import load_source_contracts
        from crmbet.extract.postgres import capture_relation
        from crmbet.extract.records import ExtractManifest
        from crmbet.orchestration.context import attach_source, refuse_other_brand
        from crmbet.orchestration.handover import end_dry_run, hand_over, log_changes, plan_captures

        refuse_other_brand(airflow_run)
        contracts = [
            each
            for each in load_source_contracts(
                over=airflow_run.run.settings.source.contracts_directory
            ).values()
            if each.kind == "postgres"
        ]
        with airflow_run.work() as work:
            attach_source(work.connection, airflow_run.run.settings)
            captured = {each.name: capture_relation(work, each) for each in contracts}
        manifest = ExtractManifest(sources=captured)
        if airflow_run.run.params.dry_run:
            plan = {name: plan_captures(name, captures) for name, captures in captured.items()}
            end_dry_run(context, airflow_run, manifest, plan)
        log_changes(captured)
        counts = {name: captures.extracted for name, captures in captured.items()}
        return hand_over(airflow_run, self.task_id, manifest, counts)

    def make_part(self, airflow_run: AirflowRun, shard: Shard) -> tuple[str, dict[str, Any]]:
        """Capture a part of each table's days."""
        from crmbet.contracts.files import load_source_contracts
        from crmbet.extract.postgres import capture_shard_of_relation
        from crmbet.orchestration.context import attach_source, refuse_other_brand

        refuse_other_brand(airflow_run)
        own = airflow_run.run.settings.source.contracts_directory
        tables = [each for each in load_source_contracts(over=own).values() if each.kind == "postgres"]
        with airflow_run.work() as work:
            attach_source(work.connection, airflow_run.run.settings)
            made = {each.name: capture_shard_of_relation(work, each, shard) for each in tables}
        return f"{sum(made.values())} days", made
