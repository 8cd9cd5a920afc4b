"""Put a backup of `ml_features.user_features` back.

You start this DAG by hand. `choose_backup` lists the backups with their proofs in its log. It then waits until somebody
chooses one in the form that the page of the run shows below **Required Actions**. If you know which backup you want,
give its name, or `newest`, in the param `backup` when you start the run.

`restore_backup` then takes the load lock, checks the backup against its proof and backs up what the table holds now. It
puts the backup in the table's place in one transaction: readers see either the old table or the backup, and no load
runs at the same time. `user_features_history` stays as it is. The next daily run loads on top of the backup. Pause
`user_features_daily` first if it would load the same fault again.
"""

from __future__ import annotations

import os
from datetime import timedelta

from airflow.sdk import DAG, Param

from crmbet.operators.choose_backup import ChooseBackupOperator
from crmbet.operators.record_run import RecordRunOperator
from crmbet.operators.restore_backup import RestoreBackupOperator
from crmbet.orchestration.alerts import alerted
from crmbet.orchestration.retrying import RETRIES
from crmbet.orchestration.watching import WATCHED
from crmbet.run.brand import Brand
from crmbet.run.brands import read_brands
from crmbet.run.schedule import operator_texts, time_limit


def restore_dag(brand: Brand) -> DAG:
    """The DAG of a brand."""
    say = operator_texts(brand.environ)
    params = {
        "backup": Param(
            "",
            type="string",
            pattern=r"^(newest|[a-z][a-z0-9_]{0,62})?$",
            description=say(
                "Name of a backup, or newest. Empty: the run lists the backups and waits until you choose one."
            ),
        ),
    }
    with DAG(
        brand.dag_id("restore_backup"),
        schedule=None,
        catchup=False,
        max_active_runs=1,
        params=params,
        default_args={**RETRIES, **WATCHED},
        **alerted(brand.environ),
        doc_md=__doc__,
        tags=["crm", "maintenance", *brand.tags],
    ) as dag:
        choose_backup = ChooseBackupOperator(task_id="choose_backup", response_timeout=timedelta(hours=24))
        restore_backup = RestoreBackupOperator(
            task_id="restore_backup",
            backup="{{ ti.xcom_pull(task_ids='choose_backup') }}",
            execution_timeout=time_limit(brand.environ, "restore_timeout_minutes"),
        )
        # As in the other DAGs: it runs whether or not the others succeed, and does not decide whether the run succeeds.
        record_run = RecordRunOperator(
            task_id="record_run",
            retries=1,
            execution_timeout=time_limit(brand.environ, "record_timeout_minutes"),
        ).as_teardown(on_failure_fail_dagrun=False)

        choose_backup >> restore_backup >> record_run
    return dag


for brand in read_brands(os.environ).brands:
    dag = restore_dag(brand)
