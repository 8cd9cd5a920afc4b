"""The DAG of the stream, and what of it there is where no stream is configured: nothing."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag

from local.workspace import PROJECT

pytestmark = pytest.mark.dags


@pytest.fixture
def streaming(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("CRMBET_STREAM_TOPICS", "bets=casino.bets transactions=cashier")
    return DagBag(dag_folder=str(PROJECT / "dags")).dags


def test_one_run_after_another(streaming: Any) -> None:
    stream = streaming["user_features_stream"]

    assert {task.task_id: sorted(task.downstream_task_ids) for task in stream.tasks} == {
        "stream": ["record_run"],
        "record_run": [],
    }
    assert type(stream.timetable).__name__ == "ContinuousTimetable"
    assert (stream.catchup, stream.max_active_runs) == (False, 1)


def test_the_daily_run_compares_and_nothing_waits_for_it(streaming: Any) -> None:
    compare = streaming["user_features_daily"].get_task("compare_stream")

    assert (compare.upstream_task_ids, compare.downstream_task_ids) == (set(), {"record_run"})


def test_without_topics_there_is_no_task(dag_bag: Any) -> None:
    assert "user_features_stream" not in dag_bag.dags
    assert "compare_stream" not in dag_bag.dags["user_features_daily"].task_ids


def test_topics_that_cannot_be_read_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRMBET_STREAM_TOPICS", "casino.bets")
    bag = DagBag(dag_folder=str(PROJECT / "dags"))

    (error,) = [text for path, text in bag.import_errors.items() if path.endswith("user_features_stream.py")]
    assert "CRMBET_STREAM_TOPICS has a bad value" in error
