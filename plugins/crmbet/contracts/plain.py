"""Plain rows: nearly every cell is spelled so plainly that a cast reads it, and most rows have no other cells.

A row that has another cell, or a value out of bounds, is odd. What parsers, faults and the rest of `typed_rows` make of
a row costs several times as much as a cast, so that in a large batch only odd rows get it. A plain row has the values
that `typed_rows` would give it, no fault, and nothing that was discarded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from crmbet.contracts.bounds import NO_ID, lacks_protecting_values, range_bounds
from crmbet.contracts.source import SourceColumn, SourceContract
from crmbet.contracts.values import (
    INTEGERS,
    canonical,
    cleaned_type,
    has_no_words,
    raw,
    read_value,
    stays_typed,
)
from crmbet.databases.statements import Fragment, identifier, joined, literal, quoted, render

NOT_PLAIN = r"[^ -Z\\\]-z|}~]|  |^ | $"
"""In texts with a space between them: a letter that is not ASCII, a control character, a bracket that may begin a JSON
object or list, or white space around a text."""


def looked_over_rows(
    contract: SourceContract, files: Fragment, types: Mapping[str, str], day: Fragment
) -> str:
    """SELECT of captured rows as plain values, with `_odd`: whether that is not what they mean.

    The arguments are those of `typed_rows`. Besides the contract's columns it has `_odd`, `_row`, `_source_key`,
    `_placed` (the operator day, NULL if there is none) and `_captured`, a list of one struct with `_reject` and the
    cells of an odd row.
    """
    names = contract.columns
    values = {name: value for name in names if (value := _plain_value(contract, name, types))}
    return render(
        "clean/look_over",
        files=files,
        day=day,
        raw=joined([Fragment(f"{identifier(name)} AS {raw(name)}") for name in names]),
        plain=joined([Fragment(f"{value} AS {_plain(name)}") for name, value in values.items()])
        or Fragment("NULL AS _no_values"),
        odd=Fragment(f"coalesce({' OR '.join(_oddities(contract, types))}, false)"),
        values=joined(
            [Fragment(f"{_of_plain_row(contract, name, types)} AS {identifier(name)}") for name in names]
        ),
        cells=joined([Fragment(f"{identifier(name)} := {raw(name)}") for name in names]),
    )


def may_be_plain(contract: SourceContract, types: Mapping[str, str]) -> bool:
    """Whether a row can be plain at all: a required value that only a parser reads makes each row odd."""
    return all(
        _is_plain_text(contract, name, types) or _plain_value(contract, name, types)
        for name, column in contract.columns.items()
        if column.required
    )


def _plain_value(contract: SourceContract, name: str, types: Mapping[str, str]) -> str | None:
    """The value of a plain cell, NULL of any other cell; None if the column has no plain cells, or is plain text."""
    column, engine_type, cell = contract.columns[name], types.get(name, "VARCHAR"), raw(name)
    if stays_typed(column, engine_type):
        return read_value(contract, name, engine_type, cell)
    if column.type == "text" and engine_type in ("UUID", *INTEGERS):
        return f"{cell}::VARCHAR"
    if _is_plain_enum(contract, name, types):
        return canonical(column, f"lower(trim({cell}))")
    if engine_type != "VARCHAR" or not has_no_words(contract, name):
        return None
    # A cast takes a sign and white space for 0, and an exponent and white space for a number.
    ends_well = f"{cell}[-1] BETWEEN '0' AND '9'"
    match column.type:
        case "integer" | "decimal" if column.decimal_mark == ".":
            return f"CASE WHEN {ends_well} THEN try_cast({cell} AS {cleaned_type(column)}) END"
        case "real" if column.decimal_mark == ".":
            return f"CASE WHEN {ends_well} THEN finite(try_cast({cell} AS DOUBLE)) END"
        case "boolean":
            return f"CASE {cell} WHEN 'true' THEN true WHEN 'false' THEN false END"
        case "timestamp" if column.formats[:1] in ([], ["iso"]):
            # White space in front would stand for digits of the year.
            return f"CASE WHEN {cell} >= '0' THEN plain_timestamp({cell}) END"
        case _:
            return None


def _is_plain_text(contract: SourceContract, name: str, types: Mapping[str, str]) -> bool:
    """Whether the plain value is the captured text itself. All texts of a row are looked at together."""
    return contract.columns[name].type == "text" and types.get(name, "VARCHAR") == "VARCHAR"


def _is_plain_enum(contract: SourceContract, name: str, types: Mapping[str, str]) -> bool:
    column = contract.columns[name]
    spellings = {
        spelling.strip().lower()
        for value, synonyms in column.values.items()
        for spelling in (value, *synonyms)
    }
    words = {"", *(word.lower() for word in contract.null_values)}
    # Outside of ASCII, the engine's lower case may differ from Python's.
    return (
        column.type == "enum"
        and types.get(name, "VARCHAR") == "VARCHAR"
        and not spellings & words
        and all(word.isascii() for word in words)
    )


def _of_plain_row(contract: SourceContract, name: str, types: Mapping[str, str]) -> str:
    if _is_plain_text(contract, name, types):
        return raw(name)
    if _plain_value(contract, name, types):
        return _plain(name)
    return f"NULL::{cleaned_type(contract.columns[name])}"


def _oddities(contract: SourceContract, types: Mapping[str, str]) -> list[str]:
    """Conditions under which a row is odd; NULL counts as false."""
    odd = ["_reject IS NOT NULL"]
    if contract.event_time:
        odd.append("_placed IS NULL")
    texts = [raw(name) for name in contract.columns if _is_plain_text(contract, name, types)]
    for name, column in contract.columns.items():
        if raw(name) in texts:
            odd += ([f"{raw(name)} IS NULL"] if column.required else []) + _too_long(column, raw(name))
        elif _plain_value(contract, name, types):
            odd += [condition for condition, _ in range_bounds(column, _plain(name))]
            odd += _too_long(column, _plain(name))
            odd.append(
                f"{_plain(name)} IS NULL" + ("" if column.required else f" AND {raw(name)} IS NOT NULL")
            )
        else:
            odd.append("true" if column.required else f"{raw(name)} IS NOT NULL")
    odd += [
        f"{_of_plain_row(contract, name, types)} < {_of_plain_row(contract, other, types)}"
        for name, other in contract.not_before.items()
    ]
    odd += lacks_protecting_values(contract, lambda name: _of_plain_row(contract, name, types))
    if texts:
        words = [*map(re.escape, contract.null_values), f"(?i:{NO_ID})"]
        pattern = f"{NOT_PLAIN}|(?:^| )(?:{'|'.join(words)})(?: |$)"
        odd.append(f"regexp_matches(concat_ws(' ', '.', {joined(texts)}), {literal(pattern)})")
    return odd


def _too_long(column: SourceColumn, text: str) -> list[str]:
    # Of a plain text, a letter is a byte.
    return [] if column.max_length is None else [f"strlen({text}) > {column.max_length}"]


def _plain(name: str) -> Fragment:
    return quoted(f"_plain_{name}")
