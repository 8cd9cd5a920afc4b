"""Ids that a source holds as numbers become text, so that one player is one player in every format.

A whole number is spelled by its digits alone: 7, 7.0 and 7e0 are one number, and "7". A number that a double or a
single-precision number cannot hold exactly may be two players in one, so its row is set aside. So is a row whose id is
of a type that has many spellings, such as a boolean, a time or a list. Text stays as it is: "7.0" and "007" are not
"7". A JSON value is the text or the number that it is: "abc" has no quotes.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from crmbet.databases.statements import literal

INEXACT = "a number that is not exact"
NO_ID = "a type that is no id"
NO_TEXT = "bytes that are no text"

EXACT_BELOW = 2**53
"""From here on a double may stand for several whole numbers: 2**53 is also what becomes of 2**53 + 1."""

AS_THEY_ARE = re.compile(r"VARCHAR|UUID|U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|DECIMAL\(\d+,0\)")
"""Engine types with one spelling for each value."""
DECIMAL = re.compile(r"DECIMAL\(\d+,\d+\)")
NESTED = re.compile(r"\[\d*\]|STRUCT|MAP|UNION", re.IGNORECASE)

NUMBER_AFTER = r"\s*:\s*(-?[0-9][0-9.eE+-]*)"
"""What follows the name of a number in a JSON record."""
SOUND_NUMBER = r"\s*-?[0-9]+([.][0-9]+)?([eE][+-]?[0-9]{1,9})?\s*"

POSTGRES_WORDS = "SE"
"""The categories of text and enums."""
POSTGRES_AS_THEY_ARE = re.compile(r"uuid|smallint|integer|bigint|oid|numeric\(\d+,(0|-\d+)\)")


@dataclass(frozen=True)
class IdText:
    """An id as SQL."""

    text: str
    """The expression of its text."""
    faults: tuple[tuple[str, str], ...] = ()
    """The conditions under which the row is set aside, each with the words for it. The first one counts."""


def id_of_type(value: str, engine_type: str) -> IdText:
    """An id in a column of a Parquet file. `value` is its expression in the engine."""
    text = f"{value}::VARCHAR"
    if AS_THEY_ARE.fullmatch(engine_type):
        return IdText(text)
    if engine_type == "DOUBLE":
        return _number(value, f"{value} = trunc({value}) AND abs({value}) < {EXACT_BELOW}")
    if DECIMAL.fullmatch(engine_type):
        return _number(value, f"{value} = trunc({value})")
    if engine_type == "FLOAT":
        return _none(text, value, INEXACT)
    if engine_type == "BLOB":
        # A hexadecimal spelling would be a player that no other format has.
        return IdText(
            f"coalesce(TRY(decode({value})), {text})",
            ((f"{value} IS NOT NULL AND TRY(decode({value})) IS NULL", NO_TEXT),),
        )
    if engine_type == "JSON":
        kind = f"json_type({value})"
        found, why = json_id(f"json_extract_string({value}, '$')", kind, f"[{text}]")
        nested = f"{kind} IN ('OBJECT', 'ARRAY', 'BOOLEAN')"
        return IdText(found, ((nested, NO_ID), (f"{why} IS NOT NULL", INEXACT)))
    if NESTED.search(engine_type):
        return _none(f"to_json({value})::VARCHAR", value, NO_ID)
    return _none(text, value, NO_ID)


def _none(text: str, value: str, why: str) -> IdText:
    return IdText(text, ((f"{value} IS NOT NULL", why),))


def _number(value: str, exact: str) -> IdText:
    whole = f"try_cast(trunc({value}) AS HUGEINT)::VARCHAR"
    return IdText(
        f"CASE WHEN {exact} THEN {whole} ELSE {value}::VARCHAR END",
        ((f"{value} IS NOT NULL AND NOT ({exact})", INEXACT),),
    )


def json_id(text: str, json_type: str, spellings: str) -> tuple[str, str]:
    """An id in a JSON record: the expressions of its text, and of why the record is set aside.

    `text` is the expression of the value's text, in which the engine spells a whole double as digits and `.0`, and an
    integer of any length by its digits. `json_type` is the expression of the value's type in the record. `spellings` is
    the list of what the record itself has in its place, since 1e-400 is 0.0 for the engine.
    """
    # Asking each record for a type would cost a tenth of the reading, and few ids look like a number of this kind.
    suspect = (
        f"(contains({text}, '.') OR {text} IN ('true', 'false', 'NaN', 'Infinity', '-Infinity') "
        f"OR (contains({text}, 'e') AND try_cast({text} AS DOUBLE) IS NOT NULL))"
    )
    exact = (
        f"CASE WHEN regexp_full_match({text}, '-?[0-9]+[.]0') AND abs(try_cast({text} AS DOUBLE)) < {EXACT_BELOW} "
        f"THEN {_all_whole(spellings)} ELSE false END"
    )
    whole = f"try_cast(try_cast({text} AS DOUBLE) AS BIGINT)::VARCHAR"
    number = f"CASE WHEN {json_type} = 'DOUBLE' AND {exact} THEN {whole} ELSE {text} END"
    why = (
        f"CASE WHEN {json_type} = 'BOOLEAN' THEN '{NO_ID}' "
        f"WHEN {json_type} = 'DOUBLE' AND NOT ({exact}) THEN '{INEXACT}' END"
    )
    return (
        f"CASE WHEN {suspect} THEN {number} ELSE {text} END",
        f"CASE WHEN {suspect} THEN {why} END",
    )


def json_spellings(record: str, name: str) -> str:
    """The list of the numbers that a JSON record has under a name, as they are written there."""
    # A name that is spelled with escapes is not found, and a name within an inner object is: both do no harm.
    key = re.escape(json.dumps(name, ensure_ascii=False))
    return f"regexp_extract_all({record}::VARCHAR, {literal(key + NUMBER_AFTER)}, 1)"


def _all_whole(spellings: str) -> str:
    """Whether there is a number, and all of them are whole: their last digits that are not 0 are before the point."""
    mantissa, exponent = "split_part(lower(n), 'e', 1)", "split_part(lower(n), 'e', 2)"
    digits = f"regexp_replace({mantissa}, '[^0-9]', '', 'g')"
    is_whole = (
        f"CASE WHEN regexp_full_match(n, '{SOUND_NUMBER}') THEN rtrim({digits}, '0') = '' OR "
        f"len({digits}) - len(rtrim({digits}, '0')) + coalesce(try_cast({exponent} AS BIGINT), 0) "
        f">= len(split_part({mantissa}, '.', 2)) ELSE false END"
    )
    return f"coalesce(list_bool_and(list_transform({spellings}, lambda n: {is_whole})), false)"


def postgres_id(value: str, pg_type: str, category: str) -> IdText | None:
    """An id that is neither text nor whole numbers in PostgreSQL; None if PostgreSQL's own text of it is right.

    `value` is the column and the result is in PostgreSQL's SQL. The category is that of PostgreSQL's table of types.
    """
    text = f"{value}::text"
    if category in POSTGRES_WORDS or POSTGRES_AS_THEY_ARE.fullmatch(pg_type):
        return None
    if pg_type == "double precision":
        exact = f"({value} = trunc({value}) AND abs({value}) < {EXACT_BELOW})"
        # Through bigint, since a double's text depends on the session, and -0 is 0.
        return IdText(
            f"CASE WHEN {exact} THEN {value}::bigint::text ELSE {text} END", ((f"NOT {exact}", INEXACT),)
        )
    if re.fullmatch(r"numeric(\(\d+,\d+\))?", pg_type):
        exact = f"({value} = trunc({value}) AND {value} <> 'NaN' AND {text} NOT LIKE '%Infinity')"
        return IdText(
            f"CASE WHEN {exact} THEN trunc({value})::text ELSE {text} END", ((f"NOT {exact}", INEXACT),)
        )
    if pg_type in ("json", "jsonb"):
        return _postgres_json_id(value, pg_type)
    return _none(text, value, INEXACT if pg_type == "real" else NO_ID)


def _postgres_json_id(value: str, pg_type: str) -> IdText:
    """An id in JSON: the text or the whole number that the value is."""
    kind, text = f"{pg_type}_typeof({value})", f"{value}::text"
    # PostgreSQL fails where it has to make a letter of these.
    no_text = f"{kind} = 'string' AND {text} ~* '\\\\u(0000|d[89a-f])'"
    number = f"({value} #>> '{{}}')"
    # No number of PostgreSQL has more digits than some thousands. It would fail, too.
    sound = f"length({number}) < 400 AND {number} ~ '^[0-9.-]+([eE][+-]?[0-9]{{1,3}})?$'"
    whole = f"{number}::numeric = trunc({number}::numeric) AND abs({number}::numeric) < {EXACT_BELOW}"
    digits = f"{number} ~ '^-?[0-9]+$' AND {number} <> '-0'"
    exact = f"CASE WHEN {digits} THEN true WHEN {sound} THEN {whole} ELSE false END"
    return IdText(
        f"CASE {kind} WHEN 'null' THEN NULL "
        f"WHEN 'string' THEN CASE WHEN {no_text} THEN {text} ELSE {value} #>> '{{}}' END "
        f"WHEN 'number' THEN CASE WHEN {digits} THEN {number} WHEN {exact} THEN trunc({number}::numeric)::text "
        f"ELSE {text} END ELSE {text} END",
        (
            (f"{kind} IN ('object', 'array', 'boolean')", NO_ID),
            (no_text, NO_TEXT),
            (f"CASE WHEN {kind} = 'number' THEN NOT ({exact}) END", INEXACT),
        ),
    )
