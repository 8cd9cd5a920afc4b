"""The shape of the target and its history: created from the contract on first use, and compared with it later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from crmbet.contracts.files import load_reasons_contract
from crmbet.contracts.table import MARKETING, FeatureColumn
from crmbet.databases.statements import Fragment, identifier, joined, literal, quoted, render
from crmbet.failures import LoadRefused
from crmbet.load.owner import read_comments, with_owner
from crmbet.load.relation import describe_fault
from crmbet.load.session import DDL_WAIT_SECONDS, LoadSession, history_name, limit_lock_wait
from crmbet.run.schemas import role_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from psycopg2 import extensions

    from crmbet.contracts.table import TableContract

INDEXED = ("rfm_segment", "lifecycle_stage", "churn_risk_band")
"""Columns of the target that get an index, since campaigns select players by them. A column that every load changes is
not among them, since each load would rewrite its index."""

PROTECTED = "rg_"
"""The prefix of columns about responsible gambling."""
READERS = {"crmbet_reader": False, "crmbet_responsible_gambling": True}
"""Roles of include/sql/roles.sql as the default schema's are named, and whether each may read the protected columns.
A role that does not exist is granted nothing."""

HISTORY_COLUMNS = {
    "reconstructed": FeatureColumn(
        type="boolean",
        role="bookkeeping",
        meaning="Whether the row was computed long after its as_of, from sources that had not been captured then and "
        "that overwrite: it may know more than anybody knew then. known_at is the instant of that run",
    ),
    "reconstructed_because": FeatureColumn(
        type="text", role="bookkeeping", meaning="Which sources make the row a reconstruction; else NULL"
    ),
}
"""Columns that the history alone has. The load sets them."""

CATALOGUE_NAMES = {
    "varchar(50)": "character varying(50)",
    "char(3)": "character(3)",
    "timestamptz": "timestamp with time zone",
}
"""Types whose name in PostgreSQL's catalogue differs from the one in DDL."""


@dataclass(frozen=True, eq=False)
class Shape:
    """What one of our tables must look like."""

    name: str
    """The table's name in the contract's schema."""
    meaning: str
    columns: dict[str, FeatureColumn]
    key: tuple[str, ...]
    """Columns of the primary key, in their order."""
    partitioned_by: str | None = None
    """The column whose UTC month decides in which partition a row lies."""


@dataclass(frozen=True)
class ActualColumn:
    """A column as PostgreSQL's catalogue describes it."""

    type: str
    nullable: bool
    in_key: bool


@dataclass(frozen=True)
class Difference:
    """One way in which table and contract disagree, and the statement that would settle it."""

    finding: str
    statement: str


def target_shape(contract: TableContract) -> Shape:
    """The shape of the target: one row per player."""
    return Shape(
        name=contract.name,
        meaning=f"{contract.meaning} Grain: {contract.grain}.",
        columns=contract.columns,
        key=(contract.key,),
    )


def history_shape(contract: TableContract) -> Shape:
    """The shape of the history: one row per player and as_of, with the features that were known last.

    It has no column `gone`, since that is about today. A player who is gone has a row with `marketing_reason` instead.
    """
    columns = {name: column for name, column in contract.columns.items() if name != "gone"}
    return Shape(
        name=history_name(contract),
        meaning=f"What {contract.name} said of every player as of every instant, as last known.",
        columns=columns | HISTORY_COLUMNS,
        key=(contract.key, "as_of"),
        partitioned_by="as_of",
    )


def reasons_shape(reasons: TableContract) -> Shape:
    """The shape of the reasons of scores: one row per player, of the newest load alone."""
    return Shape(
        name=reasons.name,
        meaning=f"{reasons.meaning} Grain: {reasons.grain}.",
        columns=reasons.columns,
        key=(reasons.key,),
    )


def ensure_target(session: LoadSession) -> list[str]:
    """Make sure that schema, target, history and reasons match their contracts. Returns the columns that were added.

    It creates what does not exist, adds nullable columns that are new in the contract, and records the brand whose
    table it is. For any other difference it changes nothing and raises `LoadRefused` with the statements that would
    settle it.
    """
    contract = session.contract
    shapes = (target_shape(contract), history_shape(contract), reasons_shape(load_reasons_contract()))
    with session.exclusive_transaction() as cursor:
        existing = read_tables(cursor, session, shapes)
        added: dict[str, None] = {}
        for shape in shapes:
            if not existing[shape.name]:
                _create(cursor, session, shape)
                continue
            new = [name for name in shape.columns if name not in existing[shape.name]]
            _add_columns(cursor, session, shape, new)
            added |= dict.fromkeys(new)
        _record_owner(cursor, session, [shape.name for shape in shapes])
        return list(added)


