"""Ids that people would take for one: they differ in case, in blanks, or in letters that only look different.

Suites compare the forms that `fold_id` gives. Unicode's compatibility form and full case folding are not in the data
engine, so the standard library makes them; ids in ASCII never reach it.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from crmbet.databases.statements import statement

if TYPE_CHECKING:
    import duckdb


def create_fold_id(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the function `fold_id(text)`. Nothing happens if it is there already."""
    if not connection.execute(statement("quality/find_fold_unicode")).fetchone():
        connection.create_function("fold_unicode", fold, ["VARCHAR"], "VARCHAR")
    connection.execute(statement("quality/create_fold_id"))


def fold(text: str) -> str:
    """The casefolded NFKC form of a text, with one blank for all blanks between its words and none around them."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())
