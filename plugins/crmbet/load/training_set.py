"""The function `training_set` beside the history: point-in-time training data in one SELECT."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crmbet.databases.statements import identifier, literal, render

if TYPE_CHECKING:
    from psycopg2 import extensions

    from crmbet.load.session import LoadSession


def ensure_training_set(session: LoadSession, operator_zone: str) -> None:
    """Make the function, or make it anew, while no load goes on: two makers at once would refuse each other."""
    with session.exclusive_transaction() as cursor:
        create_training_set(cursor, session.contract.schema_name, operator_zone)


def create_training_set(cursor: extensions.cursor, schema: str, operator_zone: str) -> None:
    """The same within a transaction. The history has to be there: its rows are what the function returns."""
    cursor.execute(render("load/create_training_set", schema=identifier(schema), zone=literal(operator_zone)))
