"""The folders of running tasks stay, those of killed ones go."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from crmbet.databases.scratch import scratch_folder
from crmbet.run.settings import Settings

pytestmark = pytest.mark.unit


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.of(lake_bucket="lake", spill_directory=str(tmp_path))


def test_a_folder_is_gone_at_the_end(settings: Settings, tmp_path: Path) -> None:
    with scratch_folder(settings) as folder:
        (folder / "spilled").write_text("much")

    assert list(tmp_path.iterdir()) == []


def test_a_running_tasks_folder_is_left_alone(settings: Settings) -> None:
    with scratch_folder(settings) as first:
        with scratch_folder(settings) as second:
            assert first.exists()
            assert second.exists()
        assert first.exists()


def test_a_killed_tasks_folder_goes_with_the_next_task(settings: Settings, tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        with scratch_folder(settings) as folder:
            (folder / "spilled").write_text("much")
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert len(list(tmp_path.glob("*/files/spilled"))) == 1

    with scratch_folder(settings):
        assert list(tmp_path.glob("*/files/spilled")) == []
