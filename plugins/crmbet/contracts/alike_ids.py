"""Ids that people would take for one: they differ in case, in blanks, or in letters that look different or not at all.

A row whose id is at fault is about the players whose ids have the same form, and suites compare the forms. Unicode's
compatibility form and full case folding are not in the data engine, so the standard library makes them; most ids never
reach it.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from crmbet.contracts.bounds import is_unseen
from crmbet.databases.statements import statement

if TYPE_CHECKING:
    import duckdb

WHOLE_FLOAT = re.compile(r"([-+]?[0-9]+)[.]0+")


def create_fold_id(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the function `fold_id(text)`. Nothing happens if it is there already."""
    if not connection.execute(statement("contracts/find_fold_unicode")).fetchone():
        connection.create_function("fold_unicode", fold, ["VARCHAR"], "VARCHAR")
    connection.execute(statement("contracts/create_fold_id"))


def fold(text: str) -> str:
    """The casefolded NFKC form of a text, without blanks and letters that nobody sees. A whole float is its integer."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    seen = "".join(letter for letter in folded if not (letter.isspace() or is_unseen(letter)))
    return WHOLE_FLOAT.sub(r"\1", seen) if WHOLE_FLOAT.fullmatch(seen) else seen
