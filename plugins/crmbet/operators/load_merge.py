"""The operator `load_merge`."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, timezone

from crmbet.failures import CrmbetError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from airflow.sdk.definitions.context import Context
    from psycopg2 import extensions

    from crmbet.features.records import FeatureManifest
    from crmbet.load.approval import Approval
    from crmbet.load.records import LoadManifest, Movement
    from crmbet.load.session import LoadSession
    from crmbet.load.staging import Staging
    from crmbet.orchestration.context import AirflowRun
    from crmbet.run.run import Run


def _reasons_of(features: FeatureManifest) -> list[str]:
    return features.learned.reasons if features.learned else []


class LoadMergeOperator(BaseOperator):
    """Load the run's features into the target by the run's strategy: merge, replace or append."""

    def execute(self, context: Context) -> dict[str, Any]:
        """Write `load_merge.json`; returns its address and the rows inserted, updated, unchanged, and so on."""
        from crmbet.datasets.prefetch import LocalCopies, local_copies
        from crmbet.features.keep_learned import keep_learned
        from crmbet.load.load import load, rules_of
        from crmbet.load.records import BackupManifest, LoadManifest
        from crmbet.load.score_reasons import staged_reasons
        from crmbet.load.staging import staged
        from crmbet.orchestration.context import dsn_of, load_session, open_run
        from crmbet.orchestration.handover import (
            hand_over,
            read_features,
            stages_of,
            stop_before_loading,
        )
        from crmbet.run.records import read_manifest

        airflow_run = open_run(context)
        stop_before_loading(airflow_run, context)

        def fetch(copies: LocalCopies) -> tuple[FeatureManifest, BackupManifest, Approval | None]:
            features, before, approval = airflow_run.store.at_once(
                partial(read_features, airflow_run),
                partial(
                    read_manifest, airflow_run.store, airflow_run.run.prefix, "backup_table", BackupManifest
                ),
                partial(self._read_approval, airflow_run),
            )
            copies.urls([*features.files, *_reasons_of(features)])
            return features, before, approval

        with (
            airflow_run.work() as work,
            local_copies(work) as copies,
            load_session(airflow_run.run.run_id, airflow_run.run.settings) as session,
        ):
            features, before, approval = stages_of(airflow_run).healed(lambda: fetch(copies))
            files = copies.urls(features.files)
            rules = rules_of(airflow_run.run, features.reconstructed, self.dag_id)
            if approval:
                rules = replace(rules, agreed_loss=approval.lost, agreed_replace=approval.agrees_to_replace)
            dsn = dsn_of(airflow_run.run.settings.connections.target_connection)
            reasons = copies.urls(_reasons_of(features))
            told = features.learned.reason_rows if features.learned else 0
            with (
                staged(session, work.connection, dsn, files, features.users) as staging,
                staged_reasons(session, work.connection, dsn, reasons, told) as staged_why,
            ):
                counts = load(
                    session,
                    staging,
                    rules,
                    timezone.utcnow(),
                    self._alongside(airflow_run.run, features, session, staged_why),
                )
            # If the load changes nothing, it needs no backup, and backup_table may have made one all the same.
            counts = replace(counts, backup=counts.backup or before.backup)
            movements = self._count_movements(session, airflow_run.run)
            manifest = LoadManifest(strategy=rules.strategy, movements=movements, **asdict(counts))
            self._tell_edits(manifest)
            if features.learned is not None:
                keep_learned(work, features.learned)
            handed = hand_over(
                airflow_run, self.task_id, manifest, manifest.model_dump(exclude={"movements"})
            )
            self._sweep(session, airflow_run.run)
        return handed

    @staticmethod
    def _read_approval(airflow_run: AirflowRun) -> Approval | None:
        """What a person has agreed to; None if the DAG has no task that asks, or nobody had to be asked."""
        from crmbet.load.approval import Approval
        from crmbet.run.records import read_manifest
        from crmbet.run.tasks import APPROVE

        if not airflow_run.run.questions:
            return None
        approval = read_manifest(airflow_run.store, airflow_run.run.prefix, APPROVE, Approval)
        return approval if approval.answered_by else None

    def _count_movements(self, session: LoadSession, run: Run) -> list[Movement]:
        """Who has moved between segments. The load has succeeded, so a failure here is only logged."""
        from crmbet.load.movements import count_movements

        try:
            return count_movements(session, run.window.as_of)
        except CrmbetError as failure:
            self.log.warning("movements between segments were not counted: %s", failure)
            return []

    def _tell_edits(self, manifest: LoadManifest) -> None:
        from crmbet.monitoring.hand_edits import describe_edits

        if edits := describe_edits(manifest):
            self.log.warning("%s. Next: %s", edits.what, edits.next_step)

    @staticmethod
    def _alongside(
        run: Run, features: FeatureManifest, session: LoadSession, reasons: Staging | None
    ) -> Callable[[extensions.cursor, datetime], None]:
        """A function that writes what belongs to the run's rows: the models that scored them, and why."""
        from crmbet.load.model_parameters import Origin, record_models
        from crmbet.load.score_reasons import write_reasons

        def write(cursor: extensions.cursor, written_at: datetime) -> None:
            if reasons is not None:
                write_reasons(cursor, session, reasons)
            if features.learned is None:
                return
            origin = Origin(
                as_of=run.window.as_of, known_at=run.known_at, run_id=run.run_id, written_at=written_at
            )
            record_models(cursor, session.contract.schema_name, features.learned.models, origin)

        return write

    def _sweep(self, session: LoadSession, run: Run) -> None:
        """Drop backups that are no longer kept. The load has succeeded, so a failure here is only logged."""
        from crmbet.load.backup import sweep_backups

        settings = run.settings
        try:
            swept = sweep_backups(
                session,
                timezone.utcnow(),
                settings.retention.backup_retention_days,
                settings.retention.backup_retention_count,
            )
        except CrmbetError as failure:
            self.log.warning("old backups were not swept; the next load tries again: %s", failure)
        else:
            for name in swept:
                self.log.info("swept the backup %s", name)
