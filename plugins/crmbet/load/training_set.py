"""The function `training_set` beside the history: point-in-time training data in one SELECT."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from crmbet.databases.statements import identifier, literal, render

if TYPE_CHECKING:
    from psycopg2 import extensions

    from crmbet.load.session import LoadSession

log = logging.getLogger(__name__)


def ensure_training_set(session: LoadSession, operator_zone: str) -> None:
    """Create or replace the function under the load lock, since PostgreSQL refuses to do it twice at the same time."""
    with session.exclusive_transaction() as cursor:
        create_training_set(cursor, session.contract.schema_name, operator_zone)


def create_training_set(cursor: extensions.cursor, schema: str, operator_zone: str) -> None:
    """Create or replace the function in a transaction. The history must exist, since the function returns its rows.

    The function of a release that took fewer arguments goes: beside the new one, no call would be unambiguous. If a
    view needs it, it stays and the new one is not made, since a load is worth more than an argument.
    """
    cursor.execute(render("load/find_training_set"), {"schema": schema})
    if (earlier := cursor.fetchone()) is not None:
        signature, is_needed = earlier
        if is_needed:
            log.warning(
                "%s of an earlier release stays as it is, without the argument admit_reconstructed, since something "
                "in the database needs it, such as a view. Drop that, let one run make the function again, and make "
                "it again",
                signature,
            )
            return
        cursor.execute(render("load/drop_training_set", schema=identifier(schema)))
    cursor.execute(render("load/create_training_set", schema=identifier(schema), zone=literal(operator_zone)))
