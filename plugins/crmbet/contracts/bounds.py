"""What a value of a contract's column may be, as SQL."""

from __future__ import annotations

import unicodedata

from crmbet.contracts.source import SourceColumn, SourceContract
from crmbet.databases.statements import Fragment, literal

CONTROL = Fragment(r"[\p{Cc}]")
UNSEEN_RANGES = (
    *(
        (0x34F, 0x34F),
        (0x115F, 0x1160),
        (0x17B4, 0x17B5),
        (0x180B, 0x180F),
        (0x2800, 0x2800),
        (0x3164, 0x3164),
    ),
    *((0xFE00, 0xFE0F), (0xFFA0, 0xFFA0), (0xE0000, 0xE0FFF)),
)
"""What Unicode counts as letters, marks or symbols and nobody sees, such as a Hangul filler."""
UNSEEN = Fragment(
    r"[\p{Cc}\p{Cf}" + "".join(rf"\x{{{first:x}}}-\x{{{last:x}}}" for first, last in UNSEEN_RANGES) + "]"
)
"""These, and control and format characters: a zero-width space, a soft hyphen. An id may have none. Elsewhere one may
join the parts of an emoji."""

NO_IDS = (
    *("nan", "none", "null", "nil", "undefined", "nat", "n/a", "#n/a", "<na>", "<null>", "<none>", "<nil>"),
    *("(null)", "(none)", "[null]", "[object object]"),
)
"""What software writes where it has no id, in lower case."""


def bounds_of(contract: SourceContract, name: str, value: str) -> list[tuple[str, str]]:
    """Conditions under which a value is out of bounds, with the fault's words."""
    column = contract.columns[name]
    bounds = []
    if column.type == "text":
        bounds.append((is_nested(value), "nested value"))
    if name in contract.ids:
        bounds.append((is_word_for_nothing(value), "a word for nothing"))
    if column.type == "text":
        # PostgreSQL cannot store a NUL, and the others have no place in a name.
        bounds.append((f"regexp_matches({value}, {literal(CONTROL)})", "control characters"))
    if name in contract.ids:
        bounds.append((f"regexp_matches({value}, {literal(UNSEEN)})", "invisible characters"))
    if column.max_length is not None:
        bounds.append((f"length({value}) > {column.max_length}", "too long"))
    return bounds + number_bounds(column, value)


def number_bounds(column: SourceColumn, value: str) -> list[tuple[str, str]]:
    """Those of `bounds_of` that a number has."""
    bounds = []
    if column.above is not None:
        bounds.append((f"{value} <= {column.above}", "not above the minimum"))
    if column.minimum is not None:
        bounds.append((f"{value} < {column.minimum}", "below the minimum"))
    if column.maximum is not None:
        bounds.append((f"{value} > {column.maximum}", "above the maximum"))
    return bounds


def is_unseen(letter: str) -> bool:
    """Whether a letter is one of `UNSEEN`."""
    return unicodedata.category(letter) in ("Cc", "Cf") or any(
        first <= ord(letter) <= last for first, last in UNSEEN_RANGES
    )


def is_word_for_nothing(text: str) -> str:
    """Whether an id is a word such as `undefined`. Its first letter cheaply rules out most ids."""
    words = ", ".join(literal(word) for word in NO_IDS)
    firsts = ", ".join(
        str(ord(letter))
        for letter in sorted({case for word in NO_IDS for case in (word[0], word[0].upper())})
    )
    return f"unicode({text}) IN ({firsts}) AND lower({text}) IN ({words})"


def is_nested(text: str) -> str:
    """Whether a text is a JSON object or list instead of a word. Its first letter cheaply rules out most texts."""
    return (
        f"unicode({text}) IN (91, 123) AND ({text} LIKE '{{%}}' OR {text} LIKE '[%]') AND json_valid({text})"
    )
