"""The task that hands audiences over is there where a folder of them is set, and nowhere else."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag

from local.workspace import PROJECT

pytestmark = pytest.mark.dags


def test_audiences_are_handed_over_after_the_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRMBET_AUDIENCES_FOLDER", "config/audiences")
    daily = DagBag(dag_folder=str(PROJECT / "dags")).dags["user_features_daily"]
    publish = daily.get_task("publish_audiences")

    assert (publish.upstream_task_ids, publish.downstream_task_ids) == ({"load_merge"}, {"record_run"})
    assert publish.max_active_tis_per_dag == 1


def test_without_a_folder_there_is_no_task(dag: Any) -> None:
    assert "publish_audiences" not in dag.task_ids
