"""The operator `validate`, of the tasks `validate_raw` and `validate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from airflow.sdk import BaseOperator

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context


class ValidateOperator(BaseOperator):
    """Judge the raw rows of the run's last day, or the run's features, and fail without a retry on a breach.

    :param stage: `raw` or `features`.
    """

    def __init__(self, *, stage: Literal["raw", "features"], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stage = stage

    def execute(self, context: Context) -> dict[str, Any]:
        """Write report and manifest, then raise `QualityBreach` if there is a breach that the run does not tolerate."""
        from crmbet.manifest import FeatureManifest, read_manifest
        from crmbet.operators.airflow_run import open_run
        from crmbet.operators.handover import hand_over, read_extracts
        from crmbet.quality.report import raise_on_breach
        from crmbet.quality.stages import judge_features, judge_raw, publish

        at = open_run(context)
        with at.engine() as engine:
            if self.stage == "raw":
                report = judge_raw(engine, at.store, at.run, read_extracts(at))
            else:
                features = read_manifest(at.store, at.run.prefix, "engineer_features", FeatureManifest)
                report = judge_features(engine, at.store, at.run, features)
        manifest = publish(at.store, at.run, report)
        handed = hand_over(
            at,
            self.task_id,
            manifest,
            {"score": manifest.score, "grade": manifest.grade, "report": manifest.report_html},
        )
        raise_on_breach(report, at.run.params.fail_on, address=manifest.report_html)
        return handed
