"""Parquet files of the store, as the engine reads and writes them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

from crmbet.databases.scratch import scratch_folder
from crmbet.databases.statements import Fragment, literal, render
from crmbet.run.run import Run
from crmbet.storage.object_store import ObjectStore

if TYPE_CHECKING:
    import duckdb


class Located(Protocol):
    """What says where the engine reads a key: the store itself, or local copies of some of its files."""

    def url(self, key: str) -> str:
        """An address that the engine reads."""


def write_file(
    connection: duckdb.DuckDBPyConnection, store: ObjectStore, run: Run, key: str, query: str
) -> int:
    """Write a query's rows into one Parquet file; returns how many."""
    with scratch_folder(run.settings) as folder:
        path = folder / "rows.parquet"
        copy = render("databases/copy_to_file", rows=Fragment(query), path=literal(str(path)))
        (rows,) = connection.execute(copy).fetchone() or (0,)
        store.upload(path, key)
    return int(rows)


def column_types(connection: duckdb.DuckDBPyConnection, source: Fragment) -> dict[str, str]:
    """The engine's types of a table expression's columns, by name."""
    described = connection.execute(render("databases/describe_columns", source=source)).fetchall()
    return {str(row[0]): str(row[1]) for row in described}


def scan(store: Located, keys: Iterable[str]) -> Fragment:
    """A table expression that reads Parquet files; the `name=value` folders of their paths do not become columns."""
    return Fragment(f"read_parquet({file_list(store, keys)}, hive_partitioning = false)")


def file_list(store: Located, keys: Iterable[str]) -> Fragment:
    """Keys as the list literal that the engine's readers take."""
    return Fragment("[" + ", ".join(literal(store.url(key)) for key in keys) + "]")
