"""The weekly DAG as it is promised."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk import CronDataIntervalTimetable

from crmbet.run.params import RunParams

pytestmark = pytest.mark.dags


@pytest.fixture
def weekly(dag_bag: Any) -> Any:
    return dag_bag.dags["user_features_weekly"]


def test_the_task_graph(weekly: Any) -> None:
    assert {task.task_id: sorted(task.downstream_task_ids) for task in weekly.tasks} == {
        "extract_s3": ["plan_sweep", "record_run"],
        "extract_pg": ["plan_sweep", "record_run"],
        "plan_sweep": ["sweep"],
        "sweep": ["record_run"],
        "record_run": [],
    }


def test_it_runs_on_sundays_one_at_a_time(weekly: Any) -> None:
    assert isinstance(weekly.timetable, CronDataIntervalTimetable)
    assert weekly.timetable.expression == "0 5 * * 0"
    assert str(weekly.timetable.timezone) == "America/Sao_Paulo"
    assert (weekly.catchup, weekly.max_active_runs) == (False, 1)


def test_its_params_are_those_of_a_run_and_verify_everything(weekly: Any) -> None:
    params = RunParams.read({name: param.resolve() for name, param in weekly.params.items()})

    assert (params.verify_all, params.dry_run, params.source_deletions) == (True, False, "stop")
