"""What stands where one of our tables should: the right kind of relation, and one that survives a crash."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crmbet.databases.statements import render
from crmbet.failures import LoadRefused

if TYPE_CHECKING:
    from psycopg2 import extensions

    from crmbet.load.session import LoadSession

KINDS = {
    "r": "a table that is not partitioned",
    "p": "a partitioned table",
    "v": "a view",
    "m": "a materialized view",
    "f": "a foreign table",
    "S": "a sequence",
    "i": "an index",
    "I": "an index",
    "c": "a type",
}
"""Kinds of relation, by their letter in the catalogue."""
PERMANENT = "p"


def describe_fault(
    cursor: extensions.cursor, session: LoadSession, table: str, *, is_partitioned: bool
) -> LoadRefused | None:
    """Why a load must not write to what has this name; None if nothing has it, or if it is as we make it."""
    cursor.execute(
        render("load/describe_relation"), {"schema": session.contract.schema_name, "relation": table}
    )
    found = cursor.fetchone()
    if found is None:
        return None
    kind, unlogged, heirs = found
    address = session.in_schema(table)
    # A target that somebody has partitioned is written as any other.
    if kind not in (("p",) if is_partitioned else ("r", "p")):
        wanted = KINDS["p"] if is_partitioned else "a table"
        return LoadRefused(
            f"{table} is {KINDS.get(kind, 'something else')}, and a load needs {wanted}",
            where=session.where,
            why="somebody put it in the table's place; a load through it could not keep its promises",
            next_step=f"give it another name, or drop it, and clear backup_table: it makes the table {table} again; "
            "if readers need a view of that name, put it into a schema of its own",
        )
    if heirs:
        statements = " ".join(
            f"ALTER TABLE {session.in_schema(name)} NO INHERIT {address};" for name in heirs
        )
        return LoadRefused(
            f"{', '.join(heirs)} inherits from {table}: its rows would count as rows of {table}, and a "
            "player could have two",
            where=f"{session.where}, relation {address}",
            why="somebody made a child of the table",
            next_step=f"run: {statements}",
        )
    if unlogged:
        statements = " ".join(f"ALTER TABLE {session.in_schema(name)} SET LOGGED;" for name in unlogged)
        return LoadRefused(
            f"{', '.join(unlogged)} is UNLOGGED: PostgreSQL would empty it after a crash, and no replica has it",
            where=f"{session.where}, relation {address}",
            why="somebody made it so, perhaps for a faster load",
            next_step=f"run: {statements}",
        )
    return None
