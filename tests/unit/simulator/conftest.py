"""A world of some hundred players over four months, drawn once."""

from __future__ import annotations

from datetime import date

import pytest

from local.simulator import World
from tests.unit.simulator.history import History


@pytest.fixture(scope="session")
def history() -> History:
    return History.of(World(seed=11, players=1_200, start_day=date(2026, 3, 2), end_day=date(2026, 6, 22)))
