"""Both languages are complete: what people read in English has a sentence in Portuguese, and none is left over."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from string import Formatter

import pytest

from crmbet.contracts.files import load_table_contract
from crmbet.erasure.page.app import REFUSALS, STATES
from crmbet.extract.listing import WORDS
from crmbet.failures import BadSetting
from crmbet.monitoring.alerts.message import FAILED_AT, LATE, MEANINGS, TITLES, WARNINGS
from crmbet.monitoring.page.catalogue_page import PARTS, REASONS, WINDOWS
from crmbet.quality.checks import Check
from crmbet.quality.gate import names_in
from crmbet.quality.report import STAGE_NAMES, TO_CLEAR
from crmbet.quality.suites import load_suites
from crmbet.run.schedule import operator_texts
from crmbet.texts import ENGLISH, LANGUAGES, generalise, texts_in
from local.workspace import PROJECT

pytestmark = pytest.mark.unit

PORTUGUESE = texts_in("pt-BR")
CODE = [*(PROJECT / "plugins").rglob("*.py"), *(PROJECT / "dags").glob("*.py")]
SPEAKERS = ("say", "texts_in")
FAILURE_PARTS = ("what", "why", "next_step")
LABELS = ("Means", "What", "Where", "Why", "Next", "Brand", "DAG", "Run", "as_of", "Task", "Late")
LINKS = ("Answer", "Log", "Run", "Page", "Runbook", "Report")
ABOUT_BASELINES = (
    "a new baseline begins: nothing compared",
    "no baseline is as old as this run: nothing compared",
    "no baseline yet: nothing compared",
    "too few players or days: nothing compared",
)


def constants(node: ast.expr) -> Iterator[str]:
    """The sentences that a first argument may be: a constant, or the branches of a condition."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from constants(node.body)
        yield from constants(node.orelse)


def name_of(node: ast.expr) -> str:
    match node:
        case ast.Call():
            return name_of(node.func)
        case ast.Attribute():
            return node.attr
        case ast.Name():
            return node.id
    return ""


def said_in_python() -> Iterator[str]:
    """What is passed through `say`, and what our failures say in constant words where alerts tell of them."""
    for path in CODE:
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(call, ast.Call):
                continue
            if name_of(call.func) in SPEAKERS and call.args and path.name != "texts.py":
                yield from constants(call.args[0])
            if name_of(call.func) in ("Failure", "cls") and "kind" in {word.arg for word in call.keywords}:
                for word in call.keywords:
                    if word.arg in FAILURE_PARTS:
                        yield from constants(word.value)


def said_on_pages() -> Iterator[str]:
    """What the report and the monitoring page say, and the words of elements that have the mark `data-say`."""
    page = PROJECT / "plugins" / "crmbet" / "monitoring" / "page" / "static"
    scripts = [path for path in page.rglob("*.js") if "-" not in path.name]
    report = PROJECT / "plugins" / "crmbet" / "quality" / "report.html"
    form = PROJECT / "plugins" / "crmbet" / "erasure" / "page" / "form.html"
    for path in (report, form, page.parent / "catalogue.html", *scripts):
        yield from re.findall(r'\bsay\("((?:[^"\\]|\\.)*)"', path.read_text(encoding="utf-8"))
    for path in page.rglob("*.html"):
        yield from re.findall(r"data-say[^>]*>([^<]+)<", path.read_text(encoding="utf-8"))


def said_of_data() -> Iterator[str]:
    """What tables of the code say."""
    for check in Check:
        yield from (check.title, check.advice, check.severity)
    yield from (*PARTS, REASONS)
    yield from WINDOWS.values()
    for table in (TITLES, WARNINGS, MEANINGS, STAGE_NAMES, TO_CLEAR, WORDS, STATES, REFUSALS):
        yield from table.values()
    yield from (FAILED_AT, LATE, *TITLES, *LABELS, *LINKS, *ABOUT_BASELINES)


def said_by_suites() -> Iterator[str]:
    """The sentences of the suites, in the general form unless Portuguese has the very sentence."""
    table = load_table_contract()
    for stage in ("raw", "features"):
        for suite in load_suites(stage):
            rows = suite.meta.rows
            yield from (rows, f"of {rows}", f"the {rows} concerned", f"of the {rows} concerned")
            for entry in suite.for_table(table).expectations:
                for sentence in filter(None, (entry.description, entry.breach)):
                    exact = sentence in PORTUGUESE.sentences
                    yield sentence if exact else generalise(sentence, names_in(entry))[0]


def required() -> set[str]:
    return {*said_in_python(), *said_on_pages(), *said_of_data(), *said_by_suites()} - {"en", "pt-BR", ""}


def test_portuguese_has_every_sentence_and_no_other() -> None:
    needed = required()

    assert len(needed) > 300
    assert sorted(needed - PORTUGUESE.sentences.keys()) == [], "include/texts/pt-BR.yaml lacks these"
    assert sorted(PORTUGUESE.sentences.keys() - needed) == [], "nobody says these any more"


def test_both_languages_have_the_same_places() -> None:
    for english, portuguese in PORTUGUESE.sentences.items():
        assert portuguese, english
        if english.count("{") == english.count('{"'):
            continue
        places = [
            sorted({name for _, name, _, _ in Formatter().parse(text) if name})
            for text in (english, portuguese)
        ]
        assert places[0] == places[1], english


def test_a_sentence_is_said_in_the_language_that_is_set() -> None:
    for language, said in (("en", "9 of 11 met"), ("pt-BR", "9 de 11 cumpridas")):
        assert (
            operator_texts({"CRMBET_LANGUAGE": language})("{met} of {judged} met", met=9, judged=11) == said
        )
    assert operator_texts({}) is ENGLISH
    assert operator_texts({"CRMBET_LANGUAGE": " "}) is ENGLISH


def test_an_unknown_language_is_named_without_its_value() -> None:
    with pytest.raises(BadSetting, match="CRMBET_LANGUAGE has a bad value: use one of en, pt-BR") as refused:
        operator_texts({"CRMBET_LANGUAGE": "Hunter2"})
    assert "Hunter2" not in str(refused.value)


def test_a_sentence_that_a_language_lacks_stays_english() -> None:
    assert PORTUGUESE("a sentence that nobody translated: {n}", n=1) == "a sentence that nobody translated: 1"
    assert PORTUGUESE.about("wins are never negative", {"wins"}) == "wins are never negative"


def test_a_sentence_about_a_column_is_said_of_any_column() -> None:
    assert PORTUGUESE.about("sorte is filled", {"sorte"}) == "sorte está preenchida"
    assert generalise("a_b and c follow a_b", {"a_b", "c"}) == ("{0} and {1} follow {0}", ["a_b", "c"])


@pytest.mark.parametrize(
    ("english", "portuguese"), [("1,234.5", "1.234,5"), ("21.60%", "21,60%"), ("< 0.01%", "< 0,01%")]
)
def test_figures_have_the_marks_of_the_language(english: str, portuguese: str) -> None:
    assert PORTUGUESE.figure(english) == portuguese
    assert ENGLISH.figure(english) == english


def test_every_language_has_its_file() -> None:
    files = {path.stem for path in (PROJECT / "include" / "texts").glob("*.yaml")}
    assert files == set(LANGUAGES) - {ENGLISH.language}
