"""The pipeline from Python: `run_pipeline(PipelineConfig(...))` runs the daily DAG and returns its figures.

    from crmbet.pipeline import PipelineConfig, run_pipeline

    metrics = run_pipeline(PipelineConfig(s3_bucket="my-lake", db_url="postgresql://...", min_data_completeness=0.95))
    print(metrics.success_rate, metrics.data_quality_score)

It runs `airflow dags test` in a process of its own, so the caller's environment does not change. `plugins/` must be on
the path, Airflow's database migrated, and the connection crmbet_lake defined. `.local/env.sh` does all three. The
command `run_pipeline.py` is another door to the same.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, SecretStr

from crmbet.failures import BadParam, PermanentFailure
from crmbet.monitoring.metrics import RunMetrics
from crmbet.monitoring.tables import metrics_of, open_monitoring, read_run
from crmbet.orchestration.connections import of_libpq_url
from crmbet.orchestration.dags_test import NOTHING_DONE
from crmbet.run.settings import Settings, grouped, present_names, variable_name

DAG_ID = "user_features_daily"
EXECUTION_ID = re.compile(r"[A-Za-z0-9_.~:+-]{1,250}")
"""What Airflow takes as the id of a run."""
OF_OTHER_RUNS = ("scheduled__", "backfill__", "asset_triggered__")
"""Beginnings of the ids of runs that Airflow starts by itself."""
PLUGINS = Path(__file__).parents[1]
DAGS_TEST = "import sys; from crmbet.pipeline import dags_test; dags_test(sys.argv[1], sys.argv[2:])"
SHOWN_LINES = 20


class PipelineConfig(BaseModel):
    """What a run needs to know: where the data is, and any setting by its flat name. All of it is checked at once.

    `db_url` is the libpq URL of the database with tbl_transactions, `target_url` that of the database with
    ml_features. Without a `target_url` both are the same database. `s3_bucket` is another name of the setting
    `lake_bucket`. Raises pydantic's `ValidationError`, whose text repeats no value.
    """

    # A refused value may be a secret that somebody put into the wrong place.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    db_url: SecretStr
    target_url: SecretStr | None = None
    settings: Settings

    def __init__(
        self, *, db_url: str | SecretStr, target_url: str | SecretStr | None = None, **settings: Any
    ) -> None:
        if "s3_bucket" in settings:
            settings["lake_bucket"] = settings.pop("s3_bucket")
        values = grouped(present_names(settings))
        super().__init__(db_url=db_url, target_url=target_url, settings=values)

    @property
    def target_dsn(self) -> str:
        """Where the features go. It holds a password: never log it."""
        return (self.target_url or self.db_url).get_secret_value()

    def environment(self) -> dict[str, str]:
        """The variables that give all of this to a run of the DAG. Settings that were not given keep their default."""
        settings = self.settings
        source, target = settings.connections.source_connection, settings.connections.target_connection
        # Whatever the caller's environment says of these, they are the config's.
        places = {
            "source_connection": source,
            "target_connection": target,
            "target_schema": settings.target_schema,
        }
        return {
            f"AIRFLOW_CONN_{source.upper()}": of_libpq_url(self.db_url.get_secret_value()),
            f"AIRFLOW_CONN_{target.upper()}": of_libpq_url(self.target_dsn),
            **{variable_name(name): str(value) for name, value in (settings.given() | places).items()},
        }


def run_pipeline(
    config: PipelineConfig,
    as_of: date | None = None,
    params: Mapping[str, Any] | None = None,
    *,
    execution_id: str | None = None,
) -> RunMetrics:
    """Run the daily DAG for `as_of` (the last midnight by default) and return its figures, also if it failed.

    `params` are those of the DAG. `execution_id` is the id of the run; by default Airflow's kind of id is made up.
    Raises `BadParam` if a run of this id exists, and `PermanentFailure` with the end of the output if the run wrote no
    figures.
    """
    run_id = checked_execution_id(execution_id)
    if _read_row(config, run_id) is not None:
        raise _taken(run_id, f"{config.settings.target_schema}.pipeline_runs")
    conf = {**(params or {}), **({"as_of": as_of.isoformat()} if as_of else {})}
    command = command_of(run_id, conf, DAG_ID)
    done = subprocess.run(
        command,
        env=environment_of({**os.environ, **config.environment()}),
        capture_output=True,
        text=True,
        check=False,
    )
    row = _read_row(config, run_id)
    if row is None:
        raise PermanentFailure(
            "the run wrote no figures",
            where=f"airflow {' '.join(command[4:])}",
            why="\n".join((done.stdout + done.stderr).splitlines()[-SHOWN_LINES:]),
            next_step="read the output above",
        )
    return metrics_of(row)


def checked_execution_id(execution_id: str | None) -> str:
    """The id of a new run. Raises `BadParam` if Airflow would not take it."""
    if execution_id is None:
        return f"manual__{datetime.now(UTC).isoformat()}"
    if not EXECUTION_ID.fullmatch(execution_id) or execution_id.startswith(OF_OTHER_RUNS):
        raise BadParam(
            "the execution_id cannot be the id of a run",
            why=f"it has other characters than letters, digits and _.~:+-, is empty or longer than 250, or begins with "
            f"{', '.join(OF_OTHER_RUNS)}",
            next_step="use an id such as manual_20250625",
        )
    return execution_id


def command_of(run_id: str, conf: Mapping[str, Any], dag_id: str) -> list[str]:
    """The command that runs a daily DAG once, as `airflow dags test` does, under a given id."""
    import json

    return [sys.executable, "-c", DAGS_TEST, run_id, "dags", "test", dag_id, "--conf", json.dumps(conf)]


def environment_of(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment in which a process finds this package."""
    python_path = os.pathsep.join(part for part in (str(PLUGINS), environ.get("PYTHONPATH", "")) if part)
    return {**environ, "PYTHONPATH": python_path}


def dags_test(run_id: str, arguments: list[str]) -> None:
    """Run `airflow` with these arguments. A run that it makes has the given id, which the command cannot be told.

    If Airflow has a run of this id, the process says so and exits with `NOTHING_DONE`.
    """
    from unittest.mock import patch

    from crmbet.orchestration.metadata import has_run

    if has_run(arguments[2], run_id):
        sys.stderr.write(f"{_taken(run_id, 'the runs that Airflow knows')}\n")
        sys.exit(NOTHING_DONE)
    sys.argv = ["airflow", *arguments]
    with patch("airflow.models.dagrun.DagRun.generate_run_id", return_value=run_id):
        from runpy import run_module

        run_module("airflow", run_name="__main__")


def _taken(run_id: str, where: str) -> BadParam:
    return BadParam(
        f"a run with the execution_id {run_id} exists already",
        where=where,
        next_step="choose another execution_id, or clear a task of that run in Airflow",
    )


def _read_row(config: PipelineConfig, run_id: str) -> dict[str, Any] | None:
    with open_monitoring(config.target_dsn, config.settings.target_schema) as tables:
        return read_run(tables, DAG_ID, run_id)
