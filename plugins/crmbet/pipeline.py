"""The pipeline from Python: `run_pipeline(PipelineConfig(...))` runs the daily DAG and returns its figures.

    from crmbet.pipeline import PipelineConfig, run_pipeline

    metrics = run_pipeline(PipelineConfig(s3_bucket="my-lake", db_url="postgresql://...", min_data_completeness=0.95))
    print(metrics.success_rate, metrics.data_quality_score)

It runs `airflow dags test` in a process of its own, so the caller's environment does not change. `plugins/` must be on
the path, Airflow's database migrated, and the connection crmbet_lake defined. `.local/env.sh` does all three.
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

from pydantic import BaseModel, ConfigDict, SecretStr

from crmbet.databases.sessions import read_dsn
from crmbet.failures import PermanentFailure
from crmbet.monitoring.metrics import RunMetrics
from crmbet.monitoring.tables import metrics_of, open_monitoring, read_run
from crmbet.run.settings import Settings, grouped, present_names, variable_name

DAG_ID = "user_features_daily"
RUN_ID = re.compile(r"execution_id=(manual__\S+)")
PLUGINS = Path(__file__).parents[1]
SHOWN_LINES = 20


class PipelineConfig(BaseModel):
    """What a run needs to know: where the data is, and any setting by its flat name. All of it is checked at once.

    `db_url` is the libpq URL of the database with tbl_transactions, `target_url` that of the database with
    ml_features. Without a `target_url` both are the same database. `s3_bucket` is another name of the setting
    `lake_bucket`. Raises pydantic's `ValidationError`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

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
        return {
            "AIRFLOW_CONN_CRMBET_SOURCE": _connection(self.db_url.get_secret_value()),
            "AIRFLOW_CONN_CRMBET_TARGET": _connection(self.target_dsn),
            **{variable_name(name): str(value) for name, value in self.settings.given().items()},
        }


def _connection(dsn: str) -> str:
    """A libpq URL as an Airflow connection in JSON, since Airflow's own URLs cannot name a socket."""
    import json

    options = read_dsn(dsn)
    names = {"host": "host", "dbname": "schema", "user": "login", "password": "password"}
    fields: dict[str, Any] = {field: options.pop(name) for name, field in names.items() if name in options}
    # A URL with several hosts has several ports: they stay in the extra, since Airflow's field holds one number.
    if options.get("port", "").isdecimal():
        fields["port"] = int(options.pop("port"))
    return json.dumps({"conn_type": "postgres", **fields, "extra": options})


def run_pipeline(
    config: PipelineConfig, as_of: date | None = None, params: Mapping[str, Any] | None = None
) -> RunMetrics:
    """Run the daily DAG for `as_of` (the last midnight by default) and return its figures, also if it failed.

    `params` are those of the DAG. Raises `PermanentFailure` with the end of the output if the run wrote no figures.
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
    run_id = RUN_ID.search(done.stdout + done.stderr)
    with open_monitoring(config.target_dsn) as connection:
        row = read_run(connection, DAG_ID, run_id.group(1)) if run_id else None
    if row is None:
        raise PermanentFailure(
            "the run wrote no figures",
            where=" ".join(command[1:]),
            why="\n".join((done.stdout + done.stderr).splitlines()[-SHOWN_LINES:]),
            next_step="read the output above",
        )
    return metrics_of(row)
