"""How long each task may take is a setting of its own."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from crmbet.run.schedule import MINUTES
from local.workspace import PROJECT

pytestmark = pytest.mark.dags

LIMITS: dict[str, dict[str, str | None]] = {
    "user_features_daily": {
        "extract_s3": "extract", "extract_pg": "extract", "validate_raw": "validate", "clean": "clean",
        "engineer_features": "features", "validate": "validate", "backup_table": "backup", "load_merge": "load",
        "compare_stream": "validate", "approve": None, "publish_audiences": "audiences", "record_run": "record",
    },
    "user_features_weekly": {
        "extract_s3": "weekly", "extract_pg": "weekly", "plan_sweep": "weekly", "sweep": "weekly",
        "record_run": "record",
    },
    "restore_backup": {"choose_backup": None, "restore_backup": "restore", "record_run": "record"},
    "user_features_erasure": {
        "take_erasure_requests": None, "erase_players": "erasure", "check_erasure_deadlines": None,
        "record_run": "record",
    },
    "user_features_stream": {"stream": "stream", "record_run": "record"},
}  # fmt: skip
SHOW = """
import json
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(dag_folder="dags")
assert not bag.import_errors, bag.import_errors
shown = {
    dag_id: {
        task.task_id: task.execution_timeout and task.execution_timeout.total_seconds() / 60 for task in dag.tasks
    }
    for dag_id, dag in bag.dags.items()
}
shown["deadlines"] = sorted({dag.deadline[0].interval.total_seconds() / 60 for dag in bag.dags.values()})
print(json.dumps(shown))
"""


@pytest.mark.full
def test_each_operation_obeys_its_setting(ask: Callable[..., Any]) -> None:
    minutes = {name: 11 + place for place, name in enumerate(MINUTES)}
    settings = {f"CRMBET_{name.upper()}": str(value) for name, value in minutes.items()}
    shown = ask(
        SHOW, **settings, CRMBET_STREAM_TOPICS="bets=bets", CRMBET_AUDIENCES_FOLDER="a", CRMBET_ASK_ON="loss"
    )

    assert shown.pop("deadlines") == [minutes["deadline_minutes"]]
    assert shown == {
        dag_id: {task: minutes[f"{name}_timeout_minutes"] if name else None for task, name in tasks.items()}
        for dag_id, tasks in LIMITS.items()
    }


def test_no_dag_has_a_limit_of_its_own() -> None:
    for path in (PROJECT / "dags").glob("*.py"):
        literal = re.findall(r"(?<!response_timeout=)timedelta\(.*", path.read_text(encoding="utf-8"))
        assert literal == [], f"{path.name} has time limits that are no settings"
