"""How an id may be spelled in a text, as one regular expression that Python, DuckDB and PostgreSQL read alike.

An id counts if no letter and no digit stands beside it. An id of digits alone looks like any number, so it counts only
between quotes or tags, or after the words user_id.
"""

from __future__ import annotations

import html
import json
import re
import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import quote

from crmbet.contracts.alike_ids import fold

BLOT = "[erased]"
"""What stands for an id in a text from then on. No text of ours has it otherwise."""


@dataclass(frozen=True)
class Spellings:
    """The spellings of some ids."""

    user_ids: frozenset[str]

    @classmethod
    def of(cls, user_ids: Collection[str]) -> Spellings:
        """The spellings of ids as people gave them."""
        return cls(frozenset(user_ids))

    @cached_property
    def folded(self) -> list[str]:
        """The ids in the form in which they are compared."""
        return sorted({fold(user_id) for user_id in self.user_ids})

    @cached_property
    def in_lower_case(self) -> list[str]:
        """The ids as a cleaned table may have them, in lower case."""
        composed = (unicodedata.normalize("NFC", user_id.strip()).lower() for user_id in self.user_ids)
        return sorted({*composed, *self.folded})

    @cached_property
    def pattern(self) -> str:
        """The expression. It is for texts in lower case."""
        words: list[str] = []
        numbers: list[str] = []
        for spelled in sorted({each for user_id in self.user_ids for each in _written(user_id)}):
            (numbers if spelled.isdecimal() else words).append(_escaped(spelled))
        parts = []
        if words:
            parts.append(f"(^|[^0-9a-z])({'|'.join(words)})($|[^0-9a-z])")
        if numbers:
            parts.append(f"([\"'>]|user_id[^0-9a-z]{{1,5}})({'|'.join(numbers)})($|[^0-9a-z.])")
        return "|".join(parts) or "[^\\s\\S]"

    @cached_property
    def are_numbers(self) -> bool:
        """Whether some id has no letter: then it says nothing that another thing has the same number."""
        return any(folded.isdecimal() for folded in self.folded)

    def found_in(self, text: str) -> bool:
        """Whether a text names one of the players."""
        return self._compiled.search(text) is not None

    def blotted(self, text: str) -> str:
        """The text without the ids."""
        # The letters beside an id belong to the match of the id before it, so one pass may leave the next one.
        while self.found_in(text):
            text = self._compiled.sub(_blot, text)
        return text

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        return re.compile(self.pattern, re.IGNORECASE)


def _written(user_id: str) -> Iterator[str]:
    """An id in lower case as it is, as it is compared, and as JSON, HTML and addresses write it."""
    for spelled in (user_id.strip(), fold(user_id)):
        # The numbers of a letter and of its capital differ, where a text is spelled by numbers.
        for cased in (spelled, spelled.lower(), spelled.upper()):
            written = (cased, json.dumps(cased)[1:-1], html.escape(cased), quote(cased, safe=""))
            # Of a few letters, such as İ, the small one is not what an engine takes for the same.
            yield from (spelling for text in written for spelling in (text, text.lower()))


def _escaped(text: str) -> str:
    """A text as an expression that means it. Only what every engine knows is escaped."""
    return re.sub(r"([.^$*+?()\[\]{}|\\])", r"\\\1", text)


def _blot(match: re.Match[str]) -> str:
    before, _, after = (part for part in match.groups() if part is not None)
    return f"{before}{BLOT}{after}"
