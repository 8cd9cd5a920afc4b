"""Parquet files of the store, as the engine reads and writes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from crmbet.databases.scratch import scratch_folder
from crmbet.databases.statements import Fragment, literal, render
from crmbet.databases.work import Work
from crmbet.storage.verified import keep_file

if TYPE_CHECKING:
    import duckdb

LARGEST_PRECISION = 38
"""The most digits of a decimal in the engine."""


class Located(Protocol):
    """Knows where the engine reads keys: local copies of them, which were compared with their checksums."""

    def urls(self, keys: Iterable[str]) -> Sequence[str]:
        """Addresses that the engine reads."""


def scan(files: Located, keys: Iterable[str], *, by_name: bool = False, numbered: bool = False) -> Fragment:
    """A table expression that reads Parquet files; the `name=value` folders of their paths do not become columns.

    Files with other columns than the first one are read only if `by_name`: what a file lacks is NULL. If `numbered`,
    the column `file_row_number` has a row's place in its file.
    """
    more = ", union_by_name = true" if by_name else ""
    more += ", file_row_number = true" if numbered else ""
    return Fragment(f"read_parquet({file_list(files, keys)}, hive_partitioning = false{more})")


def local_scan(paths: Iterable[Path]) -> Fragment:
    """A table expression that reads local Parquet files of the same columns."""
    listed = ", ".join(literal(str(path)) for path in paths)
    return Fragment(f"read_parquet([{listed}], hive_partitioning = false)")


def file_list(files: Located, keys: Iterable[str]) -> Fragment:
    """Keys as the list literal that the engine's readers take."""
    return Fragment("[" + ", ".join(literal(url) for url in files.urls(keys)) + "]")


def column_types(connection: duckdb.DuckDBPyConnection, source: Fragment) -> dict[str, str]:
    """The engine's types of a table expression's columns, by name."""
    described = connection.execute(render("databases/describe_columns", source=source)).fetchall()
    return {str(row[0]): str(row[1]) for row in described}


def write_file(work: Work, key: str, query: str) -> tuple[str, int]:
    """Write a query's rows into one Parquet file of the store; returns its key, as `keep_file` does, and the rows."""
    with scratch_folder(work.run.settings) as folder:
        path = folder / "rows.parquet"
        rows = copy_to_file(work.connection, query, path)
        kept = keep_file(work.store, path, key)
    return kept, rows


def copy_to_file(connection: duckdb.DuckDBPyConnection, query: str, path: Path) -> int:
    """Write a query's rows into a local Parquet file; returns their number."""
    copy = render("databases/copy_to_file", rows=Fragment(query), path=literal(str(path)))
    (rows,) = connection.execute(copy).fetchone() or (0,)
    return int(rows)
