"""The tables of erasure beside the feature table: requests, legal holds, the ledger of erased players, certificates."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

from crmbet.contracts.erased_players import NOBODY, ErasedPlayers
from crmbet.databases.statements import identifier, render
from crmbet.failures import BadSetting
from crmbet.load.session import LoadSession
from crmbet.run.schemas import role_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg2 import extensions

REQUESTS = "erasure_requests"
HOLDS = "legal_holds"
LEDGER = "erasure_ledger"
CERTIFICATES = "erasure_certificates"
PRIVACY = "crmbet_privacy"
"""The role of include/sql/roles.sql that asks for erasures."""
KEY_NAME = b"crmbet: the name of this key"
"""What is hashed to name a key without showing it. No id is so long."""
LEAST_KEY_BYTES = 32


def ensure_tables(session: LoadSession) -> None:
    """Make the tables that are missing."""
    schema = session.contract.schema_name
    with session.transaction() as cursor:
        cursor.execute(render("load/take_load_lock"), {"lock": f"crmbet.{schema}.erasure"})
        cursor.execute(render("load/find_schema"), {"schema": schema})
        if cursor.fetchone() is None:
            cursor.execute(render("load/create_schema", schema=identifier(schema)))
        missing = [
            name for name in (REQUESTS, HOLDS, LEDGER, CERTIFICATES) if not _exists(cursor, session, name)
        ]
        for name in missing:
            cursor.execute(render(f"erasure/create_{name}", table=session.in_schema(name)))
        if missing:
            _grant(cursor, session)


def read_erased(session: LoadSession, read_key: Callable[[], bytes]) -> ErasedPlayers:
    """The players who were erased; nobody if there is no ledger. The key is asked for only if there is somebody.

    Raises `BadSetting` if the ledger was written with another key: its players would not be recognised.
    """
    with session.transaction() as cursor:
        if not _exists(cursor, session, LEDGER):
            return NOBODY
        cursor.execute(render("erasure/read_ledger", table=session.in_schema(LEDGER)))
        found = cursor.fetchall()
    if not found:
        return NOBODY
    key = read_key()
    if {name for _, name in found} != {name_of(key)}:
        raise BadSetting(
            "the key of the connection crmbet_erasure is not the one that the erasure ledger was written with",
            where=f"{session.where}, table {LEDGER}",
            why="erased players are known only by a hash that depends on the key, and would come back",
            next_step="put the key back that the deployment had when the first player was erased, and clear the task",
        )
    return ErasedPlayers(key, frozenset(hash_ for hash_, _ in found))


def checked_key(password: str | None) -> bytes:
    """The key of the ledger. Raises `BadSetting` if it is missing or could be guessed."""
    key = (password or "").encode()
    if len(key) < LEAST_KEY_BYTES:
        raise BadSetting(
            f"the password of the connection crmbet_erasure has {len(key)} bytes, and the key of the erasure ledger "
            f"needs {LEAST_KEY_BYTES}",
            where="Airflow connection crmbet_erasure",
            why="whoever guesses the key finds out by trying ids who was erased",
            next_step="make one, for example by `openssl rand -hex 32`, keep a copy where secrets are kept, and clear "
            "the task",
        )
    return key


def name_of(key: bytes) -> str:
    """The name of a key, which does not tell the key."""
    return hmac.new(key, KEY_NAME, hashlib.sha256).hexdigest()[:16]


def _grant(cursor: extensions.cursor, session: LoadSession) -> None:
    """Let the privacy office use the tables, if include/sql/roles.sql has made its role."""
    cursor.execute(render("load/list_roles"), {"roles": [role_of(PRIVACY, session.contract.schema_name)]})
    for (role,) in cursor.fetchall():
        cursor.execute(
            render(
                "erasure/grant_to_privacy",
                requests=session.in_schema(REQUESTS),
                holds=session.in_schema(HOLDS),
                certificates=session.in_schema(CERTIFICATES),
                role=identifier(role),
            )
        )


def _exists(cursor: extensions.cursor, session: LoadSession, name: str) -> bool:
    cursor.execute(render("load/find_table"), {"schema": session.contract.schema_name, "table": name})
    return cursor.fetchone() is not None
