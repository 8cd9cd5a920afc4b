"""`airflow dags test` beside a scheduler, and the logs that it leaves."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.supervisor import InProcessSupervisorComms

from crmbet.failures import PermanentFailure
from crmbet.orchestration import watching
from crmbet.run.logs import bind

pytestmark = pytest.mark.unit

log = logging.getLogger("crmbet.some.module")


class SomeOperator:
    outlets: tuple[Any, ...] = ()


def context(user: str | None) -> Any:
    pushed: dict[str, Any] = {}
    ti = SimpleNamespace(
        dag_id="a_dag", run_id="a_run", task_id="a_task", try_number=2,
        xcom_push=lambda key, value: pushed.update({key: value}),
    )  # fmt: skip
    dag_run = SimpleNamespace(dag_id="a_dag", run_id="a_run", triggering_user_name=user)
    return {"ti": ti, "dag_run": dag_run, "task": SomeOperator(), "exception": None}


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    comms = InProcessSupervisorComms(supervisor=None)  # type: ignore[arg-type]
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", comms, raising=False)


@pytest.fixture
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AIRFLOW__LOGGING__BASE_LOG_FOLDER", str(tmp_path))
    return tmp_path / "dag_id=a_dag" / "run_id=a_run" / "task_id=a_task" / "attempt=2.log"


def test_a_scheduler_that_takes_a_task_of_dags_test_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", object(), raising=False)

    with pytest.raises(PermanentFailure, match="belongs to `airflow dags test`") as refused:
        watching.begin(context("dag_test"))

    assert "pause the DAG" in refused.value.next_step


@pytest.mark.parametrize("user", ["admin", None])
def test_a_scheduler_runs_every_other_task(
    monkeypatch: pytest.MonkeyPatch, user: str | None, logs: Path
) -> None:
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", object(), raising=False)

    watching.begin(context(user))
    watching.skip(context(user))

    assert not logs.exists(), "its worker writes the log"


@pytest.mark.parametrize("end", [watching.succeed, watching.skip, watching.retry, watching.fail])
def test_dags_test_leaves_json_lines_too(in_process: None, logs: Path, end: Any) -> None:
    watching.begin(context("dag_test"))
    bind(as_of="2026-11-22")
    with root_at_info():
        log.info("said by %s", "a task")
        try:
            1 / 0  # noqa: B018
        except ZeroDivisionError:
            log.exception("with a traceback\nand a second line")
    end(context("dag_test"))
    log.warning("said after the task")

    lines = [json.loads(line) for line in logs.read_text(encoding="utf-8").splitlines()]
    first = lines[0]
    assert first.pop("timestamp").startswith("20")
    assert first == {
        "level": "info", "event": "said by a task", "logger": "crmbet.some.module", "component": "SomeOperator",
        "execution_id": "a_run", "as_of": "2026-11-22",
    }  # fmt: skip
    assert "ZeroDivisionError" in lines[1]["exception"]
    assert all(line["event"] != "said after the task" for line in lines)
    if end in (watching.retry, watching.fail):
        assert lines[-1]["message"] == lines[-1]["event"]


def test_a_folder_of_logs_that_cannot_be_written_stops_nothing(
    in_process: None, logs: Path, caplog: pytest.LogCaptureFixture
) -> None:
    logs.parents[2].write_text("a file in its place")

    watching.begin(context("dag_test"))
    watching.succeed(context("dag_test"))

    assert "cannot be written to the folder of logs" in caplog.text


@contextmanager
def root_at_info() -> Iterator[None]:
    """The root logger as Airflow sets it."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.setLevel(before)
