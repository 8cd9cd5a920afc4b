"""Records that a reader may see who may see no person: what names or describes one is masked.

A record is set aside because something is wrong with it. Its fields may be mixed up, so that a name stands where a zone
should be. So a cell is shown as it is only if it looks as its column should and cannot be a person's: a number, a time,
a known word, an id of a bet. Of any other cell its shape is shown, which tells what is wrong: `x` for letters, `9` for
digits. What the contract calls personal, and the player's id, are hidden altogether.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from crmbet.contracts.files import load_table_contract
from crmbet.contracts.source import SourceColumn, SourceContract

HIDDEN = "•••"
LONGEST_SHAPE = 40
NUMBER = re.compile(r"[+-]?\d{1,9}([.,]\d{1,6})?")
INSTANT = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d([.,]\d{1,9})?)?(Z|[+-]\d\d(:?\d\d)?)?)?")
LOOKS = {
    "integer": NUMBER,
    "decimal": NUMBER,
    "real": NUMBER,
    "timestamp": INSTANT,
    "date": INSTANT,
    "boolean": re.compile(r"true|false|[01]", re.IGNORECASE),
    "timezone": re.compile(
        r"(Africa|America|Asia|Atlantic|Australia|Europe|Indian|Pacific|Etc)/[A-Za-z_/+-]+|UTC"
    ),
    # Names have no digits, documents and telephones no letters, addresses an @ or blanks.
    "text": re.compile(r"(?=.*[0-9])(?=.*[A-Za-z])[A-Za-z0-9_:-]{1,64}"),
}
"""How a cell of each type looks that is nobody's."""


def mask_record(contract: SourceContract, record: Mapping[str, Any]) -> dict[str, str | None]:
    """The cells of a record by column, as text, without what may name or describe a person."""
    return {name: mask_cell(contract, name, cell) for name, cell in record.items()}


def mask_cell(contract: SourceContract, name: str, cell: Any) -> str | None:
    """One cell. A cell that holds nothing stays as it is."""
    if cell is None:
        return None
    text = str(cell)
    column = contract.columns.get(name)
    if not text.strip():
        return text
    if column is None or column.personal or name == _player():
        return HIDDEN
    return text if _is_nobodys(column, text) else shape(text)


def mask_key(contract: SourceContract, key: str | None) -> str | None:
    """The business key of a row: the id of a bet is shown, what holds a player's id is not."""
    if key is None or len(contract.business_key) > 1:
        return key and HIDDEN
    return mask_cell(contract, contract.business_key[0], key)


def shape(text: str) -> str:
    """A text with `x` for each letter and `9` for each digit, cut off if it is long."""
    shown = "".join(
        "x" if letter.isalpha() else "9" if letter.isdigit() else letter if letter.isprintable() else "?"
        for letter in text[:LONGEST_SHAPE]
    )
    return shown + ("…" if len(text) > LONGEST_SHAPE else "")


@cache
def _player() -> str:
    """The column with the player's id. Reading the contract takes longer than masking a thousand records."""
    return load_table_contract().key


def _is_nobodys(column: SourceColumn, text: str) -> bool:
    if column.values:
        known = {word.lower() for value, synonyms in column.values.items() for word in (value, *synonyms)}
        return all(word.strip().lower() in known for word in _words(text))
    return LOOKS[column.type].fullmatch(text.strip()) is not None


def _words(text: str) -> list[str]:
    """The items of a JSON list of texts, or the text itself."""
    try:
        items = json.loads(text)
    except ValueError:
        return [text]
    return items if isinstance(items, list) and all(isinstance(item, str) for item in items) else [text]
