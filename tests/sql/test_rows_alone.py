"""A parser reads each row as if it were alone: neither the other rows nor their order or batch change a cell.

The kind of fault is state that an engine carries from row to row. A cast to TIMESTAMPTZ kept the zone that one text
names for the texts after it, so that a later time without a zone moved by hours.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tiers import examples

pytestmark = pytest.mark.sql

ZONES = (
    "",
    "Z",
    "+00:00",
    "-03:00",
    "+0530",
    " -0300",
    " America/Sao_Paulo",
    " Asia/Tokyo",
    " UTC",
    " EST",
    " nowhere",
)
CLOCKS = (
    "2026-08-10 12:00:00",
    "2026-08-10T23:30:00.5",
    "2018-11-04 00:30:00",
    "2026-08-10",
    "20260810T120000",
    "?",
)
TEXTS: dict[str, tuple[str, ...]] = {
    "parse_timestamp({})": tuple(clock + zone for clock in CLOCKS for zone in ZONES),
    "parse_date({})": tuple(clock + zone for clock in CLOCKS for zone in ZONES),
    "parse_format({}, '%Y-%m-%d %H:%M:%S %Z')": tuple(f"2026-08-10 12:00:00{zone}" for zone in ZONES),
    "parse_format({}, '%Y-%m-%d %H:%M:%S%z')": tuple(f"2026-08-10 12:00:00{zone}" for zone in ZONES),
    "parse_zoned_format({}, '%Y-%m-%d %H:%M:%S %Z', ' ([A-Z]+)$')": tuple(
        f"2026-08-10 12:00:00{zone}" for zone in ZONES
    ),
    "parse_format({}, '%d/%m/%Y %H:%M')": (
        "10/08/2026 12:00",
        "31/02/2026 12:00",
        "infinity",
        "epoch",
        "12:00",
    ),
    "parse_epoch_s({})": ("1786363200", "1786363200.25", "-1", "1e3", "soon"),
    "parse_epoch_ms({})": ("1786363200000", "-1", "1e30", "soon"),
    "parse_boolean({})": ("true", "VERDADEIRO", "0.0", "x", "2", ""),
    "parse_zone({})": ("America/Sao_Paulo", "Asia/Tokyo", "UTC", "Brasilia", ""),
    "parse_text({})": (" a ", "\u3000b", "", "c\u00a0", "é\u0085"),
    "normal_id(parse_text({}))": ("Jose\u0301", "José", " a", "\u2003"),
    "parse_list({})": ('["a", "b"]', '{"a": true, "*": 1}', "a;b|c", '["a"', "[]", ""),
    "try_cast(castable_number({}) AS DECIMAL(18, 4))": ("R$ 1,234.50", "1 234", "12,34", "-5 BRL", "1e3"),
    "try_cast({} AS DATE)": ("2026-08-10 12:00:00 Asia/Tokyo", "2026-08-10", "infinity", "?"),
}
"""By expression: texts of every shape that it tells apart."""


def read(engine: duckdb.DuckDBPyConnection, expression: str, texts: list[str | None]) -> list[Any]:
    """The values of some rows that are read by one statement."""
    return [
        value
        for (value,) in engine.execute(
            f"SELECT {expression.format('spelled')} "
            "FROM (SELECT unnest(?::VARCHAR[]) AS spelled, unnest(range(?)) AS place) ORDER BY place",
            [texts, len(texts)],
        ).fetchall()
    ]


@cache
def _read_alone(engine: duckdb.DuckDBPyConnection, expression: str) -> dict[str | None, Any]:
    """The value of each text, read by a statement of its own."""
    return {text: read(engine, expression, [text])[0] for text in (*TEXTS[expression], None)}


@pytest.mark.few(6)
@pytest.mark.parametrize("expression", TEXTS)
@settings(derandomize=True, database=None, deadline=None, max_examples=examples(3, full=8))
@given(data=st.data())
def test_a_row_is_read_as_if_it_were_alone(
    engine: duckdb.DuckDBPyConnection, expression: str, data: st.DataObject
) -> None:
    texts = data.draw(st.permutations((*TEXTS[expression], None) * 2))
    cut = data.draw(st.integers(0, len(texts)))
    alone = _read_alone(engine, expression)

    found = [value for batch in (texts[:cut], texts[cut:]) for value in read(engine, expression, batch)]
    assert found == [alone[text] for text in texts]


def test_the_engine_does_carry_a_zone_from_row_to_row(engine: duckdb.DuckDBPyConnection) -> None:
    """The day on which this fails, the parsers may become simpler."""
    texts: list[str | None] = ["2026-08-10 12:00:00 Asia/Tokyo", "2026-08-10 12:00:00"]

    tokyo, zoneless = read(engine, "epoch(try_cast({} AS TIMESTAMPTZ))", texts)

    assert tokyo == zoneless
