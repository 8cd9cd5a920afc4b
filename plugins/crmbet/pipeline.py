"""The pipeline from Python: `run_pipeline(PipelineConfig(...))` runs the same DAG and returns its figures.

    from crmbet.pipeline import PipelineConfig, run_pipeline

    metrics = run_pipeline(PipelineConfig(s3_bucket="my-lake", db_url="postgresql://...", min_data_completeness=0.95))
    print(metrics.success_rate, metrics.data_quality_score)

It is `airflow dags test` in a process of its own, so nothing of the caller's Airflow or environment changes. `plugins/`
must be on the path, Airflow's database migrated, and the connection crmbet_lake defined: `.local/env.sh` does.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field, SecretStr

from crmbet.failures import PermanentFailure
from crmbet.monitoring.metrics import RunMetrics
from crmbet.monitoring.tables import metrics_of, monitoring, read_run
from crmbet.run.settings import PREFIX, Settings

DAG_ID = "user_features_daily"
RUN_ID = re.compile(r"execution_id=(manual__\S+)")
PLUGINS = Path(__file__).parents[1]
SHOWN_LINES = 20


class PipelineConfig(Settings):
    """What a run needs to know: where the data is, and any setting of `Settings` by its name, checked at once."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    lake_bucket: str = Field(min_length=3, alias="s3_bucket")
    db_url: SecretStr
    """libpq URL of the database with tbl_transactions."""
    target_url: SecretStr | None = None
    """libpq URL of the database with ml_features; the same one if None."""

    @property
    def target_dsn(self) -> str:
        """Where the features go. Holds a password: never log it."""
        return (self.target_url or self.db_url).get_secret_value()

    def environment(self) -> dict[str, str]:
        """The variables by which a run of the DAG gets all of this; settings that were not given keep their default."""
        given = {name: getattr(self, name) for name in self.model_fields_set if name in Settings.model_fields}
        return {
            "AIRFLOW_CONN_CRMBET_SOURCE": _connection(self.db_url.get_secret_value()),
            "AIRFLOW_CONN_CRMBET_TARGET": _connection(self.target_dsn),
            **{PREFIX + name.upper(): str(value) for name, value in given.items()},
        }


def _connection(dsn: str) -> str:
    """A libpq URL as an Airflow connection: Airflow reads URLs of its own kind, which have no sockets."""
    import json

    from psycopg2.extensions import parse_dsn

    parts = parse_dsn(dsn)
    names = {"host": "host", "port": "port", "dbname": "schema", "user": "login", "password": "password"}
    fields: dict[str, Any] = {ours: parts.pop(name) for name, ours in names.items() if name in parts}
    if "port" in fields:
        fields["port"] = int(fields["port"])
    return json.dumps({"conn_type": "postgres", **fields, "extra": parts})


def run_pipeline(
    config: PipelineConfig, as_of: date | None = None, params: Mapping[str, Any] | None = None
) -> RunMetrics:
    """Run the daily DAG for `as_of` (the last midnight by default) and return its figures, also if it failed.

    `params` are those of the DAG. Raises `PermanentFailure` with the end of the output if the run did not get so far as
    to leave figures.
    """
    import json

    conf = {**(params or {}), **({"as_of": as_of.isoformat()} if as_of else {})}
    command = [sys.executable, "-m", "airflow", "dags", "test", DAG_ID, "--conf", json.dumps(conf)]
    python_path = os.pathsep.join(part for part in (str(PLUGINS), os.environ.get("PYTHONPATH", "")) if part)
    done = subprocess.run(
        command,
        env={**os.environ, **config.environment(), "PYTHONPATH": python_path},
        capture_output=True,
        text=True,
        check=False,
    )
    found = RUN_ID.search(done.stdout + done.stderr)
    with monitoring(config.target_dsn) as connection:
        row = read_run(connection, DAG_ID, found.group(1)) if found else None
    if row is None:
        raise PermanentFailure(
            "the run left no figures",
            where=" ".join(command[1:]),
            why="\n".join((done.stdout + done.stderr).splitlines()[-SHOWN_LINES:]),
            next_step="read what it printed",
        )
    return metrics_of(row)