def read_tables(
    cursor: extensions.cursor, session: LoadSession, shapes: Sequence[Shape]
) -> dict[str, dict[str, ActualColumn]]:
    """The columns of some of our tables by table, none for one that does not exist.

    Raises `LoadRefused`, once for all of them, if something else has the name of one, or if one differs from its shape
    by more than missing nullable columns.
    """
    existing = {}
    for shape in shapes:
        if fault := describe_fault(
            cursor, session, shape.name, is_partitioned=shape.partitioned_by is not None
        ):
            raise fault
        existing[shape.name] = read_columns(cursor, session, shape.name)
    refuse_drift(session, {shape: existing[shape.name] for shape in shapes if existing[shape.name]})
    return existing


def require_tables(
    cursor: extensions.cursor, session: LoadSession, shapes: Sequence[Shape]
) -> dict[str, dict[str, ActualColumn]]:
    """As `read_tables`. Raises `LoadRefused` also if one of the tables does not exist."""
    existing = read_tables(cursor, session, shapes)
    if missing := [name for name, columns in existing.items() if not columns]:
        raise LoadRefused(
            f"there is no table {' and no table '.join(missing)}",
            where=session.where,
            why="somebody dropped it, or backup_table, which makes it, has not run on this database",
            next_step="clear backup_table and what follows it; if there is a backup, start restore_backup after that",
        )
    return existing


def read_columns(cursor: extensions.cursor, session: LoadSession, table: str) -> dict[str, ActualColumn]:
    """A table's columns by name, in their order; empty if there is no such table in the schema."""
    cursor.execute(render("load/list_columns"), {"schema": session.contract.schema_name, "table": table})
    return {
        name: ActualColumn(type=type_, nullable=nullable, in_key=key) for name, type_, nullable, key in cursor
    }


def refuse_drift(session: LoadSession, tables: Mapping[Shape, Mapping[str, ActualColumn]]) -> None:
    """Raise `LoadRefused` if a table differs from its shape by more than missing nullable columns.

    However many tables differ, there is one message. What they have in common is said once.
    """
    found: dict[str, list[str]] = {}
    statements = []
    for shape, actual in tables.items():
        for difference in find_differences(session.in_schema(shape.name), shape, actual):
            found.setdefault(difference.finding, []).append(shape.name)
            statements.append(difference.statement)
    if not found:
        return
    drifted = sorted({name for names in found.values() for name in names})
    raise LoadRefused(
        (
            f"the table {drifted[0]} does not match its contract"
            if len(drifted) == 1
            else f"the tables {' and '.join(drifted)} do not match their contract"
        )
        + ", so nothing was touched: "
        + "; ".join(
            finding if len(names) == len(drifted) else f"{finding} ({', '.join(names)})"
            for finding, names in found.items()
        ),
        where=session.where,
        why="somebody changed the table, or a change of the contract needs a decision about existing rows",
        next_step="correct include/contracts/, or run: " + " ".join(f"{each};" for each in statements),
    )


def find_differences(table: Fragment, shape: Shape, actual: Mapping[str, ActualColumn]) -> list[Difference]:
    """The differences that a person must settle, in the contract's order. A missing nullable column is none of them."""
    differences: list[Difference] = []
    for name, column in shape.columns.items():
        if name in actual:
            differences += _compare_column(table, name, column, actual[name])
        elif not column.nullable:
            differences.append(_missing_column(table, name, column))
    differences += [
        Difference(f"column {name} is not in the contract", f"ALTER TABLE {table} DROP COLUMN {quoted(name)}")
        for name in actual
        if name not in shape.columns
    ]
    if {name for name, column in actual.items() if column.in_key} != set(shape.key):
        differences.append(
            Difference(
                f"the primary key is not {', '.join(shape.key)}",
                f"ALTER TABLE {table} ADD PRIMARY KEY ({column_list(shape.key)})",
            )
        )
    return differences


