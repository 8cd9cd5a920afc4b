"""How long Airflow takes to parse our DAG file, compared with an empty one. The DAG processor often repeats it."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path

from bench.figures import Figure

PROJECT = Path(__file__).parents[1]
LIMIT_SECONDS = 0.1

EMPTY_DAG = """
from airflow.sdk import DAG

with DAG("empty", schedule=None):
    pass
"""

# Everything that Airflow itself needs is imported before the clock starts, as in a DAG processor.
PARSE = """
import sys, time
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG, BaseOperator
path, wanted = sys.argv[1:]
began = time.perf_counter()
bag = DagBag(dag_folder=path)
seconds = time.perf_counter() - began
assert not bag.import_errors, bag.import_errors
assert wanted in bag.dags, bag.dags
print(seconds)
"""


def measure(folder: Path, rounds: int) -> list[Figure]:
    """Parse our file and the empty one in turn, each time in a new process. Returns medians."""
    empty = folder / "empty.py"
    empty.write_text(EMPTY_DAG, encoding="utf-8")
    ours = PROJECT / "dags" / "user_features_daily.py"
    seconds: dict[str, list[float]] = {"empty": [], "user_features_daily": []}
    for _ in range(rounds):
        seconds["empty"].append(_parse(empty, "empty", folder))
        seconds["user_features_daily"].append(_parse(ours, "user_features_daily", folder))
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    note = f"median of {rounds}, a process each"
    return [
        Figure(name="parse an empty DAG file", value=medians["empty"], unit="s", note=note),
        Figure(name="parse user_features_daily", value=medians["user_features_daily"], unit="s", note=note),
        Figure(
            name="parse user_features_daily, beyond the empty one",
            value=medians["user_features_daily"] - medians["empty"],
            unit="s",
            limit=LIMIT_SECONDS,
        ),
    ]


def _parse(path: Path, dag: str, home: Path) -> float:
    environ = os.environ | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
    }
    done = subprocess.run(
        [sys.executable, "-c", PARSE, str(path), dag],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{path.name} could not be parsed:\n{done.stderr[-2000:]}")
    return float(done.stdout.splitlines()[-1])
