"""The operator `extract_s3`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crmbet.operators.sharded import ShardedOperator

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

    from crmbet.orchestration.context import AirflowRun
    from crmbet.run.shards import Shard


class ExtractS3Operator(ShardedOperator):
    """Capture every object of the lake's feeds that is new or changed, and list the captures that the run uses.

    Chunks of Kafka that the stream has captured are listed too, for sources of kind `stream`.
    """

    def make_step(self, airflow_run: AirflowRun, context: Context) -> dict[str, Any]:
        """Write `extract_s3.json`; returns its address and the records by feed."""
        from crmbet.contracts.files import load_source_contracts
        from crmbet.extract.lake import capture_feeds
        from crmbet.extract.records import ExtractManifest
        from crmbet.extract.streams import streamed_captures
        from crmbet.orchestration.context import refuse_other_brand
        from crmbet.orchestration.handover import end_dry_run, hand_over, log_changes, plan_captures

        refuse_other_brand(airflow_run)
        contracts = load_source_contracts(over=airflow_run.run.settings.source.contracts_directory).values()
        with airflow_run.work() as work:
            captured = capture_feeds(work, [each for each in contracts if each.kind == "lake"])
            captured |= {
                each.name: streamed_captures(work, each) for each in contracts if each.kind == "stream"
            }
        present = {name: captures for name, captures in captured.items() if captures is not None}
        for name in captured.keys() - present.keys():
            self.log.info("the optional feed %s is absent: its columns stay NULL", name)
        manifest = ExtractManifest(sources=present)
        if airflow_run.run.params.dry_run:
            plan = {name: plan_captures(name, captures) for name, captures in present.items()}
            end_dry_run(context, airflow_run, manifest, plan)
        log_changes(present)
        counts = {name: captures.extracted for name, captures in present.items()}
        return hand_over(airflow_run, self.task_id, manifest, counts)

    def make_part(self, airflow_run: AirflowRun, shard: Shard) -> tuple[str, dict[str, Any]]:
        """Capture a part of each feed's objects."""
        from crmbet.contracts.files import load_source_contracts
        from crmbet.extract.lake import capture_shard_of_feed
        from crmbet.orchestration.context import refuse_other_brand

        refuse_other_brand(airflow_run)
        own = airflow_run.run.settings.source.contracts_directory
        feeds = [each for each in load_source_contracts(over=own).values() if each.kind == "lake"]
        with airflow_run.work() as work:
            made = {each.name: capture_shard_of_feed(work, each, shard) for each in feeds}
        return f"{sum(made.values())} objects", made
