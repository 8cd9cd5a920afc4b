"""Cases as data: `<theme>/<case>/` holds a source a CSV file and, in expected.yaml, the cells that must come out.

A file has the cleaned columns that matter; the rest is as in `world.TYPICAL`. The users that are expected are all who
have a row. Money is written as text, with its cents.
"""

from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from tests.sql.world import SOURCES, World, compute_features

pytestmark = pytest.mark.sql

HERE = Path(__file__).parent
CASES = sorted(path.parent for path in HERE.glob("*/*/expected.yaml"))
FOLDERS = sorted(path for path in HERE.glob("*/*/") if "__pycache__" not in path.parts)


def read_case(folder: Path) -> tuple[World, dict[str, dict[str, Any]]]:
    expected = yaml.safe_load((folder / "expected.yaml").read_text(encoding="utf-8"))
    tables = {path.stem: _read_rows(path) for path in folder.glob("*.csv")}
    settings = expected.get("settings", {})
    world = World(as_of_date=expected["as_of"], settings=settings, **tables)
    return world, expected["users"]


def _read_rows(path: Path) -> list[dict[str, str | None]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [
            {name: value or None for name, value in row.items()} for row in csv.DictReader(file, strict=True)
        ]


def plain(cell: Any) -> Any:
    return str(cell) if isinstance(cell, Decimal) else cell


@pytest.mark.parametrize("folder", CASES, ids=lambda folder: f"{folder.parent.name}/{folder.name}")
def test_case(engine: duckdb.DuckDBPyConnection, folder: Path) -> None:
    world, expected = read_case(folder)

    found = compute_features(engine, world)

    assert {
        user: {name: plain(found[user][name]) for name in cells}
        for user, cells in expected.items()
        if user in found
    } == expected
    assert set(found) == set(expected)


def test_every_folder_is_a_case() -> None:
    assert FOLDERS == CASES
    assert {path.name for folder in CASES for path in folder.iterdir()} <= {
        "expected.yaml",
        *(f"{source}.csv" for source in SOURCES),
    }
    assert len(CASES) > 50
