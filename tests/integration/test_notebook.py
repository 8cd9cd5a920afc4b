"""The notebook for analysts runs from its first cell to its last, on a tiny table with a past."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg2
import pytest
from psycopg2.extras import execute_values

from crmbet.contracts.files import load_table_contract
from crmbet.contracts.table import FeatureColumn
from crmbet.load.session import LoadSession
from crmbet.load.target import ensure_target, history_shape, target_shape
from crmbet.load.training_set import create_training_set
from local.notebook import run

pytestmark = pytest.mark.integration

TODAY = datetime(2026, 11, 29, 3, tzinfo=UTC)
PLAYERS = 80


def cell(column: FeatureColumn, as_of: datetime, draw: random.Random) -> Any:
    """A value that the column may have."""
    if column.values:
        return draw.choice(column.values)
    match column.type:
        case "boolean":
            return draw.random() < 0.8
        case "timestamptz":
            return as_of
        case "text[]":
            return []
        case "integer" | "smallint":
            return draw.randrange(30)
        case "r01" | "real" | "money":
            return round(draw.random(), 4)
        case _:
            return "x"


@pytest.fixture
def url(new_database: Callable[[], str]) -> str:
    """A target with players as of today and as of thirty days before."""
    made, contract, draw = new_database(), load_table_contract(), random.Random(1)  # noqa: S311 - made-up players
    with closing(psycopg2.connect(made)) as connection:
        session = LoadSession(
            connection=connection, contract=contract, run_id="made up", lock_timeout_seconds=5
        )
        ensure_target(session)
        with connection, connection.cursor() as cursor:
            create_training_set(cursor, contract.schema_name, "America/Sao_Paulo")
            history = history_shape(contract)
            cursor.execute(
                f"CREATE TABLE ml_features.all_days PARTITION OF ml_features.{history.name} DEFAULT"
            )
            for shape, days in ((history, (30, 0)), (target_shape(contract), (0,))):
                fixed = {"marketing_reason": None, "gone": False, "reconstructed_because": None}
                rows = [
                    [
                        f"u{player}"
                        if name == contract.key
                        else fixed[name]
                        if name in fixed
                        else cell(column, TODAY - timedelta(days=age), draw)
                        for name, column in shape.columns.items()
                    ]
                    for age in days
                    for player in range(PLAYERS)
                ]
                names = ", ".join(shape.columns)
                execute_values(cursor, f"INSERT INTO ml_features.{shape.name} ({names}) VALUES %s", rows)
            # Half of the players fall silent.
            cursor.execute(
                f"UPDATE ml_features.{history.name} SET active_days_30d = (right(user_id, 1) >= '5')::int "
                "WHERE as_of = %s",
                (TODAY,),
            )
    return made


def test_every_cell_runs_and_shows_its_pictures(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRMBET_TARGET_URL", url)

    notebook = run()

    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    printed = "".join(output["text"] for output in outputs if output.output_type == "stream")
    assert f"{PLAYERS} players as of 2026-11-29" in printed
    assert f"{PLAYERS} players as of 2026-10-30, 50% fell silent" in printed
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == 3
    assert not [output for output in outputs if output.output_type == "stream" and output["name"] == "stderr"]
