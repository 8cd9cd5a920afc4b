"""The shape of the target and its history: made from the contract on first use, compared with it on every later one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from crmbet.databases.statements import Fragment, identifier, joined, literal, quoted, render
from crmbet.failures import LoadRefused
from crmbet.load.session import DDL_WAIT_SECONDS, LoadSession, history_name, limit_lock_wait

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from psycopg2 import extensions

    from crmbet.contracts.table import FeatureColumn, TableContract

READ_BY = ("rfm_segment", "lifecycle_stage", "churn_risk_band")
"""Columns that campaigns select players by, where the contract has them. None that every load changes: that would
rewrite its index."""

PROTECTED = "rg_"
"""How the names of columns begin that are about responsible gambling."""
READERS = {"crmbet_reader": False, "crmbet_responsible_gambling": True}
"""Roles of include/sql/roles.sql, and whether they read the protected columns. Where they do not exist, nobody is
granted anything."""

CATALOGUE_NAMES = {
    "varchar(50)": "character varying(50)",
    "char(3)": "character(3)",
    "timestamptz": "timestamp with time zone",
}
"""Types whose name in PostgreSQL's catalogue is not the one that DDL uses."""


@dataclass(frozen=True)
class Shape:
    """What a table of ours has to look like."""

    name: str
    """In the contract's schema."""
    meaning: str
    columns: dict[str, FeatureColumn]
    key: tuple[str, ...]
    """Columns of the primary key, in their order."""
    partitioned_by: str | None = None
    """The instant whose month says in which partition a row lies."""


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


def target_shape(contract: TableContract) -> Shape:
    """The target: one row a player."""
    return Shape(
        name=contract.name,
        meaning=f"{contract.meaning} Grain: {contract.grain}.",
        columns=contract.columns,
        key=(contract.key,),
    )


def history_shape(contract: TableContract) -> Shape:
    """Its history: one row a player and as_of, of what was known last.

    Whether a player is gone is left out: it is about today.
    """
    return Shape(
        name=history_name(contract),
        meaning=f"What {contract.name} said of every player as of every instant, as last known.",
        columns={name: column for name, column in contract.columns.items() if name != "gone"},
        key=(contract.key, "as_of"),
        partitioned_by="as_of",
    )


def ensure_target(session: LoadSession) -> list[str]:
    """Make sure that schema, table and history are as the contract says; returns the columns that were added.

    Makes them on first use. Adds columns that are new in the contract and nullable. Raises `LoadRefused`,
    with the statements that a person would run, for any other difference, having changed nothing.
    """
    contract = session.contract
    shapes = (target_shape(contract), history_shape(contract))
    with session.exclusive_transaction() as cursor:
        found = {shape.name: read_columns(cursor, session, shape.name) for shape in shapes}
        for shape in shapes:
            if found[shape.name]:
                refuse_drift(session, shape, found[shape.name])
        added: dict[str, None] = {}
        for shape in shapes:
            if not found[shape.name]:
                _create(cursor, session, shape)
                continue
            new = [name for name in shape.columns if name not in found[shape.name]]
            _add_columns(cursor, session, shape, new)
            added |= dict.fromkeys(new)
        return list(added)


def read_columns(cursor: extensions.cursor, session: LoadSession, table: str) -> dict[str, ActualColumn]:
    """A table's columns by name, in their order; empty if there is no such table in the schema."""
    cursor.execute(render("load/list_columns"), {"schema": session.contract.schema_name, "table": table})
    return {
        name: ActualColumn(type=type_, nullable=nullable, in_key=key) for name, type_, nullable, key in cursor
    }


def refuse_drift(session: LoadSession, shape: Shape, actual: dict[str, ActualColumn]) -> None:
    """Raise `LoadRefused` if the table differs from its shape by more than missing nullable columns."""
    differences = find_differences(session.in_schema(shape.name), shape, actual)
    if differences:
        raise LoadRefused(
            f"the table {shape.name} is not as its contract says, so nothing was touched: "
            + "; ".join(difference.finding for difference in differences),
            where=session.where,
            why="somebody changed the table, or the contract changed so that the rows need a decision",
            next_step="correct include/contracts/, or run: "
            + " ".join(f"{difference.statement};" for difference in differences),
        )


