from __future__ import annotations

import hashlib
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from crmbet.contracts.files import CONTRACTS, load_source_contracts, load_table_contract
from crmbet.contracts.source import MOST_ONE_NAME_DIGESTS, PathName, SourceContract, one_name_digests
from crmbet.contracts.table import WORDS, TableContract
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
"""Names of the original specification, which never change."""

BOOKKEEPING = [
    *("as_of", "known_at", "feature_set_version", "execution_id", "row_hash"),
    *("gone", "marketing_reason", "updated_at"),
]

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
        place[name] = deepcopy(value)
    return SourceContract.model_validate(content)


def test_every_source_has_a_contract() -> None:
    contracts = load_source_contracts()

    assert set(contracts) >= {"bets", "transactions", "sessions", "communications", "players", "limits"}
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
        {"business_key": []},
        {"business_key": ["visit_id", "visit"]},
        {"event_time": "page"},
        {"known_time": "seconds"},
        {"name": "visits; DROP TABLE x"},
        {"columns": {**VISITS["columns"], 'a"b': {"type": "text", "meaning": "x"}}},
        {"columns": {**VISITS["columns"], "UserId": {"type": "text", "meaning": "x"}}},
    ],
)
def test_a_contract_that_contradicts_itself_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        visits(**change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"columns.page.formats": ["%d/%m/%Y"]}, "formats are for timestamps and dates, not for enum"),
        (
            {"columns.visit_id.decimal_mark": ","},
            "a decimal_mark is for decimals, reals and integers, not for text",
        ),
        ({"columns.seconds.decimal_mark": ";"}, "Input should be '.' or ','"),
        ({"columns.seconds.max_age_years": 120}, "max_age_years is for dates, not for"),
        ({"null_values": ["NULL", " -"]}, "' -' has blanks at its ends, .* give the word alone"),
        ({"null_values": ["-\u00a0"]}, "has blanks at its ends"),
        ({"protecting_values": ["until"]}, "until is not among the columns"),
        ({"columns.came_at.formats": "%d/%m/%Y"}, "valid list"),
        ({"columns.came_at.formats": ["dd/MM/yyyy"]}, "'dd/MM/yyyy' is not a format: .* such as %d/%m/%Y"),
        ({"columns.came_at.formats": ["%d/%m/%Q"]}, "'%d/%m/%Q' is not a format"),
        ({"columns.came_at.formats": ["%d/%m/%Y %"]}, "'%d/%m/%Y %' is not a format"),
        ({"columns.came_at.formats": ["%d/%m %H:%M"]}, "'%d/%m %H:%M' is not a format: .* a year"),
        ({"columns.came_at.formats": [""]}, "'' is not a format"),
        ({"columns.came_at.formats": ["epoch"]}, "'epoch' is not a format: .* epoch_s or epoch_ms"),
        ({"kind": "postgres", "columns.came_at.formats": ["%d/%m/%Y"]}, "came_at: PostgreSQL .* no formats"),
        (
            {"kind": "postgres", "event_time": None},
            "PostgreSQL is captured by its days.* needs an event_time",
        ),
        ({"event_time": "page"}, "page says when, so it must be a timestamp"),
    ],
)
def test_a_spelling_that_cannot_be_read_is_explained(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        visits(**change)


@pytest.mark.parametrize(
    "change",
    [
        {"columns.came_at.formats": ["%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M:%S.%f%z", "%-d-%b-%y", "iso"]},
        {"columns.came_at.formats": ["epoch_s", "epoch_ms"]},
        {"columns.seconds.decimal_mark": ","},
        {"columns.seconds.type": "real", "columns.seconds.decimal_mark": ","},
        {"columns.seconds.type": "integer", "columns.seconds.decimal_mark": ","},
    ],
)
def test_spellings(change: dict[str, Any]) -> None:
    assert visits(**change).digest != visits().digest


def test_a_business_key_is_one_column_or_several() -> None:
    assert visits().business_key == ("visit_id",)
    assert visits(business_key=["visit_id", "page"]).business_key == ("visit_id", "page")
    assert visits(business_key=["visit_id", "page"]).digest != visits().digest


def test_a_synonym_may_be_given_twice_for_one_value() -> None:
    contract = visits(**{"columns.page.values": {"home": ["Home", "home "], "cashier": []}})

    assert contract.columns["page"].values["home"] == ["Home", "home "]


def test_the_bad_file_is_named(tmp_path: Path) -> None:
    for name, content in {"good": VISITS, "typo": {**VISITS, "colums": {}}}.items():
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")

    with pytest.raises(BadContract, match=r"typo\.yaml is not a valid contract.*colums"):
        load_source_contracts(tmp_path)


@pytest.mark.parametrize("content", ["columns: [", "just text", ""])
def test_a_file_that_is_no_contract_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "user_features.yaml"
    path.write_text(content, encoding="utf-8")

    with pytest.raises(BadContract, match=r"user_features\.yaml is not a valid contract"):
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
        {"event_time": None},
        {"earliest": "1999-01-01"},
        {"not_before": {"came_at": "came_at"}},
    ],
)
def test_the_digest_changes_with_what_a_cleaned_row_means(change: dict[str, Any]) -> None:
    assert visits(**change).digest != visits().digest


