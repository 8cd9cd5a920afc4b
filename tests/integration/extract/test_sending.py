"""Segments are sent beside the work that makes the next ones, and never counts one whose files are not there."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from crmbet.datasets.sending import SEGMENTS_UNDER_WAY, Sending, sending
from crmbet.failures import LostConnection
from crmbet.run.settings import Settings
from crmbet.storage.verified import checksum_in, fetch_file

pytestmark = pytest.mark.integration

DONE = "crmbet/day=1/a_done.json"


@pytest.fixture
def spill(tmp_path: Path) -> Settings:
    return Settings.of(lake_bucket="unused", spill_directory=str(tmp_path))


def keep(outgoing: Sending, folder: Path, name: str) -> str:
    path = folder / name
    path.write_text(name)
    return outgoing.keep_file(path, f"crmbet/day=1/{name}.parquet")


def test_a_done_file_comes_after_the_files_of_its_segment(
    store: Any, spill: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload, released = store.upload, threading.Event()

    def held_back(path: Path, key: str) -> None:
        assert released.wait(30)
        upload(path, key)

    monkeypatch.setattr(store, "upload", held_back)
    with sending(store, spill) as outgoing:
        keys = [keep(outgoing, tmp_path, "a"), keep(outgoing, tmp_path, "b")]
        outgoing.end_segment(partial(store.write, DONE, b"{}"))
        assert store.read(DONE) is None, "the task goes on, and the segment does not count yet"
        released.set()

    assert store.read(DONE) == b"{}"
    for key in keys:
        assert checksum_in(key)
        fetch_file(store, key, tmp_path / "back")
    assert not list(tmp_path.glob("crmbet-*")), "nothing is left on the disk"


def test_a_segment_whose_file_is_lost_on_its_way_never_counts(
    store: Any, spill: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = store.upload

    def fail_once(path: Path, key: str) -> None:
        if "/b." in key:
            raise LostConnection("S3 cannot be reached", where=key)
        upload(path, key)

    def send() -> None:
        with sending(store, spill) as outgoing:
            for name in ("a", "b", "c"):
                keep(outgoing, tmp_path, name)
            outgoing.end_segment(partial(store.write, DONE, b"{}"))

    monkeypatch.setattr(store, "upload", fail_once)
    with pytest.raises(LostConnection):
        send()

    assert store.read(DONE) is None


def test_no_more_segments_are_on_the_disk_than_may_be_under_way(
    store: Any, spill: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload, most = store.upload, 0

    def look(path: Path, key: str) -> None:
        nonlocal most
        most = max(most, len(list(path.parent.iterdir())))
        upload(path, key)

    monkeypatch.setattr(store, "upload", look)
    with sending(store, spill) as outgoing:
        for number in range(3 * SEGMENTS_UNDER_WAY):
            keep(outgoing, tmp_path, f"file{number}")
            outgoing.end_segment(partial(store.write, f"crmbet/day={number}/a_done.json", b"{}"))

    assert 0 < most <= SEGMENTS_UNDER_WAY + 1, "and the one that is being made"
