"""Splitting JSON: records come out as they went in, whatever separates them, and damage loses what is damaged alone."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from crmbet.extract import splitting as module
from crmbet.extract.counting import LONGEST_LINE
from crmbet.extract.splitting import BETWEEN, MALFORMED_TEXT, NO_OBJECT, TOO_LONG, split
from crmbet.extract.unreadable import UnreadableObject
from tests.tiers import now

pytestmark = pytest.mark.unit

NAMES = frozenset({"id", "who"})
TEXT = st.text(alphabet='a"\\[]{},: \té\U0001f600')
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | TEXT
    | st.sampled_from(["}{", "},{", "}\n{", "]["]),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(TEXT, values, max_size=3),
    max_leaves=6,
)
RECORDS = st.lists(
    st.builds(lambda number, value: {"id": number, "who": value}, st.integers(), VALUES), max_size=8
)
SEPARATORS = ["", "\n", "\r\n", " ", "\t", ",", ",\n", "\n\x1e", "\x1e", "\n\n", " , ", "\ufeff"]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("splitting") / "file"


def found(
    file: Path, content: str, *, is_array: bool = False, piece: int = module.BYTES_AT_ONCE
) -> list[list[str]]:
    """The columns of each record."""
    file.write_text(content, encoding="utf-8", newline="")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BYTES_AT_ONCE", piece)
        result = split(file, is_array=is_array, names=NAMES)
    rows = [line.split("\x01") for line in result.path.read_text(encoding="utf-8").split("\n")[:-1]]
    assert [int(place) for _, place, *_ in rows] == list(range(1, result.records + 1))
    starts = [line for line, *_ in rows]
    assert result.shares_lines == (len(set(starts)) < len(starts))
    return rows


def texts(rows: list[list[str]]) -> list[str]:
    """The text of each record, or why it is set aside."""
    return [fault or text for *_, fault, text in rows]


@settings(deadline=None)
@given(
    records=RECORDS,
    separator=st.sampled_from(SEPARATORS),
    indent=st.sampled_from([None, 0, 2]),
    in_array=st.booleans(),
    piece=st.sampled_from([1, 7, 64, 4 << 20]),
)
def test_records_are_split_wherever_one_ends(
    file: Path, records: list[dict[str, Any]], separator: str, indent: int | None, in_array: bool, piece: int
) -> None:
    written = [json.dumps(record, indent=indent, ensure_ascii=False) for record in records]
    content = separator.join(written)
    with pytest.MonkeyPatch.context() as patch:
        # A window so small that it moves on within the text.
        patch.setattr(module, "LOOKED_AHEAD", max(map(len, ["", *written])) + 50)
        rows = found(file, f"[{content}]" if in_array else content, is_array=in_array, piece=piece)

    assert [json.dumps(json.loads(text)) for text in texts(rows)] == [
        json.dumps(record) for record in records
    ]
    assert [int(size) for _, _, size, _, _ in rows] == [len(text.encode()) for text in written]


@settings(deadline=None)
@given(
    pieces=st.lists(
        st.sampled_from(
            [
                '{"id": 1}',
                '{"id": "}{"}',
                "{",
                "}",
                "[",
                "]",
                '"',
                ",",
                ":",
                "\n",
                "\\",
                "x",
                "1",
                "\x00",
                "\x1e",
                "é",
            ]
        ),
        max_size=30,
    ),
    is_array=st.booleans(),
    piece=st.sampled_from([1, 9, 4 << 20]),
)
@example(pieces=["{", '"', "\n", '{"id": 1}'], is_array=False, piece=1)
def test_no_byte_is_lost_that_does_not_separate_records(
    file: Path, pieces: list[str], is_array: bool, piece: int
) -> None:
    content = ("[" if is_array else "") + "".join(pieces)
    try:
        rows = found(file, content, is_array=is_array, piece=piece)
    except UnreadableObject:
        assert is_array
        return
    between = BETWEEN + "[]"
    left = sum(len(letter.encode()) for letter in content if letter not in between)
    kept = sum(int(size) for _, _, size, _, _ in rows)
    assert left <= kept <= len(content.encode())


DAMAGE = {
    "cut off": '{"id": 2, "who": ',
    "cut off in a text": '{"id": 2, "who": "an',
    "an open quote": '{"id": "2, "who": "ana"}',
    "no brace at the end": '{"id": 2, "who": {"name": "ana"}',
    "a brace too many": '{"id": 2}}',
    "no brace at the beginning": '"id": 2, "who": "ana"}',
    "no quotes": "{id: 2}",
    "other quotes": "{'id': 2}",
    "words": "nothing to see",
    "a table's line": "2;ana;10,50",
    "a number and more": "2,ana,10.50",
    "deep": '{"id": 2, "who": ' + "[" * 5000,
    "deep objects": '{"who": ' * 5000,
}


@pytest.mark.parametrize("name", DAMAGE)
@pytest.mark.parametrize("place", [0, 1, 5])
def test_a_damaged_line_loses_nothing_but_itself(file: Path, name: str, place: int) -> None:
    good = [json.dumps({"id": number, "who": "}{"}) for number in range(5)]
    lines = [*good[:place], DAMAGE[name], *good[place:]]

    rows = found(file, "\n".join(lines))

    per_line: dict[str, list[str]] = {}
    for line, _, _, fault, text in rows:
        per_line.setdefault(line, []).append(fault or text)
    assert per_line.keys() == {str(number) for number in range(1, 7)}
    assert [per_line[str(number)] for number, line in enumerate(lines, 1) if line in good] == [
        [line] for line in good
    ]


@pytest.mark.few(40)
@pytest.mark.parametrize("name", DAMAGE)
@pytest.mark.parametrize("separator", [",", ", ", ",\n", ",\n  ", "\n,"])
@pytest.mark.parametrize("place", [1, 5])
def test_a_damaged_element_loses_nothing_but_itself(
    file: Path, name: str, separator: str, place: int
) -> None:
    good = [json.dumps({"id": number, "who": [{"x": 1}, {"x": 2}]}) for number in range(5)]

    content = f"[{separator.join([*good[:place], DAMAGE[name], *good[place:]])}]"
    if name == "deep" and (place == len(good) or separator != ",\n  "):
        # What follows may be of its lists, and the array's own bracket may be the end of one. Nobody can tell.
        with pytest.raises(UnreadableObject, match="cut off"):
            found(file, content, is_array=True)
        return

    rows = found(file, content, is_array=True)

    kept = [text for text in texts(rows) if text in good]
    assert kept == good
    assert len(rows) > len(good)


@pytest.mark.parametrize("name", DAMAGE)
@pytest.mark.parametrize("separator", ["", "\n", "\x1e"])
def test_a_damaged_record_of_a_stream_loses_nothing_but_itself(file: Path, name: str, separator: str) -> None:
    good = [json.dumps({"id": number, "who": {"x": {"y": "}"}}}, indent=2) for number in range(5)]
    damaged = DAMAGE[name]
    if separator == "" and damaged[-1] != "}":
        damaged += "}"

    # A record right after a colon may be a value, and those after an open list may be of the list.
    lost = []
    if name == "deep" and separator == "\n":
        lost = good[2:]
    elif separator == "\n" and damaged.endswith(": "):
        lost = good[2:3]

    rows = found(file, separator.join([*good[:2], damaged, *good[2:]]))

    assert [
        json.loads(text)
        for text in texts(rows)
        if text[0] == "{" and NO_OBJECT not in text and "who" in text and '"x"' in text
    ] == [json.loads(text) for text in good if text not in lost]


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1,", "[1,]", "1e999", "9" * 5000])
@pytest.mark.parametrize("wrap", ["{}", "[{}]", "{0}{0}", "[{0},{0}]"])
def test_what_the_engine_may_read_is_left_to_it(file: Path, value: str, wrap: str) -> None:
    record = f'{{"id": 1, "who": {value}}}'
    content = wrap.format(record)

    rows = found(file, content, is_array=content[0] == "[")

    assert texts(rows) == [record] * content.count('"id"')


GOOD = [json.dumps({"id": number, "who": "ana"}) for number in range(1, 5)]
NESTED = ['{"id": 90, "who": "eve"}', '{"id": 91, "who": "eve"}', '{"who": "eve", "id": 92}']


def kept(rows: list[list[str]]) -> list[str]:
    """The objects that are not set aside, here or by the engine."""
    return [text for *_, fault, text in rows if not fault and text[0] == "{" and is_json(text)]


def is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(
    "junk",
    [";", "|", "\0", "\u2028", "null", '"x"', "\\n", "7", "-", "é", "'", ")", "x y", "]", "}", ";;", " ; "],
)
@pytest.mark.parametrize("end", ["", "\n", "\n" + GOOD[0]])
def test_stray_bytes_lose_no_record_after_them(file: Path, junk: str, end: str) -> None:
    first, second, *others = GOOD

    rows = found(file, first + junk + second + "".join(others) + end)

    assert kept(rows) == GOOD + [GOOD[0]] * (GOOD[0] in end)
    assert len(rows) == len(kept(rows)) + 1


@pytest.mark.parametrize(
    "cut",
    [
        '{"id": 2, "who": 1',
        '{"id": 2, "who": "an',
        '{"id": 2, "who": nul',
        '{"id": 2, "who"',
        '{"id": 2, "who": "ana"',
        '{"id": 2',
        '{"id": 2, "who": {"x": 1}',
        '{"id": 2, "who": [1, 2]',
        '{"id": 2, "who": [1, 2',
    ],
)
@pytest.mark.parametrize("end", ["", "\n", "\n" + GOOD[0]])
def test_a_record_cut_off_on_a_shared_line_loses_no_record_after_it(file: Path, cut: str, end: str) -> None:
    first, *others = GOOD

    rows = found(file, first + cut + "".join(others) + end)

    assert kept(rows) == GOOD + [GOOD[0]] * (GOOD[0] in end)
    assert len(rows) == len(kept(rows)) + 1


@pytest.mark.parametrize("scalar", ["null", "true", "1", "-1.5e3", '"x"', '"{"', "NaN"])
def test_a_scalar_between_records_is_a_record_of_its_own(file: Path, scalar: str) -> None:
    content = f"{GOOD[0]}{scalar}\n{scalar}\n{scalar} {GOOD[1]}"

    assert texts(found(file, content)) == [GOOD[0], scalar, scalar, scalar, GOOD[1]]


@pytest.mark.few(60)
@pytest.mark.parametrize(
    "damaged",
    [
        '{"batch": [NESTED], "x": }',
        '{"id": 2, "legs": [NESTED], "x": }',
        '{"id": 2, "legs": [[NESTED]], "x": }',
        '{"id": 2, "legs": [1, NESTED], "x": }',
        '{"id": 2, "legs": {"x": [NESTED], "y": }}',
        '{"id": 2, "leg" NESTED}',
        '{"id": 2, "leg": "NESTED"}',
        '{"id": 2, "leg": "see NESTED there"}',
        '{"id": 2 "legs": [NESTED]}',
        '{"id: 2, "legs": [NESTED]}',
        '{"id": "2, "legs": [NESTED]}',
        '{"id": 2, "legs": [NESTED,]}',
        '{"id": 2, "legs": [NESTED]',
        '{"id": 2, "legs": [NESTED',
        '{"id": 2, "who": {"id": 2}, "legs": [NESTED], "x"',
    ],
)
@pytest.mark.parametrize("comma", [",", ", ", ""])
@pytest.mark.parametrize(
    "wrap", ["{0}\n{1}\n{2}", "{0}{1}{2}", "{0}\n{1}", "{1}", "[{0},{1},{2}]", "[{0},\n{1}]"]
)
def test_an_object_within_a_damaged_record_is_no_record(
    file: Path, damaged: str, comma: str, wrap: str
) -> None:
    content = wrap.format(GOOD[0], damaged.replace("NESTED", comma.join(NESTED)), GOOD[1])

    try:
        rows = found(file, content, is_array=wrap[0] == "[")
    except UnreadableObject:
        assert wrap[0] == "["
        return

    assert set(kept(rows)) <= {*GOOD}
    if "\n{2}" in wrap:
        assert kept(rows) == GOOD[:2]


@settings(deadline=None)
@given(
    nested=st.lists(st.sampled_from(NESTED), min_size=1, max_size=60),
    depth=st.integers(0, 3),
    indent=st.sampled_from([None, 0, 2]),
    piece=st.sampled_from([1, 64, 4 << 20]),
    separator=st.sampled_from(["", "\n", ","]),
)
def test_what_is_nested_in_a_list_stays_there(
    file: Path, nested: list[str], depth: int, indent: int | None, piece: int, separator: str
) -> None:
    value: Any = [json.loads(text) for text in nested]
    for _ in range(depth):
        value = {"inner": value}
    damaged = json.dumps({"id": 2, "who": value, "x": "X"}, indent=indent).replace('"X"', "")
    # A record is no longer than half of what is at hand.
    assume(len(damaged) <= 1_000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "LOOKED_AHEAD", 2_000)
        rows = found(file, separator.join([GOOD[0], damaged, GOOD[1]]), piece=piece)

    if indent is None or separator != "\n":
        assert kept(rows) == GOOD[:2]


HALVES = [r"\ud83d", r"\uD83D", r"\ude00", r"a\ud83db", r"\ud83d\ud83d\ude00", r"\ude00\ud83d"]


@pytest.mark.parametrize("half", HALVES)
def test_half_of_a_surrogate_pair_is_named_with_its_column(file: Path, half: str) -> None:
    lines = [
        '{"id": 1, "who": "\\ud83d\\ude00"}',
        f'{{"id": 2, "who": "{half}"}}',
        f'{{"id": 3, "strange": ["{half}"]}}',
        f'{{"id": 4, "{half}": 1}}',
        '{"id": 5, "who": "\\\\ud83d"}',
    ]

    for content, is_array in [("\n".join(lines), False), (f"[{','.join(lines)}]", True)]:
        assert texts(found(file, content, is_array=is_array)) == [
            lines[0],
            "malformed record: half of a surrogate pair in who",
            "malformed record: half of a surrogate pair",
            "malformed record: half of a surrogate pair",
            lines[4],
        ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('[{"id": 1}][{"id": 2}]', ['{"id": 1}', '{"id": 2}']),
        ('[{"id": 1},{"id": 2},]', ['{"id": 1}', '{"id": 2}']),
        ('[,{"id": 1},,{"id": 2}]', ['{"id": 1}', '{"id": 2}']),
        ('[{"id": 1} {"id": 2}]', ['{"id": 1}', '{"id": 2}']),
        ('[{"id": 1}]]', ['{"id": 1}', NO_OBJECT]),
        ('[{"id": 1}] and so on', ['{"id": 1}', NO_OBJECT]),
        ('[1, "x", null, [2], {"id": 1}]', ["1", '"x"', "null", "[2]", '{"id": 1}']),
        ('[{"id": 1}, {"id": "2}]', ['{"id": 1}', NO_OBJECT]),
        ('[{"id": 1}, {"id": "2}]\n', ['{"id": 1}', NO_OBJECT]),
    ],
)
def test_arrays_are_looked_into(file: Path, content: str, expected: list[str]) -> None:
    assert texts(found(file, content, is_array=True)) == expected


def test_arrays_in_lines_are_looked_into_if_they_have_objects(file: Path) -> None:
    content = '[{"id": 1},{"id": 2}]\n["no", "object"]\n[]\n{"id": 3}\n[{"id": 4}\n{"id": 5}\n'

    assert texts(found(file, content)) == [
        '{"id": 1}',
        '{"id": 2}',
        '["no", "object"]',
        *(f'{{"id": {number}}}' for number in (3, 4, 5)),
    ]


@pytest.mark.full
@settings(deadline=None)
@given(records=st.lists(VALUES, min_size=1, max_size=4), data=st.data())
def test_an_array_that_is_cut_off_is_no_delivery(file: Path, records: list[Any], data: st.DataObject) -> None:
    content = json.dumps([{"id": 1, "who": value} for value in records])
    cut = content[: data.draw(st.integers(1, len(content) - 1))]
    if cut.rstrip().endswith("]"):
        return

    with pytest.raises(UnreadableObject, match="cut off"):
        found(file, cut, is_array=True)


@pytest.mark.full
def test_a_record_may_have_a_mebibyte(file: Path) -> None:
    longest = json.dumps({"id": 1, "who": "x" * (LONGEST_LINE - 20)})
    assert len(longest) == LONGEST_LINE
    longer = longest.replace("1", "12")
    endless = longest[:-1].replace("x", "x" * 9)
    for separator in ("", "\n", ","):
        rows = found(file, separator.join([longest, longer, '{"id": 2}', endless, '{"id": 3}']))

        good = [text for text in texts(rows) if text != TOO_LONG]
        assert good == [longest, '{"id": 2}'] + ['{"id": 3}'] * (separator == "\n" or len(good) == 3)
        assert TOO_LONG in texts(rows)


def test_bytes_that_are_no_text_are_named(file: Path) -> None:
    rows = found(file, '{"id": 1}\n\x00\x01\n{"id": "\x00"}\n{"id": 2}\x00\n{"id": 3}\n')

    assert texts(rows) == [
        '{"id": 1}',
        MALFORMED_TEXT,
        MALFORMED_TEXT,
        '{"id": 2}',
        MALFORMED_TEXT,
        '{"id": 3}',
    ]


@pytest.mark.few(3)
@pytest.mark.parametrize(
    "content",
    [
        '{"id": 1}\n' + '{"id": {"who": [{\n' * 10_000,
        '{"id": 1}' + '{"id": "x, {"who": 1}, ' * 10_000,
        "[" + '{"x": 1,},' * 10_000 + "]",
        "[" + '{"x": "1,},' * 10_000 + "]",
        '[{"id": 1},' + '{"id": [1, {"who": "},' * 10_000 + "]",
        '{"id":[\n' * 10_000,
        "[\n" * 50_000,
        "[" * 100_000,
        '{"a":' * 50_000,
        '"' * 100_000,
        "2026;ana;10,50\n" * 10_000,
    ],
    ids=range(11),
)
@pytest.mark.parametrize("is_array", now(True, full=[False]))
def test_work_grows_with_the_file_and_not_with_its_square(file: Path, content: str, is_array: bool) -> None:
    if is_array and content[0] != "[":
        return
    began = time.process_time()
    try:
        found(file, content, is_array=is_array)
    except UnreadableObject:
        assert is_array
    assert time.process_time() - began < 10
