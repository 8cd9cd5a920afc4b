"""A source database, and captures of its transactions as runs would make them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import date
from typing import Any

import duckdb
import psycopg2
import pytest

from crmbet.contracts.files import load_source_contracts
from crmbet.contracts.source import SourceContract
from crmbet.databases.duckdb import attach_postgres
from crmbet.databases.work import Work
from crmbet.extract import captured
from crmbet.extract.postgres import capture_relation
from crmbet.extract.records import SourceCaptures
from crmbet.extract.relation import SOURCE
from crmbet.run.run import Run
from crmbet.run.window import Window, midnight
from crmbet.storage.object_store import ObjectStore

AS_OF = date(2026, 8, 12)

Query = Callable[..., list[tuple[Any, ...]]]
Row = dict[str, Any]

TABLE = """
CREATE TABLE {name} (
    transaction_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id varchar(50) NOT NULL,
    amount decimal(10,2) NOT NULL,
    transaction_type varchar(20) NOT NULL,
    status varchar(20) NOT NULL,
    created_at timestamp
)
"""
INSERT = """
INSERT INTO tbl_transactions (user_id, amount, transaction_type, status, created_at)
VALUES (%s, %s, 'deposit', 'completed', %s)
"""
INSTANTS = (
    "2026-08-08 00:00:00",
    "2026-08-08 02:59:59.999999",
    "2026-08-08 23:59:59",
    "2026-08-09 12:00:00",
    "2026-08-09 13:00:00",
    "2026-08-11 03:00:00",
)
"""In UTC: three on the 8th, two on the 9th, none on the 10th, one on the 11th."""


@pytest.fixture
def contract() -> SourceContract:
    return load_source_contracts()["transactions"]


@pytest.fixture
def query(postgres_url: str) -> Iterator[Query]:
    """Runs SQL in the source database."""
    connection = psycopg2.connect(postgres_url)
    connection.autocommit = True

    def run(sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(sql, values or None)
            return cursor.fetchall() if cursor.description else []

    yield run
    connection.close()


@pytest.fixture
def table(query: Query) -> Callable[..., None]:
    """Makes an empty table of transactions; other column types by name."""

    def create(name: str = "tbl_transactions", **types: str) -> None:
        query(TABLE.format(name=name))
        for column, new_type in types.items():
            query(f"ALTER TABLE {name} ALTER COLUMN {column} DROP NOT NULL")
            query(
                f"ALTER TABLE {name} ALTER COLUMN {column} TYPE {new_type} USING {column}::text::{new_type}"
            )

    return create


@pytest.fixture
def add(query: Query) -> Callable[..., None]:
    """Adds a transaction."""

    def insert(created_at: str | None, amount: str | None = "10.50", user_id: str | None = "u1") -> None:
        query(INSERT, user_id, amount, created_at)

    return insert


@pytest.fixture
def source(query: Query, table: Callable[..., None], add: Callable[..., None]) -> Query:
    """Six transactions on three days."""
    table()
    for instant in INSTANTS:
        add(instant)
    return query


@pytest.fixture
def attached(engine: duckdb.DuckDBPyConnection, postgres_url: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """The data engine with the source attached."""
    attach_postgres(engine, postgres_url, SOURCE, read_only=True)
    yield engine
    if engine.execute("FROM duckdb_databases() WHERE database_name = ?", [SOURCE]).fetchone():
        engine.execute(f"DETACH {SOURCE}")


@pytest.fixture
def capture(
    attached: duckdb.DuckDBPyConnection,
    store: ObjectStore,
    make_run: Callable[..., Run],
    contract: SourceContract,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., SourceCaptures]:
    """Captures the transactions in a run of its own; `of` is another contract, `as_of` another date.

    Thirty days make a batch here, so that a small table has several.
    """
    monkeypatch.setattr("crmbet.extract.postgres.COPIED_DAYS", 30)

    def capture_once(
        of: SourceContract = contract, *, as_of: date = AS_OF, engine: Any = attached, **options: Any
    ) -> SourceCaptures:
        made = make_run(**options)
        window = Window(as_of_date=as_of, as_of=midnight(as_of, made.settings.zone))
        # A task has an engine of its own, and so sees columns and rows as they are now.
        engine.execute("CALL pg_clear_cache()")
        return capture_relation(Work(run=replace(made, window=window), store=store, connection=engine), of)

    return capture_once


@pytest.fixture
def captured_rows(
    engine: duckdb.DuckDBPyConnection, store: ObjectStore
) -> Callable[[SourceCaptures], list[Row]]:
    """What was captured, in order of time."""

    def read(captures: SourceCaptures) -> list[Row]:
        rows = engine.sql(
            f"FROM {captured.captured_rows(store, captures.captures)} ORDER BY created_at, amount"
        )
        return [dict(zip(rows.columns, row, strict=True)) for row in rows.fetchall()]

    return read


@pytest.fixture
def contents() -> Callable[[SourceCaptures], Mapping[str, int]]:
    """Rows by chunk."""

    def read(captures: SourceCaptures) -> dict[str, int]:
        return {capture.chunk: capture.extracted for capture in captures.captures}

    return read


@pytest.fixture
def uploads(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Callables, each called at one upload before it is made; there may be fewer than uploads."""
    planned: list[Any] = []
    upload = store.upload

    def called(path: Any, key: str) -> None:
        if planned:
            planned.pop(0)()
        upload(path, key)

    monkeypatch.setattr(store, "upload", called)
    return planned
