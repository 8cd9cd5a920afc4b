"""A whole workspace of a module's own, as `make services` makes it in a checkout."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from local import services as embedded
from local.workspace import Workspace


@pytest.fixture(scope="module")
def workspace(session_folder: Path, request: pytest.FixtureRequest) -> Iterator[Workspace]:
    """Services that have been started once; a test that stops them need not start them again."""
    found = Workspace(session_folder / request.module.__name__.rpartition(".")[2])
    try:
        embedded.up(found)
        yield found
    finally:
        embedded.stop(found)
