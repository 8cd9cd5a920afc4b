"""Ids that a source holds as numbers become text, so that one player is one player in every format.

A whole number is spelled by its digits alone: 7, 7.0 and 7e0 are one number, and "7". A number that a double or a
single-precision number cannot hold exactly may be two players in one, so its row is set aside. So is a row whose id is
of a type that has many spellings, such as a boolean or a time. Text stays as it is: "7.0" and "007" are not "7".
"""

from __future__ import annotations

import re
from dataclasses import dataclass

INEXACT = "a number that is not exact"
NO_ID = "a type that is no id"
NO_TEXT = "bytes that are no text"

EXACT_BELOW = 2**53
"""From here on a double may stand for several whole numbers: 2**53 is also what becomes of 2**53 + 1."""

AS_THEY_ARE = re.compile(r"VARCHAR|UUID|U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|DECIMAL\(\d+,0\)")
"""Engine types with one spelling for each value."""


@dataclass(frozen=True)
class IdText:
    """An id as SQL."""

    text: str
    """The expression of its text."""
    fault: str = ""
    """The condition under which the row is set aside; empty if there is none."""
    why: str = ""
    """The words for it."""


def id_of_type(value: str, engine_type: str) -> IdText:
    """An id in a column of a Parquet file. `value` is its expression in the engine; it is not nested."""
    text = f"{value}::VARCHAR"
    if AS_THEY_ARE.fullmatch(engine_type):
        return IdText(text)
    if engine_type == "DOUBLE":
        return _number(value, f"{value} = trunc({value}) AND abs({value}) < {EXACT_BELOW}")
    if engine_type.startswith("DECIMAL"):
        return _number(value, f"{value} = trunc({value})")
    if engine_type == "FLOAT":
        return IdText(text, f"{value} IS NOT NULL", INEXACT)
    if engine_type == "BLOB":
        # A hexadecimal spelling would be a player that no other format has.
        return IdText(
            f"coalesce(TRY(decode({value})), {text})",
            f"{value} IS NOT NULL AND TRY(decode({value})) IS NULL",
            NO_TEXT,
        )
    return IdText(text, f"{value} IS NOT NULL", NO_ID)


def _number(value: str, exact: str) -> IdText:
    whole = f"try_cast(trunc({value}) AS HUGEINT)::VARCHAR"
    return IdText(
        f"CASE WHEN {exact} THEN {whole} ELSE {value}::VARCHAR END",
        f"{value} IS NOT NULL AND NOT ({exact})",
        INEXACT,
    )


def json_id(text: str, json_type: str) -> tuple[str, str]:
    """An id in a JSON record: the expressions of its text, and of why the record is set aside.

    `text` is the expression of the value's text, in which the engine spells a whole double as digits and `.0`, and an
    integer of any length by its digits. `json_type` is the expression of the value's type in the record.
    """
    # Asking each record for a type would cost a tenth of the reading, and few ids look like a number of this kind.
    suspect = (
        f"(contains({text}, '.') OR {text} IN ('true', 'false', 'NaN', 'Infinity', '-Infinity') "
        f"OR (contains({text}, 'e') AND try_cast({text} AS DOUBLE) IS NOT NULL))"
    )
    exact = f"regexp_full_match({text}, '-?[0-9]+[.]0') AND abs(try_cast({text} AS DOUBLE)) < {EXACT_BELOW}"
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


POSTGRES_TIMES = re.compile(r"(timestamp|time|date|interval|boolean|money)\b")


def postgres_id(value: str, pg_type: str) -> IdText | None:
    """An id that is neither text nor whole numbers in PostgreSQL; None if PostgreSQL's own text of it is right.

    `value` is the column and the result is in PostgreSQL's SQL.
    """
    text = f"{value}::text"
    if pg_type == "double precision":
        exact = f"({value} = trunc({value}) AND abs({value}) < {EXACT_BELOW})"
        # Through bigint, since a double's text depends on the session, and -0 is 0.
        return IdText(
            f"CASE WHEN {exact} THEN {value}::bigint::text ELSE {text} END", f"NOT {exact}", INEXACT
        )
    if pg_type == "numeric" or re.fullmatch(r"numeric\(\d+,[1-9]\d*\)", pg_type):
        exact = f"({value} = trunc({value}) AND {value} <> 'NaN' AND {text} NOT LIKE '%Infinity')"
        return IdText(f"CASE WHEN {exact} THEN trunc({value})::text ELSE {text} END", f"NOT {exact}", INEXACT)
    if pg_type == "real":
        return IdText(text, f"{value} IS NOT NULL", INEXACT)
    if POSTGRES_TIMES.match(pg_type):
        return IdText(text, f"{value} IS NOT NULL", NO_ID)
    return None
