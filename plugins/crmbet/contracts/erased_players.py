"""Players who were erased, known only by a keyed hash of their id: from the hash alone nobody finds the id.

The hash is HMAC-SHA-256 (RFC 2104) of the id in the form in which ids are compared, so other spellings of an id have
the same hash. It is made of two plain hashes, which the data engine has: 1.6 s of processor time for a million ids.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from crmbet.contracts.alike_ids import create_fold_id, fold
from crmbet.databases.statements import Fragment, joined, literal, render, statement

if TYPE_CHECKING:
    import duckdb

BLOCK_BYTES = 64
"""Of SHA-256."""
INNER, OUTER = 0x36, 0x5C


@dataclass(frozen=True)
class ErasedPlayers:
    """The hashes of erased players, and the key that they were made with."""

    key: bytes = field(default=b"", repr=False)
    hashes: frozenset[str] = frozenset()
    """64 hexadecimal digits each."""

    def __bool__(self) -> bool:
        return bool(self.hashes)

    def hash_of(self, user_id: str) -> str:
        """The hash of one id, however it is spelled."""
        return hmac.new(self.key, fold(user_id).encode(), hashlib.sha256).hexdigest()

    def holds(self, user_id: str) -> bool:
        """Whether a player was erased."""
        return self.hash_of(user_id) in self.hashes

    def prepare(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Make the tables `erased_players` of the hashes and `looked_up_ids` of ids that were compared with them."""
        create_fold_id(connection)
        connection.execute(statement("erasure/create_erased_players"))
        connection.execute(statement("erasure/create_looked_up_ids"))
        connection.execute("DELETE FROM erased_players")
        connection.execute(statement("erasure/insert_erased_players"), [sorted(self.hashes)])

    def look_up(
        self, connection: duckdb.DuckDBPyConnection, rows: Fragment, ids: Collection[Fragment]
    ) -> Fragment:
        """Compare the ids of some rows with the hashes. Returns the condition that a row is of an erased player.

        `ids` are expressions that give ids, or NULL. Each id is hashed once for all calls with one connection.
        """
        inner, outer = (_padded(self.key, pad) for pad in (INNER, OUTER))
        for id_ in ids:
            connection.execute(
                render("erasure/look_up_ids", rows=rows, id=id_, inner=_blob(inner), outer=_blob(outer))
            )
        return joined([render_fragment("erasure/is_erased", id=id_) for id_ in ids], " OR ")


NOBODY = ErasedPlayers()
"""No player was erased, and nothing is compared."""


def render_fragment(name: str, **fragments: Fragment) -> Fragment:
    """A part of a statement from a file."""
    return Fragment(render(name, **fragments).strip())


def erased_of(key: bytes, user_ids: Iterable[str]) -> ErasedPlayers:
    """Players by their ids."""
    nobody = ErasedPlayers(key)
    return ErasedPlayers(key, frozenset(map(nobody.hash_of, user_ids)))


def _padded(key: bytes, pad: int) -> bytes:
    block = hashlib.sha256(key).digest() if len(key) > BLOCK_BYTES else key
    return bytes(byte ^ pad for byte in block.ljust(BLOCK_BYTES, b"\0"))


def _blob(content: bytes) -> Fragment:
    return Fragment(f"unhex({literal(content.hex())})")
