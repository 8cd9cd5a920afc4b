"""A column that is captured as Parquet types it becomes what its text would: the same cells, faults and records."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmbet.contracts.instants import event_instant, known_instant
from crmbet.contracts.plain import looked_over_rows
from crmbet.contracts.source import SourceContract
from crmbet.contracts.typing import typed_rows
from crmbet.contracts.values import keeps_type
from crmbet.databases.statements import Fragment, literal
from crmbet.extract.decoding import UnpackLimits
from crmbet.extract.formats import Reading, readings
from tests.sql.world import contracts
from tests.tiers import examples

pytestmark = pytest.mark.sql

LIMITS = UnpackLimits(ratio=1000, size=1 << 40)

# Beyond 2**53 microseconds (1684 to 2255) the engine's text of an instant with a zone is not exact; the type is.
MICROSECONDS = st.one_of(
    st.sampled_from([0, -1, 1_519_012_800_000_000, 1_541_300_400_000_000]),
    st.integers(-(2**53), 2**53),
    st.integers(0, 4_102_444_800_000_000),
    st.integers(-200_000, 200_000).map(lambda years: years * 31_556_952_000_000),
)
INFINITY = st.sampled_from(["'infinity'", "'-infinity'"])
INSTANTS = MICROSECONDS.map(lambda at: f"make_timestamp({at})") | INFINITY.map(lambda at: f"{at}::TIMESTAMP")
ZONED = MICROSECONDS.map(lambda at: f"make_timestamptz({at})") | INFINITY.map(lambda at: f"{at}::TIMESTAMPTZ")
DAYS = st.integers(-2_000_000, 2_000_000).map(lambda day: f"DATE '1970-01-01' + {day}") | INFINITY
DOUBLES = st.one_of(st.floats(0, 1), st.floats(), st.sampled_from([0.1, 1e-7, 1e20, -0.0])).map(
    lambda value: f"'{value}'::DOUBLE"
)
NULLS = st.just("NULL")

VALUES = {
    "key": ("VARCHAR", st.sampled_from(["'a'", "' b '", "''", "'{}'", "chr(1)", "'c' || chr(7)"])),
    "at": ("TIMESTAMP", INSTANTS),
    "known": ("TIMESTAMPTZ", ZONED),
    "day": ("DATE", DAYS),
    "amount": (
        "DECIMAL(18, 4)",
        st.integers(-(10**18) + 1, 10**18 - 1).map(lambda n: f"'{Decimal(n).scaleb(-4):f}'"),
    ),
    "cents": ("DECIMAL(18, 2)", st.integers(-(10**9), 10**9).map(lambda n: f"'{Decimal(n).scaleb(-2):f}'")),
    "whole": ("BIGINT", st.integers(-(2**63), 2**63 - 1).map(str)),
    "count": ("INTEGER", st.integers(-(2**31), 2**31 - 1).map(str)),
    "share": ("DOUBLE", DOUBLES),
    "flag": ("BOOLEAN", st.sampled_from(["true", "false"])),
}
ROWS = st.lists(st.tuples(*(NULLS | values for _, values in VALUES.values())), min_size=8, max_size=24)


def contract(mark: str) -> SourceContract:
    columns: dict[str, dict[str, Any]] = {
        "key": {"type": "text", "required": True, "max_length": 10},
        "at": {"type": "timestamp", "required": True},
        "known": {"type": "timestamp", "on_invalid": "null"},
        "day": {"type": "date"},
        "amount": {"type": "decimal", "precision": 12, "minimum": 0, "decimal_mark": mark},
        "cents": {"type": "decimal", "required": True, "decimal_mark": mark},
        "whole": {"type": "decimal", "precision": 18, "scale": 2, "maximum": 10**12, "decimal_mark": mark},
        "count": {"type": "integer", "above": 0, "decimal_mark": mark},
        "share": {"type": "real", "minimum": 0, "maximum": 1, "on_invalid": "null", "decimal_mark": mark},
        "flag": {"type": "boolean", "required": True},
    }
    return SourceContract.model_validate(
        {
            "name": "typed",
            "kind": "lake",
            "relation": "typed",
            "meaning": "",
            "grain": "",
            "required": False,
            "business_key": "key",
            "event_time": "at",
            "known_time": "known",
            "columns": {name: {"meaning": "", **column} for name, column in columns.items()},
        }
    )


def cleaned(
    engine: duckdb.DuckDBPyConnection, feed: SourceContract, reading: Reading, rows: str
) -> list[dict[str, Any]]:
    """Rows as the capture holds them, typed and judged; timestamps as text, since Python's end with the year 9999."""
    happened = event_instant(feed, reading.types)
    day = Fragment(f"operator_day({happened.value}, 'America/Sao_Paulo', NULL::BIGINT[], DATE '2000-01-01')")
    captured = Fragment(f"(SELECT *, 'a' AS _source_key, {happened.spelled} AS _spelled FROM ({rows}))")
    query = typed_rows(feed, captured, reading.types, day)
    found = engine.execute(
        f'SELECT * REPLACE (_known::VARCHAR AS _known, "at"::VARCHAR AS "at", known::VARCHAR AS known, '
        f"day::VARCHAR AS day, share::VARCHAR AS share) FROM ({query}) ORDER BY _row"
    )
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


