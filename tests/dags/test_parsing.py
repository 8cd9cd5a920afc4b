"""What Airflow's processes load when they look at our folders: little, and nothing by accident."""

from __future__ import annotations

import ast
from typing import Any

import pytest

from local.workspace import PROJECT

pytestmark = pytest.mark.dags

HEAVY = {
    "boto3",
    "botocore",
    "duckdb",
    "great_expectations",
    "numpy",
    "pandas",
    "psycopg2",
    "pyarrow",
    "pydantic_settings",
    "scipy",
    "sklearn",
}

LOADED_BY_PARSING = """
import json, sys
import airflow.sdk
before = set(sys.modules)
import runpy
runpy.run_path("dags/restore_backup.py")
runpy.run_path("dags/user_features_daily.py")
runpy.run_path("dags/user_features_weekly.py")
print(json.dumps(sorted(set(sys.modules) - before)))
"""

LOADED_AS_PLUGINS = """
import json, sys
from airflow import plugins_manager
plugins, errors = plugins_manager._get_plugins()
ours = [name for name, module in sys.modules.items() if "/plugins/crmbet/" in (getattr(module, "__file__", "") or "")]
print(json.dumps({"errors": errors, "ours": ours, "plugins": [plugin.name for plugin in plugins]}))
"""

IMPORTED_AFTER_PLUGINS = """
import json, sys
from airflow import plugins_manager
plugins_manager._get_plugins()
from crmbet.operators.validate import ValidateOperator
print(json.dumps(ValidateOperator.__module__))
"""

HASH = """
import json
from airflow.dag_processing.dagbag import DagBag
from airflow.models.serialized_dag import SerializedDagModel
from airflow.serialization.serialized_objects import DagSerialization
dags = DagBag(dag_folder="dags").dags.values()
print(json.dumps([[SerializedDagModel.hash(DagSerialization.to_dict(dag)) for dag in dags] for _ in range(2)]))
"""


def test_every_dag_file_parses(dag_bag: Any) -> None:
    assert dag_bag.import_errors == {}
    assert sorted(dag_bag.dags) == ["restore_backup", "user_features_daily", "user_features_weekly"]


def test_parsing_imports_nothing_heavy(ask: Any) -> None:
    loaded = ask(LOADED_BY_PARSING)

    assert "crmbet.operators.load_merge" in loaded
    assert {name.partition(".")[0] for name in loaded} & HEAVY == set()


def test_the_plugin_loader_leaves_the_package_alone(ask: Any) -> None:
    loaded = ask(LOADED_AS_PLUGINS)

    assert loaded["errors"] == {}
    assert loaded["ours"] == [], "not even the page, in a process that is no API server"
    assert "crmbet_monitoring" in loaded["plugins"]


def test_the_package_is_importable_beside_the_plugin_loader(ask: Any) -> None:
    assert ask(IMPORTED_AFTER_PLUGINS) == "crmbet.operators.validate"


def test_serialising_gives_one_hash_in_every_process(ask: Any) -> None:
    # Else each parse would be a new version of the DAG. Sets differ in order with the hash seed.
    hashes = ask(HASH, PYTHONHASHSEED="1") + ask(HASH, PYTHONHASHSEED="2")

    assert len(hashes) == 4, "two looks, in two processes"
    assert len({tuple(of_all_dags) for of_all_dags in hashes}) == 1


def test_tasks_reach_airflow_through_its_sdk_alone() -> None:
    # Models, settings and sessions would be the metadata database, which a task under an executor does not have.
    # The plugin is no task: it hands the API server's own checks to the page.
    for path in sorted([*(PROJECT / "plugins" / "crmbet").rglob("*.py"), *(PROJECT / "dags").rglob("*.py")]):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                continue
            for name in names:
                assert not name.startswith("airflow") or name.startswith(
                    ("airflow.sdk", "airflow.providers.")
                ), f"{path.name} imports {name}"
