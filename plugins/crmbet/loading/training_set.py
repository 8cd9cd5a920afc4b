"""The function `training_set` beside the history: point-in-time training data in one SELECT."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crmbet.statements import identifier, literal, render

if TYPE_CHECKING:
    from psycopg2 import extensions


def create_training_set(cursor: extensions.cursor, schema: str, operator_zone: str) -> None:
    """Make the function, or make it anew. The history has to be there: its rows are what the function returns."""
    cursor.execute(render("load/create_training_set", schema=identifier(schema), zone=literal(operator_zone)))
