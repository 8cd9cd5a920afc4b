"""Erased players are recognised by a keyed hash, in the data engine as in Python."""

from __future__ import annotations

import hashlib
import hmac

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmbet.contracts.alike_ids import fold
from crmbet.contracts.erased_players import NOBODY, ErasedPlayers, erased_of
from crmbet.databases.statements import Fragment, statement

pytestmark = pytest.mark.unit

# No NUL, which no text of the engine's has from a file, and no half of a pair, which UTF-8 does not have.
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@given(st.binary(max_size=100), st.lists(TEXTS, min_size=1, max_size=5), TEXTS)
def test_the_engine_finds_whom_python_would(key: bytes, erased: list[str], other: str) -> None:
    players = erased_of(key, erased)
    with duckdb.connect() as connection:
        connection.execute(statement("create_parsers"))
        connection.execute("CREATE TABLE rows (id VARCHAR)")
        connection.executemany("INSERT INTO rows VALUES (?)", [[text] for text in (*erased, other)])
        players.prepare(connection)
        condition = players.look_up(connection, Fragment("rows"), [Fragment("id")])
        found = {text for (text,) in connection.execute(f"SELECT id FROM rows WHERE {condition}").fetchall()}

    # An id of nothing but blanks is none.
    assert {text for text in found if fold(text)} == {
        text for text in (*erased, other) if fold(text) and players.holds(text)
    }


def test_the_hash_is_that_of_the_standard() -> None:
    expected = hmac.new(b"key", b"u0000349", hashlib.sha256).hexdigest()

    assert ErasedPlayers(b"key").hash_of(" U0000349 ") == expected


def test_nobody_is_nobody_and_a_key_is_not_shown() -> None:
    assert not NOBODY
    assert erased_of(b"secret", ["ana"])
    assert "secret" not in repr(erased_of(b"secret", ["ana"]))
