"""The daily run in parts on two Celery workers that share nothing, one of which dies at its work."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import psycopg2
import pytest

from local import services
from local.api import Api
from local.demo_celery import kill_one
from local.env import LAKE_BUCKET, environment, lake_variables
from local.processes import ServiceFailed
from local.simulator import World, deliver
from local.workers import Worker, celery
from local.workspace import Workspace

pytestmark = [pytest.mark.integration, pytest.mark.full]

AS_OF = date(2024, 4, 10)
WORLD = World(seed=5, players=300, start_day=AS_OF - timedelta(days=20), end_day=AS_OF)
DAG = "user_features_daily"
BEFORE_DEATH = {"extract_s3_parts", "extract_pg_parts", "clean_parts", "engineer_features_parts"}
STEPS = {*BEFORE_DEATH, "engineer_features_players", "engineer_features_scores"}


@pytest.fixture
def workspace(
    session_folder: Path,
    make_services_ready: Callable[[Workspace], None],
    monkeypatch: pytest.MonkeyPatch,
) -> Workspace:
    made = Workspace(session_folder / "celery")
    make_services_ready(made)
    services.up(made)
    for variable, value in lake_variables(made, LAKE_BUCKET).items():
        monkeypatch.setenv(variable, value)
    deliver(WORLD, bucket=LAKE_BUCKET, source_url=environment(made)["CRMBET_SOURCE_URL"])
    return made


def run(
    workspace: Workspace, brand: str, shards: int, workers: int
) -> tuple[dict[str, str], list[Worker], str]:
    """Run the day for a brand of its own. Returns the hash of each row, the workers, and the run's id."""
    own = {
        "CRMBET_SHARDS": str(shards),
        "CRMBET_BRAND": brand,
        "CRMBET_TARGET_SCHEMA": f"ml_features_{brand}",
    }
    with celery(workspace, workers, own) as (login, started), Api(login).unpaused(DAG) as api:
        run_id = api.trigger(DAG, {"as_of": AS_OF.isoformat()})
        if workers > 1:
            kill_one(api, run_id, started)
        states = {task.name: task.state for task in api.follow(DAG, run_id)}
    assert {*states.values()} == {"success"}, states
    with psycopg2.connect(environment(workspace)["CRMBET_TARGET_URL"]) as connection:
        cursor = connection.cursor()
        cursor.execute(f"SELECT user_id, row_hash FROM ml_features_{brand}.user_features")
        return dict(cursor.fetchall()), [*started], run_id


def test_two_workers_one_of_which_dies_make_the_rows_that_one_machine_makes(workspace: Workspace) -> None:
    try:
        in_parts, workers, run_id = run(workspace, "in_parts", 4, 2)
        # The next workers take the folders of these.
        done = [{step for step, _ in worker.parts_done(run_id)} for worker in workers]
        whole, *_ = run(workspace, "on_one_machine", 1, 1)
    except ServiceFailed as failure:
        pytest.fail(str(failure))
    finally:
        services.stop(workspace)

    assert len(whole) > 200
    assert in_parts == whole
    # The one that died had a share of every step until then.
    assert sorted(done, key=len) == [BEFORE_DEATH, STEPS]
