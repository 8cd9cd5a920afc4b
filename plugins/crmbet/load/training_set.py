"""The function `training_set` beside the history: point-in-time training data in one SELECT."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crmbet.databases.statements import identifier, literal, render

if TYPE_CHECKING:
    from psycopg2 import extensions

    from crmbet.load.session import LoadSession


def ensure_training_set(session: LoadSession, operator_zone: str) -> None:
    """Create or replace the function under the load lock, since PostgreSQL refuses to do it twice at the same time."""
    with session.exclusive_transaction() as cursor:
        create_training_set(cursor, session.contract.schema_name, operator_zone)


def create_training_set(cursor: extensions.cursor, schema: str, operator_zone: str) -> None:
    """Create or replace the function in a transaction. The history must exist, since the function returns its rows."""
    cursor.execute(render("load/create_training_set", schema=identifier(schema), zone=literal(operator_zone)))
