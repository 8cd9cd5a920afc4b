"""The schema of the target, and the names of the roles that belong to it.

Each brand has a schema of its own, and so have its roles: whoever reads one brand's players reads no other's. Nothing
heavy is imported here, since a DAG file needs it.
"""

from __future__ import annotations

import re

DEFAULT_SCHEMA = "ml_features"
ROLES = (
    "crmbet_loader",
    "crmbet_monitor",
    "crmbet_reader",
    "crmbet_responsible_gambling",
    "crmbet_crm",
    "crmbet_privacy",
)
"""The roles of include/sql/roles.sql, as those of the default schema are named."""
LONGEST_NAME = 63
"""PostgreSQL cuts a longer name off, so two roles might become one."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_OF_THE_SERVER = ("public", "information_schema")


def role_of(role: str, schema: str) -> str:
    """The name of one of `ROLES` for a schema: crmbet_reader_aurora for ml_features_aurora."""
    if schema == DEFAULT_SCHEMA:
        return role
    return f"{role}_{schema.removeprefix(f'{DEFAULT_SCHEMA}_')}"


def checked_schema(schema: str) -> str:
    """Return the schema's name as it is. Raises `ValueError`, which does not repeat it, if it cannot be one of ours."""
    if not _NAME.fullmatch(schema) or schema.startswith("pg_") or schema in _OF_THE_SERVER:
        raise ValueError(
            "use lower-case letters, digits and '_', beginning with a letter, and no schema of the server's"
        )
    if any(len(role_of(role, schema)) > LONGEST_NAME for role in ROLES):
        raise ValueError(f"too long: the names of its roles would have more than {LONGEST_NAME} letters")
    return schema
