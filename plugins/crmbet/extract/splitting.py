"""Splitting JSON text into records, wherever one ends: on a line of its own, with others on a line, or over many lines.

Between records there may be white space, commas, and the record separator of RFC 7464. Arrays at the top level are
looked into: their elements are records. The result has one record a line, which the engine then judges and reads. What
is no record is set aside from where it begins to where the next record seems to begin, and nothing else is lost. This
is far slower than the engine, so it is only for files with something that the engine does not take for a record.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from crmbet.databases.scratch import require_room
from crmbet.extract.counting import LONGEST_LINE
from crmbet.extract.ids import NO_TEXT
from crmbet.extract.mending import NOT_TEXT as NOT_TEXT_BYTES
from crmbet.extract.unreadable import UnreadableObject

BYTES_AT_ONCE = 1 << 19
"""Also how far the window reaches back. It is short, since the decoder of JSON counts lines there at every error."""
LOOKED_AHEAD = 2 * LONGEST_LINE
"""Letters after a record's beginning that are at hand, unless the file ends before. More than a record may have."""
LOOKED_BACK = 256
"""Letters before a record's beginning that are at hand."""
FIRST_LOOK = 256

FIELD = "\x01"
"""Separates the columns of the result. No record has it."""
BETWEEN = " \t\r\n,\x1e\ufeff"
"""What may be between records."""
BLANKS = BETWEEN.replace(",", "")
SEPARATORS = re.compile(f"[{BETWEEN}]*")
OPENING = re.compile(r"\[[ \t\r\n]*[{\]]")
"""The beginning of an array with objects, or with nothing."""
AFTER_ELEMENT = re.compile(r"[ \t\r\n]*(?:[,\]]|\Z)")
AFTER_SCALAR = re.compile(r"[ \t\r]*(?:[\n\x1e{]|\Z)")
BRACKETS = re.compile(r"[{}\[\]]")
OPENED_BY = {"}": "{", "]": "["}
TOKENS = re.compile(r'"[^"\\\n]*+(?:\\.[^"\\\n]*+)*+"|[{}\[\]"]')
NOT_TEXT = re.compile(NOT_TEXT_BYTES.pattern.decode())
SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")

NO_OBJECT = "not a JSON object"
TOO_LONG = f"malformed record: longer than {LONGEST_LINE:,} bytes"
MALFORMED_TEXT = f"malformed record: {NO_TEXT}"
HALF_A_PAIR = "malformed record: half of a surrogate pair"

_decode = json.JSONDecoder().raw_decode


@dataclass(frozen=True)
class Split:
    """The result of splitting a file."""

    path: Path
    """A line for each record: the line on which it begins, its place among all records, its size in bytes, why it is
    set aside, and its text, which is empty if it is set aside. Lines and places count from 1."""
    records: int
    """Good and bad records."""
    shares_lines: bool
    """Whether a record begins on the line on which another one begins."""


def split(path: Path, *, is_array: bool, names: frozenset[str]) -> Split:
    """Split a UTF-8 file into records.

    `is_array` says that the file is one array, or several. `names` are those that a record may have, as far as they are
    known. Raises `UnreadableObject` if the file is an array that is cut off.
    """
    result = path.with_suffix(".records")
    with path.open("rb") as source, result.open("w", encoding="utf-8", newline="") as target:
        splitter = _Splitter(
            _Text(source, path.parent), names, is_array=is_array, by_line=_has_own_lines(path, names)
        )
        place = last_line = 0
        shares_lines = False
        for line, record in splitter.records():
            place += 1
            shares_lines |= line == last_line
            last_line = line
            text = "" if record.fault else record.text.replace("\r", "").replace("\n", " ")
            target.write(FIELD.join((str(line), str(place), str(record.size), record.fault, text)) + "\n")
    return Split(result, place, shares_lines)


class _Record(NamedTuple):
    text: str
    size: int
    """Bytes."""
    fault: str = ""


