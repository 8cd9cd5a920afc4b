"""The documents name what is there: links, paths, packages, params, counts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from crmbet.contracts.files import load_table_contract
from crmbet.run.params import RunParams
from local.workspace import PROJECT

pytestmark = pytest.mark.unit

PAGES = sorted(
    page
    for folder in (
        PROJECT,
        PROJECT / "docs",
        PROJECT / "docs" / "adr",
        PROJECT / "docs" / "pt-BR",
        PROJECT / "include" / "expectations",
    )
    for page in folder.glob("*.md")
    if "original-specification" not in page.name
)
OURS = re.compile(r"`((?:plugins|include|tests|docs|local|dags|bench|config)/[\w./-]+)`")


def ids(page: Path) -> str:
    return str(page.relative_to(PROJECT))


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith("http"):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=ids)
def test_paths_exist(page: Path) -> None:
    # Nothing that an operator or a bench makes is here.
    theirs = ("bench/results/", "config/brands/")
    named = [path for path in OURS.findall(page.read_text(encoding="utf-8")) if not path.startswith(theirs)]

    assert [path for path in named if not (PROJECT / path).exists()] == []


def test_the_architecture_lists_every_package_and_no_other() -> None:
    page = (PROJECT / "docs" / "architecture.md").read_text(encoding="utf-8")
    package = PROJECT / "plugins" / "crmbet"
    rooms = {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}
    rooms |= {path.name for path in package.glob("*.py")} - {"__init__.py"}

    listed = page.partition("## The packages")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `([\w.]+/?)` \|", listed, re.MULTILINE)) == rooms


def test_the_glossary_is_in_alphabetical_order() -> None:
    page = (PROJECT / "docs" / "glossary.md").read_text(encoding="utf-8")
    words = re.findall(r"^\| \*\*(.+?)\*\* \|", page, re.MULTILINE)

    assert words == sorted(words, key=str.lower)
    assert len(words) > 40


def test_the_portuguese_glossary_has_the_same_words() -> None:
    english = (PROJECT / "docs" / "glossary.md").read_text(encoding="utf-8")
    portuguese = (PROJECT / "docs" / "pt-BR" / "glossario.md").read_text(encoding="utf-8")
    words = re.compile(r"^\| \*\*(.+?)\*\* \|", re.MULTILINE)

    assert words.findall(portuguese.partition("## Do código")[2]) == words.findall(english)


@pytest.mark.parametrize(
    ("name", "heads", "columns"),
    [
        ("README.md", "| Param | Default | Meaning |", r"all (\d+) columns"),
        ("README.pt-BR.md", "| Parâmetro | Padrão | O que faz |", r"todas as (\d+) colunas"),
    ],
)
def test_readme_lists_the_params_and_counts_the_features(name: str, heads: str, columns: str) -> None:
    page = (PROJECT / name).read_text(encoding="utf-8")
    table = page.partition(heads)[2].partition("\n\n")[0]
    contract = load_table_contract()

    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(RunParams.model_fields)
    counted = {
        "features": re.findall(r"(?<!of the )\b(\d{2,}) features\b", page)
        + re.findall(r"of the (\d+) features", page),
        "columns": re.findall(columns, page),
    }
    for what, there in {"features": contract.features, "columns": contract.columns}.items():
        assert set(counted[what]) == {str(len(there))}, f"{name}: the contract has {len(there)} {what}"


def test_both_readmes_have_the_same_commands() -> None:
    english, portuguese = (
        (PROJECT / name).read_text(encoding="utf-8") for name in ("README.md", "README.pt-BR.md")
    )

    assert commands(portuguese) == commands(english)
    assert len(commands(english)) > 10


def commands(page: str) -> list[str]:
    """The lines of a page's shell blocks, without what is said of them."""
    lines = "\n".join(re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)).splitlines()
    return [stripped for line in lines if (stripped := re.sub(r"\s+# .*", "", line).strip())]
