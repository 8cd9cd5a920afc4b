"""When `airflow dags test` is refused: a future day, and a run whose tasks a scheduler would take."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from crmbet.orchestration.dags_test import NOTHING_DONE, refuse_beside_scheduler

pytestmark = pytest.mark.integration

COMMAND = ["airflow", "dags", "test", "user_features_daily", "2026-11-20"]


class Ended(Exception):
    """In place of the end of this process."""


@pytest.fixture
def airflow(airflow_database: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Airflow's database: whether the DAG is paused, and when a scheduler last gave a sign of life."""
    from airflow.jobs.job import Job
    from airflow.models.dag import DagModel
    from airflow.models.dagbundle import DagBundleModel
    from airflow.utils.session import create_session
    from sqlalchemy import delete

    def end(status: int) -> None:
        raise Ended(status)

    def be(*, paused: bool, seconds_ago: float | None) -> None:
        with create_session() as session:
            if session.get(DagBundleModel, "dags-folder") is None:
                session.add(DagBundleModel(name="dags-folder"))
                session.flush()
            dag: Any = session.get(DagModel, "user_features_daily")
            if dag is None:
                given = {"bundle_name": "dags-folder", "fileloc": "x"}
                dag = DagModel(dag_id="user_features_daily", **given)  # type: ignore[no-untyped-call]
            dag.is_paused = paused
            session.add(dag)
            session.execute(delete(Job))
            if seconds_ago is not None:
                heard = datetime.now(UTC) - timedelta(seconds=seconds_ago)
                job = Job(job_type="SchedulerJob", state="running", latest_heartbeat=heard)  # type: ignore[no-untyped-call]
                session.add(job)

    monkeypatch.setattr(os, "_exit", end)
    yield SimpleNamespace(be=be)
    be(paused=True, seconds_ago=None)


def test_an_unpaused_dag_beside_a_scheduler_is_refused(
    airflow: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    airflow.be(paused=False, seconds_ago=1)

    with pytest.raises(Ended) as ended:
        refuse_beside_scheduler(COMMAND)

    assert ended.value.args == (NOTHING_DONE,)
    [line] = capsys.readouterr().err.splitlines()
    assert "user_features_daily" in line
    assert "pause the DAG" in line


@pytest.mark.parametrize(
    ("paused", "seconds_ago", "command"),
    [
        (True, 1, COMMAND),
        (False, None, COMMAND),
        (False, 3600, COMMAND),
        (False, 1, ["airflow", "dags", "test", "user_features_weekly"]),
        (False, 1, ["airflow", "dags", "trigger", "user_features_daily"]),
        (False, 1, ["airflow", "scheduler"]),
    ],
)
def test_nothing_else_is(
    airflow: Any,
    capsys: pytest.CaptureFixture[str],
    paused: bool,
    seconds_ago: float | None,
    command: list[str],
) -> None:
    airflow.be(paused=paused, seconds_ago=seconds_ago)

    refuse_beside_scheduler(command)

    assert capsys.readouterr().err == ""


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("UTC", datetime(2100, 12, 1, tzinfo=UTC)),
        ("America/Sao_Paulo", datetime(9999, 12, 31, tzinfo=UTC)),
    ],
)
def test_a_future_day_is_refused_without_another_try_and_told_as_it_is(
    open_operator: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, zone: str, day: datetime
) -> None:
    operator = open_operator()
    monkeypatch.setenv("CRMBET_OPERATOR_TIMEZONE", zone)

    run = operator.run(logical_date=day)

    assert (run.states["extract_s3"], run.states["extract_pg"]) == ("failed", "failed")
    assert (run.tries["extract_s3"], run.tries["extract_pg"]) == (1, 1)
    [(failure, started_at, ended_at, told)] = operator.query(
        "SELECT failure, started_at, ended_at, what FROM ml_features.pipeline_runs JOIN ml_features.alerts "
        f"USING (execution_id) WHERE execution_id = '{run.run_id}'"
    )
    assert failure == told == f"as_of {day.date()} is in the future"
    assert timedelta(0) < ended_at - started_at < timedelta(minutes=10)
