"""Digests name what stores already hold: a changed recipe would make every store rebuild itself."""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from crmbet.contracts.strict import content_digest
from crmbet.databases import statements
from crmbet.datasets.records import DayFiles
from crmbet.datasets.segments import folder_of_days
from crmbet.extract.ledger import chunk_digest
from crmbet.storage.digests import digest
from crmbet.storage.layout import Layout

pytestmark = pytest.mark.unit


def test_the_recipe_is_a_shortened_sha_256_of_the_parts_joined_by_nul() -> None:
    # printf 'a\0b' | sha256sum
    assert digest("a", b"b") == "59b271ae1bbcb1d31d419298"
    assert digest("a", "b", length=8) == "59b271ae"


def test_parts_do_not_run_into_each_other() -> None:
    assert digest("ab", "c") != digest("a", "bc")


def test_every_use_has_the_recipe_of_the_stores_that_exist(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "clean").mkdir()
    (tmp_path / "clean" / "a.sql").write_text("SELECT 1")
    monkeypatch.setattr(statements, "STATEMENTS", tmp_path)
    day = DayFiles(
        day=date(2026, 3, 1), digest="d1", files=[], rows=1, made_at=datetime(2026, 4, 1, tzinfo=UTC)
    )

    assert statements.statements_digest("clean") == hashlib.sha256(b"a.sql\0SELECT 1\0").hexdigest()[:16]
    assert chunk_digest("bets", "key") == hashlib.sha256(b"bets\0key").hexdigest()[:24]
    assert content_digest({"b": 1, "a": [2]}) == hashlib.sha256(b'{"a": [2], "b": 1}').hexdigest()[:16]
    layout, next_day = Layout(brand="acme"), day.model_copy(update={"day": date(2026, 3, 2), "digest": "d2"})
    assert folder_of_days(layout, "state", [day]).prefix == "crmbet/brand=acme/state/day=2026-03-01/set=d1/"
    both = hashlib.sha256(b"2026-03-01 d1\0002026-03-02 d2").hexdigest()[:24]
    assert folder_of_days(layout, "state", [next_day, day]).prefix.endswith(f"day=2026-03-01/set={both}/")
