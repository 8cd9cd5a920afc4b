"""The DAG as it is promised: its graph, its form, and what it does about failures."""

from __future__ import annotations

from datetime import timedelta
from runpy import run_path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import CronDataIntervalTimetable, RetryAction
from airflow.sdk.definitions.param import process_params
from airflow.sdk.exceptions import AirflowSkipException, ParamValidationError

from crmbet import failures
from crmbet.failures import CrmbetError, PermanentFailure, TemporaryFailure
from crmbet.orchestration.handover import SKIPPED_BECAUSE, stop_before_loading
from crmbet.run.params import RunParams

pytestmark = pytest.mark.dags


def _all_failures() -> list[type[CrmbetError]]:
    found = [
        kind for kind in vars(failures).values() if isinstance(kind, type) and issubclass(kind, CrmbetError)
    ]
    return [kind for kind in found if kind is not CrmbetError]


def test_the_task_graph(dag: Any) -> None:
    assert {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks} == {
        "extract_s3": ["record_run", "validate_raw"],
        "extract_pg": ["record_run", "validate_raw"],
        "validate_raw": ["clean"],
        "clean": ["engineer_features"],
        "engineer_features": ["validate"],
        "validate": ["backup_table"],
        "backup_table": ["load_merge"],
        "load_merge": ["record_run"],
        "record_run": [],
    }


def test_the_grid_says_why_a_run_does_not_load(dag: Any) -> None:
    group = dag.task_group.get_child_by_label("load")
    assert set(group.children) == {"backup_table", "load_merge"}
    assert group.group_display_name == "load, unless validate_only or dry_run"


def test_the_task_that_stops_before_loading_leaves_the_reason() -> None:
    pushed: dict[str, str] = {}
    context: Any = {"ti": SimpleNamespace(xcom_push=pushed.__setitem__)}

    def stop(*, validate_only: bool) -> None:
        at: Any = SimpleNamespace(run=SimpleNamespace(params=RunParams(validate_only=validate_only)))
        stop_before_loading(at, context)

    stop(validate_only=False)
    assert pushed == {}
    with pytest.raises(AirflowSkipException, match="validate_only"):
        stop(validate_only=True)
    assert pushed[SKIPPED_BECAUSE].startswith("validate_only: ")


def test_the_schedule_is_midnight_of_the_operator(dag: Any) -> None:
    assert isinstance(dag.timetable, CronDataIntervalTimetable)
    assert dag.timetable.expression == "0 0 * * *"
    assert str(dag.timetable.timezone) == "America/Sao_Paulo"
    assert dag.catchup is False


def test_it_explains_itself(dag: Any) -> None:
    assert "as_of" in dag.doc_md
    assert "| Start | as_of |" in dag.doc_md
    assert all(type(task).__doc__ for task in dag.tasks)


def test_failures_are_retried_with_growing_pauses_and_end(dag: Any) -> None:
    for task in dag.tasks:
        assert [callback.__name__ for callback in task.on_failure_callback] == ["fail"]
        assert [callback.__name__ for callback in task.on_retry_callback] == ["retry"]
        if task.task_id == "record_run":
            continue
        assert task.retries == 2, "three tries, as the original specification says"
        assert task.retry_delay == timedelta(seconds=30)
        assert task.retry_exponential_backoff == 2.0
        assert task.max_retry_delay == timedelta(minutes=10)
        assert task.execution_timeout == timedelta(hours=2)
    assert dag.on_failure_callback.__name__ == "tell_failure"
    assert dag.on_success_callback.__name__ == "tell_success"


def test_the_record_of_a_run_has_no_say_in_what_the_run_came_to(dag: Any) -> None:
    record = dag.get_task("record_run")
    assert record.is_teardown
    assert not record.on_failure_fail_dagrun
    assert (record.retries, record.execution_timeout) == (1, timedelta(minutes=10))


def test_a_run_is_late_six_hours_after_it_was_queued(dag: Any) -> None:
    [deadline] = dag.deadline
    assert deadline.interval == timedelta(hours=6)
    assert deadline.callback.path == "crmbet.orchestration.alerts.tell_deadline"


def test_other_dags_can_wait_for_the_table(dag: Any) -> None:
    assert [asset.name for asset in dag.get_task("load_merge").outlets] == ["user_features"]
    assert [asset.name for asset in dag.get_task("extract_s3").inlets] == ["crmbet_lake"]


