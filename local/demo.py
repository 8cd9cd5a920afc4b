"""`python -m local.demo`: runs the main job on sample data, from nothing, and shows the result on one screen.

The job is a triggered run of an Airflow that runs as long as the demo, so the UI shows it as any other run.

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
from zoneinfo import ZoneInfo

from crmbet.run.schedule import DEFAULT_TIMEZONE
from crmbet.run.window import midnight
from local import ui
from local.api import Api
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
    variables = sample_variables(workspace, sample)
    environ = {**process_environment(workspace), **variables}
    deliver_sample(workspace, sample, day, environ)
    rows_before = _target_rows(environ)
    print("\nStarting Airflow ...", end="", flush=True)
    with ui.lent(workspace, variables) as login:
        print(f" {login.url}, user {login.user}, password {login.password}")
        with Api(login).unpaused(DAG) as api:
            started = time.monotonic()
            outcome = read_outcome(
                workspace,
                sample.bucket,
                environ,
                DAG,
                _trigger(api, day),
                name_archetypes(World(SEED, PLAYERS, _first_day(workspace, sample), day)),
            )
            print_summary(outcome, workspace, seconds=time.monotonic() - started)
            if sample.broken:
                return _judge_broken(outcome, rows_before, _target_rows(environ))
            if outcome.failed:
                return 1
            past = day - timedelta(days=TRAINING_DAYS)
            _trigger(api, past)
    print_training_set(environ["CRMBET_TARGET_URL"], midnight(past, ZONE), TRAINING_DAYS)
    return 0


def _trigger(api: Api, day: date) -> str:
    """Run the DAG for a day and show its tasks as they end. Returns the run's id."""
    run_id = api.trigger(DAG, {"as_of": day.isoformat()})
    print(f"\n{DAG}, as_of {day}: run {run_id}\n", flush=True)
    for task in api.follow(DAG, run_id):
        print(f"  {task.name:<18}{task.state:<17}{task.seconds:>8.1f} s", flush=True)
    return run_id


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


def sample_variables(workspace: Workspace, sample: Sample) -> dict[str, str]:
    """The variables by which a run reads a sample. Its bucket and its database are made if they are missing."""
    postgres = EmbeddedPostgres(workspace)
    postgres.create_database(sample.source_database)
    EmbeddedObjectStore(workspace).create_bucket(sample.bucket)
    return {
        **lake_variables(workspace, sample.bucket),
        **database_variables(postgres, source=sample.source_database, target="crmbet_target"),
    }


def _first_day(workspace: Workspace, sample: Sample) -> date:
    return date.fromisoformat(read_record(workspace.record(sample.bucket))["start"])


def deliver_sample(workspace: Workspace, sample: Sample, day: date, environ: Mapping[str, str]) -> None:
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
