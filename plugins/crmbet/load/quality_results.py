"""Quality reports as rows of `quality_results`, beside the target: one row per run, stage and check.

`score` and `grade` are those of the stage, as in its report. `observed`, `threshold` and `sample_keys` are lists with
one item for each expectation in breach. If there is no breach, they have an item for each expectation.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from crmbet.databases.statements import Fragment, identifier, render
from crmbet.quality.report import CheckResult, Report

if TYPE_CHECKING:
    from datetime import datetime

    from psycopg2 import extensions

    from crmbet.load.session import LoadSession

TABLE = "quality_results"
MONITOR = "crmbet_monitor"
"""The role of include/sql/roles.sql that reads figures of runs, and no player."""


def write_results(session: LoadSession, report: Report, written_at: datetime) -> None:
    """Write a report's rows in one transaction. They replace those of an earlier try.

    The table is created on first use. Raises what `LoadSession.transaction` raises.
    """
    table = session.in_schema(TABLE)
    run = {"execution_id": report.subject.run_id, "stage": report.stage}
    with session.transaction() as cursor:
        # PostgreSQL would refuse one of two runs that create the table at the same time.
        cursor.execute(
            render("load/take_load_lock"), {"lock": f"crmbet.{session.contract.schema_name}.{TABLE}"}
        )
        # CREATE SCHEMA IF NOT EXISTS needs the right to create a schema even if it exists; a loader may lack it.
        cursor.execute(render("load/find_schema"), {"schema": session.contract.schema_name})
        if cursor.fetchone() is None:
            cursor.execute(render("load/create_schema", schema=identifier(session.contract.schema_name)))
        # CREATE TABLE IF NOT EXISTS needs the right to create a table even if the table exists.
        cursor.execute(render("load/find_table"), {"schema": session.contract.schema_name, "table": TABLE})
        if cursor.fetchone() is None:
            cursor.execute(render("load/create_quality_results", table=table))
            grant_to_monitor(cursor, table)
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


def grant_to_monitor(cursor: extensions.cursor, table: Fragment) -> None:
    """Let the login of the monitoring page read a table that it shows, if include/sql/roles.sql has made its role."""
    cursor.execute(render("load/list_roles"), {"roles": [MONITOR]})
    for (role,) in cursor.fetchall():
        cursor.execute(render("load/grant_table", table=table, role=identifier(role)))


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
        "threshold": each(threshold=lambda outcome: outcome.threshold),
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
