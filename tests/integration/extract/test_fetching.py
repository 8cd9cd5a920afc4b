"""Files are fetched from S3 a batch ahead of their use, and their copies go when no batch needs them any more."""

from __future__ import annotations

import threading
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from crmbet.datasets.prefetch import fetch_ahead
from crmbet.failures import SourceMissing
from crmbet.run.settings import Settings

pytestmark = pytest.mark.integration

BATCHES = [["crmbet/day=1/a", "crmbet/day=2/a"], ["crmbet/day=2/a", "crmbet/day=3/a"], [], ["crmbet/day=4/a"]]


@pytest.fixture
def spill(tmp_path: Path) -> Settings:
    return Settings.of(lake_bucket="unused", spill_directory=str(tmp_path))


@pytest.fixture
def asked(store: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys that were fetched; they are in the bucket."""
    for batch in BATCHES:
        for key in batch:
            store.write(key, key.encode())
    keys: list[str] = []
    fetch = store.fetch

    def noted(key: str, path: Path) -> None:
        keys.append(key)
        fetch(key, path)

    monkeypatch.setattr(store, "fetch", noted)
    return keys


def test_each_batch_finds_its_own_files(store: Any, spill: Settings, asked: list[str]) -> None:
    found = []
    with closing(fetch_ahead(store, spill, BATCHES)) as fetched:
        for batch, files in zip(BATCHES, fetched, strict=True):
            found.append([Path(files.url(key)).read_text() for key in batch])

    assert found == BATCHES
    assert sorted(asked) == sorted({key for batch in BATCHES for key in batch}), "each once"
    assert files.url("crmbet/else") == store.url("crmbet/else"), "what was not asked for is read in the store"


def test_copies_stay_as_long_as_a_batch_needs_them(
    store: Any, spill: Settings, asked: list[str], tmp_path: Path
) -> None:
    def copies() -> list[Path]:
        return [path for path in tmp_path.rglob("*crmbet*a") if path.is_file()]

    with closing(fetch_ahead(store, spill, BATCHES)) as fetched:
        first = next(fetched)
        shared, own = Path(first.url("crmbet/day=2/a")), Path(first.url("crmbet/day=1/a"))
        assert own.exists()
        assert copies()
        second = next(fetched)
        assert Path(second.url("crmbet/day=2/a")) == shared
        assert shared.exists()
        assert not own.exists()
        next(fetched)
        assert not shared.exists()
    assert not copies(), "nothing is left, the last batch never having been asked for"


def test_the_next_batch_is_on_its_way_while_one_is_used(
    store: Any, spill: Settings, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arrived = threading.Event()
    noted = store.fetch

    def fetch(key: str, path: Path) -> None:
        noted(key, path)
        if key == "crmbet/day=3/a":
            arrived.set()

    monkeypatch.setattr(store, "fetch", fetch)
    with closing(fetch_ahead(store, spill, BATCHES)) as fetched:
        next(fetched)
        assert arrived.wait(30)
        assert "crmbet/day=4/a" not in asked, "the one after the next waits"


def test_a_file_that_is_gone_is_named(store: Any, spill: Settings) -> None:
    store.write("crmbet/day=1/a", b"here")
    with (
        closing(fetch_ahead(store, spill, [["crmbet/day=1/a"], ["crmbet/day=9/gone"]])) as fetched,
        pytest.raises(SourceMissing, match="not there any more") as failure,
    ):
        list(fetched)
    assert "crmbet/day=9/gone" in str(failure.value)


def test_a_capture_of_many_days_is_read_in_place(
    put: Any, capture: Any, clean: Any, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bets(first: date, days: int) -> str:
        placed = [f"{first + timedelta(days=day)}T15:00:00Z" for day in range(days)]
        rows = [f"{first}-{number},u1,{at},slots,1" for number, at in enumerate(placed)]
        return "\n".join(["bet_id,user_id,placed_at,game_type,stake", *rows]) + "\n"

    keys = [put("long.csv", bets(date(2026, 1, 1), 40)), put("short.csv", bets(date(2026, 5, 1), 3))]
    captured = capture()
    files = {taken.chunk: taken.files for taken in captured.captures}
    fetched: list[str] = []
    fetch = store.fetch

    def noted(key: str, path: Path) -> None:
        fetched.append(key)
        fetch(key, path)

    monkeypatch.setattr(store, "fetch", noted)
    assert clean(captured).accepted == 43
    assert fetched == files[keys[1]]
