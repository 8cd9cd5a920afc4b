"""Airflow's own database, for commands and for the API server. A task never asks it: under an executor it has none.

`tests/dags/test_parsing.py` says which modules may import this one.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from crmbet.monitoring.underway import RunUnderWay, TaskUnderWay


def has_run(dag_id: str, run_id: str) -> bool:
    """Whether Airflow knows a run."""
    from airflow.models.dagrun import DagRun

    return bool(DagRun.find(dag_id=dag_id, run_id=run_id))


def taken_by_scheduler(dag_ids: Collection[str]) -> str | None:
    """The first of these DAGs whose tasks a scheduler would take: it is unpaused, and a scheduler is running."""
    from airflow.jobs.job import most_recent_job
    from airflow.models.dag import DagModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    unpaused = select(DagModel.dag_id).where(DagModel.dag_id.in_(dag_ids), DagModel.is_paused.is_(False))
    with create_session() as session:
        scheduler = most_recent_job("SchedulerJob", session=session)
        return session.scalar(unpaused) if scheduler is not None and scheduler.is_alive() else None


def runs_under_way(dag_id: str) -> list[RunUnderWay]:
    """The runs of a DAG that have not ended, the oldest first."""
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    runs = select(DagRun).where(DagRun.dag_id == dag_id, DagRun.state.in_(["queued", "running"]))
    with create_session() as session:
        return [
            RunUnderWay(
                run_id=run.run_id,
                run_type=str(run.run_type),
                state=str(run.state),
                started=run.start_date,
                tasks={
                    task.task_id: TaskUnderWay(
                        state=task.state and str(task.state),
                        started=task.start_date,
                        ended=task.end_date,
                        try_number=task.try_number,
                    )
                    for task in session.scalars(
                        select(TaskInstance).where(
                            TaskInstance.dag_id == dag_id, TaskInstance.run_id == run.run_id
                        )
                    )
                },
            )
            for run in session.scalars(runs.order_by(DagRun.id)).all()
        ]


@dataclass(frozen=True, kw_only=True)
class AirflowState:
    """What Airflow's database says of the deployment."""

    scheduler: str | None
    """The host of a scheduler that lives; None if none does."""
    paused: dict[str, bool]
    """Whether a DAG is paused, for those that Airflow knows."""
    import_errors: list[str]
    """The files that cannot be imported, each with the last line of the reason."""


def read_state(dag_ids: Collection[str]) -> AirflowState:
    """Whether a scheduler lives, and what it knows of these DAGs. Raises what SQLAlchemy does."""
    from airflow.jobs.job import most_recent_job
    from airflow.models.dag import DagModel
    from airflow.models.errors import ParseImportError
    from airflow.utils.session import create_session
    from sqlalchemy import select

    known = select(DagModel.dag_id, DagModel.is_paused).where(
        DagModel.dag_id.in_(dag_ids), DagModel.is_stale.is_(False)
    )
    with create_session() as session:
        scheduler = most_recent_job("SchedulerJob", session=session)
        return AirflowState(
            scheduler=scheduler.hostname if scheduler is not None and scheduler.is_alive() else None,
            paused={dag_id: bool(is_paused) for dag_id, is_paused in session.execute(known)},
            import_errors=[
                f"{error.filename}: {(error.stacktrace or '').strip().splitlines()[-1]}"
                for error in session.scalars(select(ParseImportError))
            ],
        )
