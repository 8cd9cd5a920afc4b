"""Whom the demo shows."""

from __future__ import annotations

from typing import Any

import pytest

from local.demo_summary import SHOWN_COLUMNS, USUAL_STAGE, _one_of_each
from local.simulator.archetypes import NAMES

pytestmark = pytest.mark.unit


def player(user: str, stage: str) -> tuple[Any, ...]:
    cells = dict.fromkeys(SHOWN_COLUMNS) | {"user_id": user, "lifecycle_stage": stage}
    return tuple(cells.values())


def test_a_kind_is_shown_by_the_middle_one_of_its_usual_stage() -> None:
    rows = [
        *(player(f"r{number}", stage) for number, stage in enumerate(("churned", *["active"] * 3, "new"))),
        *(player(f"b{number}", stage) for number, stage in enumerate(("churned", "churned", "reactivated"))),
        player("n0", "new"),
        player("stranger", "active"),
    ]
    kinds = {"r": "regular", "b": "reactivated", "n": "churned"}
    drawn = {row[0]: kinds[row[0][0]] for row in rows if row[0] != "stranger"}

    shown = _one_of_each(rows, drawn)

    assert [row[:2] for row in shown] == [("churned", "n0"), ("reactivated", "b2"), ("regular", "r2")]
    assert set(USUAL_STAGE) <= set(NAMES)
