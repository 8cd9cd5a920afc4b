"""Records without persons: what is shown of a cell, and what never is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmbet.contracts.files import load_source_contracts
from crmbet.monitoring.masking import HIDDEN, mask_cell, mask_key, mask_record, shape

pytestmark = pytest.mark.unit

CONTRACTS = load_source_contracts()
CELLS = [(source, name) for source, contract in CONTRACTS.items() for name in contract.columns]
PERSONS = (
    "Canaria de Exemplo",
    "canaria@person.example",
    "000.000.001-91",
    "00000000191",
    "+5511999999999",
    "Ana",
)


@pytest.mark.parametrize(
    ("source", "column", "cell", "shown"),
    [
        ("bets", "bet_id", "b20261116-00-0000064", "b20261116-00-0000064"),
        ("transactions", "transaction_id", "01a18f06-176a-70d2-819f", "01a18f06-176a-70d2-819f"),
        ("bets", "stake", "-120.5", "-120.5"),
        ("bets", "stake", "R$ --", "x$ --"),
        ("bets", "placed_at", "2026-13-45T25:61:00Z", "2026-13-45T25:61:00Z"),
        ("bets", "game_type", "Aviator", "Aviator"),
        ("bets", "game_type", "bingo", "xxxxx"),
        ("bets", "user_id", "u0001698", HIDDEN),
        ("bets", "user_id", "   ", "   "),
        ("players", "birth_date", "1991-10-12", HIDDEN),
        ("players", "consents", '["email","torpedo"]', '["email","torpedo"]'),
        ("players", "consents", '["Ana"]', '["xxx"]'),
        ("players", "timezone", "America/Sao_Paulo", "America/Sao_Paulo"),
    ],
)  # fmt: skip
def test_a_cell_that_looks_as_it_should_is_shown_and_of_others_their_shape(
    source: str, column: str, cell: str, shown: str
) -> None:
    assert mask_cell(CONTRACTS[source], column, cell) == shown


@pytest.mark.parametrize(("source", "column"), CELLS)
def test_no_person_is_shown_in_any_column(source: str, column: str) -> None:
    for person in PERSONS:
        assert mask_cell(CONTRACTS[source], column, person) != person


@given(st.text(min_size=1).filter(str.strip), st.sampled_from(CELLS))
def test_whatever_has_blanks_between_letters_or_an_at_is_nobodys_to_see(
    text: str, cell: tuple[str, str]
) -> None:
    source, column = cell
    for named in (f"a{text}@b", f"Ana {text} Lima"):
        assert "Ana" not in str(mask_cell(CONTRACTS[source], column, named))
        assert mask_cell(CONTRACTS[source], column, named) != named


def test_a_record_keeps_its_columns_and_a_key_with_a_player_is_hidden() -> None:
    masked = mask_record(CONTRACTS["players"], {"user_id": "u1", "is_test": "false", "timezone": None})
    assert masked == {"user_id": HIDDEN, "is_test": "false", "timezone": None}
    assert mask_key(CONTRACTS["players"], "u1") == HIDDEN
    assert mask_key(CONTRACTS["limits"], "u1 deposit 2026-11-16") == HIDDEN
    assert mask_key(CONTRACTS["bets"], "b1") == "b1"
    assert mask_key(CONTRACTS["bets"], None) is None


def test_a_shape_is_short_and_one_line() -> None:
    assert shape("Ana\n" + "9" * 99) == "xxx?" + "9" * 36 + "…"
