from __future__ import annotations

from pathlib import Path

import pytest

from crmbet.contracts.catalogue import render_catalogue
from crmbet.contracts.files import load_table_contract

pytestmark = pytest.mark.unit

PAGE = Path(__file__).parents[3] / "docs" / "features.md"


def test_the_page_is_what_the_contract_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == render_catalogue(load_table_contract()), "run `make catalogue`"


def test_every_column_has_one_line() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()

    for name in load_table_contract().columns:
        assert sum(line.startswith(f"| `{name}` |") for line in lines) == 1
