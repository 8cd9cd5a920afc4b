"""The pages that are made from the contract: docs/features.md, and the dictionary in Portuguese."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from html import escape

import pytest

from crmbet.contracts.dictionary import VALUES, render_dictionary
from crmbet.contracts.files import load_reasons_contract, load_table_contract
from crmbet.contracts.origins import load_origins
from crmbet.contracts.table import FeatureColumn
from crmbet.monitoring.page.catalogue_page import file_name
from crmbet.texts import LANGUAGES, Language
from local.catalogue import PAGES, generated
from local.lineage import origins
from local.workspace import PROJECT

pytestmark = pytest.mark.unit

TABLE, REASONS = load_table_contract(), load_reasons_contract()
COLUMNS = {**TABLE.columns, **REASONS.features}
CATALOGUE = (PROJECT / "docs" / "features.md").read_text(encoding="utf-8")
SAID, _, ORIGINS = CATALOGUE.partition("## Where each feature comes from")
DICTIONARY = (PROJECT / "docs" / "pt-BR" / "dicionario.md").read_text(encoding="utf-8")


def test_the_pages_are_what_the_contract_says() -> None:
    for path, content in generated().items():
        assert path.read_text(encoding="utf-8") == content, f"{path.name}: run `make catalogue`"


def test_the_page_and_openlineage_know_where_features_come_from() -> None:
    assert load_origins() == origins()


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_catalogue_page_has_every_column_in_both_languages_and_loads_nothing(language: Language) -> None:
    page = (PAGES / file_name(language)).read_text(encoding="utf-8")

    assert not TABLE.columns.keys() & REASONS.features.keys()
    for name, column in COLUMNS.items():
        assert f'<details id="{name}"' in page
        for said in (column.meaning, column.meaning_pt, column.formula):
            assert escape(said, quote=True).replace("&#x27;", "&#39;").replace("&quot;", "&#34;") in page, (
                said
            )
    assert not re.search(r"""(src|href)=["']?https?:""", page)
    assert '<link rel="stylesheet"' not in page


def test_every_feature_has_a_line_that_says_where_it_comes_from() -> None:
    for name in TABLE.features:
        assert sum(line.startswith(f"| `{name}` | ") for line in ORIGINS.splitlines()) == 1


@pytest.mark.parametrize("page", [SAID, DICTIONARY], ids=["catalogue", "dictionary"])
def test_every_column_has_one_line(page: str) -> None:
    for name in COLUMNS:
        assert sum(line.startswith(f"| `{name}` | ") for line in page.splitlines()) == 1


def test_the_dictionary_names_columns_and_values_that_exist() -> None:
    values = {value for column in TABLE.columns.values() for value in column.values}
    words = {"features", "pt", "gone", "share_", "rg_", "game_id", "balance_after"}
    introduction = render_dictionary(TABLE, REASONS).partition("## Chave")[0]
    named = set(re.findall(r"\b[a-z]+_\w*", introduction))

    assert named - words <= TABLE.columns.keys() | values | {TABLE.name, TABLE.schema_name}


def test_english_values_are_explained_in_portuguese() -> None:
    assert {name: list(words) for name, words in VALUES.items()}.keys() <= TABLE.columns.keys()
    for name, words in VALUES.items():
        assert set(words) == set(TABLE.columns[name].values), name


def test_every_column_speaks_both_languages_and_has_an_example_and_a_caution() -> None:
    assert all((TABLE.meaning, TABLE.meaning_pt, REASONS.meaning, REASONS.meaning_pt))
    for name, column in COLUMNS.items():
        texts = [column.meaning, column.meaning_pt, column.caution, column.caution_pt]
        assert all(texts), name
        assert len(set(texts)) == 4, name
        assert column.example, name


def test_an_example_is_a_value_that_the_column_may_have() -> None:
    for name, column in COLUMNS.items():
        value = _read(column)
        if column.values:
            assert value in column.values, name
        if isinstance(value, int | float | Decimal):
            assert column.minimum is None or value >= column.minimum, name
            assert column.maximum is None or value <= column.maximum, name


def _read(column: FeatureColumn) -> object:
    """The example as a value of the column's type."""
    text = column.example
    match column.type:
        case "integer" | "smallint":
            return int(text)
        case "real" | "r01":
            return float(text)
        case "money":
            assert re.fullmatch(r"-?\d+\.\d\d", text)
            return Decimal(text)
        case "boolean":
            return {"true": True, "false": False}[text]
        case "timestamptz":
            return datetime.fromisoformat(text)
        case "text[]":
            assert re.fullmatch(r"\{.*\}", text)
            return text[1:-1].split(",")
        case _:
            return text
