"""The target table's shape: made from the contract on first use, compared with it on every later one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from crmbet.failures import LoadRefused
from crmbet.loading.session import DDL_WAIT_SECONDS, LoadSession, limit_lock_wait
from crmbet.statements import Fragment, identifier, joined, literal, render

if TYPE_CHECKING:
    from collections.abc import Iterable

    from psycopg2 import extensions

    from crmbet.contracts import FeatureColumn, TableContract

READ_BY = ("rfm_segment",)
"""Columns that campaigns select players by. None that every load changes: that would rewrite its index."""

CATALOGUE_NAMES = {
    "varchar(50)": "character varying(50)",
    "char(3)": "character(3)",
    "timestamptz": "timestamp with time zone",
}
"""Types whose name in PostgreSQL's catalogue is not the one that DDL uses."""


@dataclass(frozen=True)
class ActualColumn:
    """A column as PostgreSQL's catalogue has it."""

    type: str
    nullable: bool
    in_key: bool


@dataclass(frozen=True)
class Difference:
    """One way in which table and contract disagree, and the statement with which a person would settle it."""

    finding: str
    statement: str


def ensure_target(session: LoadSession) -> list[str]:
    """Make sure that schema and table are as the contract says; returns the columns that were added.

    Makes both on first use. Adds columns that are new in the contract and nullable. Raises `LoadRefused`,
    with the statements that a person would run, for any other difference, having changed nothing.
    """
    with session.exclusive_transaction() as cursor:
        actual = read_columns(cursor, session)
        if not actual:
            _create(cursor, session)
            return []
        refuse_drift(session, actual)
        added = [name for name in session.contract.columns if name not in actual]
        limit_lock_wait(cursor, DDL_WAIT_SECONDS)
        for name in added:
            cursor.execute(
                render(
                    "load/add_column",
                    table=session.table,
                    definition=column_definition(name, session.contract.columns[name]),
                )
            )
            _comment_column(cursor, session, name)
        return added


def read_columns(cursor: extensions.cursor, session: LoadSession) -> dict[str, ActualColumn]:
    """The target's columns by name, in their order; empty if there is no such table."""
    cursor.execute(
        render("load/list_columns"), {"schema": session.contract.schema_name, "table": session.contract.name}
    )
    return {
        name: ActualColumn(type=type_, nullable=nullable, in_key=key) for name, type_, nullable, key in cursor
    }


def refuse_drift(session: LoadSession, actual: dict[str, ActualColumn]) -> None:
    """Raise `LoadRefused` if the table differs from its contract by more than missing nullable columns."""
    differences = find_differences(session.contract, actual)
    if differences:
        raise LoadRefused(
            "the target table is not as its contract says, so nothing was touched: "
            + "; ".join(difference.finding for difference in differences),
            where=session.where,
            why="somebody changed the table, or the contract changed so that the rows need a decision",
            next_step="correct include/contracts/, or run: "
            + " ".join(f"{difference.statement};" for difference in differences),
        )


def find_differences(contract: TableContract, actual: dict[str, ActualColumn]) -> list[Difference]:
    """What a person has to settle, in the contract's order; missing nullable columns are not among it."""
    table = identifier(contract.schema_name, contract.name)
    found: list[Difference] = []
    for name, column in contract.columns.items():
        if name in actual:
            found += _compare_column(table, name, column, actual[name])
        elif not column.nullable:
            found.append(_missing_column(table, name, column))
    found += [
        Difference(
            f"column {name} is not in the contract", f"ALTER TABLE {table} DROP COLUMN {_quoted(name)}"
        )
        for name in actual
        if name not in contract.columns
    ]
    if [name for name, column in actual.items() if column.in_key] != [contract.key]:
        found.append(
            Difference(
                f"the primary key is not {contract.key}",
                f"ALTER TABLE {table} ADD PRIMARY KEY ({identifier(contract.key)})",
            )
        )
    return found


def column_definition(name: str, column: FeatureColumn) -> Fragment:
    """A column as CREATE TABLE and ADD COLUMN take it."""
    # The type comes from the contract's closed list, so it needs no quoting (and types cannot be quoted).
    return Fragment(f"{identifier(name)} {column.postgres_type}{'' if column.nullable else ' NOT NULL'}")


def column_list(names: Iterable[str], prefix: str = "") -> Fragment:
    """Quoted names with commas between them, each after an optional table alias."""
    return joined([Fragment(prefix + identifier(name)) for name in names])


def _create(cursor: extensions.cursor, session: LoadSession) -> None:
    contract = session.contract
    # CREATE SCHEMA IF NOT EXISTS needs the right to create one even where it exists; a loader may lack it.
    cursor.execute(render("load/find_schema"), {"schema": contract.schema_name})
    if cursor.fetchone() is None:
        cursor.execute(render("load/create_schema", schema=identifier(contract.schema_name)))
    definitions = joined(
        [column_definition(name, column) for name, column in contract.columns.items()], ",\n    "
    )
    cursor.execute(
        render(
            "load/create_table", table=session.table, definitions=definitions, key=identifier(contract.key)
        )
    )
    comment = literal(f"{contract.meaning} Grain: {contract.grain}.")
    cursor.execute(render("load/comment_table", table=session.table, comment=comment))
    for name in contract.columns:
        _comment_column(cursor, session, name)
    for name in READ_BY:
        if name in contract.columns:
            cursor.execute(render("load/create_index", table=session.table, column=identifier(name)))


def _comment_column(cursor: extensions.cursor, session: LoadSession, name: str) -> None:
    comment = literal(session.contract.columns[name].meaning)
    cursor.execute(
        render("load/comment_column", table=session.table, column=identifier(name), comment=comment)
    )


def _compare_column(
    table: Fragment, name: str, column: FeatureColumn, actual: ActualColumn
) -> list[Difference]:
    alter = f"ALTER TABLE {table} ALTER COLUMN {identifier(name)}"
    wanted = CATALOGUE_NAMES.get(column.postgres_type, column.postgres_type)
    found = []
    if actual.type != wanted:
        found.append(
            Difference(
                f"column {name} is {actual.type}, not {wanted}",
                f"{alter} TYPE {wanted} USING {identifier(name)}::{wanted}",
            )
        )
    if actual.nullable and not column.nullable:
        found.append(Difference(f"column {name} allows NULL", f"{alter} SET NOT NULL"))
    if column.nullable and not actual.nullable:
        found.append(Difference(f"column {name} does not allow NULL", f"{alter} DROP NOT NULL"))
    return found


def _missing_column(table: Fragment, name: str, column: FeatureColumn) -> Difference:
    column_name = identifier(name)
    return Difference(
        f"column {name} is missing and may not be NULL, so the rows that are there need a value",
        f"ALTER TABLE {table} ADD COLUMN {column_name} {column.postgres_type}; (give every row a value); "
        f"ALTER TABLE {table} ALTER COLUMN {column_name} SET NOT NULL",
    )


def _quoted(name: str) -> str:
    """A name that the table really has, which may be none that we would put into SQL; for messages only."""
    return '"' + name.replace('"', '""') + '"'
