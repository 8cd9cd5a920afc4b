"""What a task reports of itself, over its tries."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import RetryAction
from airflow.sdk.execution_time import task_runner

from crmbet import metering
from crmbet.failures import LostConnection, PermanentFailure
from crmbet.orchestration import watching
from crmbet.orchestration.retrying import RETRY_POLICY

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def under_an_executor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", object(), raising=False)


class Task:
    outlets: tuple[Any, ...] = ()


class Instance:
    """A task whose tries are contexts. What it has pushed is gone at each, as in Airflow."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}
        self.pushed: dict[str, Any] = {}
        self.tries = 0

    def next_try(self) -> Any:
        self.tries += 1
        pushed: dict[str, Any] = {}
        self.pushed = pushed
        store = SimpleNamespace(get=self.kept.get, set=self.kept.__setitem__)
        ti = SimpleNamespace(
            task_id="a_task", try_number=self.tries, xcom_push=lambda key, value: pushed.update({key: value})
        )
        dag_run = SimpleNamespace(dag_id="a_dag", run_id="a_run", triggering_user_name="admin")
        return {"ti": ti, "dag_run": dag_run, "task": Task(), "exception": None, "task_state_store": store}


def fail_once(instance: Instance, error: Exception) -> Any:
    """A try that asks S3 once and fails; what the policy decides."""
    context = instance.next_try()
    watching.begin(context)
    metering.count_request("get", 0)
    decision = RETRY_POLICY.evaluate(error, instance.tries, 2, context)
    (watching.retry if decision.action == RetryAction.RETRY else watching.fail)(context)
    return decision


def test_failed_tries_are_part_of_what_a_task_has_used() -> None:
    instance = Instance()
    for _ in range(2):
        assert fail_once(instance, LostConnection("away")).action == RetryAction.RETRY

    context = instance.next_try()
    watching.begin(context)
    metering.count_request("put", 7)
    watching.succeed(context)

    usage = instance.pushed["outcome"]["usage"]
    assert (usage["requests"], usage["bytes_sent"], usage["tries"]) == ({"get": 2, "put": 1}, 7, 3)


def test_a_task_that_fails_for_good_counts_once_and_again_if_it_is_cleared() -> None:
    instance = Instance()

    assert fail_once(instance, PermanentFailure("no")).action == RetryAction.FAIL

    assert instance.pushed["outcome"]["usage"]["requests"] == {"get": 1}
    fail_once(instance, PermanentFailure("no"))
    assert instance.pushed["outcome"]["usage"]["requests"] == {"get": 2}


def test_a_store_that_does_not_answer_changes_no_decision() -> None:
    instance = Instance()
    context = instance.next_try()
    watching.begin(context)

    def refuse(*_: Any) -> None:
        raise EOFError

    context["task_state_store"] = SimpleNamespace(set=refuse)

    assert RETRY_POLICY.evaluate(PermanentFailure("no"), 1, 2, context).action == RetryAction.FAIL
    watching.fail(context)
    assert instance.pushed["outcome"]["usage"]["tries"] == 1
