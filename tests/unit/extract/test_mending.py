"""Mending, against a reading letter by letter, and what it promises: damage loses only what is damaged."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crmbet.extract import mending as module
from crmbet.extract.counting import LONGEST_LINE
from crmbet.extract.mending import mend_csv

pytestmark = pytest.mark.unit

WIDTH = 2
LETTERS = ["a", "é", '"', '""', ",", ", ", " ", "\n", "\r\n", "\x00", "\x01", "x" * 9]
LINES = ["a,a\n", '"a","a"\n', '"a\n', 'a",a\n', 'x",y","\n', '","\n']
PIECES = st.lists(st.sampled_from(LETTERS + LINES), max_size=25).map("".join)

Fate = list[str] | str
"""A record's fields, or why it is set aside."""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mending") / "file"


def mended(file: Path, content: str, longest: int = LONGEST_LINE) -> tuple[list[Fate], int]:
    """What becomes of each record, by its place, and of how many lines records were made."""
    file.write_bytes(content.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "LONGEST_LINE", longest)
        result = mend_csv(file, ",", WIDTH, WIDTH)
    fates: dict[int, Fate] = {}
    with result.good.open(newline="", encoding="utf-8") as good:
        fates |= {int(place): fields for place, *fields in csv.reader(good)}
    with result.rejects.open(newline="", encoding="utf-8") as rejects:
        fates |= {int(place): why for place, why in csv.reader(rejects)}
    assert sorted(fates) == list(range(1, result.records + 1)), "each record has a place of its own"
    return [fates[place] for place in sorted(fates)], result.lines


def read_slowly(content: str, longest: int) -> tuple[list[Fate], int]:
    """The same, letter by letter; the first record is the header."""
    lines, faults = [], []
    for line in re.findall(r"[^\n]*\n|[^\n]+", content):
        too_long = len(line.encode()) > longest
        no_text = "\x00" in line or "\x01" in line
        faults.append(
            f"longer than {longest:,} bytes" if too_long else "bytes that are no text" if no_text else ""
        )
        lines.append(line.removesuffix("\n").removesuffix("\r"))
    fates: list[Fate] = []
    used = place = 0
    while place < len(lines):
        taken = 1
        if faults[place]:
            fates.append(faults[place])
        elif lines[place]:
            fate, taken = read_record(lines[place:], faults[place:], longest)
            fates.append(fate)
        used += sum(bool(lines[at] or faults[at]) for at in range(place, place + taken))
        place += taken
    return fates[1:], used


def read_record(lines: list[str], faults: list[str], longest: int) -> tuple[Fate, int]:  # noqa: C901, PLR0912
    """The record that begins with the first of some lines, and how many of them it takes; a bad one takes one."""
    fields = [""]
    state = "before"
    place = at = 0
    while True:
        letter = lines[place][at : at + 1]
        at += 1
        if state == "quoted":
            if letter == '"' and lines[place][at : at + 1] == '"':
                fields[-1] += '"'
                at += 1
            elif letter == '"':
                state = "after"
            elif letter:
                fields[-1] += letter
            else:
                place, at = place + 1, 0
                size = len("\n".join(lines[: place + 1]).encode())
                if place == len(lines) or faults[place] or size > longest:
                    return "a quote that is never closed", 1
                fields[-1] += "\n"
        elif not letter:
            break
        elif letter == ",":
            fields.append("")
            state = "before"
        elif state == "before" and letter == '"':
            fields[-1] = ""
            state = "quoted"
        elif state == "after":
            if letter != " ":
                return "text after a closing quote", 1
        else:
            fields[-1] += letter
            state = "before" if state == "before" and letter == " " else "plain"
    if len(fields) < WIDTH or any(fields[WIDTH:]):
        return f"{len(fields)} fields instead of {WIDTH}", 1
    return fields[:WIDTH], place + 1


