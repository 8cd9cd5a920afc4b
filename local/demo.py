"""`python -m local.demo`: runs the main job on sample data, from nothing, and shows the result on one screen.

`--broken` uses a lake and a source database of its own, in which the last day must not pass. It succeeds if the run
fails in the right task and leaves the target as it was.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from crmbet.run.schedule import DEFAULT_TIMEZONE
from crmbet.run.window import midnight
from local import airflow
from local.demo_summary import Outcome, print_summary, print_training_set, read_outcome
from local.env import database_variables, lake_variables, process_environment
from local.object_store import EmbeddedObjectStore
from local.postgres import EmbeddedPostgres
from local.processes import ServiceFailed
from local.services import up
from local.simulator.simulation import name_archetypes
from local.simulator.world import World
from local.workspace import Workspace, default_workspace, read_record, write_record

DAG = "user_features_daily"
ZONE = ZoneInfo(DEFAULT_TIMEZONE)
SEED = 7
PLAYERS = 2_000
HISTORY_DAYS = 120
TRAINING_DAYS = 30
"""How long before the demo's day the players are looked at whose next days a training set shows."""


@dataclass(frozen=True)
class Sample:
    """Where a demo's data lie."""

    bucket: str
    source_database: str
    broken: bool


CLEAN_SAMPLE = Sample(bucket="crmbet-lake", source_database="crmbet_source", broken=False)
BROKEN_SAMPLE = Sample(bucket="crmbet-lake-broken", source_database="crmbet_source_broken", broken=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; the exit status says whether the run ended as it should."""
    parser = argparse.ArgumentParser(prog="python -m local.demo", description=__doc__)
    parser.add_argument("--broken", action="store_true", help="a last day of bad data: the run has to fail")
    parser.add_argument("--day", type=date.fromisoformat, help="as_of; today by default")
    options = parser.parse_args(arguments)
    day = options.day or datetime.now(UTC).astimezone(ZONE).date()
    sample = BROKEN_SAMPLE if options.broken else CLEAN_SAMPLE
    try:
        return _run(default_workspace(), sample, day)
    except ServiceFailed as failure:
        print(failure, file=sys.stderr)
        return 1


def _run(workspace: Workspace, sample: Sample, day: date) -> int:
    up(workspace)
    environ = _environment(workspace, sample)
    _deliver(workspace, sample, day, environ)
    rows_before = _target_rows(environ)

    log = workspace.log("demo-broken" if sample.broken else "demo")
    started = time.monotonic()
    status = _test_dag(workspace, environ, day, log)
    start = date.fromisoformat(read_record(workspace.record(sample.bucket))["start"])
    archetypes = name_archetypes(World(SEED, PLAYERS, start, day))
    outcome = read_outcome(
        workspace, sample.bucket, environ, DAG, log.read_text(encoding="utf-8"), archetypes
    )
    if outcome is None:
        print(f"The run ended before its first task: see the end of {log}", file=sys.stderr)
        return 1
    print_summary(outcome, workspace, seconds=time.monotonic() - started)
    if sample.broken:
        return _judge_broken(outcome, rows_before, _target_rows(environ))
    return status or _show_training_set(workspace, environ, day)


def _test_dag(workspace: Workspace, environ: Mapping[str, str], day: date, log: Path) -> int:
    """Run the DAG for a day in a process of its own; returns its exit status."""
    print(f"\nairflow dags test {DAG} {day}   (log: {log})", flush=True)
    with log.open("w", encoding="utf-8") as file:
        return subprocess.run(
            [airflow.executable("airflow"), "dags", "test", DAG, day.isoformat()],
            env=dict(environ), cwd=workspace.project, stdout=file, stderr=subprocess.STDOUT, check=False,
        ).returncode  # fmt: skip


def _show_training_set(workspace: Workspace, environ: Mapping[str, str], day: date) -> int:
    """Backfill a day, and show what a model could learn from: its features, and what the players have done since."""
    past = day - timedelta(days=TRAINING_DAYS)
    status = _test_dag(workspace, environ, past, workspace.log("demo-backfill"))
    if status == 0:
        print_training_set(environ["CRMBET_TARGET_URL"], midnight(past, ZONE), TRAINING_DAYS)
    return status


def _judge_broken(outcome: Outcome, rows_before: int, rows_after: int) -> int:
    failed = [task.name for task in outcome.tasks if task.state == "failed"]
    if failed == ["validate_raw"] and rows_before == rows_after:
        print(f"\nAs expected: validate_raw failed, and the target still has its {rows_after:,} rows.")
        return 0
    print(
        f"\nNot as expected: failed tasks {failed}, target rows {rows_before} -> {rows_after}",
        file=sys.stderr,
    )
    return 1


def _environment(workspace: Workspace, sample: Sample) -> dict[str, str]:
    postgres = EmbeddedPostgres(workspace)
    postgres.create_database(sample.source_database)
    EmbeddedObjectStore(workspace).create_bucket(sample.bucket)
    return {
        **process_environment(workspace),
        **lake_variables(workspace, sample.bucket),
        **database_variables(postgres, source=sample.source_database, target="crmbet_target"),
    }


def _deliver(workspace: Workspace, sample: Sample, day: date, environ: Mapping[str, str]) -> None:
    """Simulate the operator up to `day`. The first day is remembered, so that a demo on the next day adds one day."""
    record = workspace.record(sample.bucket)
    start = read_record(record).get("start") or (day - timedelta(days=HISTORY_DAYS)).isoformat()
    write_record(record, {"start": start})
    command = [sys.executable, "-m", "local.simulator", "--seed", str(SEED), "--players", str(PLAYERS)]
    command += ["--start", start, "--end", day.isoformat(), *(["--broken"] if sample.broken else [])]
    print("\nSample data", flush=True)
    if subprocess.run(command, env=dict(environ), cwd=workspace.project, check=False).returncode:
        raise ServiceFailed("the sample data could not be made")


def _target_rows(environ: Mapping[str, str]) -> int:
    import psycopg2

    with psycopg2.connect(environ["CRMBET_TARGET_URL"]) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('ml_features.user_features') IS NOT NULL")
        if cursor.fetchone() != (True,):
            return 0
        cursor.execute("SELECT count(*) FROM ml_features.user_features")
        (rows,) = cursor.fetchone() or (0,)
        return int(rows)


if __name__ == "__main__":
    sys.exit(main())
