# ruff: noqa: INP001 - Airflow puts this folder on its path: it is no package.
"""Read by every Airflow process at its start, before anything else of ours.

A Celery worker forks a process for each task, and so does a scheduler whose LocalExecutor runs the tasks. A forked
process inherits what its parent has imported. Great Expectations takes seconds to import, and our own core a quarter of
a second for each task, so the parent imports both once for all of its tasks. No other process works on data, so no
other process imports them here (docs/deployment.md says what it costs).
"""

from __future__ import annotations

import sys
from importlib import import_module

from airflow.configuration import conf

__all__: list[str] = []

INHERITED = (
    "great_expectations",
    "boto3",
    "duckdb",
    "psycopg2",
    "crmbet.healing",
    "crmbet.load.backup",
    "crmbet.load.load",
    "crmbet.load.movements",
    "crmbet.load.quality_results",
    "crmbet.monitoring.metrics",
    "crmbet.monitoring.tables",
    "crmbet.quality.stages",
)
"""What tasks import. The core imports no Airflow, which is still being set up when this file is read."""


def _forks_tasks(command: list[str]) -> bool:
    """Whether the process that a command starts is the parent of tasks."""
    if command[:1] == ["scheduler"]:
        return "LocalExecutor" in conf.get("core", "executor")
    return command[:2] == ["celery", "worker"]


if _forks_tasks(sys.argv[1:]):
    for name in INHERITED:
        import_module(name)
