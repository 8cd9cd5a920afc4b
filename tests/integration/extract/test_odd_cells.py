"""Files with odd cells, each beside a table of what becomes of every row (tests/integration/odd_files/)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from crmbet.contracts.files import load_source_contracts
from crmbet.databases.parquet import scan

pytestmark = pytest.mark.integration

FOLDER = Path(__file__).parents[1] / "odd_files"
FILES = (
    "00_players_protection.csv",
    "01_zone_leak.csv",
    "01b_zone_leak_other_order.csv",
    "03_invisible.csv",
    "09_null_words.csv",
    "10_offsets.csv",
    "11_iso8601.csv",
)


@pytest.mark.few(3)
@pytest.mark.parametrize("name", FILES)
def test_every_row_has_its_fate(
    put: Any, capture: Any, clean: Any, engine: duckdb.DuckDBPyConnection, store: Any, name: str
) -> None:
    fates = yaml.safe_load((FOLDER / name).with_suffix(".yaml").read_text(encoding="utf-8"))
    contract = load_source_contracts()[fates["feed"]]
    put(f"dt=2026-08-10/{name}", (FOLDER / name).read_bytes(), contract.name)

    cleaned = clean(capture(contract), contract)

    [key] = contract.business_key
    accepted = rows_of(engine, store, cleaned.files)
    assert {
        row[key]: {column: row[column] for column in fates["accepted"].get(row[key], ())} for row in accepted
    } == fates.get("accepted", {})
    quarantined = rows_of(engine, store, cleaned.quarantine_files)
    assert {row["business_key"]: row["reason"] for row in quarantined} == fates.get("quarantined", {})
    assert cleaned.discarded == fates.get("discarded", {})


def rows_of(engine: duckdb.DuckDBPyConnection, store: Any, files: list[str]) -> list[dict[str, Any]]:
    if not files:
        return []
    rows = engine.sql(f"FROM {scan(store, files)}")
    return [dict(zip(rows.columns, row, strict=True)) for row in rows.fetchall()]
