"""The operator `clean`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context


class CleanOperator(BaseOperator):
    """Type, judge and deduplicate the captured rows by their contracts; what breaks them goes to quarantine."""

    def execute(self, context: Context) -> dict[str, Any]:
        """Write `clean.json`; returns its address and the rows accepted, quarantined and dropped as duplicates."""
        from crmbet.clean.clean import clean_source
        from crmbet.clean.records import CleanManifest
        from crmbet.contracts.files import load_source_contracts
        from crmbet.orchestration.context import open_run
        from crmbet.orchestration.handover import day_ranges, end_dry_run, hand_over, read_extracts

        at = open_run(context)
        contracts = load_source_contracts()
        with at.engine() as engine:
            cleaned = {
                name: clean_source(engine, at.store, at.run, contracts[name], captures)
                for name, captures in read_extracts(at).sources.items()
            }
        manifest = CleanManifest(sources=cleaned)
        if at.run.params.dry_run:
            plan = {name: day_ranges(source.made) for name, source in cleaned.items()}
            self.log.info("dry run: days that would be cleaned: %s", plan)
            end_dry_run(context, at, manifest, plan)
        counts = {
            "accepted": sum(source.accepted for source in cleaned.values()),
            "quarantined": sum(sum(source.quarantined.values()) for source in cleaned.values()),
            "duplicates": sum(source.duplicates for source in cleaned.values()),
        }
        return hand_over(at, self.task_id, manifest, counts)
