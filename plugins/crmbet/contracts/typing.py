"""Turns a source contract into SQL: how a captured column becomes a typed value, and what is wrong with a row.

This module only generates text; the parsers are macros in include/sql/create_parsers.sql. A row has at most one fault,
the first in the contract's column order. It is worded `<column>: <what>`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from crmbet.contracts.source import SourceColumn, SourceContract
from crmbet.databases.statements import Fragment, identifier, joined, literal, render

CONTROL = Fragment(r"[\x00-\x1f\x7f]")
CONTROLLED = "control characters"
INSTANTS = ("TIMESTAMP", "TIMESTAMP WITH TIME ZONE")
INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT")
CAPTURED_TYPES = ("VARCHAR", "DECIMAL(1,0)", "BIGINT", "DOUBLE", "BOOLEAN", "DATE", *INSTANTS)
"""One type of each kind that the typing rules distinguish."""


def typed_rows(contract: SourceContract, files: Fragment, types: Mapping[str, str], day: Fragment) -> str:
    """SELECT of captured rows as typed columns, with each row's fault.

    Besides the contract's columns it has `_fault` (NULL for a good row), `_row`, `_source_key`, `_day`, `_known` (naive
    UTC) and `_raw` (the captured values of a faulty row, as JSON). `types` holds the engine types of the captured
    columns that are not text; `day` is the expression of the row's operator day.
    """
    return render(
        "clean/type_rows",
        files=files,
        day=day,
        raw=joined([Fragment(f"{identifier(name)} AS {_raw(name)}") for name in contract.columns]),
        values=joined(
            [
                Fragment(
                    f"{_value(column, identifier(name), types.get(name, 'VARCHAR'))} AS {identifier(name)}"
                )
                for name, column in contract.columns.items()
            ]
        ),
        columns=joined([identifier(name) for name in contract.columns]),
        # The engine spells a column that was captured as another type, such as a UUID: it has no control characters.
        texts=joined(
            [
                identifier(name)
                for name, column in contract.columns.items()
                if column.type == "text" and types.get(name, "VARCHAR") == "VARCHAR"
            ]
        )
        or Fragment("''"),
        control=CONTROL,
        known=identifier(contract.known_time) if contract.known_time else Fragment("NULL::TIMESTAMP"),
        faults=Fragment("\n".join(_faults(contract))),
        record=joined(
            [Fragment(f"{identifier(name)} := {_raw(name)}::VARCHAR") for name in contract.columns]
        ),
    )


def no_rows(contract: SourceContract) -> str:
    """The SELECT for a source without any file: the columns of `typed_rows` and no rows."""
    empty = joined([Fragment(f"NULL::VARCHAR AS {identifier(name)}") for name in contract.columns])
    nothing = Fragment(
        f"(SELECT NULL::BIGINT AS _row, NULL::VARCHAR AS _reject, {empty}, NULL::VARCHAR AS _source_key, "
        "NULL::DATE AS _day WHERE false)"
    )
    return typed_rows(contract, nothing, {}, Fragment("_day"))


def event_instant(contract: SourceContract, types: Mapping[str, str]) -> Fragment:
    """Expression of the instant at which a captured row happened, as naive UTC; NULL for a current-state feed.

    `types` holds the engine types of the captured columns that are not text.
    """
    return _instant(contract, contract.event_time, types)


def known_instant(contract: SourceContract, types: Mapping[str, str]) -> Fragment:
    """Expression of the instant at which a captured row reached the lake; NULL if the contract has no known_time."""
    return _instant(contract, contract.known_time, types)


def _instant(contract: SourceContract, name: str | None, types: Mapping[str, str]) -> Fragment:
    if name is None:
        return Fragment("NULL::TIMESTAMP")
    return Fragment(_read(contract.columns[name], identifier(name), types.get(name, "VARCHAR")))


def keeps_type(column: SourceColumn, engine_type: str) -> bool:
    """Whether a value of the engine's type becomes the same cell or fault as its text would (docs/adr/0014).

    A double is not kept for a decimal column, since its digits can differ from those of its text. A time for which the
    contract has formats is read as text.
    """
    match column.type:
        case "timestamp":
            return engine_type in INSTANTS and not column.formats
        case "date":
            return engine_type == "DATE" and not column.formats
        case "decimal":
            decimal = re.fullmatch(r"DECIMAL\(\d+,(\d+)\)", engine_type)
            return engine_type in INTEGERS or (decimal is not None and int(decimal[1]) <= column.scale)
        case "integer":
            return engine_type in INTEGERS
        case "real":
            return engine_type == "DOUBLE"
        case "boolean":
            return engine_type == "BOOLEAN"
        case _:
            return False


def _raw(name: str) -> Fragment:
    return identifier(f"raw_{name}")


def _value(column: SourceColumn, name: Fragment, engine_type: str) -> str:
    """The typed value of a column. A value out of bounds becomes NULL if the contract tolerates bad values."""
    value = _read(column, name, engine_type)
    if column.on_invalid == "null":
        bounds = [condition for condition, _ in _bounds(column, f"({value})")]
        if bounds:
            return f"CASE WHEN {' OR '.join(bounds)} THEN NULL ELSE {value} END"
    return value


def _read(column: SourceColumn, name: Fragment, engine_type: str) -> str:
    # PostgreSQL has already parsed its instants, so formats do not apply to them.
    if keeps_type(column, engine_type) or (column.type == "timestamp" and engine_type in INSTANTS):
        return _read_typed(column, name, engine_type)
    text = f"parse_text({name})" if engine_type == "VARCHAR" else f"{name}::VARCHAR"
    match column.type:
        case "text":
            return text
        case "integer" | "decimal" | "real":
            return _number(column, text)
        case "timestamp" | "date":
            return _time(column, text)
        case "enum":
            return _canonical(column, f"lower({text})")
        case "channels":
            canonical = _canonical(column, "lower(trim(item))")
            known = f"list_transform(parse_list({text}), lambda item: {canonical})"
            return f"list_sort(list_distinct(list_filter({known}, lambda item: item IS NOT NULL)))"
        case "timezone":
            return f"parse_zone({text})"
        case parser:
            return f"parse_{parser}({text})"


def _read_typed(column: SourceColumn, name: Fragment, engine_type: str) -> str:
    match column.type:
        case "timestamp" if engine_type == "TIMESTAMP":
            return f"finite({name})"
        case "timestamp":
            return f"make_timestamp(epoch_us(finite({name})))"
        case "real" | "date":
            return f"finite({name})"
        case _:
            return f"try_cast({name} AS {_engine_type(column)})"


def _number(column: SourceColumn, text: str) -> str:
    """Read a number. A cast alone reads nearly every one; try the slow pattern only if the cast fails."""
    spelled = f"swap_marks({text})" if column.decimal_mark == "," else text
    engine_type = _engine_type(column)
    value = (
        f"coalesce(try_cast({spelled} AS {engine_type}), try_cast(plain_number({spelled}) AS {engine_type}))"
    )
    return f"finite({value})" if column.type == "real" else value


def _time(column: SourceColumn, text: str) -> str:
    iso = f"parse_{column.type}({text})"
    if not column.formats:
        return iso
    named = {"iso": iso, "epoch_s": f"parse_epoch_s({text})", "epoch_ms": f"parse_epoch_ms({text})"}
    readers = [
        named.get(spelled) or f"parse_format({text}, {literal(spelled)})" for spelled in column.formats
    ]
    return f"coalesce({', '.join(readers)})::{_engine_type(column)}"


def _canonical(column: SourceColumn, spelled: str) -> str:
    """A CASE that maps every spelling of the contract onto its canonical value, and anything else onto NULL."""
    branches = (
        f"WHEN {literal(spelling.strip().lower())} THEN {literal(canonical)}"
        for canonical, synonyms in column.values.items()
        for spelling in (canonical, *synonyms)
    )
    return f"CASE {spelled} {' '.join(branches)} END"


def _bounds(column: SourceColumn, value: str) -> list[tuple[str, str]]:
    """Conditions under which a value is out of bounds, with the fault's words."""
    bounds = []
    if column.type == "text":
        bounds.append((_nested(value), "nested value"))
        # PostgreSQL cannot store a NUL, and the others have no place in an identifier or a name.
        bounds.append((f"regexp_matches({value}, {literal(CONTROL)})", CONTROLLED))
    if column.max_length is not None:
        bounds.append((f"length({value}) > {column.max_length}", "too long"))
    if column.above is not None:
        bounds.append((f"{value} <= {column.above}", "not above the minimum"))
    if column.minimum is not None:
        bounds.append((f"{value} < {column.minimum}", "below the minimum"))
    if column.maximum is not None:
        bounds.append((f"{value} > {column.maximum}", "above the maximum"))
    return bounds


