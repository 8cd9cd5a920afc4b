"""A row that is looked over becomes what it becomes if it is judged: the fast way and the slow way give the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from types import MappingProxyType
from typing import Any

import duckdb
import pyarrow as pa
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crmbet.contracts.plain import looked_over_rows, may_be_plain
from crmbet.contracts.source import SourceColumn, SourceContract
from crmbet.contracts.typing import known_time, typed_rows
from crmbet.databases.statements import Fragment, identifier, joined, render
from tests.sql.world import contracts
from tests.tiers import examples, now

pytestmark = pytest.mark.sql

SPACES = ("", " ", "\t\t", "\u00a0", "\u2003", "\n")
CELLS: Mapping[str, Sequence[str]] = yaml.safe_load(Path(__file__).with_name("cells.yaml").read_text("utf-8"))
KINDS = {
    **dict.fromkeys(("integer", "decimal", "real"), "number"),
    **dict.fromkeys(("timestamp", "date"), "time"),
    "boolean": "flag",
    "channels": "list",
    "timezone": "zone",
    "text": "text",
}


def spellings(column: SourceColumn) -> Sequence[str]:
    """Texts of every kind that the rules of a column tell apart, a plain one first."""
    if column.type in KINDS:
        return CELLS[KINDS[column.type]]
    known = [word for value, synonyms in column.values.items() for word in (value, *synonyms)]
    return [*known, *map(str.upper, known), *map(str.title, known), *CELLS["text"]]


def variants() -> Mapping[str, SourceContract]:
    """The contracts of the project, and one with other marks, words and formats."""
    described = contracts()["bets"].model_dump()
    described["null_values"] = ["-", "0", "Slot", "1999-01-01 00:00:00"]
    described["columns"]["stake"]["decimal_mark"] = ","
    described["columns"]["placed_at"]["formats"] = ["iso", "epoch_s"]
    described["columns"]["ingested_at"]["formats"] = ["%d/%m/%Y %H:%M"]
    kinds = {"type": "enum", "meaning": "a kind"}
    described["columns"] |= {
        "trimmed_game_id": {"type": "text", "meaning": "named as a helper column might be"},
        "blank": {**kinds, "values": {"nothing": ["", " - "], "u1": []}},
        "small": {**kinds, "values": {"i": [], "é": ["É"]}},
    }
    described["not_before"] = {"session_id": "game_id", "blank": "device_type"}
    other = SourceContract.model_validate(described)
    words = SourceContract.model_validate({**described, "null_values": ["\u0130", "É"]})
    return {**contracts(), "other": other, "words": words}


def plain_row(contract: SourceContract, **cells: str | None) -> dict[str, str | None]:
    plain = {name: spellings(column)[0] for name, column in contract.columns.items()}
    return {"_reject": None, "_day": "2026-02-20", **plain, **cells}


@pytest.mark.few(1)
@pytest.mark.parametrize("name", now("bets", "players", "other", "words", full=variants()))
def test_any_cell_among_plain_ones(engine: duckdb.DuckDBPyConnection, name: str) -> None:
    contract = variants()[name]
    rows = [
        plain_row(contract, **{of: before + text + after})
        for of, column in contract.columns.items()
        for text, before, after in product(spellings(column), SPACES, SPACES)
    ]
    rows += [plain_row(contract, **{of: None}) for of in (*contract.columns, "_day")]
    rows.append(plain_row(contract, _reject="malformed record"))

    looked_over, judged = both_ways(engine, contract, rows)

    assert looked_over == judged


@pytest.mark.parametrize("name", now("bets", full=variants()))
@settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=examples(3, full=15),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_any_cells_together(engine: duckdb.DuckDBPyConnection, name: str, data: st.DataObject) -> None:
    contract = variants()[name]
    cells = {
        of: st.one_of(st.none(), st.sampled_from(spellings(column)), st.text(max_size=4))
        for of, column in contract.columns.items()
    }
    changes = st.lists(st.fixed_dictionaries({}, optional=cells), min_size=1, max_size=20)
    rows = [plain_row(contract, **changed) for changed in data.draw(changes)]

    looked_over, judged = both_ways(engine, contract, rows)

    assert looked_over == judged


@pytest.mark.parametrize("name", contracts())
def test_an_ordinary_row_is_plain(engine: duckdb.DuckDBPyConnection, name: str) -> None:
    """Otherwise the fast way would be right, and never taken."""
    contract = contracts()[name]
    never = [of for of, column in contract.columns.items() if column.type in ("channels", "timezone", "date")]

    both_ways(engine, contract, [plain_row(contract, **dict.fromkeys(never))])

    assert engine.execute("SELECT bool_or(_odd) FROM looked_over").fetchone() == (False,)


def test_a_feed_that_only_parsers_read_has_no_plain_rows() -> None:
    bets = contracts()["bets"]

    assert may_be_plain(bets, {})
    assert not may_be_plain(variants()["other"], {}), "its stakes have a comma"
    assert not may_be_plain(bets, {"user_id": "BLOB"})


def test_cells_that_were_captured_with_a_type(engine: duckdb.DuckDBPyConnection) -> None:
    contract = contracts()["bets"]
    types = {
        "placed_at": "TIMESTAMP",
        "stake": "DECIMAL(10,2)",
        "rtp": "DOUBLE",
        "is_bonus": "BOOLEAN",
        "payout": "BIGINT",
        "session_id": "UUID",
        "game_id": "BIGINT",
        "device_type": "DATE",
    }
    cells: Mapping[str, Sequence[str | None]] = {
        "placed_at": [None, "2026-02-20 12:00:00", "infinity", "0001-01-01"],
        "stake": ["1", "-1", None],
        "rtp": ["nan", "0.5", "2"],
        "is_bonus": [None, "true"],
        "payout": ["1", "-1"],
        "session_id": ["11111111-1111-1111-1111-111111111111"],
        "game_id": ["-5", "0"],
        "device_type": ["2026-02-20"],
    }
    plain = plain_row(contract, session_id=None, game_id=None, device_type=None, stake="1", payout="1")
    rows = [{**plain, name: cell} for name, some in cells.items() for cell in some]

    looked_over, judged = both_ways(engine, contract, rows, types)

    assert looked_over == judged
    odd = engine.execute("SELECT count(*) FILTER (_odd) FROM looked_over").fetchone()
    # All but the plain ones, and NULL where something may be missing.
    assert odd == (8,)


def both_ways(
    engine: duckdb.DuckDBPyConnection,
    contract: SourceContract,
    rows: Sequence[Mapping[str, Any]],
    types: Mapping[str, str] = MappingProxyType({}),
) -> tuple[list[Any], list[Any]]:
    """The typed rows: looked over with the odd ones judged, and all of them judged."""
    names = ("_reject", "_day", *contract.columns)
    schema = pa.schema([("_row", pa.int64()), *((name, pa.string()) for name in names)])
    engine.register(
        "given", pa.Table.from_pylist([{"_row": number, **row} for number, row in enumerate(rows)], schema)
    )
    casts = [
        f"{identifier(name)}::{types.get(name, 'VARCHAR')} AS {identifier(name)}" for name in contract.columns
    ]
    captured = Fragment(
        f"(SELECT _row, _reject, 'key' AS _source_key, _day::DATE AS _day, {', '.join(casts)} FROM given)"
    )
    all_judged = typed_rows(contract, captured, types, Fragment("_day"))
    rows_over = looked_over_rows(contract, captured, types, Fragment("_day"))
    engine.execute(f"CREATE OR REPLACE TEMPORARY TABLE looked_over AS {rows_over}")
    looked_over = Fragment("looked_over")
    plain = render(
        "clean/select_plain_rows",
        looked_over=looked_over,
        columns=joined([identifier(name) for name in contract.columns]),
        known=known_time(contract),
        number=Fragment("rowid"),
    )
    cells = Fragment(f"({render('clean/select_odd_cells', looked_over=looked_over)})")
    judged = typed_rows(contract, cells, types, Fragment("_placed"))
    together = f"SELECT * EXCLUDE (_id) FROM ({plain} UNION ALL BY NAME FROM ({judged})) ORDER BY _row"
    found = (
        engine.execute(together).fetchall(),
        engine.execute(f"FROM ({all_judged}) ORDER BY _row").fetchall(),
    )
    engine.unregister("given")
    return found
