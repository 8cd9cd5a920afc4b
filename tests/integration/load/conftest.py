"""Runs with a target on the real server, and rows to load into it."""

from __future__ import annotations

import uuid
from contextlib import ExitStack
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest
from psycopg2.extras import execute_values

from crmbet.contracts.files import load_table_contract
from crmbet.contracts.table import ENGINE_TYPES, TableContract
from crmbet.databases.duckdb import open_engine
from crmbet.databases.statements import identifier
from crmbet.load.session import LoadSession
from crmbet.load.staging import Staging
from crmbet.load.target import ensure_target
from crmbet.run.settings import Settings
from local.postgres import EmbeddedPostgres
from local.workspace import Workspace
from tests.integration.load.small_loads import DEFAULT_SERVER, POSTGRES_15

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import duckdb
    from psycopg2.extensions import connection

Row = dict[str, Any]

NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

VALUES = {
    "text": "prospect",
    "text[]": ["push", "sms"],
    "varchar(50)": "u",
    "char(3)": "BRL",
    "integer": 7,
    "smallint": 2,
    "real": 1.25,
    "r01": 0.5,
    "money": Decimal("12.34"),
    "boolean": True,
    "timestamptz": datetime(2026, 11, 20, 3, tzinfo=UTC),
}


@pytest.fixture(scope="session")
def server_15(session_folder: Path) -> Iterator[EmbeddedPostgres]:
    """PostgreSQL 15, where Debian's package is installed."""
    if not POSTGRES_15.is_dir():
        pytest.skip(f"PostgreSQL 15 is not installed: there is no {POSTGRES_15}")
    own = EmbeddedPostgres(Workspace(session_folder / "postgres15"), NOT_DURABLE, POSTGRES_15)
    own.start()
    yield own
    own.stop()


@pytest.fixture(scope="session")
def postgres_url(request: pytest.FixtureRequest, new_database: Callable[[], str]) -> str:
    """One database for all tests of loading; `BOTH_SERVERS` asks for one on each server."""
    if getattr(request, "param", DEFAULT_SERVER) == "18":
        return new_database()
    server: EmbeddedPostgres = request.getfixturevalue("server_15")
    server.create_database("loading")
    return server.url("loading")


@pytest.fixture
def connect(postgres_url: str) -> Iterator[Callable[[], connection]]:
    """Opens connections that are closed after the test."""
    with ExitStack() as opened:

        def open_connection() -> connection:
            made = psycopg2.connect(postgres_url)
            opened.callback(made.close)
            return made

        yield open_connection


@pytest.fixture
def contract(connect: Callable[[], connection]) -> Iterator[TableContract]:
    """The real contract, in a schema that no other test uses: cheaper than a database for each of them."""
    own = load_table_contract().model_copy(update={"schema_name": f"features_{uuid.uuid4().hex[:12]}"})
    yield own
    with connect() as admin, admin.cursor() as cursor:
        cursor.execute(f"DROP SCHEMA IF EXISTS {identifier(own.schema_name)} CASCADE")


@pytest.fixture
def open_session(connect: Callable[[], connection], contract: TableContract) -> Callable[..., LoadSession]:
    """Makes sessions of runs, each on a connection of its own."""

    def make(run_id: str = "manual__2026-11-20", lock_timeout_seconds: int = 30) -> LoadSession:
        return LoadSession(
            connection=connect(), contract=contract, run_id=run_id, lock_timeout_seconds=lock_timeout_seconds
        )

    return make


@pytest.fixture
def session(open_session: Callable[..., LoadSession]) -> LoadSession:
    """A run whose target exists."""
    made = open_session()
    ensure_target(made)
    return made


@pytest.fixture
def query(connect: Callable[[], connection]) -> Callable[..., list[tuple[Any, ...]]]:
    """Runs SQL on a connection apart from the sessions' ones; returns rows, if there are any."""
    own = connect()
    own.autocommit = True

    def run(sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with own.cursor() as cursor:
            cursor.execute(sql, values or None)
            return cursor.fetchall() if cursor.description else []

    return run


@pytest.fixture
def row(contract: TableContract) -> Callable[..., Row]:
    """Makes a row of the feature table with a plausible value in every column but those named."""

    def make(user_id: str, day: int = 20, row_hash: str = "h1", **columns: Any) -> Row:
        defaults = {name: VALUES[contract.columns[name].type] for name in contract.computed}
        as_of = datetime(2026, 11, day, 3, tzinfo=UTC)
        return {**defaults, "user_id": user_id, "as_of": as_of, "row_hash": row_hash, **columns}

    return make


@pytest.fixture
def stage(connect: Callable[[], connection]) -> Callable[..., Staging]:
    """Makes a staging table by plain inserts: what a load does does not depend on how it was filled."""
    own = connect()

    def make(session: LoadSession, rows: Sequence[Row]) -> Staging:
        columns = list(session.contract.computed)
        name = f"user_features_staging_{uuid.uuid4().hex[:16]}"
        table = session.in_schema(name)
        listed = ", ".join(identifier(column) for column in columns)
        with own, own.cursor() as cursor:
            cursor.execute(
                f"CREATE UNLOGGED TABLE {table} AS SELECT {listed} FROM {session.table} WITH NO DATA"
            )
            if rows:
                values = [[row[column] for column in columns] for row in rows]
                execute_values(cursor, f"INSERT INTO {table} ({listed}) VALUES %s", values)
        return Staging(table=name, rows=len(rows))

    return make


@pytest.fixture(scope="module")
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    """The data engine, without S3."""
    with open_engine(Settings(lake_bucket="unused")) as opened:
        yield opened


@pytest.fixture
def write_parquet(
    engine: duckdb.DuckDBPyConnection, contract: TableContract, tmp_path: Path
) -> Callable[..., list[str]]:
    """Writes rows as a run's feature table; returns the files."""

    def write(rows: Sequence[Row], columns: dict[str, str] | None = None) -> list[str]:
        types = columns or {name: ENGINE_TYPES[contract.columns[name].type] for name in contract.computed}
        path = tmp_path / f"{uuid.uuid4().hex}.parquet"
        engine.execute(
            f"CREATE TEMP TABLE rows ({', '.join(f'{name} {type_}' for name, type_ in types.items())})"
        )
        if rows:
            marks = ", ".join("?" for _ in types)
            engine.executemany(
                f"INSERT INTO rows VALUES ({marks})", [[row[name] for name in types] for row in rows]
            )
        engine.execute(f"COPY rows TO '{path}' (FORMAT parquet)")
        engine.execute("DROP TABLE rows")
        return [str(path)]

    return write
