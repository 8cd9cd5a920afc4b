"""A target with rows, as the tests of loading have it."""

from __future__ import annotations

from tests.integration.load.conftest import (
    connect,
    contract,
    engine,
    open_session,
    postgres_url,
    query,
    row,
    server_15,
    session,
    stage,
)

__all__ = [
    "connect",
    "contract",
    "engine",
    "open_session",
    "postgres_url",
    "query",
    "row",
    "server_15",
    "session",
    "stage",
]
