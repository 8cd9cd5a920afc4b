"""A whole workspace of its own, as `make services` makes it in a checkout."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local import services as embedded
from local.workspace import Workspace


@pytest.fixture(scope="session")
def workspace(session_folder: Path, make_services_ready: Callable[[Workspace], None]) -> Iterator[Workspace]:
    """Services that have been started once; a test that stops them need not start them again."""
    found = Workspace(session_folder / "whole")
    try:
        make_services_ready(found)
        embedded.up(found)
        yield found
    finally:
        embedded.stop(found)
