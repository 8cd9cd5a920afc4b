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
    "confluent_kafka",
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
runpy.run_path("dags/user_features_erasure.py")
runpy.run_path("dags/user_features_stream.py")
runpy.run_path("dags/user_features_weekly.py")
print(json.dumps(sorted(set(sys.modules) - before)))
"""

PLUGINS_THEN_A_DAG = """
import json, runpy, sys
from airflow import plugins_manager
plugins, errors = plugins_manager._get_plugins()
ours = [name for name, module in sys.modules.items() if "/plugins/crmbet/" in (getattr(module, "__file__", "") or "")]
from crmbet.operators.validate import ValidateOperator
sys.argv = ["airflow", "dags", "test"]
print(json.dumps({
    "errors": errors,
    "ours": ours,
    "plugins": [plugin.name for plugin in plugins],
    "imported": ValidateOperator.__module__,
    "deadline": runpy.run_path("dags/user_features_daily.py")["dag"].deadline,
}))
"""

HASHES = f"""
import json
from airflow.dag_processing.dagbag import DagBag
from tests.dags.test_parsing import hashes_of
print(json.dumps(hashes_of(DagBag(dag_folder={str(PROJECT / "dags")!r}))))
"""


def test_every_dag_file_parses(dag_bag: Any) -> None:
    assert dag_bag.import_errors == {}
    assert sorted(dag_bag.dags) == [
        "restore_backup",
        "user_features_daily",
        "user_features_erasure",
        "user_features_weekly",
    ]


@pytest.mark.parametrize("topics", ["", "bets=bets"])
def test_parsing_imports_nothing_heavy(ask: Any, topics: str) -> None:
    loaded = ask(LOADED_BY_PARSING, CRMBET_STREAM_TOPICS=topics)

    assert "crmbet.operators.load_merge" in loaded
    assert {name.partition(".")[0] for name in loaded} & HEAVY == set()


@pytest.fixture(scope="module")
def plugins_then_a_dag(ask: Any) -> dict[str, Any]:
    """What a process says that loads Airflow's plugins, then our package, then a DAG as `airflow dags test` does."""
    answer: dict[str, Any] = ask(PLUGINS_THEN_A_DAG)
    return answer


def test_the_plugin_loader_leaves_the_package_alone(plugins_then_a_dag: dict[str, Any]) -> None:
    assert plugins_then_a_dag["errors"] == {}
    assert plugins_then_a_dag["ours"] == [], "not even the page, in a process that is no API server"
    assert "crmbet_monitoring" in plugins_then_a_dag["plugins"]


def test_the_package_is_importable_beside_the_plugin_loader(plugins_then_a_dag: dict[str, Any]) -> None:
    assert plugins_then_a_dag["imported"] == "crmbet.operators.validate"


def test_airflows_test_command_gets_no_deadline(plugins_then_a_dag: dict[str, Any]) -> None:
    assert plugins_then_a_dag["deadline"] is None


def hashes_of(bag: Any) -> list[list[str]]:
    """The hashes by which Airflow tells versions of our DAGs apart, looked at twice."""
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.serialization.serialized_objects import DagSerialization

    dags = [bag.dags[name] for name in sorted(bag.dags)]
    return [
        [SerializedDagModel.hash(DagSerialization.to_dict(dag)) for dag in dags]  # type: ignore[no-untyped-call]
        for _ in range(2)
    ]


@pytest.mark.full
def test_serialising_gives_one_hash_in_every_process(ask: Any) -> None:
    # Else each parse would be a new version of the DAG. Sets differ in order with the hash seed.
    hashes = ask(HASHES, PYTHONHASHSEED="1") + ask(HASHES, PYTHONHASHSEED="2")

    assert len(hashes) == 4, "two looks, in two processes"
    assert len({tuple(of_all_dags) for of_all_dags in hashes}) == 1


def test_tasks_reach_airflow_through_its_sdk_alone() -> None:
    # Models, settings and sessions would be the metadata database, which a task under an executor does not have.
    # The plugin is no task: it hands the API server's own checks to the page. Neither are commands.
    asks = "crmbet.orchestration.metadata"
    commands = {"metadata.py", "dags_test.py", "doctor.py", "pipeline.py"}
    for path in sorted([*(PROJECT / "plugins" / "crmbet").rglob("*.py"), *(PROJECT / "dags").rglob("*.py")]):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                continue
            for name in names:
                assert name != asks or path.name in commands, f"{path.name} asks Airflow's database"
                assert (
                    path.name == "metadata.py"
                    or not name.startswith("airflow")
                    or name.startswith(("airflow.sdk", "airflow.providers."))
                ), f"{path.name} imports {name}"
