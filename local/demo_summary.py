"""Summarises a run of the demo from what it left: its manifests on S3, Airflow's database, and the target table."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from crmbet.monitoring.costs import Cost, price_run
from crmbet.run.settings import CostSettings
from crmbet.run.tasks import RECORD, TASKS
from local.airflow import DATABASE
from local.api import Task
from local.object_store import EmbeddedObjectStore
from local.postgres import EmbeddedPostgres
from local.workspace import Workspace

FAILURE = re.compile(r"FAILED dag=\S+ run=\S+ task=\S+ try=\d+: (.*?)(?: \[crmbet\.|$)", re.MULTILINE)
SHOWN_COLUMNS = {
    "user_id": "user_id",
    "favorite_game_type": "game",
    "bets_count_30d": "bets 30d",
    "deposit_sum_30d": "paid in 30d",
    "rfm_segment": "segment",
    "lifecycle_stage": "stage",
    "p_alive": "p_alive",
    "clv_12m": "clv_12m",
    "churn_risk_score": "churn",
    "rg_risk_band": "rg band",
    "marketing_allowed": "marketing",
}
USUAL_STAGE = {
    "churned": "churned",
    "never_active": "registered",
    "one_time": "churned",
    "reactivated": "reactivated",
}
"""The lifecycle stage that is typical of players of an archetype. For all other archetypes it is active."""
SHOWN_REASONS = 4


@dataclass(frozen=True)
class Outcome:
    """A run: its tasks in order, their manifests by task, and rows of the target."""

    dag: str
    run_id: str
    tasks: list[Task]
    manifests: dict[str, dict[str, Any]]
    rows: list[tuple[Any, ...]]
    table_rows: int
    bucket: str
    failure: str
    """The message of the failed task; empty if none failed."""
    cost: Cost | None = None
    """What the run has cost, at the default prices."""

    @property
    def failed(self) -> list[str]:
        """The tasks that did not end as they should."""
        return [task.name for task in self.tasks if task.state not in ("success", "skipped")]


def read_outcome(
    workspace: Workspace,
    bucket: str,
    environ: Mapping[str, str],
    dag: str,
    run_id: str,
    archetypes: Mapping[str, str],
) -> Outcome:
    """Gather what a run left behind.

    `archetypes` maps user ids to the archetypes from which the simulator drew them.
    """
    folder = _lake(workspace, bucket) / "crmbet/brand=default/runs" / f"run_id={run_id}"
    manifests = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")}
    tasks = _query(
        EmbeddedPostgres(workspace).url(DATABASE),
        "SELECT task_id, coalesce(state, 'not run'), coalesce(duration, 0) FROM task_instance "
        "WHERE dag_id = %s AND run_id = %s",
        (dag, run_id),
    )
    by_name = {name: Task(name, state, seconds) for name, state, seconds in tasks}
    columns = ", ".join(SHOWN_COLUMNS)
    rows: list[tuple[Any, ...]] = []
    table_rows = 0
    if _query(environ["CRMBET_TARGET_URL"], "SELECT to_regclass('ml_features.user_features')", ())[0][0]:
        players = _query(
            environ["CRMBET_TARGET_URL"],
            f"SELECT {columns} FROM ml_features.user_features ORDER BY bets_count_lifetime, user_id",
            (),
        )
        rows = _one_of_each(players, archetypes)
        ((table_rows,),) = _query(
            environ["CRMBET_TARGET_URL"], "SELECT count(*) FROM ml_features.user_features", ()
        )
    return Outcome(
        dag=dag,
        run_id=run_id,
        tasks=[by_name[name] for name in (*TASKS, RECORD) if name in by_name],
        manifests=manifests,
        rows=rows,
        table_rows=table_rows,
        bucket=bucket,
        failure=_why(workspace, dag, run_id),
        cost=_cost(environ["CRMBET_TARGET_URL"], run_id),
    )


def _cost(target_url: str, run_id: str) -> Cost | None:
    """What the run's row says of its cost."""
    if not _query(target_url, "SELECT to_regclass('ml_features.pipeline_runs')", ())[0][0]:
        return None
    found = _query(
        target_url,
        "SELECT tasks FROM ml_features.pipeline_runs WHERE execution_id = %s ORDER BY ended_at DESC LIMIT 1",
        (run_id,),
    )
    return price_run(found[0][0], CostSettings()) if found else None


