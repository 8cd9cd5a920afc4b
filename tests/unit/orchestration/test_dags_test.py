"""`airflow dags test` beside a scheduler, and the logs that it leaves."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.supervisor import InProcessSupervisorComms

from crmbet.failures import BadParam, PermanentFailure
from crmbet.orchestration import watching
from crmbet.orchestration.context import open_run
from crmbet.orchestration.dags_test import started_at
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
    store = SimpleNamespace(get=lambda _: None)
    return {
        "ti": ti,
        "dag_run": dag_run,
        "task": SomeOperator(),
        "exception": None,
        "task_state_store": store,
    }


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


NOW = datetime(2026, 11, 30, 14, tzinfo=UTC)


def run_of(start_date: datetime | None, user: str | None, run_after: datetime = NOW) -> Any:
    return SimpleNamespace(start_date=start_date, run_after=run_after, triggering_user_name=user)


@pytest.mark.parametrize("day", [datetime(1, 1, 1, tzinfo=UTC), NOW, datetime(9999, 12, 31, tzinfo=UTC)])
def test_dags_test_starts_now_whatever_its_date_is(day: datetime) -> None:
    # Measured on Airflow 3.3.2: start_date is the logical date, run_after is the clock's.
    assert started_at(run_of(day, "dag_test"), NOW + timedelta(seconds=5)) == NOW


@pytest.mark.parametrize(
    ("start_date", "expected"),
    [
        (NOW + timedelta(minutes=3), NOW + timedelta(minutes=3)),
        (None, NOW),
        # The scheduler's clock is a little fast.
        (NOW + timedelta(minutes=6), NOW + timedelta(minutes=5)),
    ],
)
def test_every_other_run_starts_when_airflow_says_so_and_never_in_the_future(
    start_date: datetime | None, expected: datetime
) -> None:
    assert started_at(run_of(start_date, "admin"), NOW + timedelta(minutes=5)) == expected


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "Europe/Berlin", "America/Sao_Paulo"])
@pytest.mark.parametrize("days", [2, 400, None])
def test_dags_test_of_a_future_day_is_refused_in_a_true_sentence(
    monkeypatch: pytest.MonkeyPatch, zone: str, days: int | None
) -> None:
    monkeypatch.setenv("CRMBET_LAKE_BUCKET", "a-lake")
    monkeypatch.setenv("CRMBET_OPERATOR_TIMEZONE", zone)
    now = datetime.now(UTC)
    # In Tokyo, tomorrow by UTC may be today.
    day = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=days or 0)
    day = day if days else day.replace(year=9999, month=12, day=31)
    dag_run = SimpleNamespace(
        dag_id="user_features_daily", run_id="a_run", run_type="manual", start_date=day, run_after=now,
        logical_date=day, data_interval_end=day, triggering_user_name="dag_test",
    )  # fmt: skip

    with pytest.raises(BadParam, match=f"as_of {day.date()} is in the future") as refused:
        open_run({"params": {}, "dag_run": dag_run})

    assert f"the run started at {now.isoformat()}" in refused.value.why


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
