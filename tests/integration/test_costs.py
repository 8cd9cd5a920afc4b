"""What runs cost, from the rows of runs that a database keeps."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from bench.page import make_up_runs
from crmbet.metering import Usage
from crmbet.monitoring.metrics import RunMetrics
from crmbet.monitoring.tables import ensure_tables, open_monitoring, write_run
from crmbet.orchestration.record import warn_of_cost
from crmbet.run.schemas import DEFAULT_SCHEMA

pytestmark = pytest.mark.integration

NOW = datetime(2026, 11, 24, 6, tzinfo=UTC)


def runs_of_seconds(*seconds: float) -> Iterator[RunMetrics]:
    """A run for each day, whose `clean` has computed so long."""
    for run, spent in zip(make_up_runs(len(seconds), NOW), seconds, strict=True):
        cleaned = run.tasks["clean"].model_copy(update={"usage": Usage(cpu_seconds=spent)})
        yield run.model_copy(update={"tasks": {**run.tasks, "clean": cleaned}})


@pytest.mark.parametrize(("spent", "kinds"), [(199, {}), (201, {"clean": "CostJump"})])
def test_a_run_that_costs_twice_its_usual_has_a_warning(
    new_database: Any, spent: float, kinds: dict[str, str]
) -> None:
    *before, run = runs_of_seconds(90, 100, 100, 100, 110, spent)
    with open_monitoring(new_database(), DEFAULT_SCHEMA) as tables:
        ensure_tables(tables)
        for earlier in before:
            write_run(tables, earlier)

        warned = warn_of_cost(tables, run)

    assert {task: known.warning.kind for task, known in warned.tasks.items() if known.warning} == kinds


def test_too_few_runs_have_no_usual_cost(new_database: Any) -> None:
    *before, run = runs_of_seconds(100, 100, 100, 100, 900)
    with open_monitoring(new_database(), DEFAULT_SCHEMA) as tables:
        ensure_tables(tables)
        for earlier in before:
            write_run(tables, earlier)

        assert warn_of_cost(tables, run) == run