def _why(workspace: Workspace, dag: str, run_id: str) -> str:
    """What the first failed task says in its log, of which every line is a JSON object."""
    folder = workspace.airflow_home / "logs" / f"dag_id={dag}" / f"run_id={run_id}"
    for path in sorted(folder.glob("task_id=*/attempt=*.log"), key=lambda path: path.stat().st_mtime):
        for line in path.read_text(encoding="utf-8").splitlines():
            if found := FAILURE.search(str(json.loads(line).get("event", ""))):
                return found.group(1)
    return ""


def _one_of_each(rows: list[tuple[Any, ...]], archetypes: Mapping[str, str]) -> list[tuple[Any, ...]]:
    """One player per archetype, with the median number of bets in its usual stage. The archetype comes first."""
    by_archetype: dict[str, list[tuple[Any, ...]]] = {}
    for row in rows:
        by_archetype.setdefault(archetypes.get(row[0], ""), []).append(row)
    by_archetype.pop("", None)
    stage = list(SHOWN_COLUMNS).index("lifecycle_stage")
    shown = []
    for name, players in sorted(by_archetype.items()):
        usual = [row for row in players if row[stage] == USUAL_STAGE.get(name, "active")] or players
        shown.append((name, *usual[len(usual) // 2]))
    return shown


def print_summary(outcome: Outcome, workspace: Workspace, *, seconds: float) -> None:
    """Print the outcome on one screen."""
    run = outcome.manifests.get("run", {})
    ended = "FAILED" if outcome.failed else "success"
    print(f"\n{outcome.dag}   as_of {run.get('as_of_date')}   {ended} in {seconds:.0f} s")
    print(f"run {outcome.run_id}\n")
    print(f"  {'task':<18}{'state':<17}{'seconds':>8}   result")
    for task in outcome.tasks:
        manifest = outcome.manifests.get(task.name)
        result = _describe(task.name, manifest) if manifest else ""
        print(f"  {task.name:<18}{task.state:<17}{task.seconds:>8.1f}   {result}")
    if clean := outcome.manifests.get("clean"):
        _print_reasons("Quarantined", "quarantined", clean)
        _print_reasons("Outside this run, and neither cleaned nor judged", "outside", clean)
    if outcome.failure:
        print(f"\nWhy: {outcome.failure}")
    for stage in ("validate_raw", "validate"):
        if manifest := outcome.manifests.get(stage):
            page = (
                _lake(workspace, outcome.bucket) / manifest["report_html"].split(outcome.bucket + "/", 1)[1]
            )
            print(
                f"\nQuality of {manifest['stage']}: grade {manifest['grade']}, score {manifest['score']:.3f}\n  {page}",
                end="",
            )
    print()
    if outcome.cost:
        costliest, _ = max(outcome.cost.tasks.items(), key=lambda task: task[1])
        print(
            f"\nCost: {outcome.cost.total:.4f} US dollars at the default prices (docs/costs.md), "
            f"most of it for {costliest}"
        )
    if outcome.rows and not outcome.failed:
        print(f'\nml_features.user_features: {outcome.table_rows:,} rows   (psql "$CRMBET_TARGET_URL")')
        print(
            "  One player of each kind that the simulator draws, with the median number of bets in its usual stage:"
        )
        _print_table(["drawn as", *SHOWN_COLUMNS.values()], outcome.rows)


def print_training_set(url: str, instant: datetime, days: int) -> None:
    """Print how many players a training set has: as they were at an instant, and what they did in the days since."""
    import psycopg2

    call = "ml_features.training_set('pairs', 'active_days_30d', '{} days'{})"
    admitted = call.format(days, ", admit_reconstructed => true")
    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMP TABLE pairs ON COMMIT DROP AS SELECT user_id, as_of AS instant "
            "FROM ml_features.user_features_history WHERE as_of = %s AND marketing_reason IS NULL",
            (instant,),
        )
        cursor.execute(f"SELECT count(*) FROM {call.format(days, '')}")
        (known_then,) = cursor.fetchone() or (0,)
        cursor.execute(
            "SELECT count(*), count(*) FILTER (WHERE label_value::int = 0), round(avg(label_value::int), 1) "
            f"FROM {admitted}"
        )
        rows, silent, mean = cursor.fetchone() or (0, 0, None)
        notices = [notice.strip() for notice in connection.notices]
    print(
        f"\nA training set: players as of {instant:%Y-%m-%d}, and on how many of the next {days} days they played"
    )
    print(f"  {known_then:,} rows were known then, since nothing had been captured before today")
    print(f"  {rows:,} rows with admit_reconstructed: {silent:,} players fell silent, mean {mean} days")
    for notice in notices:
        print(f"  {notice}")


def _describe(task: str, manifest: dict[str, Any]) -> str:
    match task:
        case "extract_s3" | "extract_pg":
            sources = manifest["sources"].items()
            return _joined(
                f"{name} {sum(capture['extracted'] for capture in source['captures']):,}"
                for name, source in sources
            )
        case "validate_raw" | "validate":
            return f"grade {manifest['grade']}, score {manifest['score']:.3f}"
        case "clean":
            sources = manifest["sources"].values()
            extracted = sum(source["extracted"] for source in sources)
            parts = {
                "accepted": sum(source["accepted"] for source in sources),
                "quarantined": sum(sum(source["quarantined"].values()) for source in sources),
                "duplicates": sum(source["duplicates"] for source in sources),
                "outside this run": sum(sum(source["outside"].values()) for source in sources),
            }
            if erased := sum(source.get("erased", 0) for source in sources):
                parts["erased"] = erased
            return f"{extracted:,} extracted = " + " + ".join(
                f"{rows:,} {name}" for name, rows in parts.items()
            )
        case "engineer_features":
            return f"{manifest['users']:,} players from {manifest['state_rows']:,} player-days"
        case "backup_table":
            return f"{manifest['backup']}, {manifest['rows']:,} rows" if manifest["backup"] else "none needed"
        case _:
            counts = ("inserted", "updated", "unchanged", "removed")
            loaded = [f"{manifest[name]:,} {name}" for name in counts]
            loaded += [f"{manifest['edited']:,} edited by hand"] if manifest["edited"] else []
            return f"{manifest['strategy']}: " + _joined(
                [*loaded, f"backup: {manifest['backup'] or 'none needed'}"]
            )


def _print_reasons(title: str, field: str, clean: dict[str, Any]) -> None:
    """Rows of each source by reason, from a field of the manifest of `clean`; nothing if no source has any."""
    if not any(source[field] for source in clean["sources"].values()):
        return
    print(f"\n{title}")
    for name, source in clean["sources"].items():
        reasons = sorted(source[field].items(), key=lambda item: -item[1])
        shown = _joined(f"{reason} {rows:,}" for reason, rows in reasons[:SHOWN_REASONS])
        more = f" · {len(reasons) - SHOWN_REASONS} more" if len(reasons) > SHOWN_REASONS else ""
        print(f"  {name:<16}{sum(rows for _, rows in reasons):>7,}   {shown or 'nothing'}{more}")


def _print_table(header: list[str], rows: list[tuple[Any, ...]]) -> None:
    cells = [header, *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    for row in cells:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _joined(parts: Iterable[str]) -> str:
    return " · ".join(parts)


def _lake(workspace: Workspace, bucket: str) -> Path:
    """The folder that the embedded S3 server shows as this bucket."""
    return EmbeddedObjectStore(workspace).folder / bucket


def _query(url: str, query: str, parameters: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    import psycopg2

    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return cursor.fetchall()
