from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from crmbet.contracts import (
    CONTRACTS,
    SourceContract,
    TableContract,
    load_source_contracts,
    load_table_contract,
)
from crmbet.failures import BadContract

pytestmark = pytest.mark.unit

SEED_COLUMNS = {
    "user_id",
    "updated_at",
    "favorite_game_type",
    "game_diversity_score",
    "bet_volatility",
    "frequencia_jogo",
    "dias_semana_preferidos",
    "horarios_atividade",
    "weekend_activity_ratio",
    "activity_regularity",
    "total_transactions",
    "balance_ratio",
    "ticket_medio_categoria",
    "recency_score",
    "frequency_score",
    "monetary_score",
    "rfm_segment",
    "customer_lifetime_value_score",
    "churn_risk_score",
    "behavioral_diversity_score",
}
"""Names of the seed document, which never change."""

BOOKKEEPING = ["as_of", "known_at", "feature_set_version", "execution_id", "row_hash", "updated_at"]

VISITS: dict[str, Any] = {
    "name": "visits",
    "kind": "lake",
    "relation": "visits",
    "meaning": "Visits.",
    "grain": "one row a visit",
    "required": False,
    "business_key": "visit_id",
    "event_time": "came_at",
    "columns": {
        "visit_id": {"type": "text", "required": True, "max_length": 10, "meaning": "Which"},
        "came_at": {"type": "timestamp", "required": True, "meaning": "When"},
        "page": {"type": "enum", "meaning": "Where", "values": {"home": ["start"], "cashier": []}},
        "seconds": {"type": "decimal", "minimum": 0, "meaning": "How long"},
    },
}


def visits(**changes: Any) -> SourceContract:
    """The contract of visits with changes, keys such as `columns.page.values` by path."""
    content = deepcopy(VISITS)
    for path, value in changes.items():
        *folders, name = path.split(".")
        place = content
        for folder in folders:
            place = place[folder]
        place[name] = value
    return SourceContract.model_validate(content)


def test_every_source_has_a_contract() -> None:
    contracts = load_source_contracts()

    assert set(contracts) == {"bets", "transactions", "sessions", "communications", "players"}
    assert {name for name, contract in contracts.items() if contract.required} == {"bets", "transactions"}
    assert {path.stem for path in (CONTRACTS / "sources").glob("*.yaml")} == set(contracts)


def test_the_table_has_every_column_of_the_seed() -> None:
    table = load_table_contract()

    assert set(table.columns) >= SEED_COLUMNS
    assert [name for name, column in table.columns.items() if column.role == "bookkeeping"] == BOOKKEEPING
    assert (table.schema_name, table.name, table.key) == ("ml_features", "user_features", "user_id")
    assert table.columns["user_id"].postgres_type == "varchar(50)"


def test_features_are_all_but_key_and_bookkeeping() -> None:
    table = load_table_contract()

    assert list(table.features) == [name for name in table.columns if name not in {"user_id", *BOOKKEEPING}]


def test_every_feature_says_what_it_means() -> None:
    for name, column in load_table_contract().features.items():
        assert column.formula, name
        assert column.window, name
        assert column.sources, name


def test_personal_data_is_marked() -> None:
    assert load_source_contracts()["players"].columns["birth_date"].personal


@pytest.mark.parametrize(
    "change",
    [
        {"extra": 1},
        {"columns.page.synonyms": ["x"]},
        {"columns.visit_id.minimun": 1},
        {"columns.visit_id.type": "uuid"},
        {"columns.page.on_invalid": "drop"},
        {"kind": "kafka"},
        {"business_key": "visit"},
        {"event_time": "at"},
        {"known_time": "ingested_at"},
        {"not_before": {"left_at": "came_at"}},
        {"not_before": {"came_at": "left_at"}},
        {"columns.page.values": {}},
        {"columns.seconds.values": {"long": []}},
        {"columns.page.values": {"home": ["start"], "cashier": [" Start "]}},
        {"columns.page.values": {"home": ["cashier"], "cashier": []}},
        {"name": "visits; DROP TABLE x"},
        {"columns": {**VISITS["columns"], 'a"b': {"type": "text", "meaning": "x"}}},
        {"columns": {**VISITS["columns"], "UserId": {"type": "text", "meaning": "x"}}},
    ],
)
def test_a_contract_that_contradicts_itself_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        visits(**change)


def test_a_synonym_may_be_given_twice_for_one_value() -> None:
    assert visits(**{"columns.page.values": {"home": ["Home", "home "], "cashier": []}})


def test_the_bad_file_is_named(tmp_path: Path) -> None:
    for name, content in {"good": VISITS, "typo": {**VISITS, "colums": {}}}.items():
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")

    with pytest.raises(BadContract, match=r"typo\.yaml is no valid contract.*colums"):
        load_source_contracts(tmp_path)


@pytest.mark.parametrize("content", ["columns: [", "just text", ""])
def test_a_file_that_is_no_contract_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "user_features.yaml"
    path.write_text(content, encoding="utf-8")

    with pytest.raises(BadContract, match=r"user_features\.yaml is no valid contract"):
        load_table_contract(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadContract, match=r"nowhere\.yaml"):
        load_table_contract(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize(
    "change",
    [
        {"columns.page.values": {"home": ["start", "index"], "cashier": []}},
        {"columns.seconds.minimum": 1},
        {"columns.seconds.on_invalid": "null"},
        {"columns.visit_id.max_length": 11},
        {"columns.seconds.required": True},
        {"columns.seconds.source_name": "duration"},
        {"event_time": None},
        {"earliest": "1999-01-01"},
        {"not_before": {"came_at": "came_at"}},
    ],
)
def test_the_digest_changes_with_what_a_cleaned_row_means(change: dict[str, Any]) -> None:
    assert visits(**change).digest != visits().digest


@pytest.mark.parametrize(
    "change", [{"meaning": "Other words."}, {"grain": "a visit"}, {"columns.page.meaning": "Other words"}]
)
def test_the_digest_does_not_change_with_words(change: dict[str, Any]) -> None:
    assert visits(**change).digest == visits().digest


def test_the_column_digest_changes_with_what_is_read_and_with_nothing_else() -> None:
    before = visits().column_digest

    assert visits(**{"columns.seconds.minimum": 1}).column_digest == before
    assert visits(**{"columns.page.values": {"home": []}}).column_digest == before
    assert visits(**{"columns.page.source_name": "page"}).column_digest == before
    assert visits(**{"columns.page.source_name": "url"}).column_digest != before
    renamed = {("sight" if name == "page" else name): column for name, column in VISITS["columns"].items()}
    assert visits(columns=renamed).column_digest != before


def test_the_digest_of_the_table_changes_with_a_column() -> None:
    table = load_table_contract()
    content = table.model_dump()
    content["columns"]["balance_ratio"]["maximum"] = 999

    assert TableContract.model_validate(content).digest != table.digest
