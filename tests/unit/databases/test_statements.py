from __future__ import annotations

from datetime import date
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmbet.databases import statements
from crmbet.databases.statements import (
    Fragment,
    date_literal,
    identifier,
    joined,
    literal,
    quoted,
    render,
    statements_digest,
)
from tests.tiers import examples

pytestmark = pytest.mark.unit

REPEATABLE = settings(derandomize=True, deadline=None, database=None)


@pytest.mark.parametrize("name", ["user_id", "_day", "A1", "x" * 63])
def test_identifiers_are_quoted(name: str) -> None:
    assert identifier(name) == f'"{name}"'


def test_identifiers_can_be_qualified() -> None:
    assert identifier("ml_features", "user_features") == '"ml_features"."user_features"'


@pytest.mark.parametrize(
    "name", ["", "1a", "a b", 'a"b', "a;b", "a.b", "a\n", "coração", "x" * 64, "a--", "{a}", "a\0"]
)
def test_anything_else_is_no_identifier(name: str) -> None:
    with pytest.raises(ValueError, match="not allowed as an SQL identifier"):
        identifier("public", name)


@pytest.mark.parametrize("name", ["a b", 'a"b', '"', "a.b", "coração", "a'b", "x" * 200])
def test_a_name_of_any_file_can_be_quoted(name: str) -> None:
    assert duckdb.sql(f"SELECT 1 AS {quoted(name)}").columns == [name]


def test_a_day_is_a_literal() -> None:
    assert duckdb.execute(f"SELECT {date_literal(date(2026, 8, 12))}").fetchone() == (date(2026, 8, 12),)


@pytest.mark.parametrize(
    "value", ["", "it's", "''", "'; DROP TABLE x; --", "back\\slash", "{brace}", 'a"b', "açaí\n"]
)
def test_literals_come_back_unchanged(value: str) -> None:
    assert duckdb.execute(f"SELECT {literal(value)}").fetchone() == (value,)


@settings(REPEATABLE, max_examples=examples(25, full=100))
@given(value=st.text())
def test_any_text_is_one_literal_or_refused(value: str) -> None:
    if "\0" in value:
        with pytest.raises(ValueError, match="NUL"):
            literal(value)
        return
    # Every quote inside is doubled, so that the text ends where the literal does.
    assert literal(value)[1:-1].replace("''", "") == value.replace("'", "")
    assert literal(value)[0] == literal(value)[-1] == "'"


def test_a_list_of_fragments_is_a_fragment() -> None:
    assert joined([identifier("a"), identifier("b")]) == '"a", "b"'
    assert isinstance(joined([identifier("a")]), Fragment)


def test_a_plain_string_is_refused() -> None:
    with pytest.raises(TypeError, match="path of databases/copy_to_file is not a Fragment"):
        render("databases/copy_to_file", rows=Fragment("SELECT 1"), path="'; DROP TABLE x; --")  # type: ignore[arg-type]


def test_a_forgotten_placeholder_is_an_error() -> None:
    with pytest.raises(KeyError, match="path"):
        render("databases/copy_to_file", rows=Fragment("SELECT 1"))


def test_values_with_braces_are_not_filled_in_again() -> None:
    assert render("databases/count_rows", rows=Fragment("SELECT '{rows}'")).endswith("(SELECT '{rows}')\n")


def test_the_digest_changes_with_a_statement_and_with_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statements, "STATEMENTS", tmp_path)
    for name, text in {"top.sql": "SELECT 1", "clean/a.sql": "SELECT 2", "other/b.sql": "SELECT 3"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    before = statements_digest(".", "clean")

    (tmp_path / "other" / "b.sql").write_text("SELECT 4", encoding="utf-8")
    (tmp_path / "clean" / "notes.txt").write_text("no statement", encoding="utf-8")
    assert statements_digest(".", "clean") == before

    (tmp_path / "clean" / "a.sql").write_text("SELECT 5", encoding="utf-8")
    assert statements_digest(".", "clean") != before


def test_the_digest_changes_with_the_name_of_a_statement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statements, "STATEMENTS", tmp_path)
    (tmp_path / "a.sql").write_text("SELECT 1", encoding="utf-8")
    before = statements_digest(".")

    (tmp_path / "a.sql").rename(tmp_path / "b.sql")

    assert statements_digest(".") != before
