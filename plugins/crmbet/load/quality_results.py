"""Quality reports as rows of `quality_results`, beside the target: one row per run, stage and check.

`score` and `grade` are those of the stage, as in its report. `observed`, `threshold` and `sample_keys` are lists with
one item for each expectation in breach. If there is no breach, they have an item for each expectation.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from crmbet.databases.statements import render
from crmbet.load.side_tables import ensure_side_table
from crmbet.quality.report import CheckResult, Report

if TYPE_CHECKING:
    from datetime import datetime

    from crmbet.load.session import LoadSession

TABLE = "quality_results"


def write_results(session: LoadSession, report: Report, written_at: datetime) -> None:
    """Write a report's rows in one transaction. They replace those of an earlier try.

    The table is created on first use. Raises what `LoadSession.transaction` raises.
    """
    run = {"execution_id": report.subject.run_id, "stage": report.stage}
    with session.transaction() as cursor:
        table = ensure_side_table(cursor, session, TABLE)
        cursor.execute(render("load/delete_quality_results", table=table), run)
        for result in report.checks:
            cursor.execute(
                render("load/insert_quality_result", table=table),
                {
                    **run,
                    "as_of": report.subject.as_of,
                    "check_name": result.check.label,
                    "severity": result.check.severity,
                    "success": result.passed,
                    "score": round(report.score, 4),
                    "grade": report.quality_grade,
                    **{name: json.dumps(value) for name, value in _findings(result).items()},
                    "written_at": written_at,
                },
            )


def _findings(result: CheckResult) -> dict[str, list[dict[str, Any]]]:
    shown = result.breaches or result.outcomes

    def each(**values: Any) -> list[dict[str, Any]]:
        return [
            {
                "expectation": outcome.title,
                "view": outcome.view,
                **{name: of(outcome) for name, of in values.items()},
            }
            for outcome in shown
        ]

    return {
        "threshold": each(threshold=lambda outcome: outcome.threshold, limit=lambda outcome: outcome.limit),
        "observed": each(
            observed=lambda outcome: outcome.observed,
            unexpected_share=lambda outcome: outcome.unexpected_share,
            error=lambda outcome: outcome.error,
            finding=lambda outcome: outcome.finding,
            unjudged=lambda outcome: outcome.unjudged,
        ),
        "sample_keys": [
            {"expectation": outcome.title, "view": outcome.view, "keys": list(outcome.keys)}
            for outcome in shown
            if outcome.keys
        ],
    }
