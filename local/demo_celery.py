"""`python -m local.demo_celery`: the main job in parts on two Celery workers, one of which is killed at its work.

It ends with the comparison of the table's rows with those of the same run on one machine.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime
from threading import Thread

import psycopg2

from local.api import Api
from local.demo import CLEAN_SAMPLE, DAG, ZONE, deliver_sample, sample_variables
from local.env import process_environment
from local.processes import ServiceFailed
from local.services import up
from local.workers import Worker, celery
from local.workspace import Workspace, default_workspace

SHARDS = 4
KILL_AT = "engineer_features_parts"


def main() -> int:
    """Run the demo; the exit status says whether all of it went as it should."""
    try:
        return _run(default_workspace())
    except ServiceFailed as failure:
        print(failure, file=sys.stderr)
        return 1


def _run(workspace: Workspace) -> int:
    up(workspace)
    variables = sample_variables(workspace, CLEAN_SAMPLE)
    day = datetime.now(UTC).astimezone(ZONE).date()
    deliver_sample(workspace, CLEAN_SAMPLE, day, {**process_environment(workspace), **variables})
    rows = []
    for name, shards in (("in_parts", SHARDS), ("on_one_machine", 1)):
        own = {
            **variables,
            "CRMBET_SHARDS": str(shards),
            "CRMBET_BRAND": name,
            "CRMBET_TARGET_SCHEMA": f"ml_features_{name}",
        }
        with (
            celery(workspace, 2 if shards > 1 else 1, own) as (login, workers),
            Api(login).unpaused(DAG) as api,
        ):
            if not _run_dag(api, day, workers if shards > 1 else ()):
                return 1
        rows.append(_rows(variables["CRMBET_TARGET_URL"], f"ml_features_{name}"))
    in_parts, whole = rows
    print(f"\nRows made in parts: {len(in_parts):,}; on one machine: {len(whole):,}; differing: ", end="")
    print(
        sum(whole.get(user) != hashed for user, hashed in in_parts.items())
        + len(whole.keys() - in_parts.keys())
    )
    return 0 if in_parts == whole and whole else 1


def _run_dag(api: Api, day: date, workers: Sequence[Worker]) -> bool:
    """Run the DAG, and kill the worker that first makes a part of the step named above. Whether all went well."""
    run_id = api.trigger(DAG, {"as_of": day.isoformat()})
    print(f"\n{DAG}, as_of {day}: run {run_id}\n", flush=True)
    killer = Thread(target=kill_one, args=(api, run_id, workers), daemon=True)
    if workers:
        killer.start()
    tasks = []
    for task in api.follow(DAG, run_id):
        print(f"  {task.name:<60}{task.state:<17}{task.seconds:>8.1f} s", flush=True)
        tasks.append(task)
    for worker in workers:
        done = Counter(step for step, _ in worker.parts_done(run_id))
        print(
            f"  {worker.daemon.name} made "
            + (", ".join(f"{n} of {step}" for step, n in sorted(done.items())))
        )
    return all(task.state in ("success", "skipped") for task in tasks)


def kill_one(api: Api, run_id: str, workers: Sequence[Worker]) -> None:
    """Wait until a worker is at a part of the step named above, and kill it."""
    while True:
        for index in api.running(DAG, run_id, KILL_AT):
            for worker in workers:
                if (KILL_AT, index) in worker.parts_done(run_id):
                    worker.kill()
                    print(
                        f"  {worker.daemon.name} is killed while it makes part {index + 1} of {KILL_AT}",
                        flush=True,
                    )
                    return
        time.sleep(0.2)


def _rows(target_url: str, schema: str) -> dict[str, str]:
    with psycopg2.connect(target_url) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT user_id, row_hash FROM {schema}.user_features")
        return dict(cursor.fetchall())


if __name__ == "__main__":
    sys.exit(main())
