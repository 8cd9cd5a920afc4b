"""Keys are made once, differ between workspaces, and show up nowhere by accident."""

from __future__ import annotations

import stat
from dataclasses import asdict
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from local.credentials import credentials
from local.workspace import Workspace, read_record, write_record

pytestmark = pytest.mark.unit


def test_keys_are_made_once_and_kept_private(workspace: Workspace) -> None:
    first = credentials(workspace)

    assert credentials(workspace) == first
    assert stat.S_IMODE(workspace.record("credentials").stat().st_mode) == 0o600


def test_no_key_is_shared_between_workspaces_or_purposes(workspace: Workspace, tmp_path: Path) -> None:
    ours = asdict(credentials(workspace)).values()
    theirs = asdict(credentials(Workspace(tmp_path / "other"))).values()

    assert len({*ours, *theirs}) == 2 * len(ours)


def test_a_key_that_a_newer_version_wants_is_added_to_the_others(workspace: Workspace) -> None:
    first = asdict(credentials(workspace))
    path = workspace.record("credentials")
    older = {name: value for name, value in read_record(path).items() if name != "jwt_secret"}
    write_record(path, {**older, "given_up": "x"})

    second = asdict(credentials(workspace))
    assert {name for name in first if first[name] != second[name]} == {"jwt_secret"}
    assert credentials(workspace).jwt_secret == second["jwt_secret"]


def test_the_representation_shows_none(workspace: Workspace) -> None:
    keys = credentials(workspace)
    assert not [value for value in asdict(keys).values() if value in repr(keys)]


def test_the_fernet_key_is_one(workspace: Workspace) -> None:
    Fernet(credentials(workspace).fernet_key)
