"""Small worlds of cleaned rows, sent through the real statements: state, sessions, themes, the feature table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cache
from typing import Any

import duckdb
import pyarrow as pa

from crmbet.contracts.files import load_source_contracts, load_table_contract
from crmbet.contracts.source import SourceContract
from crmbet.contracts.table import TableContract
from crmbet.contracts.typing import typed_columns
from crmbet.databases.statements import Fragment, identifier, joined, literal, render, statement
from crmbet.features.sessions import derived_sessions
from crmbet.features.themes import compute_themes, feature_queries
from crmbet.features.variables import bind_variables
from crmbet.run.params import RunParams
from crmbet.run.run import Run
from crmbet.run.settings import Settings
from crmbet.run.window import Window, midnight

SOURCES = ("bets", "transactions", "communications", "players", "sessions", "limits")
KNOWN_AT = datetime(2030, 1, 1, tzinfo=UTC)

TYPICAL: Mapping[str, Mapping[str, str]] = {
    "bets": {"game_type": "slots", "stake": "10"},
    "transactions": {"amount": "100", "transaction_type": "deposit", "status": "completed"},
    "communications": {"channel": "email"},
    "players": {},
    "sessions": {},
    "limits": {"kind": "deposit", "new_value": "100"},
}
"""What a row holds in the columns that it does not give. The first column of a business key is numbered."""

Row = Mapping[str, str | None]
"""A cleaned row as text; instants with their offset, those without are UTC."""

Features = dict[str, dict[str, Any]]
"""User to column to cell."""


@cache
def contracts() -> dict[str, SourceContract]:
    return load_source_contracts()


@cache
def table() -> TableContract:
    return load_table_contract()


@dataclass(frozen=True, kw_only=True)
class World:
    """All that the operator knows. Where no session before as_of is recorded, sessions are derived from bets."""

    as_of_date: date
    bets: Sequence[Row] = ()
    transactions: Sequence[Row] = ()
    communications: Sequence[Row] = ()
    players: Sequence[Row] = ()
    sessions: Sequence[Row] = ()
    limits: Sequence[Row] = ()
    unreadable_exclusions: Sequence[Row] = ()
    """Rows of limits in quarantine that may be about a self-exclusion: user_id, changed_at and what is unreadable."""
    settings: Mapping[str, Any] = field(default_factory=dict)

    def rows(self, source: str) -> Sequence[Row]:
        """The rows of a source by its name."""
        rows: Sequence[Row] = getattr(self, source)
        return rows

    def run(self) -> Run:
        settings = Settings.of(lake_bucket="none", **self.settings)
        return Run(
            run_id="test",
            window=Window(as_of_date=self.as_of_date, as_of=midnight(self.as_of_date, settings.zone)),
            known_at=KNOWN_AT,
            params=RunParams(),
            settings=settings,
        )


def compute_features(connection: duckdb.DuckDBPyConnection, world: World) -> Features:
    """The feature table of a world."""
    cursor = connection.execute(feature_query(connection, world))
    names = [column[0] for column in cursor.description or ()]
    rows = (dict(zip(names, row, strict=True)) for row in cursor.fetchall())
    return {row["user_id"]: row for row in rows}


def feature_query(connection: duckdb.DuckDBPyConnection, world: World) -> str:
    """The SELECT of the feature table of a world, whose tables are in the connection."""
    create_world(connection, world)
    return query_world(connection, world)


def create_world(connection: duckdb.DuckDBPyConnection, world: World) -> None:
    """Create the tables that cleaning leaves."""
    bind_variables(connection, world.run())
    for source in SOURCES:
        _create_cleaned(connection, source, world)
    _create_unreadable_exclusions(connection, world)


def query_world(connection: duckdb.DuckDBPyConnection, world: World) -> str:
    """The SELECT of the feature table from the tables of a world."""
    # Kept as a table, as a run keeps it in files: it is read three times.
    days = Fragment(statement("features/state/summarise_days"))
    connection.execute(render("databases/create_table", name=identifier("days_of_state"), rows=days))
    compute_themes(
        connection, world.run(), state=identifier("days_of_state"), sessions=sessions_of(connection)
    )
    (query,) = feature_queries(connection, world.run(), table())
    return query


def sessions_of(connection: duckdb.DuckDBPyConnection) -> Fragment:
    """The sessions of a world, whose tables are in the connection."""
    days = connection.execute(
        "SELECT DISTINCT _day FROM bets WHERE _day > getvariable('last_day') - INTERVAL 30 DAYS"
    ).fetchall()
    of_days = joined([Fragment(f"DATE {literal(day.isoformat())}") for (day,) in days])
    if connection.execute("SELECT count(*) FROM recorded").fetchone() != (0,):
        bets = (
            render("features/sessions/assign_bets", days=of_days)
            if days
            else statement("features/sessions/no_session_bets")
        )
        recorded = render(
            "features/sessions/add_bets", recorded=identifier("recorded"), session_bets=Fragment(f"({bets})")
        )
        return Fragment(f"({recorded})")
    if days:
        return Fragment(f"({derived_sessions(of_days)})")
    return Fragment(f"({statement('features/sessions/no_sessions')})")


def _create_cleaned(connection: duckdb.DuckDBPyConnection, source: str, world: World) -> None:
    """A source's rows of the days before as_of, as cleaning leaves them.

    Recorded sessions keep clear of the name of the table that themes read.
    """
    contract = contracts()[source]
    names = [*contract.columns, *(["protection_unreadable"] if contract.protecting else [])]
    typical = {**dict.fromkeys(names), **TYPICAL[source]}
    rows = [
        {**typical, contract.business_key[0]: f"{source} {number}", **row}
        for number, row in enumerate(world.rows(source))
    ]
    schema = pa.schema([(name, pa.string()) for name in names])
    connection.register("given", pa.Table.from_pylist(rows, schema))
    name = "recorded" if source == "sessions" else source
    values = joined([_cleaned(contract, column) for column in names])
    day = "NULL::DATE"
    scope = "true"
    if contract.event_time:
        day = f"local_time({identifier(contract.event_time)}, getvariable('operator_zone'))::DATE"
        scope = "_day <= getvariable('last_day')"
    connection.execute(
        f"CREATE OR REPLACE TEMPORARY TABLE {identifier(name)} AS "
        f"SELECT * FROM (SELECT {typed_columns(contract)}, NULL::DATE AS _day WHERE false) UNION ALL "
        f"SELECT *, {day} AS _day FROM (SELECT {values} FROM given) WHERE {scope}"
    )
    connection.unregister("given")


def _create_unreadable_exclusions(connection: duckdb.DuckDBPyConnection, world: World) -> None:
    names = ("user_id", "changed_at", "unreadable")
    rows = [{**dict.fromkeys(names), **row} for row in world.unreadable_exclusions]
    connection.register(
        "given", pa.Table.from_pylist(rows, pa.schema([(name, pa.string()) for name in names]))
    )
    connection.execute(
        "CREATE OR REPLACE TEMPORARY TABLE unreadable_exclusions AS "
        "SELECT user_id, parse_timestamp(changed_at) AS changed_at, unreadable FROM given"
    )
    connection.unregister("given")


def _cleaned(contract: SourceContract, name: str) -> Fragment:
    value = f"given.{identifier(name)}"
    if name == "protection_unreadable":
        return Fragment(f"string_split({value}, ',') AS {identifier(name)}")
    column = contract.columns[name]
    match column.type:
        case "timestamp":
            value = f"parse_timestamp({value})"
        case "decimal":
            value = f"{value}::DECIMAL({column.precision}, {column.scale})"
        case "real":
            value = f"{value}::DOUBLE"
        case "boolean" | "date":
            value = f"{value}::{column.type}"
        case "channels":
            value = f"CASE {value} WHEN 'none' THEN [] ELSE string_split({value}, ',') END"
    return Fragment(f"{value} AS {identifier(name)}")
