"""What a value of a contract's column may be, as SQL."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import cache

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
    *(
        "nan",
        "nan(ind)",
        "nan(snan)",
        "1.#qnan",
        "1.#ind",
        "none",
        "null",
        "nil",
        "nulo",
        "nula",
        "undefined",
        "nat",
    ),
    *(
        "na",
        "n/a",
        "n/d",
        "ref!",
        "value!",
        "name?",
        "num!",
        "div/0!",
        "null!",
        "error!",
        "object object",
        "-",
        "\u2013",
        "\u2014",
        "\u2212",
        '""',
        "''",
    ),
)
"""What software writes where it has no id, in lower case: Python, JavaScript, R, C, databases and spreadsheets."""
NO_ID = (
    rf"""[-\x{{2013}}\x{{2014}}\x{{2212}}+#"'`(\[<{{]*(?:{"|".join(map(re.escape, NO_IDS))})[-)\]>}}"'`]*"""
)
"""Such a word alone, in quotes or brackets, or with a sign."""
LONGEST_NO_ID = max(map(len, NO_IDS)) + 4


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
    return bounds + range_bounds(column, value)


def range_bounds(column: SourceColumn, value: str) -> list[tuple[str, str]]:
    """Those of `bounds_of` that a number or a date has. `_placed` is the row's day."""
    bounds = []
    if column.max_age_years is not None:
        bounds.append((f"{value} < _placed - to_years({column.max_age_years})", "too long ago"))
    if column.above is not None:
        bounds.append((f"{value} <= {column.above}", "not above the minimum"))
    if column.minimum is not None:
        bounds.append((f"{value} < {column.minimum}", "below the minimum"))
    if column.maximum is not None:
        bounds.append((f"{value} > {column.maximum}", "above the maximum"))
    return bounds


def lacks_protecting_values(contract: SourceContract, value: Callable[[str], object]) -> list[str]:
    """The condition under which a row protects a player and does not say for how long.

    The list is empty if the contract names no values that say so. `value` gives the expression of a column.
    """
    if not contract.protecting_values:
        return []
    protects = [
        f"{value(name)} IN ({', '.join(literal(each) for each in values)})"
        for name, values in contract.protecting_rows.items()
    ]
    return [" AND ".join([*protects, *(f"{value(name)} IS NULL" for name in contract.protecting_values)])]


def is_unseen(letter: str) -> bool:
    """Whether a letter is one of `UNSEEN`."""
    return unicodedata.category(letter) in ("Cc", "Cf") or any(
        first <= ord(letter) <= last for first, last in UNSEEN_RANGES
    )


def is_word_for_nothing(text: str) -> str:
    """Whether an id is a word such as `undefined`. Its length cheaply rules out most ids."""
    plain = f"CASE WHEN strlen({text}) = length({text}) THEN {text} ELSE {_in_ascii(text)} END"
    return f"length({text}) <= {LONGEST_NO_ID} AND regexp_full_match(lower({plain}), {literal(NO_ID)})"


def _in_ascii(text: str) -> str:
    """A text with the letters that words for nothing have, where it has another form of them, such as the wide one."""
    forms = _forms_of(frozenset("".join(NO_IDS) + "+#\"'`(){}[]<>-\u2013\u2014\u2212"))
    return f"translate({text}, {literal(''.join(forms))}, {literal(''.join(forms.values()))})"


@cache
def _forms_of(letters: frozenset[str]) -> dict[str, str]:
    """Other forms of ASCII letters, to the letters: those whose casefolded NFKC form is one of them."""
    forms = {}
    for number in (*range(0x80, 0xD800), *range(0xF900, 0x10000), *range(0x1D400, 0x1D800)):
        folded = unicodedata.normalize("NFKC", chr(number)).casefold()
        if folded in letters:
            forms[chr(number)] = folded
    return forms


def is_nested(text: str) -> str:
    """Whether a text is a JSON object or list instead of a word. Its first letter cheaply rules out most texts."""
    return (
        f"unicode({text}) IN (91, 123) AND ({text} LIKE '{{%}}' OR {text} LIKE '[%]') AND json_valid({text})"
    )
