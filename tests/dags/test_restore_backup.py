"""The DAG that puts a backup back, as it is promised."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import ParamValidationError

pytestmark = pytest.mark.dags


@pytest.fixture
def restore(dag_bag: Any) -> Any:
    return dag_bag.dags["restore_backup"]


def test_the_task_graph(restore: Any) -> None:
    assert {task.task_id: sorted(task.downstream_task_ids) for task in restore.tasks} == {
        "choose_backup": ["restore_backup"],
        "restore_backup": ["record_run"],
        "record_run": [],
    }


def test_only_a_person_starts_it_and_one_run_at_a_time(restore: Any) -> None:
    assert type(restore.timetable).__name__ == "NullTimetable"
    assert restore.max_active_runs == 1


def test_waiting_for_a_person_ends_some_day_and_holds_no_worker(restore: Any) -> None:
    choose = restore.get_task("choose_backup")

    assert choose.response_timeout.total_seconds() == 86_400
    assert choose.execution_timeout is None


@pytest.mark.parametrize("name", ["", "newest", "user_features_backup_20261120t120000z_0f6ca17b"])
def test_the_form_takes_a_name_or_none(restore: Any, name: str) -> None:
    assert restore.params.get_param("backup").resolve(name) == name


@pytest.mark.parametrize("name", ["x y", "x'; DROP TABLE y; --", '"x"', "a.b", "{{ x }}", None, 7])
def test_the_form_refuses_what_can_be_no_name(restore: Any, name: Any) -> None:
    with pytest.raises(ParamValidationError):
        restore.params.get_param("backup").resolve(name)
