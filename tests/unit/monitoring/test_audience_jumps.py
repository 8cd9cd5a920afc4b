"""An audience that changes by much is told of, and one that changes by chance, or for the first time, is not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from crmbet.audiences.records import Publication
from crmbet.monitoring.audience_jumps import describe_audience_jumps

pytestmark = pytest.mark.unit


def published(**changes: Any) -> Publication:
    usual: dict[str, Any] = {
        "publication": "two", "audience": "big", "purpose": "marketing", "definition": "d", "baseline": "one",
        "as_of": datetime(2026, 11, 20, tzinfo=UTC), "members": 1000, "entered": 10, "left": 10, "excluded": {},
        "files": {},
    }  # fmt: skip
    return Publication(**usual | changes)


def test_a_jump_says_from_where_to_where() -> None:
    told = describe_audience_jumps([published(), published(members=400, entered=0, left=600)], 0.25)
    assert told is not None
    assert "big from 1000 to 400 players (0 entered, 600 left)" in told.what
    assert told.kind == "AudienceJump"


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"members": 1100, "entered": 110},
        {"members": 6, "entered": 4},
        {"entered": 1000, "baseline": None},
    ],
)
def test_no_jump(changes: dict[str, Any]) -> None:
    assert describe_audience_jumps([published(**changes)], 0.25) is None
