"""One trustworthy feature row per player, every day.

The DAG reads the lake's feeds and `tbl_transactions`, cleans them by contract and computes the features of every player
**as of** midnight in the operator's zone. It checks them with Great Expectations and loads them into
`ml_features.user_features`.

| Start | as_of |
|---|---|
| schedule, backfill of day D | the end of D: midnight of D+1 |
| UI or REST run of day D, `airflow dags test user_features_daily D` | midnight of D |
| UI or REST run without a date | the last midnight |
| param `as_of` | midnight of that date |

Unpausing the DAG starts the run of yesterday at once. `airflow dags test` is for a paused DAG: of an unpaused one
a running scheduler would take the same tasks, so the command starts no run.

A failed run has changed nothing in the target. Clear the failed task to go on. Quality reports are on S3 under
`crmbet/brand=<brand>/reports/`. Rows that were set aside are under `crmbet/brand=<brand>/quarantine/`.
"""

from __future__ import annotations

import os
from datetime import datetime
from functools import cache
from zoneinfo import ZoneInfo

from airflow.sdk import (
    DAG,
    Asset,
    CronDataIntervalTimetable,
    Param,
    TaskGroup,
    TriggerRule,
    chain,
)
from airflow.sdk.definitions.param import ParamsDict
from attrs import validators

from crmbet.operators.backup_table import BackupTableOperator
from crmbet.operators.clean import CleanOperator
from crmbet.operators.compare_stream import CompareStreamOperator
from crmbet.operators.engineer_features import EngineerFeaturesOperator
from crmbet.operators.extract_pg import ExtractPgOperator
from crmbet.operators.extract_s3 import ExtractS3Operator
from crmbet.operators.load_merge import LoadMergeOperator
from crmbet.operators.publish_audiences import PublishAudiencesOperator
from crmbet.operators.record_run import RecordRunOperator
from crmbet.operators.validate import ValidateOperator
from crmbet.orchestration.alerts import alerted
from crmbet.orchestration.retrying import RETRIES
from crmbet.orchestration.watching import WATCHED
from crmbet.run.brand import Brand
from crmbet.run.brands import read_brands
from crmbet.run.schedule import (
    QUESTIONS,
    approvers,
    daily_schedule,
    has_audiences,
    operator_texts,
    operator_timezone,
    parts_of,
    questions,
    shards,
    stream_topics,
    time_limit,
)
from crmbet.texts import Language, texts_in