@pytest.mark.few(1)
@pytest.mark.parametrize("mark", [".", ","])
def test_a_typed_column_becomes_what_its_text_would(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path, mark: str
) -> None:
    feed = contract(mark)

    @settings(max_examples=examples(3, full=8), deadline=None)
    @given(ROWS)
    def check(rows: list[tuple[str, ...]]) -> None:
        types = [engine_type for engine_type, _ in VALUES.values()]
        lines = [
            "SELECT " + ", ".join(
                f"({value})::{engine_type} AS \"{name}\""
                for name, value, engine_type in zip(VALUES, row, types, strict=True)
            )
            for row in rows
        ]  # fmt: skip
        # The engine remembers files by name and time.
        path = tmp_path / f"{uuid4()}.parquet"
        engine.execute(f"COPY ({' UNION ALL '.join(lines)}) TO {literal(str(path))} (FORMAT parquet)")
        typed = next(readings(engine, path, "object.parquet", feed, LIMITS))
        assert set(typed.types) == VALUES.keys() - {"key"}
        numbers = {name for name, column in feed.columns.items() if column.decimal_mark == ","}
        texts = ", ".join(
            f"replace(\"{name}\"::VARCHAR, '.', '{mark if name in numbers else '.'}') AS \"{name}\""
            for name in feed.columns
        )
        as_text = Reading(f"SELECT _row, _reject, {texts} FROM ({typed.query})", typed.records)
        ours = cleaned(engine, feed, typed, typed.query)
        theirs = cleaned(engine, feed, as_text, as_text.query)
        for row in (*ours, *theirs):
            if mark == ",":
                # The mark is all that differs: a number is shown as the engine spells it.
                row["_raw"] = row["_raw"] is not None
                row["_discarded"] = row["_discarded"] and [
                    each.replace(",", ".") for each in row["_discarded"]
                ]
            # The text is something that cannot be read. A double has no other way to say that there is nothing.
            row["_discarded"] = [each for each in row["_discarded"] or () if each != "share: aaa"]
        assert ours == theirs

    check()


@pytest.mark.parametrize("engine_type", ["DOUBLE", "FLOAT"])
@pytest.mark.parametrize("source", ["players", "limits"])
def test_a_nan_where_a_protection_may_stand_is_what_its_text_would_be(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path, source: str, engine_type: str
) -> None:
    feed = contracts()[source]
    good = {
        "user_id": "p1",
        "changed_at": "2026-02-20 12:00:00",
        "kind": "self_exclusion",
        "old_value": "180",
    }
    names = [name for name, column in feed.columns.items() if column.protects]
    others = [name for name in feed.columns if name not in names]
    cells = ", ".join(
        f"{literal(good[name])} AS {name}" if name in good else f"NULL AS {name}" for name in others
    )
    numbers = ("nan", "-nan", "inf", "1", "0", "30.5")
    rows = " UNION ALL ".join(
        f"SELECT {cells}, "
        + ", ".join(
            f"{literal(number) if each == name else 'NULL'}::{engine_type} AS {each}" for each in names
        )
        for name in names
        for number in numbers
    )
    path = tmp_path / "object.parquet"
    engine.execute(f"COPY ({rows}) TO {literal(str(path))} (FORMAT parquet)")
    typed = next(readings(engine, path, "object.parquet", feed, LIMITS))
    spelled = ", ".join(f"{name}::VARCHAR AS {name}" for name in feed.columns)

    found, expected = (
        engine.execute(f"FROM ({typed_rows(feed, of, types, Fragment('_day'))}) ORDER BY _row").fetchall()
        for of, types in (
            (
                Fragment(f"(SELECT *, 'a' AS _source_key, DATE '2026-02-28' AS _day FROM ({typed.query}))"),
                typed.types,
            ),
            (
                Fragment(
                    f"(SELECT _row, _reject, {spelled}, 'a' AS _source_key, DATE '2026-02-28' AS _day "
                    f"FROM ({typed.query}))"
                ),
                {},
            ),
        )
    )

    assert found == expected
    place = [column[0] for column in engine.description or ()].index("_protection")
    nans = [row[place] for number, row in enumerate(found) if number % len(numbers) < 2]
    assert all(nans)


