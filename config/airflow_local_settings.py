# ruff: noqa: INP001 - Airflow puts this folder on its path: it is no package.
"""Read by every Airflow process at its start, before anything else of ours.

A Celery worker forks a process for each task, and a forked process inherits what its parent has imported. Great
Expectations takes seconds to import, so the worker imports it once for all of its tasks. No other process ever
validates, so no other process imports it here (docs/deployment.md has the figures).
"""

from __future__ import annotations

import sys

__all__: list[str] = []

if sys.argv[1:3] == ["celery", "worker"]:
    import great_expectations  # noqa: F401
