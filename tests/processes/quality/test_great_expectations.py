"""What Great Expectations writes into the log of a gate's process when it is imported."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from local.workspace import PROJECT

pytestmark = [pytest.mark.processes, pytest.mark.full]

IMPORT = (
    "import logging; logging.basicConfig(level=logging.WARNING, format='%(name)s: %(message)s'); "
    "import crmbet.quality.great_expectations.expectations; logging.warning('the log is on')"
)


def test_classes_in_place_of_its_own_are_registered_without_a_warning() -> None:
    environ = os.environ | {"PYTHONPATH": str(PROJECT / "plugins")}

    done = subprocess.run(
        [sys.executable, "-c", IMPORT], env=environ, cwd=PROJECT, capture_output=True, text=True, check=True
    )

    logged = [line for line in done.stderr.splitlines() if line.startswith(("root:", "great_expectations"))]
    assert logged == ["root: the log is on"]