NUMBERS = {"0": "BIGINT", "0.00": "DECIMAL(10,2)", "0.0": "DOUBLE"}


@pytest.mark.few(4)
@pytest.mark.parametrize(("spelled", "engine_type"), NUMBERS.items())
@pytest.mark.parametrize("word", NUMBERS)
def test_a_word_for_nothing_is_nothing_in_every_format(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path, word: str, spelled: str, engine_type: str
) -> None:
    described = contracts()["bets"].model_dump()
    feed = SourceContract.model_validate({**described, "null_values": [word]})
    path = tmp_path / "object.parquet"
    good = "'b' AS bet_id, 'u' AS user_id, '2026-02-20' AS placed_at, 'slots' AS game_type, 1 AS stake"
    cell = f"0::{engine_type} AS payout, 0::{engine_type} AS balance_after"
    engine.execute(f"COPY (SELECT {good}, {cell}) TO {literal(str(path))} (FORMAT parquet)")
    typed = next(readings(engine, path, "object.parquet", feed, LIMITS))
    texts = ", ".join(f"{name}::VARCHAR AS {name}" for name in feed.columns)
    text_rows = f"SELECT _row, _reject, {texts} FROM ({typed.query})"
    cells = set()
    for rows, types in ((typed.query, typed.types), (text_rows, {})):
        captured = Fragment(f"(SELECT *, 'a' AS _source_key, DATE '2026-02-20' AS _day FROM ({rows}))")
        judged = typed_rows(feed, captured, types, Fragment("_day"))
        looked_over = looked_over_rows(feed, captured, types, Fragment("_day"))
        cells |= {*engine.execute(f"SELECT payout, balance_after FROM ({judged})").fetchall()}
        plain = f"SELECT payout, balance_after FROM ({looked_over}) WHERE NOT _odd"
        cells |= {*engine.execute(plain).fetchall()}

    zero = None if word == spelled else 0
    assert cells == {(zero, zero)}


def test_what_could_differ_from_its_text_is_captured_as_text() -> None:
    feed = contract(".")
    of = feed.columns
    assert not keeps_type(of["amount"], "DOUBLE")
    assert not keeps_type(of["amount"], "DECIMAL(18,6)")
    assert not keeps_type(of["share"], "FLOAT")
    assert not keeps_type(of["at"], "TIMESTAMP_NS")
    assert not keeps_type(of["at"], "DATE")
    assert not keeps_type(of["count"], "UBIGINT")
    assert not keeps_type(of["key"], "UUID")
    assert not keeps_type(of["at"].model_copy(update={"formats": ["%d/%m/%Y"]}), "TIMESTAMP")


def test_types_that_a_changed_contract_no_longer_keeps_are_read_as_text(
    engine: duckdb.DuckDBPyConnection,
) -> None:
    content = contract(".").model_dump()
    content["columns"]["share"] = {"type": "decimal", "meaning": ""}
    content["known_time"] = None
    content["columns"]["known"] = {"type": "text", "meaning": ""}
    feed = SourceContract.model_validate(content)
    types = {"share": "DOUBLE", "known": "TIMESTAMP WITH TIME ZONE"}
    columns = ", ".join(f"NULL::VARCHAR AS {name}" for name in feed.columns if name not in types)
    query = typed_rows(
        feed,
        Fragment(
            f"(SELECT 1::BIGINT AS _row, NULL::VARCHAR AS _reject, 'a' AS _source_key, {columns}, "
            "0.1::DOUBLE AS share, TIMESTAMPTZ '2026-02-20 12:00:00+00' AS known)"
        ),
        types,
        Fragment(f"DATE {literal(date(2026, 2, 20).isoformat())}"),
    )
    found = engine.execute(f"SELECT share::VARCHAR, known FROM ({query})").fetchone()
    assert found == ("0.1000", "2026-02-20 12:00:00+00")
    assert str(known_instant(feed, types).value) == "NULL::TIMESTAMP"
