"""One trustworthy feature row per player, every day.

Reads the lake's feeds and `tbl_transactions`, cleans them by contract, computes the features of every player **as of**
midnight in the operator's zone, judges them with Great Expectations, and loads `ml_features.user_features`.

| Start | as_of |
|---|---|
| schedule, backfill of day D | the end of D: midnight of D+1 |
| UI or REST run of day D, `airflow dags test user_features_daily D` | midnight of D |
| UI or REST run without a date | the last midnight |
| param `as_of` | midnight of that date |

A failed run has changed nothing in the target; clear the failed task to go on. Quality reports lie on S3 under
`crmbet/brand=<brand>/reports/`, the rows that were set aside under `crmbet/brand=<brand>/quarantine/`.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from airflow.sdk import DAG, Asset, CronDataIntervalTimetable, Param, TaskGroup, TriggerRule, chain

from crmbet.operators.backup_table import BackupTableOperator
from crmbet.operators.clean import CleanOperator
from crmbet.operators.engineer_features import EngineerFeaturesOperator
from crmbet.operators.extract_pg import ExtractPgOperator
from crmbet.operators.extract_s3 import ExtractS3Operator
from crmbet.operators.load_merge import LoadMergeOperator
from crmbet.operators.record_run import RecordRunOperator
from crmbet.operators.validate import ValidateOperator
from crmbet.orchestration.alerts import ALERTED
from crmbet.orchestration.retrying import RETRIES
from crmbet.orchestration.watching import WATCHED
from crmbet.run.schedule import operator_timezone

ZONE = operator_timezone(os.environ)
LAKE = Asset("crmbet_lake")
FEATURES = Asset("user_features")
"""A DAG scheduled on it receives run_id, as_of, rows, grade and score of the load in the event's `extra`."""

PARAMS = {
    "as_of": Param(
        None,
        type=["null", "string"],
        format="date",
        title="as_of",
        description="Date whose midnight is the cut-off: facts before it count. Empty: from the run's date.",
    ),
    "known_at": Param(
        None,
        type=["null", "string"],
        format="date-time",
        title="known_at",
        description="Use only what had been captured by this instant. Empty: everything known when the run starts.",
    ),
    "load_strategy": Param(
        "merge",
        type="string",
        enum=["merge", "replace", "append"],
        title="Load strategy",
        description="merge: insert and update. replace: the table becomes this run's rows. append: new players only.",
    ),
    "accept_loss": Param(
        False,
        type="boolean",
        title="Accept loss",
        description="Let the load lose what it would refuse to: many players at once, or, by replace, a later as_of.",
    ),
    "validate_only": Param(
        False, type="boolean", title="Validate only", description="Stop after validation: no backup, no load."
    ),
    "dry_run": Param(
        False,
        type="boolean",
        title="Dry run",
        description="Only say which chunks, days and rows would change; change nothing.",
    ),
    "full_refresh": Param(
        False,
        type="boolean",
        title="Full refresh",
        description="Ignore all captures and build everything anew.",
    ),
    "verify_all": Param(
        False,
        type="boolean",
        title="Verify all",
        description="Compare every day of PostgreSQL with what was captured, not only the recent ones and a thirtieth.",
    ),
    "refreeze_cut_offs": Param(
        False,
        type="boolean",
        title="Refreeze thresholds",
        description="Take the responsible-gambling thresholds from this run's players, for this and later as_of dates.",
    ),
    "source_deletions": Param(
        "stop",
        type="string",
        enum=["stop", "keep", "remove"],
        title="Source deletions",
        description="If source data vanished: stop the run, keep what was captured, or remove it everywhere.",
    ),
    "fail_on": Param(
        ["CRITICAL", "HIGH", "MEDIUM", "LOW"],
        type="array",
        items={"type": "string", "enum": ["CRITICAL", "HIGH", "MEDIUM", "LOW"]},
        examples=["CRITICAL", "HIGH", "MEDIUM", "LOW"],
        title="Fail on",
        description="Severities of a quality breach that fail the run. Others show in the report only.",
    ),
    "thresholds": Param(
        {},
        type="object",
        additionalProperties={"type": "number"},
        title="Thresholds",
        description='Thresholds of the quality gates for this run, by the setting\'s name: {"max_psi": 0.4}.',
    ),
    "refresh_baseline": Param(
        False,
        type="boolean",
        title="Refresh baseline",
        description="Freeze this run's distributions as what later runs are compared with: the business has changed.",
    ),
}

with DAG(
    "user_features_daily",
    schedule=CronDataIntervalTimetable("@daily", timezone=ZONE),
    start_date=datetime(2015, 1, 1, tzinfo=ZoneInfo(ZONE)),
    catchup=False,
    max_active_runs=4,
    params=PARAMS,
    default_args={
        **RETRIES,
        **WATCHED,
        "execution_timeout": timedelta(hours=2),
    },
    **ALERTED,
    doc_md=__doc__,
    tags=["crm", "features"],
) as dag:
    extract_s3 = ExtractS3Operator(task_id="extract_s3", inlets=[LAKE])
    extract_pg = ExtractPgOperator(task_id="extract_pg")
    validate_raw = ValidateOperator(task_id="validate_raw", stage="raw")
    # A dry run skips what comes before these two, and they plan on what that would have left.
    clean = CleanOperator(task_id="clean", trigger_rule=TriggerRule.NONE_FAILED)
    engineer_features = EngineerFeaturesOperator(
        task_id="engineer_features", trigger_rule=TriggerRule.NONE_FAILED
    )
    validate = ValidateOperator(task_id="validate", stage="features")
    # In the Grid the group's name says why its tasks are skipped.
    with TaskGroup(
        "load",
        prefix_group_id=False,
        group_display_name="load, unless validate_only or dry_run",
        tooltip="Skipped if the run's param validate_only or dry_run is set; XCom of backup_table says which.",
    ):
        # A backfill's runs come side by side: these two touch the target, so one run at a time.
        backup_table = BackupTableOperator(task_id="backup_table", max_active_tis_per_dag=1)
        load_merge = LoadMergeOperator(task_id="load_merge", max_active_tis_per_dag=1, outlets=[FEATURES])
    # Runs whatever the others came to, and as a teardown has no say in what the run came to.
    record_run = RecordRunOperator(
        task_id="record_run", retries=1, execution_timeout=timedelta(minutes=10)
    ).as_teardown(on_failure_fail_dagrun=False)

    chain(
        [extract_s3, extract_pg], validate_raw, clean, engineer_features, validate, backup_table, load_merge
    )
    chain([extract_s3, extract_pg, load_merge], record_run)