def _has_own_lines(path: Path, names: frozenset[str]) -> bool:
    """Whether a line is a whole record. Then a line end also ends a damaged one."""
    with path.open("rb") as source:
        lines = iter(lambda: source.readline(LONGEST_LINE), b"")
        return any(line.startswith(b"{") and not names.isdisjoint(_members(line)) for line in lines)


def _members(line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


class _Text:
    """A window on a file's text. Places are those in the window; `forget` moves it on."""

    def __init__(self, source: BinaryIO, folder: Path) -> None:
        self._source = source
        self._folder = folder
        """Where the records are written: there must be room for as much as is read."""
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self.letters = ""
        self.is_whole = False
        """Whether the window reaches to the end of the file."""
        self._line = 1
        self._counted = 0

    def has(self, place: int) -> bool:
        """Whether the text goes on at a place. Afterwards as much is at hand there as any record needs."""
        while len(self.letters) - place < LOOKED_AHEAD and not self.is_whole:
            require_room(self._folder)
            piece = self._source.read(BYTES_AT_ONCE)
            self.is_whole = not piece
            self.letters += self._decoder.decode(piece, final=self.is_whole)
        return place < len(self.letters)

    def forget(self, place: int) -> int:
        """Drop what lies before a place if it is much; returns where the place is now."""
        if place < BYTES_AT_ONCE:
            return place
        self.line_at(place)
        kept = max(place - LOOKED_BACK, 0)
        self.letters = self.letters[kept:]
        self._counted -= kept
        return place - kept

    def line_at(self, place: int) -> int:
        """The line that a place is on, from 1. Places must be asked for in order."""
        self._line += self.letters.count("\n", self._counted, place)
        self._counted = place
        return self._line


class _Splitter:
    """Finds the records of a text one after the other."""

    def __init__(self, text: _Text, names: frozenset[str], *, is_array: bool, by_line: bool) -> None:
        self._text = text
        self._names = names
        self._is_array = is_array
        self._by_line = by_line
        self._in_array = False
        self._first_name = ""
        self._expect(names)
        self._nesting = _Nesting(0)
        self._unclosed: set[int] = set()
        """Brackets that do not close before `_unclosed_until`."""
        self._unclosed_until = 0

    def records(self) -> Iterator[tuple[int, _Record]]:
        """Each record with the line on which it begins. Raises `UnreadableObject` if the file's array is cut off."""
        place = self._skip_separators(0)
        records = 0
        while self._text.has(place):
            kept = self._text.forget(place)
            if kept != place:
                self._unclosed_until = 0
            place = kept
            if self._in_array and self._text.letters[place] == "]":
                self._in_array = False
                place += 1
            elif self._opens_array(place):
                self._in_array = True
                place += 1
            else:
                line = self._text.line_at(place)
                record, place = self._record(place)
                records += 1
                yield line, record
            place = self._skip_separators(place)
        if self._in_array and self._is_array:
            raise UnreadableObject(f"the JSON array is cut off: it has no end after {records} elements")

    def _expect(self, names: Collection[str]) -> None:
        """Look for records whose first name is among some."""
        known = "|".join(re.escape(name) for name in sorted(names))
        start = rf'\{{[ \t\r\n]*"(?:{known})"[ \t\r\n]*:'
        self._start = re.compile(start)
        self._start_of_line = re.compile(rf"{start}|(?<=\n)\{{")

    def _skip_separators(self, place: int) -> int:
        while self._text.has(place):
            found = SEPARATORS.match(self._text.letters, place)
            if found is None or found.end() == place:
                break
            place = found.end()
        return place

    def _opens_array(self, place: int) -> bool:
        letters = self._text.letters
        if self._in_array or letters[place] != "[":
            return False
        return self._is_array or OPENING.match(letters, place) is not None

    def _record(self, place: int) -> tuple[_Record, int]:
        letters = self._text.letters
        try:
            value, end = _decode(letters, place)
        except (ValueError, RecursionError):
            return self._damaged(place)
        after_scalar = AFTER_ELEMENT if self._in_array else AFTER_SCALAR
        if isinstance(value, dict | list) or after_scalar.match(letters, end):
            return self._whole(value, letters[place:end]), end
        return self._damaged(place)

    def _whole(self, value: Any, text: str) -> _Record:
        if not self._first_name and isinstance(value, dict) and value:
            # Records of one program begin alike, maybe with a name that the contract does not have.
            self._first_name = next(iter(value))
            self._expect({*self._names, self._first_name})
        size = _size(text)
        if size > LONGEST_LINE:
            return _Record("", size, TOO_LONG)
        if SURROGATE.search(text) and isinstance(value, dict) and (fault := self._half_a_pair(value)):
            return _Record("", size, fault)
        return _Record(text, size)

    def _half_a_pair(self, record: dict[str, Any]) -> str:
        halves = [name for name, value in record.items() if not (_is_text(name) and _is_text(value))]
        known = [name for name in halves if name in self._names]
        return f"{HALF_A_PAIR} in {', '.join(known)}" if known else HALF_A_PAIR if halves else ""

    def _damaged(self, place: int) -> tuple[_Record, int]:
        """Whatever stands at a place, up to the next record. The engine decides of what looks whole."""
        passed = 0
        self._nesting = _Nesting(place)
        while (end := self._end_of_damage(place)) is None:
            kept = len(self._text.letters) - LOOKED_BACK
            passed += _size(self._text.letters[place:kept])
            self._nesting.read(self._text.letters, kept)
            place = self._text.forget(kept)
            self._nesting.move(place - kept)
            self._text.has(place)
        whole_until = None if passed else _end_of_value(self._text.letters, place, end)
        text = self._text.letters[place : whole_until or end].rstrip(BETWEEN)
        size = passed + _size(text)
        fault = ""
        if size > LONGEST_LINE:
            fault = TOO_LONG
        elif NOT_TEXT.search(text):
            fault = MALFORMED_TEXT
        elif whole_until is None:
            fault = NO_OBJECT
        return _Record(text, size, fault), place + len(text)

    def _end_of_damage(self, place: int) -> int | None:
        """Where a damaged record is over by its brackets, the next one seems to begin, or the file ends.

        None if that is beyond the window. Looks a little way ahead first, so that the work is linear in the size of the
        file, however many records are damaged.
        """
        letters = self._text.letters
        if closed := self._closing(place):
            return closed
        reach = FIRST_LOOK
        while True:
            limit = min(place + reach, len(letters))
            end = self._next_record(place, limit) or _end_of_value(letters, place, limit)
            if end is not None or limit == len(letters):
                break
            reach *= 4
        if end is None and not self._text.is_whole:
            return None
        end = len(letters) if end is None else end
        is_last = self._text.is_whole and self._skip_separators(end) == len(letters)
        if self._in_array and is_last and _ends_with_bracket_too_many(letters[place:]):
            # The bracket that ends the array is not part of its last element.
            end = letters.rindex("]")
        return end

    def _closing(self, place: int) -> int | None:
        """Where the brackets of a damaged record balance: whatever looks like a record before that is within it."""
        letters = self._text.letters
        if letters[place] not in "{[":
            return None
        found = letters.find("\n" if self._by_line else f"\n{self._indent(place)}{{", place)
        limit = len(letters) if found < 0 else found
        if place in self._unclosed and limit <= self._unclosed_until:
            return None
        if limit != self._unclosed_until:
            self._unclosed, self._unclosed_until = set(), limit
        opened: list[int] = []
        for token in TOKENS.finditer(letters, place, limit):
            bracket = token[0]
            if bracket in ("{", "["):
                opened.append(token.start())
            elif bracket in ("}", "]"):
                # An array's own end is not the end of an element that is cut off.
                if self._in_array and letters[opened[-1]] != OPENED_BY[bracket]:
                    break
                opened.pop()
                if not opened:
                    return token.end()
            elif bracket == '"':
                break
        self._unclosed.update(opened)
        return None

    def _indent(self, place: int) -> str:
        """What stands before a record on its line; a line feed, which no line has, if that is not white space alone."""
        letters = self._text.letters
        before = letters[letters.rfind("\n", max(place - LOOKED_BACK, 0), place) + 1 : place]
        return "\n" if before.strip(" \t") else before

    def _next_record(self, place: int, limit: int) -> int | None:
        """Where the next record seems to begin, by its first name, by its line, or by how far it is indented."""
        letters = self._text.letters
        indent = self._indent(place)
        # Nothing within a record begins a line, or is indented as little as the record itself.
        sure = -1
        if self._by_line:
            sure = letters.find("\n", place, limit)
        elif indent:
            sure = letters.find(f"\n{indent}{{", place, limit)
        ends = []
        if sure >= 0:
            limit = sure
            ends.append(sure)
        maybe = self._start_of_line if not (self._by_line or indent) else self._start
        for found in maybe.finditer(letters, max(self._nesting.refused + 1, place), limit):
            if self._nesting.may_be_over(letters, place, found.start()):
                ends.append(found.start())
                break
        return min(ends, default=None)


class _Nesting:
    """The brackets that are open within a damaged record: with those in its texts, and without them.

    A damaged record may lack a quote, and then nobody knows what is text. So a list counts if either way has it.
    """

    def __init__(self, place: int) -> None:
        self.refused = place
        """The last place that is no beginning of another record."""
        self._ways = [(tokens, _Brackets(place)) for tokens in (TOKENS, BRACKETS)]

    def read(self, letters: str, place: int) -> None:
        """Take notice of the brackets before a place. Places must come in order."""
        for tokens, brackets in self._ways:
            for token in tokens.finditer(letters, brackets.read_until):
                if token.end() > place:
                    break
                brackets.add(token[0])
                brackets.read_until = token.end()

    def move(self, by: int) -> None:
        """The window has moved."""
        self.refused += by
        for _, brackets in self._ways:
            brackets.read_until += by

    def may_be_over(self, letters: str, begin: int, place: int) -> bool:
        """Whether a record that was damaged from `begin` on may be over where something like a record begins.

        It is not where an object may stand: after a colon, or as an element of a list. The separator of RFC 7464 ends
        any record.
        """
        before = letters[begin:place] if place - begin < LOOKED_BACK else letters[place - LOOKED_BACK : place]
        text = before.rstrip(BLANKS)
        if "\x1e" in before[len(text) :]:
            return True
        over = not text.endswith((":", "["))
        if over and text.endswith((",", "}", "]")):
            self.read(letters, place)
            over = not any(brackets.innermost == "[" for _, brackets in self._ways)
        if not over:
            self.refused = place
        return over


class _Brackets:
    def __init__(self, place: int) -> None:
        self.read_until = place
        self._open: list[str] = []
        self._count = {"{": 0, "[": 0}

    @property
    def innermost(self) -> str:
        return self._open[-1] if self._open else ""

    def add(self, token: str) -> None:
        """Take notice of a bracket; whatever else is passed over. One that closes also closes what is open within."""
        if token in self._count:
            self._open.append(token)
            self._count[token] += 1
        elif (opening := OPENED_BY.get(token)) and self._count[opening]:
            closed = ""
            while closed != opening:
                closed = self._open.pop()
                self._count[closed] -= 1


def _end_of_value(letters: str, place: int, end: int) -> int | None:
    """Where the object or array at a place ends, by its brackets; None if it does not before `end`."""
    if letters[place] not in "{[":
        return None
    depth = 0
    for token in TOKENS.finditer(letters, place, end):
        match token[0]:
            case "{" | "[":
                depth += 1
            case "}" | "]":
                depth -= 1
                if not depth:
                    return token.end()
            case '"':
                return None
    return None


def _ends_with_bracket_too_many(text: str) -> bool:
    """Whether text ends with a bracket that closes an array which began before the text."""
    if not text.rstrip(BETWEEN).endswith("]"):
        return False
    brackets = [token[0] for token in TOKENS.finditer(text) if token[0] in "[]"]
    return brackets.count("]") > brackets.count("[")


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _is_text(value: Any) -> bool:
    """Whether a value has no half of a surrogate pair."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    except RecursionError:
        return True
    return True
