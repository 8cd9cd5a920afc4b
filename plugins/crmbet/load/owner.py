"""Which brand a table belongs to. The table's comment says it, so that it is in each dump and goes with the table."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from crmbet.databases.statements import render

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg2 import extensions

OWNER = re.compile(r"\bBrand: ([a-z0-9][a-z0-9_-]{0,39})\.")


def find_owners(cursor: extensions.cursor, schema: str, tables: Sequence[str]) -> dict[str, str | None]:
    """The brand of each of the tables that exist; None if its comment names none."""
    return {name: _owner_of(comment) for name, comment in read_comments(cursor, schema, tables).items()}


def read_comments(cursor: extensions.cursor, schema: str, tables: Sequence[str]) -> dict[str, str]:
    """The comment of each of the tables that exist, empty if it has none."""
    cursor.execute(render("load/list_comments"), {"schema": schema, "tables": list(tables)})
    return {name: comment or "" for name, comment in cursor.fetchall()}


def with_owner(comment: str, brand: str) -> str:
    """The comment as one that names the brand. Whatever else it says stays."""
    if _owner_of(comment) == brand:
        return comment
    return f"{comment.rstrip()} Brand: {brand}.".lstrip()


def _owner_of(comment: str) -> str | None:
    named = OWNER.findall(comment)
    return str(named[-1]) if named else None
