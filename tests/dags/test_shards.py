"""The heavy steps in parts: mapped tasks before each step, and none where steps are not cut."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag

from local.workspace import PROJECT

pytestmark = pytest.mark.dags

STEPS = {
    "extract_s3": set(),
    "extract_pg": set(),
    "clean": {"validate_raw"},
    "engineer_features": {"clean"},
}
"""Each step with what its parts wait for."""


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("CRMBET_SHARDS", "4")
    return DagBag(dag_folder=str(PROJECT / "dags")).dags["user_features_daily"]


def test_players_are_parted_once_all_days_are_made(in_parts: Any) -> None:
    players = in_parts.get_task("engineer_features_players")

    assert players.is_mapped
    assert players.partial_kwargs["parts_are"] == "players"
    assert players.upstream_task_ids == {"engineer_features_parts"}
    assert players.downstream_task_ids == {"engineer_features_fits"}


def test_scores_wait_for_what_is_learned_from_all_players(in_parts: Any) -> None:
    fits, scores = in_parts.get_task("engineer_features_fits"), in_parts.get_task("engineer_features_scores")

    assert not fits.is_mapped
    assert (fits.parts_are, fits.shard) == ("fits", "1 of 1")
    assert scores.is_mapped
    assert scores.partial_kwargs["parts_are"] == "scores"
    assert scores.upstream_task_ids == {"engineer_features_fits"}
    assert scores.downstream_task_ids == {"engineer_features"}


@pytest.mark.parametrize("step", STEPS)
def test_four_parts_are_made_before_their_step(in_parts: Any, step: str) -> None:
    parts = in_parts.get_task(f"{step}_parts")

    assert parts.is_mapped
    assert parts.upstream_task_ids == STEPS[step]
    assert step in parts.downstream_task_ids
    assert parts.expand_input.value == {"shard": ["1 of 4", "2 of 4", "3 of 4", "4 of 4"]}
    assert parts.partial_kwargs["execution_timeout"] == in_parts.get_task(step).execution_timeout


def test_steps_that_are_not_cut_have_no_part(dag: Any) -> None:
    cut = ("_parts", "_players", "_fits", "_scores")
    assert not [task.task_id for task in dag.tasks if task.is_mapped or task.task_id.endswith(cut)]


def test_a_number_of_parts_that_cannot_be_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRMBET_SHARDS", "many")
    bag = DagBag(dag_folder=str(PROJECT / "dags"))

    (error,) = [text for path, text in bag.import_errors.items() if path.endswith("user_features_daily.py")]
    assert "CRMBET_SHARDS has a bad value" in error
