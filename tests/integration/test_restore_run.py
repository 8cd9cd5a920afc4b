"""The DAG restore_backup on a real target, by name and by a person's choice."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import AirflowSkipException

from crmbet.contracts import load_table_contract
from crmbet.loading.backup import take_backup
from crmbet.loading.session import LoadSession
from crmbet.loading.target import ensure_target
from local.workspace import PROJECT

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.conftest import FinishedRun, Operator

pytestmark = pytest.mark.integration

TABLE = "ml_features.user_features"
PLAYER = """
    INSERT INTO ml_features.user_features
        (user_id, total_transactions, rfm_segment, as_of, known_at, feature_set_version, execution_id, row_hash, updated_at)
    VALUES (%s, 1, 'prospect', now(), now(), '1', 'a run', 'h', now())
"""


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
def target(open_operator: Callable[[], Operator]) -> Target:
    operator = open_operator()
    contract = load_table_contract()
    with closing(psycopg2.connect(operator.target_url)) as connection:
        session = LoadSession(
            connection=connection, contract=contract, run_id="the run before", lock_timeout_seconds=5
        )
        ensure_target(session)
        with connection, connection.cursor() as cursor:
            cursor.execute(PLAYER, ("good",))
        taken = take_backup(session, datetime(2026, 11, 20, tzinfo=UTC))
        with connection, connection.cursor() as cursor:
            cursor.execute(PLAYER, ("bad",))
    assert taken is not None
    return Target(operator, taken.name)


@pytest.mark.parametrize("newest", [True, False], ids=["newest", "by name"])
def test_a_backup_is_put_back_without_asking_where_the_param_says_which(target: Target, newest: bool) -> None:
    run = target.run(backup="newest" if newest else target.backup)

    assert run.states == {"choose_backup": "success", "restore_backup": "success"}
    assert target.players() == ["good"]


def test_an_unknown_name_fails_without_a_retry_and_touches_nothing(target: Target) -> None:
    run = target.run(backup="user_features")

    assert run.states == {"choose_backup": "failed", "restore_backup": "upstream_failed"}
    assert run.tries["choose_backup"] == 1
    assert target.players() == ["bad", "good"]


def test_without_a_name_the_run_waits_for_a_person(target: Target) -> None:
    run = target.run()

    assert run.states["choose_backup"] == "awaiting_input"
    assert target.players() == ["bad", "good"]


def test_what_a_person_chose_is_put_back_and_none_ends_the_run(target: Target) -> None:
    choose = DagBag(dag_folder=str(PROJECT / "dags")).dags["restore_backup"].get_task("choose_backup")

    def answer(option: str) -> Any:
        return choose.execute_complete({}, {"chosen_options": [option], "responded_by_user": None})

    assert answer(target.backup) == target.backup
    with pytest.raises(AirflowSkipException, match="nothing is put back"):
        answer(choose.options[-1])


def test_a_target_without_backups_has_nothing_to_put_back(open_operator: Callable[[], Operator]) -> None:
    operator = open_operator()

    run = operator.run("restore_backup", run_conf={})

    assert run.states == {"choose_backup": "skipped", "restore_backup": "skipped"}
