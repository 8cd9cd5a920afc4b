"""Whom the demo shows, and that its figures add up on the screen."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from local.api import Task
from local.demo_summary import SHOWN_COLUMNS, USUAL_STAGE, Outcome, _one_of_each, print_summary
from local.simulator.archetypes import NAMES
from local.workspace import Workspace

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


def cleaned(source: dict[str, Any]) -> dict[str, Any]:
    return {"accepted": 0, "duplicates": 0, "quarantined": {}, "outside": {}, **source}


def test_the_screen_accounts_for_every_extracted_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clean = {
        "sources": {
            "bets": cleaned(
                {
                    "extracted": 1000,
                    "accepted": 900,
                    "duplicates": 10,
                    "quarantined": {"stake: unreadable": 5},
                    "outside": {"at or after as_of": 85},
                }
            ),
            "players": cleaned({"extracted": 4000, "accepted": 2000, "outside": {"older snapshots": 2000}}),
            "limits": cleaned({"extracted": 7, "accepted": 7}),
        }
    }
    outcome = Outcome(
        dag="user_features_daily",
        run_id="manual__1",
        tasks=[Task("clean", "success", 1.0)],
        manifests={"clean": clean},
        rows=[],
        table_rows=0,
        bucket="lake",
        failure="",
    )

    print_summary(outcome, Workspace(tmp_path), seconds=1)

    shown = capsys.readouterr().out
    found = re.search(
        r"([\d,]+) extracted = ([\d,]+) accepted \+ ([\d,]+) quarantined \+ ([\d,]+) duplicates "
        r"\+ ([\d,]+) outside this run",
        shown,
    )
    assert found, shown
    extracted, *parts = (int(figure.replace(",", "")) for figure in found.groups())
    assert extracted == sum(parts) == 5007
    outside = shown.partition("Outside this run")[2]
    assert re.search(r"bets +85 +at or after as_of 85", outside)
    assert re.search(r"players +2,000 +older snapshots 2,000", outside)
    assert re.search(r"limits +0 +nothing", outside)