@cache
def daily_params(language: Language) -> ParamsDict:
    """The params, described in a language. All brands that speak it have the same."""
    say = texts_in(language)
    params = {
        "as_of": Param(
            None,
            type=["null", "string"],
            format="date",
            description=say(
                "Facts before the midnight that begins this date count. Empty: "
                "the date follows from the run's date."
            ),
        ),
        "known_at": Param(
            None,
            type=["null", "string"],
            format="date-time",
            description=say(
                "Use only what had been captured by this instant. Empty: "
                "use all that is known when the run starts."
            ),
        ),
        "load_strategy": Param(
            "merge",
            type="string",
            enum=["merge", "replace", "append"],
            description=say(
                "merge: insert and update rows. replace: the table holds this run's rows only. append: "
                "add new players only."
            ),
        ),
        "accept_loss": Param(
            False,
            type="boolean",
            description=say(
                "Load even if the table loses many players at once, or if replace puts an older as_of in "
                "place of a newer one."
            ),
        ),
        "validate_only": Param(
            False,
            type="boolean",
            description=say("Stop after the checks of the features. There is no backup and no load."),
        ),
        "dry_run": Param(
            False,
            type="boolean",
            description=say("Change nothing. Only say which chunks, days and rows would change."),
        ),
        "full_refresh": Param(
            False,
            type="boolean",
            description=say("Ignore all captures, and read and build everything again."),
        ),
        "verify_all": Param(
            False,
            type="boolean",
            description=say(
                "Compare every day of PostgreSQL with what was captured, and not only the recent days and a "
                "thirtieth of the rest."
            ),
        ),
        "refreeze_cut_offs": Param(
            False,
            type="boolean",
            description=say(
                "Take the cut-offs of the responsible-gambling markers from this run's players, for this and "
                "later as_of dates."
            ),
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
        "fail_on": Param(
            ["CRITICAL", "HIGH", "MEDIUM", "LOW"],
            type="array",
            items={"type": "string", "enum": ["CRITICAL", "HIGH", "MEDIUM", "LOW"]},
            examples=["CRITICAL", "HIGH", "MEDIUM", "LOW"],
            description=say(
                "The run fails if a quality check of one of these severities fails. "
                "Other failures are only in the report."
            ),
        ),
        "thresholds": Param(
            {},
            type="object",
            additionalProperties={"type": "number"},
            description=say(
                "Thresholds of the quality checks for this run only, by the names of the settings: "
                '{"max_psi": 0.4}.'
            ),
        ),
        "ask_on": Param(
            None,
            type=["null", "array"],
            items={"type": "string", "enum": list(QUESTIONS)},
            examples=list(QUESTIONS),
            description=say(
                "What a person is asked about before the load, where CRMBET_ASK_ON is set: replace, loss, or "
                "failed checks by severity. Empty: what the setting says."
            ),
        ),
        "answer": Param(
            None,
            type=["null", "string"],
            enum=[None, "approve", "reject"],
            description=say("The answer to that question, for `airflow dags test` alone."),
        ),
        "refresh_baseline": Param(
            False,
            type="boolean",
            description=say(
                "Freeze this run's distributions as the new baseline of drift. For when the business has changed."
            ),
        ),
    }
    checked = ParamsDict(params)
    checked.validate()
    return checked


def daily_dag(brand: Brand) -> DAG:
    """The DAG of a brand."""
    zone, say = operator_timezone(brand.environ), operator_texts(brand.environ)
    lake = Asset(f"crmbet_lake{brand.suffix}")
    # A DAG that is scheduled on it gets run_id, as_of, rows, grade and score of the load in the event's `extra`.
    features = Asset(f"user_features{brand.suffix}")

    with DAG(
        brand.dag_id("user_features_daily"),
        schedule=CronDataIntervalTimetable(daily_schedule(brand.environ), timezone=zone),
        start_date=datetime(2015, 1, 1, tzinfo=ZoneInfo(zone)),
        catchup=False,
        max_active_runs=4,
        default_args={**RETRIES, **WATCHED},
        **alerted(brand.environ),
        doc_md=__doc__,
        tags=["crm", "features", *brand.tags],
    ) as dag:
        extract_s3 = ExtractS3Operator(
            task_id="extract_s3",
            trigger_rule=TriggerRule.NONE_FAILED,
            inlets=[lake],
            execution_timeout=time_limit(brand.environ, "extract_timeout_minutes"),
        )
        extract_pg = ExtractPgOperator(
            task_id="extract_pg",
            trigger_rule=TriggerRule.NONE_FAILED,
            execution_timeout=time_limit(brand.environ, "extract_timeout_minutes"),
        )
        validate_raw = ValidateOperator(
            task_id="validate_raw",
            stage="raw",
            execution_timeout=time_limit(brand.environ, "validate_timeout_minutes"),
        )
        # A dry run skips the tasks before these two. They then plan with what those tasks would have left.
        clean = CleanOperator(
            task_id="clean",
            trigger_rule=TriggerRule.NONE_FAILED,
            execution_timeout=time_limit(brand.environ, "clean_timeout_minutes"),
        )
        engineer_features = EngineerFeaturesOperator(
            task_id="engineer_features",
            trigger_rule=TriggerRule.NONE_FAILED,
            execution_timeout=time_limit(brand.environ, "features_timeout_minutes"),
        )
        validate = ValidateOperator(
            task_id="validate",
            stage="features",
            execution_timeout=time_limit(brand.environ, "validate_timeout_minutes"),
        )
        # In the Grid, the name of the group says why its tasks are skipped.
        with TaskGroup(
            "load",
            prefix_group_id=False,
            group_display_name=say("load, unless validate_only or dry_run"),
            tooltip=say(
                "Skipped if the param validate_only or dry_run is set. The XCom of backup_table says which."
            ),
        ):
            # Runs of a backfill go side by side. These two tasks touch the target, so only one run at a time does them.
            backup_table = BackupTableOperator(
                task_id="backup_table",
                max_active_tis_per_dag=1,
                execution_timeout=time_limit(brand.environ, "backup_timeout_minutes"),
            )
            load_merge = LoadMergeOperator(
                task_id="load_merge",
                max_active_tis_per_dag=1,
                outlets=[features],
                execution_timeout=time_limit(brand.environ, "load_timeout_minutes"),
            )
        # As a teardown it runs whether or not the others succeed, and does not decide whether the run succeeds.
        record_run = RecordRunOperator(
            task_id="record_run",
            retries=1,
            execution_timeout=time_limit(brand.environ, "record_timeout_minutes"),
        ).as_teardown(on_failure_fail_dagrun=False)

        chain([extract_s3, extract_pg], validate_raw, clean, engineer_features, validate)
        if questions(brand.environ):
            # It costs a tenth of a parse, which a deployment that never asks does not pay.
            from crmbet.operators.approve import ApproveOperator

            approve = ApproveOperator(
                task_id="approve",
                approvers=approvers(brand.environ),
                response_timeout=time_limit(brand.environ, "approval_timeout_minutes"),
            )
            chain(validate, approve, backup_table, load_merge)
        else:
            chain(validate, backup_table, load_merge)
        chain([extract_s3, extract_pg, load_merge], record_run)
        if has_audiences(brand.environ):
            publish_audiences = PublishAudiencesOperator(
                task_id="publish_audiences",
                max_active_tis_per_dag=1,
                execution_timeout=time_limit(brand.environ, "audiences_timeout_minutes"),
            )
            chain(load_merge, publish_audiences, record_run)
        if shards(brand.environ) > 1:
            # The executor spreads the parts of a step over its workers. The step then makes what they lack.
            for step in (extract_s3, extract_pg, clean, engineer_features):
                parts = (
                    type(step)
                    .partial(
                        task_id=f"{step.task_id}_parts",
                        trigger_rule=TriggerRule.NONE_FAILED,
                        execution_timeout=step.execution_timeout,
                        map_index_template="{{ task.part }}",
                    )
                    .expand(shard=parts_of(brand.environ))
                )
                chain([*step.upstream_list], parts, step)
            players, scores = (
                EngineerFeaturesOperator.partial(
                    task_id=f"engineer_features_{parts_are}",
                    parts_are=parts_are,
                    trigger_rule=TriggerRule.NONE_FAILED,
                    execution_timeout=engineer_features.execution_timeout,
                    map_index_template="{{ task.part }}",
                ).expand(shard=parts_of(brand.environ))
                for parts_are in ("players", "scores")
            )
            # Ranks, cut-offs and models need all players, so this is one part.
            fits = EngineerFeaturesOperator(
                task_id="engineer_features_fits",
                parts_are="fits",
                shard="1 of 1",
                trigger_rule=TriggerRule.NONE_FAILED,
                execution_timeout=engineer_features.execution_timeout,
            )
            chain(dag.get_task("engineer_features_parts"), players, fits, scores, engineer_features)
        if stream_topics(brand.environ):
            # Nothing waits for it: the batch stands whatever live rows say.
            compare_stream = CompareStreamOperator(
                task_id="compare_stream",
                execution_timeout=time_limit(brand.environ, "validate_timeout_minutes"),
            )
            chain(compare_stream, record_run)
    # Airflow copies the params of a DAG into each task that is added to it, and validates them for each DAG. Both
    # take longer than all else here. So they come last, validated once already. A run gives each task those of its DAG.
    with validators.disabled():
        dag.params = daily_params(say.language)
    return dag


for brand in read_brands(os.environ).brands:
    dag = daily_dag(brand)
