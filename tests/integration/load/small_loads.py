"""Loads of a few rows, each a second after the one before."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from crmbet.load.load import LoadCounts, LoadRules, Strategy, load
from crmbet.load.session import LoadSession
from crmbet.load.staging import Staging

POSTGRES_15 = Path("/usr/lib/postgresql/15/bin")
DEFAULT_SERVER = os.environ.get("TEST_POSTGRES", "18")
"""The major version that loads are tested with; `make chaos` goes through all of them twice."""
BOTH_SERVERS = pytest.mark.parametrize("postgres_url", ["18", "15"], indirect=True, scope="session")
"""For the tests that matter most: on the oldest server at hand too."""

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)

_seconds = count(1)


def next_second() -> datetime:
    """An instant that no other load of this process has."""
    return NOON + timedelta(seconds=next(_seconds))


def load_rows(
    session: LoadSession, staging: Staging, strategy: Strategy = "merge", **rules: Any
) -> LoadCounts:
    """Load by rules that allow everything unless told; the counts without the backup's name."""
    allowed: dict[str, Any] = {"gone_users": "keep", "max_shrink": 1.0}
    counts = load(session, staging, LoadRules(strategy=strategy, **allowed | rules), next_second())
    return replace(counts, backup=None)
