"""The operator of the tasks `validate_raw` and `validate`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any, Literal

from airflow.sdk import BaseOperator, timezone

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

    from crmbet.quality.stages import Judgement


class ValidateOperator(BaseOperator):
    """Judge the raw rows of the run's last day, or the run's features, and fail without a retry on a breach.

    :param stage: `raw` or `features`.
    """

    def __init__(self, *, stage: Literal["raw", "features"], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stage = stage

    def execute(self, context: Context) -> dict[str, Any]:
        """Write report, rows and manifest, then raise `QualityBreach` for a breach that the run does not tolerate."""
        from crmbet.databases.scratch import scratch_folder
        from crmbet.load.feature_drift import write_drift
        from crmbet.load.quality_results import write_results
        from crmbet.orchestration.context import load_session, open_run
        from crmbet.orchestration.handover import hand_over, read_cleaned, read_features, stages_of
        from crmbet.quality.report import raise_on_breach
        from crmbet.quality.stages import judge_features, judge_raw, publish

        airflow_run = open_run(context)
        stages = stages_of(airflow_run)
        with scratch_folder(airflow_run.run.settings) as scratch:

            def judge() -> tuple[Judgement, Path]:
                folder = Path(mkdtemp(dir=scratch))
                with airflow_run.work() as work:
                    if self.stage == "raw":
                        return judge_raw(work, stages.extracts(), folder, stages.erased()), folder
                    features, cleaned = airflow_run.store.at_once(
                        partial(read_features, airflow_run), partial(read_cleaned, airflow_run)
                    )
                    return judge_features(work, features, cleaned, folder), folder

            judgement, folder = stages.healed(judge)
            manifest = publish(airflow_run.store, airflow_run.run, judgement, folder)
        report = judgement.report
        handed = hand_over(
            airflow_run,
            self.task_id,
            manifest,
            {"score": manifest.score, "grade": manifest.grade, "report": manifest.report_html},
        )
        try:
            with load_session(airflow_run.run.run_id, airflow_run.run.settings) as session:
                write_results(session, report, timezone.utcnow())
                if judgement.moves and judgement.baselines.frozen:
                    write_drift(
                        session,
                        judgement.moves,
                        as_of=report.subject.as_of,
                        baseline=judgement.baselines.frozen,
                        written_at=timezone.utcnow(),
                    )
        finally:
            # A breach is raised even if the database cannot be reached, since it matters more.
            raise_on_breach(report, airflow_run.run.failing, address=manifest.report_html)
        return handed
