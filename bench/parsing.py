"""How long Airflow takes to parse our DAG file, compared with an empty one, and for many brands compared with one.

The DAG processor often repeats it.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path

from bench.figures import Figure

PROJECT = Path(__file__).parents[1]
LIMIT_SECONDS = 0.1
BRANDS = 20

EMPTY_DAG = """
from airflow.sdk import DAG

with DAG("empty", schedule=None):
    pass
"""

# Everything that Airflow itself needs is imported before the clock starts, and the garbage collector leaves it alone,
# as in a DAG processor.
PARSE = """
import gc, sys, time
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG, BaseOperator
path, wanted = sys.argv[1:]
gc.freeze()
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
    brands: dict[int, list[float]] = {1: [], BRANDS: []}
    for _ in range(rounds):
        seconds["empty"].append(_parse(empty, "empty", folder))
        seconds["user_features_daily"].append(_parse(ours, "user_features_daily", folder))
        for count, of_brands in brands.items():
            of_brands.append(
                _parse(ours, "user_features_daily__brand1", folder, _write_brands(folder, count))
            )
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
        Figure(
            name=f"parse the daily DAGs of {BRANDS} brands, beyond those of one",
            value=statistics.median(brands[BRANDS]) - statistics.median(brands[1]),
            unit="s",
            limit=LIMIT_SECONDS,
        ),
    ]


def _write_brands(folder: Path, count: int) -> Path:
    """Files of brands as an operator might have them."""
    brands = folder / f"brands-{count}"
    brands.mkdir(exist_ok=True)
    for number in range(1, count + 1):
        (brands / f"brand{number}.yaml").write_text(
            f"lake_bucket: lake-{number}\nsource_connection: source_{number}\noperator_timezone: America/Manaus\n"
            f"daily_schedule: {number} 3 * * *\nmax_psi: 0.3\n",
            encoding="utf-8",
        )
    return brands


def _parse(path: Path, dag: str, home: Path, brands: Path | None = None) -> float:
    environ = os.environ | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        "CRMBET_BRANDS_DIRECTORY": str(brands or ""),
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
