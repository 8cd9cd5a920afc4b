"""The command of the original specification: what it passes on, and what it refuses with a sentence."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from runpy import run_path
from types import SimpleNamespace
from typing import Any

import pytest

from crmbet.failures import BadParam
from crmbet.orchestration.dags_test import NOTHING_DONE
from crmbet.pipeline import PLUGINS, checked_execution_id, command_of
from local.workspace import PROJECT

pytestmark = pytest.mark.unit


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Any:
    """The command, with what it would start in `started`, each ending with the status in `status`."""
    seen = SimpleNamespace(started=[], status={}, environments=[], said_before=[])

    def run(command: list[str], *, env: dict[str, str], check: bool) -> Any:
        words = command[3:]
        seen.started.append(words)
        seen.said_before.append(capsys.readouterr().out)
        seen.environments.append(env)
        return SimpleNamespace(returncode=seen.status.get(words[0], 0))

    monkeypatch.setattr(subprocess, "run", run)
    seen.main = run_path(str(PROJECT / "run_pipeline.py"))["main"]
    return seen


@pytest.mark.parametrize("arguments", [[], ["--mode", "batch"]])
def test_batch_runs_the_daily_dag_once(door: Any, arguments: list[str], capsys: Any) -> None:
    assert door.main(arguments) == 0

    [[run_id, *command]] = door.started
    assert command == ["dags", "test", "user_features_daily", "--conf", "{}"]
    assert run_id.startswith("manual__20")
    assert door.environments[0]["PYTHONPATH"].split(":")[0] == str(PLUGINS)
    assert f"{run_id} has succeeded" in capsys.readouterr().out


def test_validate_only_and_an_id_of_ones_own(door: Any) -> None:
    assert door.main(["--execution-id", "manual_20250625", "--validate-only"]) == 0

    [[run_id, *_, conf]] = door.started
    assert (run_id, json.loads(conf)) == ("manual_20250625", {"validate_only": True})


def test_the_exit_status_says_that_a_run_has_failed(door: Any, capsys: Any) -> None:
    door.status["a_run"] = 1

    assert door.main(["--execution-id", "a_run"]) == 1
    assert "a_run has failed" in capsys.readouterr().out


def test_an_id_that_a_run_has_is_refused_and_nobody_says_that_the_run_has_failed(
    door: Any, capsys: Any
) -> None:
    door.status["a_run"] = NOTHING_DONE

    assert door.main(["--execution-id", "a_run"]) == 2
    assert "has failed" not in capsys.readouterr().out


def test_without_topics_there_is_no_streaming_and_it_says_so(door: Any, capsys: Any) -> None:
    assert door.main(["--mode", "streaming"]) == 2

    assert door.started == []
    assert "Set CRMBET_STREAM_TOPICS" in capsys.readouterr().err


def test_streaming_hands_the_stream_to_the_scheduler(
    door: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRMBET_STREAM_TOPICS", "bets=casino.bets")

    assert door.main(["--mode", "streaming"]) == 0

    assert [command[-1] for command in door.started[1:]] == ["user_features_stream"]
    assert "the next one begins" in capsys.readouterr().out


def test_schedule_hands_the_dags_to_the_scheduler(door: Any, capsys: Any) -> None:
    assert door.main(["--mode", "schedule"]) == 0

    assert [command[:2] for command in door.started] == [
        ["jobs", "check"],
        ["dags", "unpause"],
        ["dags", "unpause"],
    ]
    assert [command[-1] for command in door.started[1:]] == ["user_features_daily", "user_features_weekly"]
    assert door.said_before == ["", "", ""]
    assert "that of yesterday" in capsys.readouterr().out


def test_a_dag_that_cannot_be_handed_over_is_not_said_to_run(door: Any, capsys: Any) -> None:
    door.status["dags"] = 1

    assert door.main(["--mode", "schedule"]) == 1
    said = capsys.readouterr()
    assert "The scheduler runs" not in said.out
    assert "read the lines above" in said.err


def test_schedule_without_a_scheduler_changes_nothing(door: Any, capsys: Any) -> None:
    door.status["jobs"] = 1

    assert door.main(["--mode", "schedule"]) == 1
    assert len(door.started) == 1
    assert "No scheduler is running" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--mode", "often"],
        ["--mode", "schedule", "--validate-only"],
        ["--mode", "schedule", "--execution-id", "x"],
        ["--execution-id", "a b"],
        ["--execution-id", ""],
        ["--execution-id", "scheduled__2026-11-22"],
    ],
)
def test_what_makes_no_sense_is_refused(door: Any, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        door.main(arguments)

    assert refused.value.code == 2
    assert door.started == []


@pytest.mark.parametrize("execution_id", ["etl_20250625_103045", "manual_20250625", "a:b+c~d.e-f", "x" * 250])
def test_ids_that_airflow_takes(execution_id: str) -> None:
    assert checked_execution_id(execution_id) == execution_id
    assert command_of(execution_id, {}, "user_features_daily")[3] == execution_id


@pytest.mark.parametrize(
    "execution_id", ["", " ", "a/b", "../x", "a\nb", "ü", "x" * 251, "backfill__x", "asset_triggered__x"]
)
def test_ids_that_airflow_does_not_take(execution_id: str) -> None:
    with pytest.raises(BadParam, match="execution_id cannot be the id of a run"):
        checked_execution_id(execution_id)


def test_every_id_that_is_made_up_is_another_one_that_airflow_takes() -> None:
    made = {checked_execution_id(None) for _ in range(50)}

    assert len(made) == 50
    assert all(checked_execution_id(one) == one for one in made)


def test_the_image_has_the_command() -> None:
    assert "COPY run_pipeline.py" in Path(PROJECT / "Dockerfile").read_text()
    assert "!run_pipeline.py" in Path(PROJECT / ".dockerignore").read_text().splitlines()
