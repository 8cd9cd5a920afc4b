"""Files are fetched from S3 a batch ahead of their use, and their copies go when no batch needs them any more."""

from __future__ import annotations

import threading
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import IncompleteReadError

from crmbet.datasets.prefetch import fetch_ahead
from crmbet.failures import DamagedObject, LostConnection
from crmbet.run.settings import Settings
from crmbet.storage.layout import aside
from crmbet.storage.verified import fetch_file, keep_file

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
            found.append([Path(path).read_text() for path in files.urls(batch)])

    assert found == BATCHES
    assert sorted(asked) == sorted({key for batch in BATCHES for key in batch}), "each once"


def test_copies_stay_as_long_as_a_batch_needs_them(
    store: Any, spill: Settings, asked: list[str], tmp_path: Path
) -> None:
    def copies() -> list[Path]:
        return [path for path in tmp_path.rglob("*.parquet") if path.is_file()]

    with closing(fetch_ahead(store, spill, BATCHES)) as fetched:
        first = next(fetched)
        shared, own = map(Path, first.urls(["crmbet/day=2/a", "crmbet/day=1/a"]))
        assert own.exists()
        assert copies()
        second = next(fetched)
        assert second.urls(["crmbet/day=2/a"]) == [str(shared)]
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
        pytest.raises(DamagedObject, match="it is gone") as failure,
    ):
        list(fetched)
    assert "crmbet/day=9/gone" in str(failure.value)


def test_a_file_that_was_changed_in_the_bucket_is_moved_aside_and_its_copy_is_not_used(
    store: Any, spill: Settings, tmp_path: Path
) -> None:
    (tmp_path / "written").write_bytes(b"what was written")
    kept = keep_file(store, tmp_path / "written", "crmbet/brand=b/state/day=1/set=2/a.parquet")
    fetch_file(store, kept, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"what was written"

    store.write(kept, b"what was Written")
    with closing(fetch_ahead(store, spill, [[kept]])) as fetched, pytest.raises(DamagedObject, match=kept):
        next(fetched)

    assert [entry.key for entry in store.list("crmbet/")] == [aside(kept)]
    assert store.read(aside(kept)) == b"what was Written"
    with pytest.raises(DamagedObject, match="it is gone"):
        fetch_file(store, kept, tmp_path / "copy")


def test_a_file_that_was_damaged_on_the_way_is_fetched_again(
    store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "written").write_bytes(b"what was written")
    kept = keep_file(store, tmp_path / "written", "crmbet/brand=b/state/day=1/set=2/a.parquet")
    fetch, answers = store.fetch, iter([b"cut off", None])

    def once_damaged(key: str, path: Path) -> None:
        damaged = next(answers)
        fetch(key, path) if damaged is None else path.write_bytes(damaged)

    monkeypatch.setattr(store, "fetch", once_damaged)
    fetch_file(store, kept, tmp_path / "copy")

    assert (tmp_path / "copy").read_bytes() == b"what was written"


@pytest.mark.parametrize("left", [0, 7], ids=["emptied", "cut off"])
def test_a_file_that_was_cut_off_on_the_servers_disk_is_damaged(
    store: Any, services: Any, bucket: str, tmp_path: Path, left: int
) -> None:
    (tmp_path / "written").write_bytes(b"what was written")
    kept = keep_file(store, tmp_path / "written", "crmbet/brand=b/state/day=1/set=2/a.parquet")
    # The server may remember its size, and end its answer too soon.
    (services.object_store.folder / bucket / kept).write_bytes(b"what was written"[:left])

    with pytest.raises(DamagedObject, match=rf"(gives|its) {left} "):
        fetch_file(store, kept, tmp_path / "copy")

    assert kept not in [entry.key for entry in store.list("crmbet/")]


def test_a_connection_that_breaks_is_no_damage(
    store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "written").write_bytes(b"what was written")
    kept = keep_file(store, tmp_path / "written", "crmbet/brand=b/state/day=1/set=2/a.parquet")
    received = iter([3, 5])

    def broken(key: str, path: Path) -> None:
        raise LostConnection("S3 cannot be reached", where=str(path)) from IncompleteReadError(
            actual_bytes=next(received), expected_bytes=len(key)
        )

    with monkeypatch.context() as patch:
        patch.setattr(store, "fetch", broken)
        with pytest.raises(LostConnection):
            fetch_file(store, kept, tmp_path / "copy")

    fetch_file(store, kept, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"what was written"


@pytest.mark.parametrize("days", [3, 40])
def test_a_capture_is_cleaned_from_a_copy_however_many_days_it_has(
    put: Any, capture: Any, clean: Any, store: Any, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    placed = [f"{date(2026, 5, 1) + timedelta(days=day)}T15:00:00Z" for day in range(days)]
    rows = [f"b{number},u1,{at},slots,1" for number, at in enumerate(placed)]
    put("a.csv", "\n".join(["bet_id,user_id,placed_at,game_type,stake", *rows]) + "\n")
    captured = capture()
    fetched: list[str] = []
    fetch = store.fetch

    def noted(key: str, path: Path) -> None:
        fetched.append(key)
        fetch(key, path)

    monkeypatch.setattr(store, "fetch", noted)
    assert clean(captured).accepted == days
    assert fetched == captured.captures[0].files, "once, whatever the number of batches"
