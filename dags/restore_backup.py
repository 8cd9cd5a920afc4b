"""Put a backup of `ml_features.user_features` back.

Started by hand. `choose_backup` lists the backups with their proofs in its log, and waits until somebody chooses one in
the form that the run's page shows below **Required Actions**. Who knows which one it shall be says so at the start, in
the param `backup`: its name, or `newest`.

`restore_backup` then takes the load lock, checks the backup against its proof, backs up what the table holds now,
and puts the backup in its place in one transaction: readers see the table of before or the backup, never a mixture, and
no load runs beside it. `user_features_history` stays as it is. The next daily run loads on top: pause
`user_features_daily` first if what it computes has to be mended.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param

from crmbet.operators.choose_backup import ChooseBackupOperator
from crmbet.operators.restore_backup import RestoreBackupOperator
from crmbet.orchestration.alerts import ALERTED
from crmbet.orchestration.retrying import RETRIES
from crmbet.orchestration.watching import WATCHED

PARAMS = {
    "backup": Param(
        "",
        type="string",
        pattern=r"^(newest|[a-z][a-z0-9_]{0,62})?$",
        title="Backup",
        description="Name of a backup, or newest. Empty: the run lists them and waits until you choose one.",
    ),
}

with DAG(
    "restore_backup",
    schedule=None,
    catchup=False,
    max_active_runs=1,
    params=PARAMS,
    default_args={**RETRIES, **WATCHED},
    **ALERTED,
    doc_md=__doc__,
    tags=["crm", "maintenance"],
) as dag:
    choose_backup = ChooseBackupOperator(task_id="choose_backup", response_timeout=timedelta(hours=24))
    restore_backup = RestoreBackupOperator(
        task_id="restore_backup",
        backup="{{ ti.xcom_pull(task_ids='choose_backup') }}",
        execution_timeout=timedelta(hours=2),
    )

    choose_backup >> restore_backup