@settings(deadline=None)
@given(content=PIECES, longest=st.sampled_from([4, 9, 30, 1000]))
@example(content='h,h\n"a""\n",a\n', longest=1000)
@example(content='h,h\n"a\nb,"",b\nc,"",c\n', longest=1000)
def test_it_reads_as_a_reading_letter_by_letter_does(file: Path, content: str, longest: int) -> None:
    assert mended(file, content, longest) == read_slowly(content, longest)


FIELDS = st.lists(st.text(alphabet='ab,"\n ', max_size=6).map("x{}".format), min_size=WIDTH, max_size=WIDTH)


@settings(deadline=None)
@given(
    records=st.lists(FIELDS, min_size=1, max_size=6),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    letter=st.sampled_from(['"', ",", "\n", "y", ""]),
    removed=st.integers(0, 1),
    data=st.data(),
)
def test_damage_to_one_record_loses_no_other(
    file: Path, records: list[list[str]], quoting: int, letter: str, removed: int, data: st.DataObject
) -> None:
    texts = [as_csv(record, quoting) for record in records]
    hit = data.draw(st.integers(0, len(texts) - 1))
    at = data.draw(st.integers(0, len(texts[hit])))
    texts[hit] = texts[hit][:at] + letter + texts[hit][at + removed :]

    fates, _ = mended(file, "h,h\n" + "".join(text + "\n" for text in texts))

    left = iter(fates)
    assert all(record in left for place, record in enumerate(records) if place != hit)


def as_csv(record: list[str], quoting: Any) -> str:
    text = io.StringIO()
    csv.writer(text, quoting=quoting, lineterminator="\n").writerow(record)
    return text.getvalue().removesuffix("\n")


@settings(deadline=None)
@given(records=st.lists(FIELDS, max_size=6), quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
def test_what_is_not_damaged_comes_out_as_it_was(file: Path, records: list[list[str]], quoting: int) -> None:
    fates, _ = mended(file, "h,h\n" + "".join(as_csv(record, quoting) + "\r\n" for record in records))

    assert fates == records


def test_an_open_quote_costs_no_more_than_a_look_ahead(file: Path) -> None:
    # A quote is open, and each of the lines that follow has quotes that do not close it.
    fates, _ = mended(file, 'h,h\nx,"x\n' + 'x,""\n' * 50_000)

    assert fates == ["a quote that is never closed", *[["x", ""]] * 50_000]


@pytest.mark.parametrize(
    ("damage", "rest"),
    [
        ('x,"y\n', '","\n' * 40),
        ("", 'x",y","\n' * 40),
        ("", 'x",y","\n' * 40 + '"\n'),
        ("", 'x",y","\n' * 40 + '"z\n'),
        ('x,"\n', "\n" * 40),
    ],
    ids=["reopened", "all opened", "too many fields", "text after a quote", "empty lines"],
)
@pytest.mark.parametrize("longest", [100, LONGEST_LINE])
def test_work_grows_with_the_file_and_not_with_its_square(
    file: Path, damage: str, rest: str, longest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed = []
    split_record = module._split_record

    def counting(record: bytes, delimiter: bytes) -> Any:
        parsed.append(len(record))
        return split_record(record, delimiter)

    monkeypatch.setattr(module, "_split_record", counting)
    content = "a,b\n" + damage + rest

    fates, _ = mended(file, content, longest)

    assert sum(parsed) <= 3 * len(content)
    assert fates == read_slowly(content, longest)[0]


def test_columns_after_the_last_name_are_left_out_and_more_are_a_fault(file: Path) -> None:
    file.write_text('a,b,,\n1,2,x,y\n1,2\n1,2,"x\ny"\n1,2,x,y,z\n1\n1,2,,,,\n')
    result = mend_csv(file, ",", 2, 4)
    with result.good.open(newline="", encoding="utf-8") as good:
        assert [fields for _, *fields in csv.reader(good)] == [["1", "2"]] * 4
    with result.rejects.open(newline="", encoding="utf-8") as rejects:
        assert [why for _, why in csv.reader(rejects)] == ["5 fields instead of 2", "1 fields instead of 2"]
