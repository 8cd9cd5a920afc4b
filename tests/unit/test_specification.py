"""docs/specification.md has every line of the original document, and names nothing that does not exist."""

from __future__ import annotations

import re

import pytest

from crmbet.run.settings import variable_names
from local.workspace import PROJECT

pytestmark = pytest.mark.unit

ORIGINAL = (PROJECT / "docs" / "original-specification.pt-BR.md").read_text(encoding="utf-8")
PAGE = (PROJECT / "docs" / "specification.md").read_text(encoding="utf-8")
CODE = re.findall(r"`([^`\n]+)`", PAGE)
HEADS = ("The original", "---")
ABOVE = ("the same test", "that test", "the same file")
"""What the last cell of a row says if a row above names the test."""
PROMISES_NOTHING = "Este pipeline foi desenvolvido"
"""The line of the original that says who wrote it."""


def words(text: str) -> str:
    """The letters, digits and names of a text, without marks of Markdown or of a code block."""
    return " ".join(re.findall(r"\w+", text))


def lines() -> list[str]:
    """The lines of the original that say something."""
    kept = [line for line in ORIGINAL.splitlines() if words(line) and not line.startswith("```")]
    return [line for line in kept if not line.startswith(PROMISES_NOTHING)]


def rows() -> list[list[str]]:
    """The rows of the tables of the original's lines: what it says, what is here, what runs it."""
    tables = PAGE.partition("\n## ")[2]
    found = [re.split(r"(?<!\\)\|", line)[1:-1] for line in tables.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in found if not row[0].strip().startswith(HEADS)]


def said() -> str:
    """What the page quotes: the first cells of its rows, and its headings, each on a line of its own."""
    headings = re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE)
    return "\n".join(f" {words(text)} " for text in [*(row[0] for row in rows()), *headings])


def test_every_line_of_the_original_is_quoted() -> None:
    assert len(lines()) > 200
    assert [line for line in lines() if f" {words(line)} " not in said()] == []


def test_every_row_says_what_stands_for_it_and_names_what_runs_it() -> None:
    assert len(rows()) > 100
    for row in rows():
        _, here, run_by = row
        assert here, row
        assert run_by in ABOVE or re.match(r"`(tests/|make )", run_by), row


def test_the_tests_exist() -> None:
    named = {code for code in CODE if code.startswith("tests/")}
    assert len(named) > 50
    for each in named:
        path, _, test = each.partition("::")
        assert (PROJECT / path).exists(), each
        assert not test or f"def {test}(" in (PROJECT / path).read_text(encoding="utf-8"), each


def test_the_make_targets_and_their_arguments_exist() -> None:
    targets = set(
        re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    )
    for command in [code for code in CODE if code.startswith("make ")]:
        assert command.split()[1] in targets, command
        if path := re.search(r"tests/[\w./]+", command):
            case = re.search(r"-k (\w+)", command)
            assert (PROJECT / path[0] / (case[1] if case else "")).exists(), command
        if group := re.search(r"--only (\w+)", command):
            assert (PROJECT / "bench" / f"{group[1]}.py").exists(), command


def test_the_settings_and_paths_exist() -> None:
    settings = {code.partition("=")[0] for code in CODE if code.startswith("CRMBET_")}
    assert settings <= variable_names()
    here = " ".join(row[1] for row in rows())
    for path in re.findall(r"`((?:plugins|include|dags|docs|local|bench)/[\w./-]*)`", here):
        assert (PROJECT / path).exists(), path