@pytest.mark.parametrize("kind", _all_failures())
def test_a_failure_is_retried_only_if_that_can_help(dag: Any, kind: type[CrmbetError]) -> None:
    wanted = RetryAction.RETRY if issubclass(kind, TemporaryFailure) else RetryAction.FAIL
    assert issubclass(kind, (PermanentFailure, TemporaryFailure))
    for task in dag.tasks:
        assert task.retry_policy.evaluate(kind("what"), 1, 3).action is wanted


def test_a_failure_that_nobody_foresaw_is_retried_as_the_task_says(dag: Any) -> None:
    for task in dag.tasks:
        assert task.retry_policy.evaluate(RuntimeError("what"), 1, 3).action is RetryAction.DEFAULT


def test_loads_of_backfill_runs_queue_up(dag: Any) -> None:
    limited = {task.task_id: task.max_active_tis_per_dag for task in dag.tasks}
    assert limited.pop("backup_table") == limited.pop("load_merge") == 1
    assert set(limited.values()) == {None}


def test_the_form_offers_what_a_run_obeys(dag: Any) -> None:
    schemas = {name: dag.params.get_param(name).schema for name in dag.params}
    types = {name: schema["type"] for name, schema in schemas.items()}
    assert types == {
        "as_of": ["null", "string"],
        "known_at": ["null", "string"],
        "load_strategy": "string",
        "accept_loss": "boolean",
        "validate_only": "boolean",
        "dry_run": "boolean",
        "full_refresh": "boolean",
        "verify_all": "boolean",
        "refreeze_cut_offs": "boolean",
        "source_deletions": "string",
        "fail_on": "array",
        "thresholds": "object",
        "ask_on": ["null", "array"],
        "answer": ["null", "string"],
        "refresh_baseline": "boolean",
    }
    assert schemas["as_of"]["format"] == "date"
    assert schemas["known_at"]["format"] == "date-time"
    assert schemas["load_strategy"]["enum"] == ["merge", "replace", "append"]
    assert schemas["source_deletions"]["enum"] == ["stop", "keep", "remove"]
    assert schemas["fail_on"]["items"]["enum"] == ["CRITICAL", "HIGH", "MEDIUM", "LOW"]
    # The form then shows the name of the param, by which the README and every message call it.
    assert not [name for name, schema in schemas.items() if "title" in schema]
    assert all(dag.params.get_param(name).description for name in dag.params)


def test_a_configuration_with_the_old_name_of_a_param_works(dag: Any) -> None:
    params = process_params(
        dag, dag.get_task("extract_s3"), {"refreeze_thresholds": True}, suppress_exception=False
    )

    assert RunParams.read(params) == RunParams(refreeze_cut_offs=True)


def test_the_form_and_the_run_agree_on_names_and_defaults(dag: Any) -> None:
    assert RunParams.read(dag.params.dump()) == RunParams()
    assert set(dag.params) == set(RunParams.model_fields)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("as_of", "yesterday"),
        ("as_of", 20260810),
        ("load_strategy", "overwrite"),
        ("validate_only", "yes"),
        ("dry_run", 1),
        ("source_deletions", "ignore"),
        ("fail_on", ["SEVERE"]),
        ("fail_on", "CRITICAL"),
        ("thresholds", {"max_psi": "much"}),
        ("refresh_baseline", "yes"),
    ],
)
def test_the_form_refuses_what_makes_no_sense(dag: Any, name: str, value: Any) -> None:
    with pytest.raises(ParamValidationError):
        dag.params.get_param(name).resolve(value)


@pytest.mark.parametrize(
    ("name", "value"),
    [("as_of", "2026-08-10"), ("known_at", "2026-08-10T06:00:00Z"), ("fail_on", []), ("dry_run", True)],
)
def test_the_form_takes_what_does(dag: Any, name: str, value: Any) -> None:
    assert dag.params.get_param(name).resolve(value) == value


def test_the_form_speaks_the_language_that_is_set(dag: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CRMBET_LANGUAGE", raising=False)
    english = dict(run_path(dag.fileloc)["dag"].params.items())
    monkeypatch.setenv("CRMBET_LANGUAGE", "pt-BR")
    portuguese = dict(run_path(dag.fileloc)["dag"].params.items())

    assert portuguese["dry_run"].description == "Não muda nada. Só diz quais pedaços, dias e linhas mudariam."
    for name, param in portuguese.items():
        assert param.description != english[name].description
        assert param.value == english[name].value
