"""Small files are private and whole; one command at a time works on a workspace."""

from __future__ import annotations

import multiprocessing
import os
import stat
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from local.workspace import Workspace, read_record, write_private, write_record

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_a_private_file_is_its_owners_alone(tmp_path: Path, umask: int) -> None:
    path = tmp_path / "folder" / "file"
    path.parent.mkdir()
    path.write_text("older, and readable by all")
    path.chmod(0o644)
    before = os.umask(umask)
    try:
        write_private(path, "text")
    finally:
        os.umask(before)

    assert path.read_text() == "text"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("content", ["", '{"half": ', "[1]", "null"])
def test_a_torn_record_reads_as_none(tmp_path: Path, content: str) -> None:
    path = tmp_path / "record.json"
    path.write_text(content)
    assert read_record(path) == {}


def test_a_record_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    assert read_record(path) == {}
    write_record(path, {"port": 1})
    assert read_record(path) == {"port": 1}


def _take_turn(workspace: Workspace, started: Event, entered: Event) -> None:
    started.set()
    with workspace.locked():
        entered.set()


def test_a_second_command_waits_for_the_first(workspace: Workspace) -> None:
    context = multiprocessing.get_context("spawn")
    started, entered = context.Event(), context.Event()
    second = context.Process(target=_take_turn, args=(workspace, started, entered))
    with workspace.locked():
        second.start()
        assert started.wait(30)
        assert not entered.wait(0.3)
    assert entered.wait(30)
    second.join(30)