def _nested(text: str) -> str:
    """Whether a text is a JSON object or list instead of a word. Its first letter cheaply rules out most texts."""
    return (
        f"unicode({text}) IN (91, 123) AND ({text} LIKE '{{%}}' OR {text} LIKE '[%]') AND json_valid({text})"
    )


def _faults(contract: SourceContract) -> list[str]:
    faults = []
    for name, column in contract.columns.items():
        value, raw = identifier(name), f"parse_text({_raw(name)}::VARCHAR)"
        if column.required:
            # A missing text has no value. That is tested first, since trimming the raw text again is slow.
            faults.append((f"{value} IS NULL AND {raw} IS NULL", name, "missing"))
        if column.on_invalid == "quarantine":
            if column.type == "enum":
                faults.append((f"{value} IS NULL AND {_nested(raw)}", name, "nested value"))
            kind = "unknown value" if column.type == "enum" else "unreadable"
            if column.type != "text":
                faults.append((f"{value} IS NULL AND {raw} IS NOT NULL", name, kind))
            faults += [
                (f"_control AND {condition}" if fault == CONTROLLED else condition, name, fault)
                for condition, fault in _bounds(column, value)
            ]
        if name == contract.event_time:
            faults.append((f"{value} IS NOT NULL AND _placed IS NULL", name, "out of range"))
        if name in contract.not_before:
            other = contract.not_before[name]
            faults.append((f"{value} < {identifier(other)}", name, f"before {other}"))
    return [f"WHEN {condition} THEN {literal(f'{name}: {fault}')}" for condition, name, fault in faults]


def typed_columns(contract: SourceContract) -> Fragment:
    """NULLs with the names and types of the contract's cleaned columns."""
    return joined(
        [
            Fragment(f"NULL::{_engine_type(column)} AS {identifier(name)}")
            for name, column in contract.columns.items()
        ]
    )


def _engine_type(column: SourceColumn) -> str:
    match column.type:
        case "decimal":
            return f"DECIMAL({column.precision}, {column.scale})"
        case "integer":
            return "BIGINT"
        case "real":
            return "DOUBLE"
        case "boolean":
            return "BOOLEAN"
        case "timestamp":
            return "TIMESTAMP"
        case "date":
            return "DATE"
        case "channels":
            return "VARCHAR[]"
        case _:
            return "VARCHAR"
