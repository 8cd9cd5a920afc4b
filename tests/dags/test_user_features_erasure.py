"""The erasure DAG as it is promised."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.dags


@pytest.fixture
def erasure(dag_bag: Any) -> Any:
    return dag_bag.dags["user_features_erasure"]


def test_the_task_graph(erasure: Any) -> None:
    assert {task.task_id: sorted(task.downstream_task_ids) for task in erasure.tasks} == {
        "take_erasure_requests": ["erase_players"],
        "erase_players": ["check_erasure_deadlines"],
        "check_erasure_deadlines": ["record_run"],
        "record_run": [],
    }


def test_deadlines_are_looked_at_whatever_happens(erasure: Any) -> None:
    assert erasure.get_task("check_erasure_deadlines").trigger_rule == "all_done"


def test_it_runs_every_day_one_at_a_time_and_takes_no_id(erasure: Any) -> None:
    assert erasure.timetable.expression == "0 7 * * *"
    assert (erasure.catchup, erasure.max_active_runs) == (False, 1)
    assert dict(erasure.params) == {}, "Airflow would keep what a form is given"
