"""The independent counts, against plain readings of the same bytes, whatever the size of the blocks."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crmbet.extract import counting as module
from crmbet.extract.counting import LONGEST_LINE, Survey, count_elements, survey

pytestmark = pytest.mark.unit

CSV = st.lists(
    st.sampled_from([b"a", b'"', b'""', b'" "', b",", b"\n", b"\r\n", b"\n\n", b" ", "é".encode()])
).map(b"".join)
SIZES = st.integers(1, 9)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='a"\\[]{},: \né'),
    lambda values: (
        st.lists(values, max_size=4) | st.dictionaries(st.text(alphabet='a"\\,'), values, max_size=4)
    ),
    max_leaves=12,
)
SPACE = st.text(alphabet=" \t\r\n", max_size=3)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("survey") / "file"


def plain_survey(content: bytes, longest: int, *, quotes: bool) -> Survey:
    lines = content.split(b"\n")
    records = [b""]
    for place, line in enumerate(lines):
        records[-1] += line
        if place < len(lines) - 1:
            if quotes and records[-1].count(b'"') % 2:
                records[-1] += b"\n"
            else:
                records.append(b"")
    filled = sum(line not in (b"", b"\r") for line in lines)
    whole = sum(record not in (b"", b"\r") for record in records)
    too_long = any(len(line) + (place < len(lines) - 1) > longest for place, line in enumerate(lines))
    reopened = quotes and re.search(rb'" +"', content) is not None and filled != whole
    return Survey(
        lines=filled,
        records=whole,
        open_quote=quotes and content.count(b'"') % 2 == 1,
        odd=too_long or b"\x00" in content or b"\x01" in content or reopened,
    )


@settings(deadline=None)
@given(content=CSV, quotes=st.booleans(), piece=SIZES, longest=st.sampled_from([2, 5, 9, 1000]))
@example(content=b'"\n\n"\n\r\n\n"a\r\n\r\n"', quotes=True, piece=1, longest=2)
@example(content=b'"a\na," ",a\na"\n', quotes=True, piece=1, longest=1000)
def test_lines_and_records_are_counted_as_a_plain_reading_counts_them(
    file: Path, content: bytes, quotes: bool, piece: int, longest: int
) -> None:
    file.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BYTES_AT_ONCE", piece)
        patch.setattr(module, "LONGEST_LINE", longest)
        found = survey(file, quotes=quotes)

    expected = plain_survey(content, longest, quotes=quotes)
    if expected.open_quote:
        # Where the last record ends is anybody's guess then.
        expected = Survey(expected.lines, found.records, True, expected.odd or found.odd)
    assert found == expected


@pytest.mark.parametrize(("longer", "odd"), [(0, False), (1, True)])
@pytest.mark.parametrize("end", [b"\n", b""])
def test_a_line_may_have_a_mebibyte_with_its_end(file: Path, longer: int, odd: bool, end: bytes) -> None:
    file.write_bytes(b"a\n" + b"x" * (LONGEST_LINE - len(end) + longer) + end + b"b\n" * (1 if end else 0))

    assert survey(file, quotes=True).odd == odd


@pytest.mark.parametrize("character", [b"\x00", b"\x01"])
def test_bytes_that_mislead_the_engine_are_odd(file: Path, character: bytes) -> None:
    file.write_bytes(b"a\nb" + character + b"\n")

    assert survey(file, quotes=False) == Survey(lines=2, records=2, open_quote=False, odd=True)


@settings(deadline=None)
@given(value=JSON, indent=st.sampled_from([None, 0, 1]), around=st.tuples(SPACE, SPACE), piece=SIZES)
def test_elements_are_counted_as_a_parser_counts_them(
    file: Path, value: Any, indent: int | None, around: tuple[str, str], piece: int
) -> None:
    content = json.dumps(value, indent=indent, ensure_ascii=False).join(around).encode()

    assert elements(file, content, piece) == (len(value) if isinstance(value, list | dict) else None)


@settings(deadline=None)
@given(value=JSON, other=JSON, piece=SIZES, data=st.data())
def test_what_is_cut_off_or_goes_on_is_not_one_value(
    file: Path, value: Any, other: Any, piece: int, data: st.DataObject
) -> None:
    content = json.dumps([value]).encode()

    assert elements(file, content + b"\n" + json.dumps(other).encode(), piece) is None
    assert elements(file, content[: data.draw(st.integers(0, len(content) - 1))], piece) is None


def elements(file: Path, content: bytes, piece: int) -> int | None:
    file.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BYTES_AT_ONCE", piece)
        return count_elements(file)
