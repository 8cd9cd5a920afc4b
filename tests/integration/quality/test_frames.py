"""The gates on DataFrames: the same report as a run's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from crmbet.contracts.files import CONTRACTS, load_source_contracts
from crmbet.contracts.source import SourceContract
from crmbet.quality.frames import validate_features, validate_raw

pytestmark = pytest.mark.integration

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def clean() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        opened.execute("SET TimeZone = 'UTC'")
        for name in ("clean_raw", "clean_features"):
            opened.execute((HERE / f"{name}.sql").read_text())
        yield opened


def rows(clean: duckdb.DuckDBPyConnection, table: str) -> pd.DataFrame:
    return clean.execute(
        f"SELECT * EXCLUDE (_fault, _discarded, _protection, _source_key, _row, _day) FROM {table}"
    ).df()


@pytest.mark.few(2)
@pytest.mark.parametrize("source", ["bets", "transactions", "sessions", "communications", "players"])
def test_a_clean_frame_of_any_source_passes(clean: duckdb.DuckDBPyConnection, source: str) -> None:
    report = validate_raw(rows(clean, source))
    assert report.breaches(frozenset({"CRITICAL", "HIGH", "MEDIUM", "LOW"})) == ()
    assert (report.quality_grade, report.score, report.critical_issues) == ("A", 1, ())
    assert {outcome.view for outcome in report.outcomes} == {f"raw_{source}"}


def test_a_bad_frame_says_what_is_wrong(clean: duckdb.DuckDBPyConnection) -> None:
    bets = rows(clean, "bets")
    bets.loc[:99, "user_id"] = None
    bets.loc[200:299, "stake"] = -1
    report = validate_raw(bets, "bets")
    assert report.quality_grade == "F"
    assert {issue.check.label for issue in report.critical_issues} == {
        "completeness",
        "primary_key_integrity",
    }
    assert "bet_id=b0" in report.critical_issues[0].keys[0]
    assert validate_raw(rows(clean, "bets"), thresholds={"min_rows_per_day": 1000}).quality_grade == "F"


@pytest.mark.few(2)
@pytest.mark.parametrize("far", ["10000-01-01", "294247-01-10T04:00:54Z", "infinity", "0000-01-01"])
def test_a_row_of_a_far_time_is_one_bad_row(clean: duckdb.DuckDBPyConnection, far: str) -> None:
    bets = rows(clean, "bets").astype({"placed_at": str})
    bets.loc[0, "placed_at"] = far
    assert validate_raw(bets, "bets").critical_issues == ()


def test_a_frame_that_fits_no_contract_is_refused() -> None:
    with pytest.raises(ValueError, match="lacks required columns of every source"):
        validate_raw(pd.DataFrame({"a": [1]}))
    with pytest.raises(ValueError, match="'bet' is not a source"):
        validate_raw(pd.DataFrame({"a": [1]}), "bet")


def test_features(clean: duckdb.DuckDBPyConnection) -> None:
    from crmbet.contracts.files import load_table_contract

    names = ", ".join(load_table_contract().computed)
    df = clean.execute(f"SELECT {names} FROM features").df()
    report = validate_features(df)
    assert [outcome.title for outcome in report.outcomes if not outcome.passed] == []
    assert report.quality_grade == "A"
    df.loc[3, "user_id"] = df.loc[4, "user_id"]
    report = validate_features(df)
    assert [issue.title for issue in report.critical_issues] == ["user_id is unique"]
    assert report.quality_grade == "F"


@pytest.mark.parametrize("names", [["stake"], ["amount"], ["stake", "amount"]])
def test_a_frame_has_columns_by_any_name_of_the_contract(
    clean: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch, names: list[str]
) -> None:
    described = load_source_contracts()["bets"].model_dump()
    described["columns"]["stake"]["source_name"] = ["stake", "amount"]
    described["columns"]["game_type"]["source_name"] = {"path": "game"}
    contract = SourceContract.model_validate(described)
    monkeypatch.setattr("crmbet.quality.frames.load_source_contracts", lambda **_: {"bets": contract})
    bets = rows(clean, "bets").rename(columns={"game_type": "game"})
    stakes = bets.pop("stake")

    first, *others = names
    report = validate_raw(bets.assign(**{first: stakes, **dict.fromkeys(others, "not read")}))

    assert (report.quality_grade, report.critical_issues) == ("A", ())
    with pytest.raises(ValueError, match="lacks required columns"):
        validate_raw(bets.assign(valor=stakes))


def test_a_brand_has_its_own_names_of_columns(clean: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    ours = (CONTRACTS / "sources" / "transactions.yaml").read_text()
    (tmp_path / "transactions.yaml").write_text(
        ours.replace("amount:\n    {type", "amount:\n    {source_name: valor, type", 1)
    )
    frame = rows(clean, "transactions").rename(columns={"amount": "valor"})

    report = validate_raw(frame, "transactions", contracts=str(tmp_path))

    assert report.breaches(frozenset({"CRITICAL", "HIGH", "MEDIUM", "LOW"})) == ()
    with pytest.raises(ValueError, match="lacks required columns of transactions"):
        validate_raw(frame, "transactions")
