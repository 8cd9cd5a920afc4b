"""Airflow's own database, for commands. A task never asks it: under an executor it has none.

`tests/dags/test_parsing.py` says which modules may import this one.
"""

from __future__ import annotations

from collections.abc import Collection


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
