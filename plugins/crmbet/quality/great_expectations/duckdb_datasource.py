# ruff: noqa: TID253 - these are subclasses, so their bases are needed to define them; only `gate.check` imports this.
"""Great Expectations on a DuckDB connection that the caller opened.

Great Expectations does not support DuckDB, and duckdb-engine opens connections of its own, which would not see the
caller's temporary views. This module has a SQLAlchemy dialect that uses the caller's connection, and a datasource for
it. The dialect reads columns with DESCRIBE, and its name is postgresql, because DuckDB understands PostgreSQL's SQL.

Nothing is rolled back or closed on the lent connection: that would discard a DuckDB result before Great Expectations
has read it. Every statement commits by itself, so a failed one leaves no broken transaction for the next statement or
the caller.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

import duckdb_engine
from great_expectations.datasource.fluent.sql_datasource import SQLDatasource
from sqlalchemy.dialects import registry
from sqlalchemy.engine import URL
from sqlalchemy.pool import Pool, StaticPool
from sqlalchemy.types import UserDefinedType

from crmbet.databases.statements import identifier

if TYPE_CHECKING:
    import duckdb

DIALECT = "crmbet_duckdb"

_LENT: dict[str, duckdb.DuckDBPyConnection] = {}
"""Connections on loan, by token: Great Expectations rebuilds a datasource from text."""


@contextmanager
def lend(connection: duckdb.DuckDBPyConnection) -> Iterator[str]:
    """The address under which a datasource can use the connection, inside the with block."""
    token = uuid4().hex
    _LENT[token] = connection
    try:
        yield f"{DIALECT}:///{token}"
    finally:
        del _LENT[token]


class BorrowedConnection(duckdb_engine.ConnectionWrapper):
    """The caller's connection. Only the caller closes it."""

    def close(self) -> None:
        """Mark this wrapper as closed. The connection stays open."""
        self.closed = True


class DuckDBType(UserDefinedType[Any]):
    """A column's type as DuckDB spells it, such as DECIMAL(18,4)."""

    cache_ok = True

    def __init__(self, spelling: str) -> None:
        self.spelling = spelling

    def get_col_spec(self, **_: Any) -> str:
        """The spelling. Expectations about types compare it with theirs."""
        return self.spelling

    def __repr__(self) -> str:
        return self.spelling


class BorrowedDuckDBDialect(duckdb_engine.Dialect):
    """duckdb-engine's dialect on a lent connection. Its name is that of the SQL which is generated for it."""

    name = "postgresql"
    driver = DIALECT
    supports_statement_cache = True

    @classmethod
    def get_pool_class(cls, url: URL) -> type[Pool]:  # noqa: ARG003 - the signature is SQLAlchemy's
        """A pool of one connection."""
        return StaticPool

    def create_connect_args(self, url: URL) -> tuple[tuple[()], dict[str, Any]]:
        """The token that `lend` made."""
        return (), {"token": url.database}

    def connect(self, *_: Any, **arguments: Any) -> Any:
        """The lent connection."""
        return BorrowedConnection(_LENT[arguments["token"]])

    def do_begin(self, connection: Any) -> None:
        """Do nothing: statements commit by themselves."""

    def do_commit(self, dbapi_connection: Any) -> None:
        """Do nothing."""

    def do_rollback(self, connection: Any) -> None:
        """Do nothing."""

    def get_columns(self, connection: Any, table_name: Any, schema: Any = None, **_: Any) -> Any:  # noqa: ARG002
        """Names and types of a table's or view's columns, in order."""
        described = connection.exec_driver_sql(f"DESCRIBE {identifier(str(table_name))}")
        return [
            {"name": name, "type": DuckDBType(spelling), "nullable": True, "default": None}
            for name, spelling, *_ in described
        ]

    def get_pk_constraint(self, *_: Any, **__: Any) -> Any:
        """None: views have no keys."""
        return {"constrained_columns": [], "name": None}


registry.register(DIALECT, __name__, BorrowedDuckDBDialect.__name__)


class DuckDBDatasource(SQLDatasource):
    """Tables and views of a lent connection. `connection_string` comes from `lend`."""

    type: Literal["crmbet_duckdb"] = "crmbet_duckdb"  # type: ignore[assignment]
    connection_string: str
