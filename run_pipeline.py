"""The command of the original specification: a thin door to the DAGs in dags/.

    python run_pipeline.py --mode batch                                    one run of user_features_daily, here and now
    python run_pipeline.py --mode batch --execution-id manual_20250625     the same, under an id of your own
    python run_pipeline.py --validate-only                                 the same, without backup and load
    python run_pipeline.py --mode schedule                                 hand the DAGs to the running scheduler
    python run_pipeline.py --mode streaming                                hand it the stream, which then never ends
    python run_pipeline.py --brand aurora                                  any of these for a brand of config/brands/

It needs the environment that Airflow needs: `source .local/env.sh` gives it. The exit status is 0 if the run has
succeeded, 1 if it has failed, and 2 if the command makes no sense, so that there is no run.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "plugins"))

from crmbet.failures import BadParam, BadSetting
from crmbet.orchestration.dags_test import NOTHING_DONE
from crmbet.pipeline import checked_execution_id, command_of, environment_of
from crmbet.run.brands import find_brand
from crmbet.run.schedule import TOPICS_VARIABLE

DAILY, WEEKLY, STREAM = "user_features_daily", "user_features_weekly", "user_features_stream"
NO_STREAM = (
    "No stream is configured, so nothing was changed. Set CRMBET_STREAM_TOPICS and the connection crmbet_stream "
    "(docs/streaming.md) for all processes of Airflow, and try again."
)
NO_SCHEDULER = (
    "No scheduler is running, so nothing was changed. Start one (`make ui`, `docker compose up --detach`, or "
    "`airflow scheduler` with its other services) and try again."
)
NOT_HANDED_OVER = "Not every DAG could be handed to the scheduler: read the lines above."
HANDED_OVER = (
    "The scheduler runs {daily} once a day and {weekly} once a week. It starts the newest runs that are due at once: "
    "that of yesterday, and that of last week. `airflow dags pause <dag>` stops it."
)
STREAMING = (
    "The scheduler runs {stream} from now on: when one run ends, the next one begins. "
    "`airflow dags pause {stream}` stops it after the run that is under way."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="run_pipeline.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mode", choices=["batch", "schedule", "streaming"], default="batch")
    parser.add_argument("--execution-id", help="id of the run, in the logs and in ml_features.pipeline_runs")
    parser.add_argument("--validate-only", action="store_true", help="stop after the checks; load nothing")
    parser.add_argument("--brand", help="a brand of config/brands/; without it, that of the environment")
    options = parser.parse_args(arguments)
    try:
        brand = find_brand(options.brand, os.environ)
    except BadSetting as failure:
        parser.error(str(failure))
    if options.mode == "streaming" and not brand.environ.get(TOPICS_VARIABLE, "").strip():
        print(NO_STREAM, file=sys.stderr)
        return 2
    if options.mode in ("schedule", "streaming"):
        if options.execution_id or options.validate_only:
            parser.error("--execution-id and --validate-only are about one run: use them with --mode batch")
        if options.mode == "streaming":
            stream = brand.dag_id(STREAM)
            return _hand_over([stream], STREAMING.format(stream=stream))
        daily, weekly = brand.dag_id(DAILY), brand.dag_id(WEEKLY)
        return _hand_over([daily, weekly], HANDED_OVER.format(daily=daily, weekly=weekly))
    try:
        run_id = checked_execution_id(options.execution_id)
    except BadParam as failure:
        parser.error(str(failure))
    return _run_once(run_id, brand.dag_id(DAILY), validate_only=options.validate_only)


def _run_once(run_id: str, dag_id: str, *, validate_only: bool) -> int:
    print(f"execution_id: {run_id}", flush=True)
    command = command_of(run_id, {"validate_only": True} if validate_only else {}, dag_id)
    done = subprocess.run(command, env=environment_of(os.environ), check=False)
    if done.returncode == NOTHING_DONE:
        return NOTHING_DONE
    print(f"{run_id} has {'failed: read the lines above' if done.returncode else 'succeeded'}", flush=True)
    return 1 if done.returncode else 0


def _hand_over(dags: Sequence[str], said: str) -> int:
    if _airflow("jobs", "check", "--job-type", "SchedulerJob", "--allow-multiple", "--limit", "100"):
        print(NO_SCHEDULER, file=sys.stderr)
        return 1
    statuses = [_airflow("dags", "unpause", "--yes", dag) for dag in dags]
    if any(statuses):
        print(NOT_HANDED_OVER, file=sys.stderr)
        return 1
    print(said, flush=True)
    return 0


def _airflow(*arguments: str) -> int:
    command = [sys.executable, "-m", "airflow", *arguments]
    return subprocess.run(command, env=environment_of(os.environ), check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
