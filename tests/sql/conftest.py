"""The real engine, without S3."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from crmbet.databases.duckdb import open_engine
from crmbet.run.settings import Settings


@pytest.fixture(scope="module")
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    """One a module: some keep cleaned rows in tables, others have views of the same names."""
    # One thread: the tables are tiny, and handing them out costs a fifth of the time.
    with open_engine(Settings.of(lake_bucket="none", memory_limit="512MB", threads=1)) as connection:
        yield connection
