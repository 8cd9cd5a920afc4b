"""Cases as data: `<theme>/<case>/` holds a source a CSV file and, in expected.yaml, the cells that must come out.

A file has the cleaned columns that matter; the rest is as in `world.TYPICAL`. The users that are expected are all who
have a row. Money is written as text, with its cents.

A computation is mostly planning, whatever its rows. So cases with one as_of and the same settings become one world.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Hashable
from dataclasses import replace
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from tests.sql.world import SOURCES, Features, World, compute_features, contracts

pytestmark = pytest.mark.sql

HERE = Path(__file__).parent
CASES = sorted(path.parent for path in HERE.glob("*/*/expected.yaml"))
COMPARED = ("markers", "rfm", "worlds")
"""Folders with features that compare a player with all others: each of their cases is a world of its own."""
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


@pytest.fixture(scope="module")
def features_of(engine: duckdb.DuckDBPyConnection) -> Callable[[Path], Features]:
    """Computes the features of a case's users, together with those of the cases like it."""
    groups = {folder: group_of(folder, read_case(folder)[0]) for folder in CASES}

    @cache
    def compute(group: Hashable) -> Features:
        return compute_features(engine, joined_world([folder for folder in CASES if groups[folder] == group]))

    def found(folder: Path) -> Features:
        rows = compute(groups[folder]).items()
        return {user.removeprefix(_of(folder)): row for user, row in rows if user.startswith(_of(folder))}

    return found


def group_of(folder: Path, world: World) -> Hashable:
    """What cases must share to be one world. Recorded sessions switch off those that are derived from bets."""
    alone = folder if folder.parent.name in COMPARED else None
    return alone, world.as_of_date, tuple(world.settings.items()), bool(world.sessions)


def joined_world(folders: list[Path]) -> World:
    """The world of all users of some cases. Rows keep the order of their ids within a case."""
    cases = [(folder, read_case(folder)[0]) for folder in folders]
    rows: dict[str, Any] = {
        source: [
            {
                contracts()[source].business_key[0]: f"{source} {number} {folder.name}",
                **row,
                "user_id": f"{_of(folder)}{row['user_id']}",
            }
            for folder, world in cases
            for number, row in enumerate(world.rows(source))
        ]
        for source in SOURCES
    }
    rows["unreadable_exclusions"] = [
        {**row, "user_id": f"{_of(folder)}{row['user_id']}"}
        for folder, world in cases
        for row in world.unreadable_exclusions
    ]
    return replace(cases[0][1], **rows)


def _of(folder: Path) -> str:
    return f"{folder.parent.name}/{folder.name}: "


@pytest.mark.parametrize("folder", CASES, ids=lambda folder: f"{folder.parent.name}/{folder.name}")
def test_case(features_of: Callable[[Path], Features], folder: Path) -> None:
    _, expected = read_case(folder)

    found = features_of(folder)

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
        *(f"{table}.csv" for table in (*SOURCES, "unreadable_exclusions")),
    }
    assert len(CASES) > 50
