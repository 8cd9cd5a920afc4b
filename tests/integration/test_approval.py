"""A person's yes and no in a whole run: by the answer of `dags test`, and by the form."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import Any

import pytest

from crmbet.failures import BadParam
from crmbet.load.approval import Approval
from crmbet.run.tasks import APPROVE, TASKS
from local.simulator import World, deliver
from tests.integration.test_restore_run import answer_as_the_form_does

pytestmark = pytest.mark.integration

AS_OF = date(2024, 4, 10)
WORLD = World(seed=11, players=60, start_day=AS_OF - timedelta(days=2), end_day=AS_OF)
UNGATED = [task for task in TASKS if task not in ("validate_raw", "validate")]
CONF = {"as_of": AS_OF.isoformat(), "load_strategy": "replace"}


@pytest.fixture(scope="module")
def operator(open_operator: Callable[..., Any]) -> Iterator[Any]:
    """An operator whose table holds a day, and whose next runs ask before they replace it."""
    made = open_operator()
    deliver(WORLD, bucket=made.bucket, source_url=made.source_url)
    made.execute(UNGATED, run_id="first", as_of=AS_OF.isoformat())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CRMBET_ASK_ON", "replace loss CRITICAL HIGH MEDIUM LOW")
        yield made


def table(operator: Any) -> Any:
    return operator.query(
        "SELECT count(*), max(execution_id), max(updated_at) FROM ml_features.user_features"
    )


def test_a_no_leaves_the_table_as_it_is_and_says_who_said_it(operator: Any) -> None:
    before = table(operator)

    run = operator.run(run_conf={**CONF, "answer": "reject"})

    assert run.states == dict.fromkeys(TASKS, "success") | {
        APPROVE: "failed", "backup_table": "upstream_failed", "load_merge": "upstream_failed",
    }  # fmt: skip
    assert (run.state, run.tries[APPROVE]) == ("failed", 1)
    assert table(operator) == before
    [(state, task, failure)] = operator.query(
        "SELECT state, failed_task, failure FROM ml_features.pipeline_runs ORDER BY ended_at DESC LIMIT 1"
    )
    assert (state, task) == ("failed", APPROVE)
    assert failure.startswith("the load was rejected by the param answer")


def test_nobody_answers_in_a_persons_place(operator: Any) -> None:
    with pytest.raises(BadParam, match="dags test"):
        operator.execute([APPROVE], run_id="cheat", **CONF, answer="approve")


def test_a_param_that_nobody_would_ask_is_refused(operator: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CRMBET_ASK_ON")
    with pytest.raises(BadParam, match="no task that asks"):
        operator.execute(["extract_s3"], run_id="unasked", **CONF, ask_on=["loss"])


@pytest.mark.full
@pytest.mark.parametrize(("position", "state"), [(0, "success"), (1, "failed")])
def test_a_person_answers_in_the_form(operator: Any, position: int, state: str) -> None:
    with ThreadPoolExecutor(1) as pool:
        answering = pool.submit(answer_as_the_form_does, position)
        run = operator.run(run_conf=CONF)

    assert answering.result() == ["approve: load", "reject: leave the table as it is"]
    assert run.states[APPROVE] == state
    assert run.states["load_merge"] == ("success" if state == "success" else "upstream_failed")
    if state == "success":
        approval = run.manifest(APPROVE, Approval)
        assert (approval.asked[0], approval.answered_by) == ("replace", "ana")


@pytest.mark.full
def test_a_failed_check_is_asked_about_instead_of_failing(operator: Any) -> None:
    """The day after has no data: the raw gate fails, and the person who is asked says yes."""
    later = {"as_of": (AS_OF + timedelta(days=3)).isoformat()}
    run = operator.run(run_conf={**later, "answer": "approve"})

    assert run.states == dict.fromkeys((*TASKS, APPROVE), "success")
    assert set(run.manifest(APPROVE, Approval).asked) & {"CRITICAL", "HIGH", "MEDIUM", "LOW"}