def column_definition(name: str, column: FeatureColumn) -> Fragment:
    """A column as CREATE TABLE and ADD COLUMN take it."""
    # The type comes from the contract's closed list, so it needs no quoting (and types cannot be quoted).
    return Fragment(f"{identifier(name)} {column.postgres_type}{'' if column.nullable else ' NOT NULL'}")


def find_readers(cursor: extensions.cursor, schema: str) -> dict[str, bool]:
    """The roles of `READERS` that exist for a schema, and whether each may read the protected columns."""
    readers = {role_of(role, schema): reads_all for role, reads_all in READERS.items()}
    cursor.execute(render("load/list_roles"), {"roles": list(readers)})
    return {role: readers[role] for (role,) in cursor.fetchall()}


def column_list(names: Iterable[str], prefix: str = "") -> Fragment:
    """Quoted names with commas between them, each after an optional table alias."""
    return joined([Fragment(prefix + identifier(name)) for name in names])


def expected_values(columns: Mapping[str, FeatureColumn], source: str, written_into: str) -> Fragment:
    """Columns as the target must hold them: in its types, and without marketing for a player who is gone.

    `source` and `written_into` are the aliases of the table that they come from and of the target.
    """
    values = [
        Fragment(f"({source}.{identifier(name)} AND {written_into}.marketing_reason IS NULL)")
        if name == MARKETING
        else typed_columns({name: column}, source)
        for name, column in columns.items()
    ]
    return joined(values)


def typed_columns(columns: Mapping[str, FeatureColumn], source: str) -> Fragment:
    """Columns of a table by its alias, in the types of the target."""
    return joined(
        [Fragment(f"{source}.{identifier(name)}::{column.postgres_type}") for name, column in columns.items()]
    )


def _create(cursor: extensions.cursor, session: LoadSession, shape: Shape) -> None:
    schema = session.contract.schema_name
    # CREATE SCHEMA IF NOT EXISTS needs the right to create a schema even if it exists; a loader may lack it.
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
        for name in INDEXED:
            if name in shape.columns:
                cursor.execute(render("load/create_index", table=table, column=identifier(name)))
    else:
        instant = identifier(shape.partitioned_by)
        cursor.execute(render("load/create_partitioned_table", **fragments, instant=instant))
        cursor.execute(render("load/create_block_index", table=table, column=instant))
    cursor.execute(render("load/comment_table", table=table, comment=literal(shape.meaning)))
    _introduce_columns(cursor, session, shape, shape.columns)


def _record_owner(cursor: extensions.cursor, session: LoadSession, tables: Sequence[str]) -> None:
    for name, comment in read_comments(cursor, session.contract.schema_name, tables).items():
        owned = with_owner(comment, session.brand)
        if owned != comment:
            text = render("load/comment_table", table=session.in_schema(name), comment=literal(owned))
            cursor.execute(text)


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
    """Write the meaning of new columns as comments, and grant them to the roles that may read them."""
    table = session.in_schema(shape.name)
    for name in names:
        comment = literal(shape.columns[name].meaning)
        cursor.execute(render("load/comment_column", table=table, column=identifier(name), comment=comment))
    for role, reads_all in find_readers(cursor, session.contract.schema_name).items():
        readable = [name for name in names if reads_all or not name.startswith(PROTECTED)]
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
    differences = []
    if actual.type != wanted:
        differences.append(
            Difference(
                f"column {name} is {actual.type}, not {wanted}",
                f"{alter} TYPE {wanted} USING {identifier(name)}::{wanted}",
            )
        )
    if actual.nullable and not column.nullable:
        differences.append(Difference(f"column {name} allows NULL", f"{alter} SET NOT NULL"))
    if column.nullable and not actual.nullable:
        differences.append(Difference(f"column {name} does not allow NULL", f"{alter} DROP NOT NULL"))
    return differences


def _missing_column(table: Fragment, name: str, column: FeatureColumn) -> Difference:
    column_name = identifier(name)
    return Difference(
        f"column {name} is missing and may not be NULL, so existing rows need a value",
        f"ALTER TABLE {table} ADD COLUMN {column_name} {column.postgres_type}; (give every row a value); "
        f"ALTER TABLE {table} ALTER COLUMN {column_name} SET NOT NULL",
    )