def find_differences(table: Fragment, shape: Shape, actual: dict[str, ActualColumn]) -> list[Difference]:
    """What a person has to settle, in the contract's order; missing nullable columns are not among it."""
    found: list[Difference] = []
    for name, column in shape.columns.items():
        if name in actual:
            found += _compare_column(table, name, column, actual[name])
        elif not column.nullable:
            found.append(_missing_column(table, name, column))
    found += [
        Difference(f"column {name} is not in the contract", f"ALTER TABLE {table} DROP COLUMN {quoted(name)}")
        for name in actual
        if name not in shape.columns
    ]
    if {name for name, column in actual.items() if column.in_key} != set(shape.key):
        found.append(
            Difference(
                f"the primary key is not {', '.join(shape.key)}",
                f"ALTER TABLE {table} ADD PRIMARY KEY ({column_list(shape.key)})",
            )
        )
    return found


def column_definition(name: str, column: FeatureColumn) -> Fragment:
    """A column as CREATE TABLE and ADD COLUMN take it."""
    # The type comes from the contract's closed list, so it needs no quoting (and types cannot be quoted).
    return Fragment(f"{identifier(name)} {column.postgres_type}{'' if column.nullable else ' NOT NULL'}")


def find_readers(cursor: extensions.cursor) -> list[str]:
    """Those of the roles `READERS` that exist."""
    cursor.execute(render("load/list_roles"), {"roles": list(READERS)})
    return [role for (role,) in cursor.fetchall()]


def column_list(names: Iterable[str], prefix: str = "") -> Fragment:
    """Quoted names with commas between them, each after an optional table alias."""
    return joined([Fragment(prefix + identifier(name)) for name in names])


def staged_values(columns: Mapping[str, FeatureColumn]) -> Fragment:
    """The staged columns in the types of the target, to be compared with it."""
    return joined(
        [Fragment(f"staged.{identifier(name)}::{column.postgres_type}") for name, column in columns.items()]
    )


def _create(cursor: extensions.cursor, session: LoadSession, shape: Shape) -> None:
    schema = session.contract.schema_name
    # CREATE SCHEMA IF NOT EXISTS needs the right to create one even where it exists; a loader may lack it.
    cursor.execute(render("load/find_schema"), {"schema": schema})
    if cursor.fetchone() is None:
        cursor.execute(render("load/create_schema", schema=identifier(schema)))
    table = session.in_schema(shape.name)
    definitions = [column_definition(name, column) for name, column in shape.columns.items()]
    fragments = {
        "table": table,
        "definitions": joined(definitions, ",\n    "),
        "key": column_list(shape.key),
    }
    if shape.partitioned_by is None:
        cursor.execute(render("load/create_table", **fragments))
        for name in READ_BY:
            if name in shape.columns:
                cursor.execute(render("load/create_index", table=table, column=identifier(name)))
    else:
        instant = identifier(shape.partitioned_by)
        cursor.execute(render("load/create_partitioned_table", **fragments, instant=instant))
        cursor.execute(render("load/create_block_index", table=table, column=instant))
    cursor.execute(render("load/comment_table", table=table, comment=literal(shape.meaning)))
    _introduce_columns(cursor, session, shape, shape.columns)


def _add_columns(cursor: extensions.cursor, session: LoadSession, shape: Shape, names: Sequence[str]) -> None:
    table = session.in_schema(shape.name)
    limit_lock_wait(cursor, DDL_WAIT_SECONDS)
    for name in names:
        definition = column_definition(name, shape.columns[name])
        cursor.execute(render("load/add_column", table=table, definition=definition))
    _introduce_columns(cursor, session, shape, names)


def _introduce_columns(
    cursor: extensions.cursor, session: LoadSession, shape: Shape, names: Collection[str]
) -> None:
    """Say what new columns mean, and let those read them who may."""
    table = session.in_schema(shape.name)
    for name in names:
        comment = literal(shape.columns[name].meaning)
        cursor.execute(render("load/comment_column", table=table, column=identifier(name), comment=comment))
    for role in find_readers(cursor):
        readable = [name for name in names if READERS[role] or not name.startswith(PROTECTED)]
        if readable:
            cursor.execute(
                render(
                    "load/grant_columns", table=table, columns=column_list(readable), role=identifier(role)
                )
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
