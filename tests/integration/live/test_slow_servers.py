"""Runs that fail under a scheduler while the target is slow and the lake is silent: each is told exactly once.

It comes after the files of this folder that count runs and alerts, and before the one that stops Airflow. `make chaos`
runs it; test_telling.py tries the same without a scheduler.
"""

from __future__ import annotations

import time
from contextlib import closing

import psycopg2
import pytest

from crmbet.orchestration import incidents
from local import airflow
from local.postgres import EmbeddedPostgres
from tests.integration.live.running import DAG, Live, trigger, wait_for

pytestmark = [pytest.mark.integration, pytest.mark.full]

LOST = "unlucky-1"
UNLUCKY = (LOST, "unlucky-2", "unlucky-3")
NEXT = "the-next-run"
IN_THE_FUTURE = {"as_of": "2999-01-01"}
ALERTS = "SELECT FROM ml_features.alerts WHERE execution_id = ANY (%s)"
FORGET_AND_WAIT = """
    DELETE FROM ml_features.alerts WHERE execution_id = %(lost)s;
    UPDATE ml_features.pipeline_runs
    SET started_at = started_at - interval '1 hour', ended_at = ended_at - interval '1 hour'
    WHERE execution_id = ANY (%(unlucky)s)
"""


@pytest.fixture(scope="module")
def unlucky(live: Live) -> Live:
    """Three runs fail while the target is slow and the lake is silent. The next run finds both well again.

    Of the first, nothing is left that says that it was told, as if its callback had been killed.
    """
    token = live.token(airflow.ADMIN)
    live.to_target.delay, live.to_lake.is_silent = 0.5, True
    try:
        for run_id in UNLUCKY:
            trigger(live, token, DAG, run_id, IN_THE_FUTURE)
        wait_for(lambda: all(live.messages(run_id) for run_id in UNLUCKY))
    finally:
        live.to_target.delay, live.to_lake.is_silent = 0.0, False
    recorded = "SELECT FROM ml_features.pipeline_runs WHERE execution_id = ANY (%s)"
    wait_for(lambda: len(live.target(recorded, list(UNLUCKY))) == len(UNLUCKY))
    notes = "SELECT FROM variable WHERE key LIKE %s"
    wait_for(
        lambda: (
            len(live.query("airflow", notes, f"{incidents.NOTE}%")) + len(live.target(ALERTS, list(UNLUCKY)))
            == len(UNLUCKY)
        )
    )
    execute(
        live,
        "airflow",
        "DELETE FROM variable WHERE key = %(key)s",
        key=incidents._note_key(DAG, LOST, "failed"),
    )
    execute(live, "crmbet_target", FORGET_AND_WAIT, lost=LOST, unlucky=list(UNLUCKY))
    trigger(live, token, DAG, NEXT, IN_THE_FUTURE)
    wait_for(lambda: len(live.target(ALERTS, [*UNLUCKY, NEXT])) == len(UNLUCKY) + 1)
    time.sleep(1)  # a message too many would come within this time
    return live


def execute(live: Live, database: str, sql: str, **values: object) -> None:
    url = EmbeddedPostgres(live.workspace).url(database)
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(sql, values)


def test_every_failed_run_is_told_exactly_once(unlucky: Live) -> None:
    for run_id in (*UNLUCKY[1:], NEXT):
        [message] = unlucky.messages(run_id)
        assert (message["kind"], message["is_late"]) == ("failed", False)
        assert message["failure"]["kind"] == "BadParam"
        assert "in the future" in message["failure"]["what"]
        assert len(unlucky.mails(run_id)) == 1


def test_what_nobody_was_told_of_is_told_by_the_next_run(unlucky: Live) -> None:
    told = [(message["kind"], message["is_late"], message["task_id"]) for message in unlucky.messages(LOST)]

    assert told in (
        [("failed", False, task), ("failed", True, task)] for task in ("extract_s3", "extract_pg")
    )


def test_all_alerts_are_in_the_target_and_no_note_is_left(unlucky: Live) -> None:
    for run_id in (*UNLUCKY, NEXT):
        kinds = unlucky.target("SELECT kind FROM ml_features.alerts WHERE execution_id = %s", run_id)
        assert kinds == [("failed",)]
    assert unlucky.query("airflow", "SELECT key FROM variable") == []