@pytest.mark.parametrize(
    "change",
    [
        {"meaning": "Other words."},
        {"grain": "a visit"},
        {"columns.page.meaning": "Other words"},
        {"columns.seconds.source_name": "duration"},
        {"columns.seconds.source_name": ["seconds", {"path": "duration"}]},
    ],
)
def test_the_digest_does_not_change_with_words_or_with_names_in_the_source(change: dict[str, Any]) -> None:
    assert visits(**change).digest == visits().digest


def test_the_column_digest_changes_with_what_is_read_and_with_nothing_else() -> None:
    before = visits().column_digest

    assert visits(**{"columns.seconds.minimum": 1}).column_digest == before
    assert visits(**{"columns.page.values": {"home": []}}).column_digest == before
    assert visits(**{"columns.page.source_name": "page"}).column_digest == before
    assert visits(**{"columns.page.source_name": "url"}).column_digest != before
    renamed = {("sight" if name == "page" else name): column for name, column in VISITS["columns"].items()}
    assert visits(columns=renamed).column_digest != before


@pytest.mark.parametrize("names", [["page"], ["url"], ["page", "url"], [{"path": "page"}], {"path": "page"}])
def test_the_column_digest_changes_with_every_list_of_names(names: Any) -> None:
    others: list[Any] = ["page", ["url"], ["page", "url"], ["url", "page"], ["page", {"path": "url"}]]
    others += [{"path": "page"}, {"path": "url"}, ["page", "url", "view"]]
    found = visits(**{"columns.page.source_name": names}).column_digest

    same = [other for other in others if visits(**{"columns.page.source_name": other}).column_digest == found]

    alone = [names] if isinstance(names, dict | str) else names
    assert [other if isinstance(other, list) else [other] for other in same] == [alone]


def test_a_contract_with_one_name_a_column_keeps_the_digest_that_stores_have() -> None:
    # Pinned: another recipe would capture every store anew.
    described = '{"came_at": "came_at", "page": "url", "seconds": "seconds", "visit_id": "visit_id"}'
    expected = hashlib.sha256(described.encode()).hexdigest()[:16]

    for name in ("url", ["url"]):
        assert visits(**{"columns.page.source_name": name}).column_digest == expected
    choices = {
        "visit_id": ["visit_id"],
        "came_at": ["came_at"],
        "page": ["view", "url"],
        "seconds": ["seconds"],
    }
    assert list(one_name_digests(choices))[1] == expected


