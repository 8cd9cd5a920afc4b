"""The task that asks a person is there where a deployment says what to ask about, and nowhere else."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag

from local.workspace import PROJECT

pytestmark = pytest.mark.dags


def test_a_person_is_asked_between_the_gate_and_the_backup(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRMBET_ASK_ON", "replace HIGH")
    monkeypatch.setenv("CRMBET_APPROVERS", "ana rui")
    monkeypatch.setenv("CRMBET_APPROVAL_TIMEOUT_MINUTES", "30")
    daily = DagBag(dag_folder=str(PROJECT / "dags")).dags["user_features_daily"]
    approve: Any = daily.get_task("approve")

    assert (approve.upstream_task_ids, approve.downstream_task_ids) == ({"validate"}, {"backup_table"})
    assert daily.get_task("validate").downstream_task_ids == {"approve"}
    assert [user["id"] for user in approve.assigned_users] == ["ana", "rui"]
    assert (approve.response_timeout, approve.execution_timeout) == (timedelta(minutes=30), None)


def test_by_default_nobody_is_asked(dag: Any) -> None:
    assert "approve" not in dag.task_ids


def test_a_question_that_nobody_knows_is_an_import_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRMBET_ASK_ON", "sometimes")
    bag = DagBag(dag_folder=str(PROJECT / "dags"))

    (error,) = [text for path, text in bag.import_errors.items() if path.endswith("user_features_daily.py")]
    assert "CRMBET_ASK_ON has a bad value" in error
