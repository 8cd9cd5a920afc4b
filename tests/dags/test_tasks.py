"""The one list of the daily DAG's tasks, beside the DAG itself."""

from __future__ import annotations

from typing import Any

import pytest

from crmbet.run.tasks import EXTRACTS, GATES, RECORD, TASKS

pytestmark = pytest.mark.dags


def test_the_list_has_the_tasks_of_the_daily_dag_in_their_order(dag: Any) -> None:
    assert [task.task_id for task in dag.topological_sort()] == [*TASKS, RECORD]
    assert set(TASKS) > {*EXTRACTS, *GATES.values()}


@pytest.mark.parametrize("name", ["user_features_daily", "user_features_weekly"])
def test_dags_that_read_sources_begin_with_the_extracts_and_end_with_the_record(
    dag_bag: Any, name: str
) -> None:
    tasks = dag_bag.dags[name].tasks
    assert {task.task_id for task in tasks if not task.upstream_task_ids} == set(EXTRACTS)
    assert [task.task_id for task in tasks if not task.downstream_task_ids] == [RECORD]
