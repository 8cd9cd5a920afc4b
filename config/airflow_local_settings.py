# ruff: noqa: INP001 - Airflow puts this folder on its path: it is no package.
"""Read by every Airflow process at its start, before anything else of ours.

A Celery worker forks a process for each task, and so does a scheduler whose LocalExecutor runs the tasks. A forked
process inherits what its parent has imported. Great Expectations takes seconds to import, so the parent imports it once
for all of its tasks. No other process ever validates, so no other process imports it here (docs/deployment.md says what
it costs).
"""

from __future__ import annotations

import sys

from airflow.configuration import conf

__all__: list[str] = []


def _forks_tasks(command: list[str]) -> bool:
    """Whether the process that a command starts is the parent of tasks."""
    if command[:1] == ["scheduler"]:
        return "LocalExecutor" in conf.get("core", "executor")
    return command[:2] == ["celery", "worker"]


if _forks_tasks(sys.argv[1:]):
    import great_expectations  # noqa: F401