def test_digests_of_one_name_each_are_bounded() -> None:
    names = {f"c{number}": ["a", "b"] for number in range(60)}

    assert len(list(one_name_digests(names))) == MOST_ONE_NAME_DIGESTS


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ("", ("page",)),
        ("url", ("url",)),
        (["url", "page"], ("url", "page")),
        ({"path": "p"}, (PathName(path="p"),)),
        (["page", {"path": "page"}], ("page", PathName(path="page"))),
    ],
)
def test_a_column_has_one_name_or_several(given: Any, names: tuple[Any, ...]) -> None:
    contract = visits(**{"columns.page.source_name": given})

    assert contract.source_names["page"] == names
    assert contract.source_names["seconds"] == ("seconds",)
    assert SourceContract.model_validate(contract.model_dump()) == contract


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "source_name: Value error, the list is empty: give a name, or leave source_name out"),
        (["url", "page", "url"], "'url' is given twice"),
        ([{"path": "url"}, {"path": "url"}], "'url' is given twice"),
        ([""], "'' is no name: give text, or {path: name}"),
        (["url", None], "None is no name"),
        (None, "None is no name"),
        (7, "7 is no name"),
        ([["url"]], r"['url'] is no name"),
        ({"path": ""}, "{'path': ''} is no name"),
        ({"path": 2026}, "{'path': 2026} is no name"),
        ({"folder": "url"}, "{'folder': 'url'} is no name"),
        ({"path": "url", "also": "page"}, "is no name"),
        ({"path": "dt="}, "'dt=' is no name in a path: give what stands before the ="),
        ({"path": "a/b"}, "'a/b' is no name in a path"),
    ],
)
def test_a_fault_in_names_is_one_sentence(tmp_path: Path, given: Any, message: str) -> None:
    content = deepcopy(VISITS)
    content["columns"]["page"]["source_name"] = given
    (tmp_path / "visits.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")

    with pytest.raises(BadContract) as failure:
        load_source_contracts(tmp_path)

    assert message in str(failure.value)
    assert "visits.yaml is not a valid contract" in str(failure.value)
    assert "columns.page.source_name: " in str(failure.value)
    assert str(failure.value).count("Value error") == 1


@pytest.mark.parametrize("given", [{"path": "page"}, ["page", {"path": "page"}]])
def test_a_table_has_no_path(given: Any) -> None:
    with pytest.raises(ValidationError, match="page: a table of PostgreSQL has no path, so name a column"):
        visits(kind="postgres", **{"columns.page.source_name": given})


def test_two_columns_may_be_read_from_one() -> None:
    contract = visits(**{"columns.page.source_name": "x", "columns.seconds.source_name": ["x", "y"]})

    assert [*contract.source_names.values()][2:] == [("x",), ("x", "y")]


INGESTED = {"type": "timestamp", "meaning": "When it was known"}


def test_the_placement_digest_changes_with_what_places_a_row_and_with_nothing_else() -> None:
    before = visits().placement_digest
    known = {"columns.ingested_at": INGESTED, "known_time": "ingested_at"}

    assert visits(event_time=None).placement_digest != before
    assert visits(earliest="1999-01-01").placement_digest != before
    assert visits(**{"columns.came_at.formats": ["%d/%m/%Y"]}).placement_digest != before
    assert visits(**known).placement_digest != before
    assert (
        visits(**known, **{"columns.ingested_at.formats": ["%d/%m/%Y"]}).placement_digest
        != visits(**known).placement_digest
    )
    as_event = visits(**{"columns.ingested_at": INGESTED}, event_time="ingested_at")
    assert len({before, as_event.placement_digest, visits(**known).placement_digest}) == 3

    assert visits(**{"columns.ingested_at": {**INGESTED, "formats": ["%d/%m/%Y"]}}).placement_digest == before
    assert visits(**{"columns.seconds.decimal_mark": ","}).placement_digest == before
    assert visits(**{"columns.seconds.minimum": 1}).placement_digest == before
    assert visits(meaning="Other words.").placement_digest == before


def test_how_values_are_spelled_is_no_matter_of_what_is_read() -> None:
    before = visits().column_digest

    assert visits(**{"columns.came_at.formats": ["%d/%m/%Y"]}).column_digest == before
    assert visits(**{"columns.seconds.decimal_mark": ","}).column_digest == before


def test_the_digest_of_the_table_changes_with_a_column() -> None:
    table = load_table_contract()
    content = table.model_dump()
    content["columns"]["balance_ratio"]["maximum"] = 999

    assert TableContract.model_validate(content).digest != table.digest


def test_the_digest_of_the_table_does_not_change_with_words() -> None:
    table = load_table_contract()
    content = {**table.model_dump(), "meaning": "Other words", "meaning_pt": "Outras palavras"}
    for word in WORDS:
        content["columns"]["balance_ratio"][word] = "Other words"

    assert TableContract.model_validate(content).digest == table.digest


def test_the_formula_of_the_lifetime_value_names_its_settings_and_not_their_values() -> None:
    formula = load_table_contract().features["clv_12m"].formula
    assert "clv_margin" in formula
    assert "clv_monthly_discount_rate" in formula
    assert "%" not in formula
