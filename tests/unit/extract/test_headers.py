"""The header of a CSV file: whatever strange names it has, those of the contract are found."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmbet.extract.headers import read_header
from crmbet.extract.unreadable import UnreadableObject

pytestmark = pytest.mark.unit

KNOWN = ["bet_id", "stake", "Valor da aposta", "Prêmio (R$)"]
BLANKS = ["\u00a0", "\u2003", "\u202f", "\u3000", "\u2028", "\u0085", "\x0b", "\t", "  "]
SHAPELESS = [
    "\u00ad",
    "\u200b",
    "\u200c",
    "\u200d",
    "\u2060",
    "\ufeff",
    "\u200e",
    "\u202e",
    "\u2066",
    "\u061c",
    "\ufe0f",
    "\U000e0100",
    "\u034f",
    "\u3164",
    "\uffa0",
    "\u2800",
    "\u180b",
]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("headers") / "file"


def header(file: Path, text: str) -> tuple[str, list[str]] | None:
    file.write_text(text, encoding="utf-8", newline="")
    found = read_header(file, KNOWN)
    return (found.delimiter, found.names) if found else None


@pytest.mark.parametrize("strange", [*BLANKS, *SHAPELESS])
@pytest.mark.parametrize("delimiter", [",", ";", "|"])
def test_letters_that_nobody_sees_hide_no_column(file: Path, strange: str, delimiter: str) -> None:
    for name in (strange + "stake", "stake" + strange, strange * 3 + "stake" + strange):
        assert header(file, delimiter.join(["bet_id", name, "x"]) + "\n") == (
            delimiter,
            ["bet_id", "stake", "x"],
        )


@pytest.mark.parametrize("strange", SHAPELESS)
def test_letters_without_a_shape_are_passed_over_within_a_name(file: Path, strange: str) -> None:
    assert header(file, f"bet_id,st{strange}ake\n") == (",", ["bet_id", "stake"])


@pytest.mark.parametrize("blank", [*BLANKS, "\n", "\r\n", " \n "])
def test_any_white_space_within_a_name_is_one_blank(file: Path, blank: str) -> None:
    text = f'bet_id,"Valor{blank}da{blank}aposta","Prêmio{blank}(R$)",stake\nb1,1,2,3\n'

    assert header(file, text) == (",", ["bet_id", "Valor da aposta", "Prêmio (R$)", "stake"])


def test_an_accent_may_be_a_letter_of_its_own(file: Path) -> None:
    assert header(file, "bet_id;Pre\u0302mio (R$)\n") == (";", ["bet_id", "Prêmio (R$)"])


@pytest.mark.parametrize(
    "name",
    ['"valor\n(R$)"', "valor\u00a0total", "co\u00admissão", "\ue000", "\U0001f3b0", '""', '"a,b"', "\ufffd", "\u0378"]
)  # fmt: skip
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_strange_name_of_another_column_does_no_harm(file: Path, name: str, place: int) -> None:
    names = ["bet_id", "stake"]
    names.insert(place, name)

    delimiter, found = header(file, ",".join(names) + "\n") or ("", [])

    assert delimiter == ","
    assert [found.index(known) for known in ("bet_id", "stake")] == [
        names.index("bet_id"),
        names.index("stake"),
    ]


def test_a_name_letter_for_letter_counts_before_one_that_looks_like_it(file: Path) -> None:
    assert header(file, "stake\u200b,bet_id,stake,\u00a0stake\n") == (
        ",",
        ["stake\\u200b", "bet_id", "stake", "stake"],
    )


@pytest.mark.parametrize(
    "text", ["bet_id,\x00stake\n", "bet_id,stake\x07\n", "\x1b[1mbet_id,stake\n", "a" * (2 << 20)]
)
def test_what_is_no_text_is_refused(file: Path, text: str) -> None:
    with pytest.raises(UnreadableObject, match="first line is no text"):
        header(file, text)


def test_a_header_that_cannot_be_split_has_no_names(file: Path) -> None:
    assert header(file, 'bet_id,"stake" x\n') == (",", [])


@pytest.mark.parametrize("text", ['"bet_id,stake\nb1,1\n', 'bet_id,"stake\nb1,"1"\n', '"bet_id;stake\n'])
def test_a_header_with_an_open_quote_is_refused(file: Path, text: str) -> None:
    with pytest.raises(UnreadableObject, match="its first line has a quote that is never closed"):
        header(file, text)


@pytest.mark.parametrize("strange", [*BLANKS, *SHAPELESS, "\ufeff\ufeff", "\u00a0\u200b "])
@pytest.mark.parametrize("delimiter", [",", ";"])
def test_letters_that_nobody_sees_before_a_quote_hide_no_column(
    file: Path, strange: str, delimiter: str
) -> None:
    quoted = ['"bet_id"', '"stake"', '"say ""hi"""']
    for place in range(3):
        text = delimiter.join(strange * (place == number) + name for number, name in enumerate(quoted))
        assert header(file, text + "\n") == (delimiter, ["bet_id", "stake", 'say "hi"'])


@pytest.mark.parametrize("name", ["", '""', " ", *BLANKS, *SHAPELESS])
def test_columns_without_a_name_at_the_end_are_counted(file: Path, name: str) -> None:
    file.write_text(f"bet_id,stake,{name},{name}\n", encoding="utf-8", newline="")
    found = read_header(file, KNOWN)
    assert found is not None
    assert (found.names, found.width) == (["bet_id", "stake"], 4)


def test_a_file_without_a_line_has_no_header(file: Path) -> None:
    assert header(file, "\n\r\n") is None


@pytest.mark.parametrize("blanks", [" ", " \n", "\t\n", "\n \r\n\t\n", "\v\f", " " * (2 << 20)])
def test_a_file_of_blanks_has_no_header(file: Path, blanks: str) -> None:
    assert header(file, blanks) is None


def test_an_open_quote_is_looked_for_once(file: Path) -> None:
    began = time.process_time()
    with pytest.raises(UnreadableObject):
        header(file, 'bet_id,"stake\n' + "b1,1\n" * 200_000)
    assert time.process_time() - began < 10


@settings(deadline=None)
@given(names=st.lists(st.text(st.characters(blacklist_categories=("Cs", "Cc"))), max_size=5))
def test_no_other_name_hides_a_known_one(file: Path, names: list[str]) -> None:
    quoted = ['"' + name.replace('"', '""') + '"' for name in names]

    found = header(file, ",".join([*quoted, "bet_id", "stake"]) + "\n")

    assert found is not None
    assert found[1][len(names) : len(names) + 2] == ["bet_id", "stake"]
