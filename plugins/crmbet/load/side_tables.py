"""Tables beside the target that hold figures about runs. The first write makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crmbet.databases.statements import Fragment, identifier, render
from crmbet.run.schemas import role_of

if TYPE_CHECKING:
    from psycopg2 import extensions

    from crmbet.load.session import LoadSession

MONITOR = "crmbet_monitor"
"""The role of include/sql/roles.sql that reads figures of runs, and no player."""


def ensure_side_table(cursor: extensions.cursor, session: LoadSession, name: str) -> Fragment:
    """The table, quoted and qualified. If it does not exist, it is created by `load/create_<name>.sql`."""
    schema = session.contract.schema_name
    table = session.in_schema(name)
    # PostgreSQL would refuse one of two runs that create the table at the same time.
    cursor.execute(render("load/take_load_lock"), {"lock": f"crmbet.{schema}.{name}"})
    # CREATE SCHEMA IF NOT EXISTS needs the right to create a schema even if it exists; a loader may lack it.
    cursor.execute(render("load/find_schema"), {"schema": schema})
    if cursor.fetchone() is None:
        cursor.execute(render("load/create_schema", schema=identifier(schema)))
    # CREATE TABLE IF NOT EXISTS needs the right to create a table even if the table exists.
    cursor.execute(render("load/find_table"), {"schema": schema, "table": name})
    if cursor.fetchone() is None:
        cursor.execute(render(f"load/create_{name}", table=table))
        grant_to_monitor(cursor, schema, name)
    return table


def grant_to_monitor(cursor: extensions.cursor, schema: str, table: str) -> None:
    """Let the login of the monitoring page read a table that it shows, if include/sql/roles.sql has made its role."""
    cursor.execute(render("load/list_roles"), {"roles": [role_of(MONITOR, schema)]})
    for (role,) in cursor.fetchall():
        cursor.execute(render("load/grant_table", table=identifier(schema, table), role=identifier(role)))
