"""The operator `clean`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crmbet.operators.sharded import ShardedOperator

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

    from crmbet.orchestration.context import AirflowRun
    from crmbet.run.shards import Shard


class CleanOperator(ShardedOperator):
    """Type, judge and deduplicate the captured rows by their contracts. Rows that break them go to quarantine."""

    def make_step(self, airflow_run: AirflowRun, context: Context) -> dict[str, Any]:
        """Write `clean.json`; returns its address and the rows by fate."""
        from crmbet.orchestration.handover import day_ranges, end_dry_run, hand_over, stages_of

        stages = stages_of(airflow_run)
        manifest = stages.healed(stages.clean)
        cleaned = manifest.sources
        if airflow_run.run.params.dry_run:
            plan = {name: day_ranges(source.made) for name, source in cleaned.items()}
            self.log.info("dry run: days that would be cleaned: %s", plan)
            end_dry_run(context, airflow_run, manifest, plan)
        counts = {
            "accepted": sum(source.accepted for source in cleaned.values()),
            "quarantined": sum(sum(source.quarantined.values()) for source in cleaned.values()),
            "duplicates": sum(source.duplicates for source in cleaned.values()),
            "erased": sum(source.erased for source in cleaned.values()),
        }
        return hand_over(airflow_run, self.task_id, manifest, counts)

    def make_part(self, airflow_run: AirflowRun, shard: Shard) -> tuple[str, dict[str, Any]]:
        """Clean a part of each source's days."""
        from crmbet.orchestration.handover import day_ranges, stages_of

        stages = stages_of(airflow_run)
        made = stages.healed(lambda: stages.clean_shard(shard))
        return f"days {day_ranges(made)}", {"days": len(made)}
