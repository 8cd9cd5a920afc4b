"""What a task works with, in one object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from crmbet.run.run import Run
from crmbet.storage.object_store import ObjectStore

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True, kw_only=True)
class Work:
    """The run that a task obeys, the store that it reads and writes, and its connection of the data engine."""

    run: Run
    store: ObjectStore
    connection: duckdb.DuckDBPyConnection
