"""The cost of a task's failed tries, by Airflow's own store of a task."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk import DAG, BaseOperator

from crmbet import metering
from crmbet.orchestration.retrying import RETRIES
from crmbet.orchestration.watching import OUTCOME, WATCHED

pytestmark = [pytest.mark.integration, pytest.mark.full]


class FailsOnce(BaseOperator):
    def execute(self, context: Any) -> None:
        metering.count_request("get", 0)
        metering.count_rows(read=5)
        if context["ti"].try_number == 1:
            raise ConnectionError("not yet")


def test_a_retry_adds_what_the_failed_try_has_used(airflow_database: None) -> None:
    with DAG(
        "spends_twice",
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        schedule=None,
        default_args=WATCHED | RETRIES,
    ) as dag:
        FailsOnce(task_id="fails_once", retry_delay=timedelta(0))
    make_known(dag)

    run = dag.test()

    [instance] = run.get_task_instances()
    assert (str(instance.state), instance.try_number) == ("success", 2)
    usage = instance.xcom_pull(task_ids="fails_once", key=OUTCOME)["usage"]
    assert (usage["requests"], usage["rows_read"], usage["tries"]) == ({"get": 2}, 10, 2)


def make_known(dag: DAG) -> None:
    """Tell Airflow's database of a DAG that no file has."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.collection import update_dag_parsing_results_in_db
    from airflow.serialization.serialized_objects import LazyDeserializedDAG
    from airflow.utils.session import create_session

    with create_session() as session:
        DagBundlesManager().sync_bundles_to_db(session=session)  # type: ignore[no-untyped-call]
    with create_session() as session:
        known = [LazyDeserializedDAG.from_dag(dag)]
        update_dag_parsing_results_in_db("dags-folder", None, known, {}, None, set(), session)
