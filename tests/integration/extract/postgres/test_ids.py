"""An id that is no text in PostgreSQL has the fate that it has in a file: its digits, or a row that is set aside."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from crmbet.extract.ids import EXACT_BELOW, INEXACT, NO_ID, NO_TEXT

pytestmark = pytest.mark.integration

DAY = "2026-08-08 12:00:00"
NOT_EXACT = (None, f"user_id: {INEXACT}")
NONE = (None, f"user_id: {NO_ID}")

KINDS: dict[str, dict[str | None, tuple[str | None, str | None]]] = {
    "double precision": {
        "7": ("7", None),
        "-7": ("-7", None),
        "-0": ("0", None),
        "1e10": ("10000000000", None),
        "1e15": ("1000000000000000", None),
        str(EXACT_BELOW - 1): (str(EXACT_BELOW - 1), None),
        str(EXACT_BELOW): NOT_EXACT,
        "1e300": NOT_EXACT,
        "7.5": NOT_EXACT,
        "NaN": NOT_EXACT,
        "-Infinity": NOT_EXACT,
        None: (None, None),
    },
    "real": {"7": NOT_EXACT, "16777217": NOT_EXACT, None: (None, None)},
    "numeric(38,2)": {
        "7": ("7", None),
        "-7.00": ("-7", None),
        "123456789012345678901234567890": ("123456789012345678901234567890", None),
        "7.01": NOT_EXACT,
        "NaN": NOT_EXACT,
        None: (None, None),
    },
    "numeric": {
        "7": ("7", None),
        "7.000": ("7", None),
        "1e50": (str(10**50), None),
        "7.5": NOT_EXACT,
        "NaN": NOT_EXACT,
        None: (None, None),
    },
    "numeric(20,0)": {"7": ("7", None), "12345678901234567890": ("12345678901234567890", None)},
    "bigint": {"7": ("7", None), "-9223372036854775808": ("-9223372036854775808", None)},
    "text": {"7.0": ("7.0", None), "007": ("007", None), "1e10": ("1e10", None)},
    "boolean": {"true": NONE, None: (None, None)},
    "date": {"2026-08-10": NONE, None: (None, None)},
    "timestamp with time zone": {"2026-08-10 12:00+00": NONE},
    "time": {"12:00": NONE},
    "interval": {"1 day": NONE, None: (None, None)},
    "money": {"7": NONE},
    "player_number": {"7": ("7", None), "7.5": NOT_EXACT},
    "player_of_player": {"7": NOT_EXACT, "7.5": NOT_EXACT, None: (None, None)},
    "player_of_text": {"7.0": ("7.0", None)},
    "json": {
        '"abc"': ("abc", None),
        '"7.0"': ("7.0", None),
        '"jo\\u00e3o"': ("joão", None),
        "7": ("7", None),
        "-0": ("0", None),
        "7.0": ("7", None),
        "7e0": ("7", None),
        "70e-1": ("7", None),
        "0.7e1": ("7", None),
        "1E+10": ("10000000000", None),
        "9007199254740993": ("9007199254740993", None),
        "123456789012345678901234567890": ("123456789012345678901234567890", None),
        "9007199254740993.0": NOT_EXACT,
        "7.5": NOT_EXACT,
        "1e-400": NOT_EXACT,
        "1.0000000000000000001": NOT_EXACT,
        "1e400": NOT_EXACT,
        "1e999999999": NOT_EXACT,
        "true": NONE,
        '{"a": 1}': NONE,
        "[7]": NONE,
        '"a\\u0000"': (None, f"user_id: {NO_TEXT}"),
        '"\\ud83d"': (None, f"user_id: {NO_TEXT}"),
        "null": (None, None),
        None: (None, None),
    },
    "jsonb": {
        '"abc"': ("abc", None),
        "7": ("7", None),
        "7.0": ("7", None),
        "7.5": NOT_EXACT,
        "1e-400": NOT_EXACT,
        "1.0000000000000000001": NOT_EXACT,
        "9007199254740993": ("9007199254740993", None),
        "false": NONE,
        '{"a": 1}': NONE,
        "[7]": NONE,
        "null": (None, None),
        None: (None, None),
    },
    "integer[]": {"{7}": NONE, "{}": NONE, None: (None, None)},
    "text[]": {"{a}": NONE},
    "int4range": {"[1,5)": NONE},
    "inet": {"10.0.0.1": NONE},
    "bit(3)": {"101": NONE},
    "point": {"(1,2)": NONE},
    "bytea": {"abc": NONE, None: (None, None)},
    "tsvector": {"a b": NONE},
    "pair": {"(1,2)": NONE},
    "word": {"a": ("a", None)},
    "oid": {"7": ("7", None)},
    "name": {"7": ("7", None)},
    "character(5)": {"7": ("7", None)},
}

CREATED = {
    "player_number": ["CREATE DOMAIN player_number AS double precision"],
    "player_of_player": ["CREATE DOMAIN player AS real", "CREATE DOMAIN player_of_player AS player"],
    "player_of_text": ["CREATE DOMAIN player AS varchar(20)", "CREATE DOMAIN player_of_text AS player"],
    "pair": ["CREATE TYPE pair AS (a int, b int)"],
    "word": ["CREATE TYPE word AS ENUM ('a', 'b')"],
}


@pytest.fixture
def ids_of(query: Any, table: Any) -> Any:
    """Makes the table with ids of another type."""

    def create(pg_type: str, values: list[str | None]) -> None:
        for statement in CREATED.get(pg_type, ()):
            query(statement)
        table(user_id=pg_type)
        query("CREATE INDEX ON tbl_transactions (created_at)")
        for place, value in enumerate(values):
            query(
                "INSERT INTO tbl_transactions (user_id, amount, transaction_type, status, created_at) "
                f"VALUES (%s::{pg_type}, %s, 'bet', 'pending', %s)",
                value,
                place,
                DAY,
            )

    return create


def fates(rows: list[dict[str, Any]]) -> list[tuple[str | None, str | None]]:
    ordered = sorted(rows, key=lambda row: Decimal(row["amount"]))
    return [(None if row["_reject"] else row["user_id"], row["_reject"]) for row in ordered]


@pytest.mark.few(8)
@pytest.mark.parametrize("pg_type", KINDS)
def test_an_id_of_each_type_of_postgres(ids_of: Any, capture: Any, captured_rows: Any, pg_type: str) -> None:
    ids_of(pg_type, list(KINDS[pg_type]))

    captures = capture()

    assert fates(captured_rows(captures)) == list(KINDS[pg_type].values())
    assert capture().new == 0


def test_days_with_ids_that_were_captured_otherwise_are_captured_anew_and_no_others(
    ids_of: Any, query: Any, capture: Any, captured_rows: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids_of("numeric(10,2)", ["7"])
    query("UPDATE tbl_transactions SET created_at = '2025-01-01'")
    with monkeypatch.context() as earlier:
        earlier.setattr("crmbet.extract.relation.postgres_id", lambda *_: None)
        old = capture()
    assert [row["user_id"] for row in captured_rows(old)] == ["7.00"]

    new = capture(settings={"verify_days": 1})

    assert new.new == 1, "even a day that is not looked at any more"
    assert [row["user_id"] for row in captured_rows(new)] == ["7"]
    assert capture(settings={"verify_days": 1}).new == 0


def test_an_ordinary_table_is_not_captured_anew(
    source: Any, capture: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr("crmbet.extract.relation.postgres_id", lambda *_: None)
        old = capture()

    assert capture(verify_all=True).captures == old.captures
