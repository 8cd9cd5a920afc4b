"""The DAG restore_backup on a real target, by name and by a person's choice."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest
from airflow.models.hitl import HITLDetail
from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import handle_event_submit
from airflow.triggers.base import TriggerEvent
from airflow.utils.session import create_session
from sqlalchemy import select

from crmbet.contracts.files import load_table_contract
from crmbet.contracts.table import TableContract
from crmbet.load.backup import take_backup
from crmbet.load.session import LoadSession
from crmbet.load.target import ensure_target
from crmbet.monitoring.tables import open_monitoring, read_table_run
from crmbet.run.schemas import DEFAULT_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.conftest import FinishedRun, Operator

pytestmark = pytest.mark.integration

TABLE = "ml_features.user_features"


FILLING = {
    "text": "prospect",
    "text[]": [],
    "boolean": False,
    "timestamptz": datetime(2026, 11, 20, tzinfo=UTC),
}


def row_of(contract: TableContract, user: str) -> tuple[str, list[Any]]:
    """An INSERT of a player with what may not be missing, and its values."""
    cells = {
        name: FILLING.get(column.type, 1) for name, column in contract.columns.items() if not column.nullable
    }
    cells[contract.key] = user
    marks = ", ".join(["%s"] * len(cells))
    return f"INSERT INTO {TABLE} ({', '.join(cells)}) VALUES ({marks})", list(cells.values())


@dataclass(frozen=True)
class Target:
    """A table that has changed since its backup was taken."""

    operator: Operator
    backup: str

    def run(self, **conf: Any) -> FinishedRun:
        return self.operator.run("restore_backup", run_conf=conf)

    def players(self) -> list[str]:
        return [name for (name,) in self.operator.query(f"SELECT user_id FROM {TABLE} ORDER BY 1")]


@pytest.fixture
def target(open_operator: Callable[..., Operator]) -> Target:
    operator = open_operator(as_loader=True)
    contract = load_table_contract()
    with closing(psycopg2.connect(operator.target_url)) as connection:
        session = LoadSession(
            connection=connection, contract=contract, run_id="the run before", lock_timeout_seconds=5
        )
        ensure_target(session)
        with connection, connection.cursor() as cursor:
            cursor.execute(*row_of(contract, "good"))
        taken = take_backup(session, datetime(2026, 11, 20, tzinfo=UTC))
        with connection, connection.cursor() as cursor:
            cursor.execute(*row_of(contract, "bad"))
    assert taken is not None
    return Target(operator, taken.name)


@pytest.mark.parametrize("newest", [True, False], ids=["newest", "by name"])
def test_a_backup_is_put_back_without_asking_where_the_param_says_which(target: Target, newest: bool) -> None:
    run = target.run(backup="newest" if newest else target.backup)

    assert run.states == {"choose_backup": "success", "restore_backup": "success"}
    assert target.players() == ["good"]
    with open_monitoring(target.operator.target_url, DEFAULT_SCHEMA) as tables:
        shown = read_table_run(tables, "user_features_daily")
    assert shown is not None
    assert (shown["dag_id"], shown["as_of"], shown["records_transformed"], shown["params"]["backup"]) == (
        "restore_backup",
        FILLING["timestamptz"],
        1,
        target.backup,
    )


def test_an_unknown_name_fails_without_a_retry_and_touches_nothing(target: Target) -> None:
    run = target.run(backup="user_features")

    assert run.states == {"choose_backup": "failed", "restore_backup": "upstream_failed"}
    assert run.recorded == {"success"}
    assert run.tries["choose_backup"] == 1
    assert target.players() == ["bad", "good"]


def answer_as_the_form_does(position: int) -> list[str]:
    """Wait until a run asks, and choose one of its options as the API does; returns the options."""
    deadline = time.monotonic() + 120
    waiting_since: dict[Any, float] = {}
    while time.monotonic() < deadline:
        with create_session() as database:
            detail = database.scalar(select(HITLDetail).where(HITLDetail.responded_at.is_(None)))
            asking = detail and database.get(TaskInstance, detail.ti_id)
            if (
                detail
                and asking
                and asking.state == "awaiting_input"
                # The task's process may still write that it waits, and would overwrite an answer of the first moment.
                and time.monotonic() - waiting_since.setdefault(detail.ti_id, time.monotonic()) > 1
            ):
                detail.responded_by = {"id": "1", "name": "ana"}
                detail.responded_at = datetime.now(UTC)
                detail.chosen_options = [detail.options[position]]
                detail.params_input = {}
                event = TriggerEvent(detail.as_resume_event_payload())  # type: ignore[no-untyped-call]
                handle_event_submit(event, task_instance=asking, session=database)
                return list(detail.options)
        time.sleep(0.2)
    raise AssertionError("no run asks for a backup")


@pytest.mark.full
@pytest.mark.parametrize(
    ("position", "state", "players"), [(0, "success", ["good"]), (-1, "skipped", ["bad", "good"])]
)
def test_without_a_name_the_run_lists_the_backups_and_a_person_chooses(
    target: Target, position: int, state: str, players: list[str]
) -> None:
    with ThreadPoolExecutor(1) as pool:
        answering = pool.submit(answer_as_the_form_does, position)
        run = target.run()

    assert answering.result() == [target.backup, "none: leave the table as it is"]
    assert run.states == {"choose_backup": state, "restore_backup": state}
    assert target.players() == players


def test_a_target_without_backups_has_nothing_to_put_back(open_operator: Callable[[], Operator]) -> None:
    operator = open_operator()

    run = operator.run("restore_backup", run_conf={})

    assert run.states == {"choose_backup": "skipped", "restore_backup": "skipped"}
