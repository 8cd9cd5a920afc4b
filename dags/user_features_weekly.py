"""Once a week, compare the whole history of the sources with what was captured, and remove what nothing needs any more.

A daily run compares PostgreSQL's recent days and a thirtieth of the older ones. This DAG compares all of them and
captures what has changed. The logs of `extract_pg` and `extract_s3` say which days have changed. This DAG does not
restate the feature table of a past day: a backfill of `user_features_daily` does.

Then `plan_sweep` lists the objects below `crmbet/brand=<brand>/` that no kept manifest names (docs/store.md says what
is kept), and `sweep` removes the objects on the list. With the param `dry_run`, both only say what they would do.
"""

from __future__ import annotations

import os
from datetime import datetime
from zoneinfo import ZoneInfo

from airflow.sdk import DAG, CronDataIntervalTimetable, Param, TriggerRule, chain

from crmbet.operators.extract_pg import ExtractPgOperator
from crmbet.operators.extract_s3 import ExtractS3Operator
from crmbet.operators.plan_sweep import PlanSweepOperator
from crmbet.operators.record_run import RecordRunOperator
from crmbet.operators.sweep import SweepOperator
from crmbet.orchestration.alerts import alerted
from crmbet.orchestration.retrying import RETRIES
from crmbet.orchestration.watching import WATCHED
from crmbet.run.brand import Brand
from crmbet.run.brands import read_brands
from crmbet.run.schedule import operator_texts, operator_timezone, time_limit, weekly_schedule


def weekly_dag(brand: Brand) -> DAG:
    """The DAG of a brand."""
    zone = operator_timezone(brand.environ)
    say = operator_texts(brand.environ)

    params = {
        "verify_all": Param(
            True,
            type="boolean",
            description=say("Compare every day of PostgreSQL with what was captured."),
        ),
        "source_deletions": Param(
            "stop",
            type="string",
            enum=["stop", "keep", "remove"],
            description=say(
                "What to do if data vanished from a source: "
                "stop the run, keep what was captured, or remove it everywhere."
            ),
        ),
        "dry_run": Param(
            False,
            type="boolean",
            description=say("Change nothing. Only say what would be captured and removed."),
        ),
    }

    with DAG(
        brand.dag_id("user_features_weekly"),
        schedule=CronDataIntervalTimetable(weekly_schedule(brand.environ), timezone=zone),
        start_date=datetime(2015, 1, 1, tzinfo=ZoneInfo(zone)),
        catchup=False,
        max_active_runs=1,
        params=params,
        default_args={
            **RETRIES,
            **WATCHED,
            "execution_timeout": time_limit(brand.environ, "weekly_timeout_minutes"),
        },
        **alerted(brand.environ),
        doc_md=__doc__,
        tags=["crm", "maintenance", *brand.tags],
    ) as dag:
        extract_s3 = ExtractS3Operator(task_id="extract_s3")
        extract_pg = ExtractPgOperator(task_id="extract_pg")
        # A dry run skips the extracts.
        plan_sweep = PlanSweepOperator(task_id="plan_sweep", trigger_rule=TriggerRule.NONE_FAILED)
        sweep = SweepOperator(task_id="sweep")
        # As in the daily DAG: it runs whether or not the others succeed, and does not decide whether the run succeeds.
        record_run = RecordRunOperator(
            task_id="record_run",
            retries=1,
            execution_timeout=time_limit(brand.environ, "record_timeout_minutes"),
        ).as_teardown(on_failure_fail_dagrun=False)

        chain([extract_s3, extract_pg], plan_sweep, sweep)
        chain([extract_s3, extract_pg, sweep], record_run)
    return dag


for brand in read_brands(os.environ).brands:
    dag = weekly_dag(brand)
