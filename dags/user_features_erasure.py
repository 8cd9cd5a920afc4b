"""Erase the players who asked for it (LGPD, article 18), and prove that nothing names them any more.

The privacy office writes requests into `erasure_requests`, a table beside the feature table; docs/privacy.md says how.
No id is ever given to Airflow, which would keep it: this DAG has no param for one.

`take_erasure_requests` enters the players into a ledger, as a keyed hash of their ids. From then on cleaning leaves
them out. A player waits while a legal hold stands. `erase_players` writes everything again that holds them, deletes
them from all tables, searches every object, table and log for them, and keeps a certificate. Killed anywhere, it is
done when it is run again. `check_erasure_deadlines` fails if a request has waited for too long. `record_run` writes
the run's row of figures.
"""

from __future__ import annotations

import os
from datetime import datetime
from zoneinfo import ZoneInfo

from airflow.sdk import DAG, CronDataIntervalTimetable, TriggerRule, chain

from crmbet.operators.check_erasure_deadlines import CheckErasureDeadlinesOperator
from crmbet.operators.erase_players import ErasePlayersOperator
from crmbet.operators.record_run import RecordRunOperator
from crmbet.operators.take_erasure_requests import TakeErasureRequestsOperator
from crmbet.orchestration.alerts import alerted
from crmbet.orchestration.retrying import RETRIES
from crmbet.orchestration.watching import WATCHED
from crmbet.run.brand import Brand
from crmbet.run.brands import read_brands
from crmbet.run.schedule import operator_timezone, time_limit


def erasure_dag(brand: Brand) -> DAG:
    """The DAG of a brand."""
    zone = operator_timezone(brand.environ)
    with DAG(
        brand.dag_id("user_features_erasure"),
        schedule=CronDataIntervalTimetable("0 7 * * *", timezone=zone),
        start_date=datetime(2015, 1, 1, tzinfo=ZoneInfo(zone)),
        catchup=False,
        max_active_runs=1,
        default_args={**RETRIES, **WATCHED},
        **alerted(brand.environ),
        doc_md=__doc__,
        tags=["crm", "privacy", *brand.tags],
    ) as dag:
        take_erasure_requests = TakeErasureRequestsOperator(task_id="take_erasure_requests")
        erase_players = ErasePlayersOperator(
            task_id="erase_players", execution_timeout=time_limit(brand.environ, "erasure_timeout_minutes")
        )
        # Requests are overdue whether or not the others have succeeded. It fails if they have not.
        check_erasure_deadlines = CheckErasureDeadlinesOperator(
            task_id="check_erasure_deadlines", trigger_rule=TriggerRule.ALL_DONE
        )

        # As in the other DAGs: it runs whether or not the others succeed, and does not decide whether the run succeeds.
        record_run = RecordRunOperator(
            task_id="record_run",
            retries=1,
            execution_timeout=time_limit(brand.environ, "record_timeout_minutes"),
        ).as_teardown(on_failure_fail_dagrun=False)

        chain(take_erasure_requests, erase_players, check_erasure_deadlines, record_run)
    return dag


for brand in read_brands(os.environ).brands:
    dag = erasure_dag(brand)
