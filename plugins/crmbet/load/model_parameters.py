"""The table `model_parameters` beside the target: one row per as_of and model, for analysts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from crmbet.databases.statements import identifier, render
from crmbet.load.target import find_readers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from psycopg2 import extensions

    from crmbet.learning.records import ModelRun, ServedModel

TABLE = "model_parameters"


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The run whose models are written. Its instants are aware."""

    as_of: datetime
    known_at: datetime
    run_id: str
    written_at: datetime


def record_models(cursor: extensions.cursor, schema: str, models: ModelRun, origin: Origin) -> int:
    """Write a run's models within the transaction of a load. Returns how many rows were new or changed.

    It creates the table on first use, and lets the reader roles read it. A run does not overwrite a row of the same
    as_of that has a later known_at. Equal content writes nothing, so a retry is harmless. The transaction must hold a
    lock for which all writers of the schema queue, such as the load lock.
    """
    table = identifier(schema, TABLE)
    # CREATE TABLE IF NOT EXISTS needs the right to create a table even if the table exists.
    cursor.execute(render("load/find_table"), {"schema": schema, "table": TABLE})
    if cursor.fetchone() is None:
        cursor.execute(render("load/create_model_parameters", table=table))
        for role in find_readers(cursor, schema):
            cursor.execute(render("load/grant_table", table=table, role=identifier(role)))
    instants = {
        "as_of": origin.as_of,
        "known_at": origin.known_at,
        "execution_id": origin.run_id,
        "written_at": origin.written_at,
    }
    written = 0
    for row in _rows(models):
        cursor.execute(render("load/upsert_model_parameters", table=table), row | instants)
        written += cursor.rowcount
    return written


def _rows(models: ModelRun) -> Iterator[dict[str, Any]]:
    yield _served("pareto_nbd_deposit_days", models.deposit_days)
    yield _served("pareto_nbd_activity_days", models.activity_days)
    independence = {
        "value_correlation": models.value_correlation,
        "value_depends_on_frequency": models.value_depends_on_frequency,
    }
    yield _served("gamma_gamma_deposit_values", models.deposit_values) | {
        "evaluation": json.dumps(independence)
    }
    calibration, holdout = models.calibration, models.holdout
    yield {
        "model": "isotonic_churn",
        "parameters": calibration.model_dump_json() if calibration else None,
        "fitted_as_of": holdout.as_of if calibration and holdout else None,
        "is_fallback": False,
        "problem": models.holdout_problem or models.calibration_problem,
        "cohort": holdout.players if holdout else None,
        "log_likelihood": None,
        "evaluation": holdout.model_dump_json() if holdout else None,
    }


def _served(name: str, model: ServedModel) -> dict[str, Any]:
    fit = model.fit
    return {
        "model": name,
        "parameters": json.dumps(fit.parameters) if fit else None,
        "fitted_as_of": fit.as_of if fit else None,
        "is_fallback": model.is_fallback,
        "problem": model.problem,
        "cohort": model.cohort,
        "log_likelihood": fit.log_likelihood if fit else None,
        "evaluation": None,
    }
