"""Turns a source contract into SQL: how a captured column becomes a typed value, and what is wrong with a row.

This module only generates text; the parsers are macros in include/sql/create_parsers.sql. A row has at most one fault,
the first in the contract's column order. It is worded `<column>: <what>`.
"""

from __future__ import annotations

from collections.abc import Mapping

from crmbet.contracts.bounds import UNSEEN, bounds_of, is_nested, lacks_protecting_values
from crmbet.contracts.source import SourceContract
from crmbet.contracts.values import (
    INSTANTS,
    canonical,
    cleaned_type,
    has_no_words,
    raw,
    read_value,
    spelled,
    stays_typed,
    without_words,
)
from crmbet.databases.statements import Fragment, identifier, joined, literal, quoted, render

SPELLED_NUMBER = (
    r"-?([0-9]+[.]0+|[0-9]([.][0-9]+)?e([-+][0-9]{1,3}|2[1-9]|[3-9][0-9]|[12][0-9]{2}|30[0-8])|inf(inity)?)"
    r"|true|false"
)
"""A whole number as the engine spelled one that was a double or a decimal, a double with an exponent (without a sign
only in JSON, and from 1e21 on), and a boolean. A fraction such as 1.5 was never taken for another id; 4e12 is text."""
MAYBE_A_NUMBER = "maybe a number, captured by an earlier release: run once with full_refresh"
CAPTURED_TYPES = ("VARCHAR", "DECIMAL(1,0)", "BIGINT", "DOUBLE", "BOOLEAN", "DATE", *INSTANTS)
"""One type of each kind that the typing rules distinguish."""


def typed_rows(
    contract: SourceContract,
    files: Fragment,
    types: Mapping[str, str],
    day: Fragment,
    *,
    doubtful_ids: bool = False,
) -> str:
    """SELECT of captured rows as typed columns, with each row's fault.

    Besides the contract's columns it has `_fault` (NULL for a good row), `_discarded` (a list of `<column>: <shape>`,
    one for each value that was there and became NULL), `_protection` (such a list of what may protect a player and
    cannot be read, also in a faulty row), `_row`, `_source_key`, `_day`, `_known` (naive UTC) and `_raw` (the captured
    values of a faulty row, as JSON). `types` holds the engine types of the captured columns that are not text; `day` is
    the expression of the row's operator day. With `doubtful_ids`, an id that looks like a number which an earlier
    release spelled is a fault.
    """
    texts = [name for name in contract.columns if types.get(name, "VARCHAR") == "VARCHAR"]
    return render(
        "clean/type_rows",
        files=files,
        day=day,
        raw=joined([Fragment(f"{identifier(name)} AS {raw(name)}") for name in contract.columns]),
        trimmed=joined([Fragment(f"parse_text({identifier(name)}) AS {_trimmed(name)}") for name in texts])
        or Fragment("NULL AS _no_texts"),
        spelled=joined(
            [Fragment(f"{spelled(contract, name, _trimmed(name))} AS {_spelled(name)}") for name in texts]
        )
        or Fragment("NULL AS _no_spelled_texts"),
        values=joined(
            [
                Fragment(f"{_value(contract, name, types.get(name, 'VARCHAR'))} AS {identifier(name)}")
                for name in contract.columns
            ]
        ),
        columns=joined([identifier(name) for name in contract.columns]),
        # The engine spells a column that was captured as another type, such as a UUID: it has no control characters.
        texts=joined([identifier(name) for name in texts if contract.columns[name].type == "text"])
        or Fragment("''"),
        unseen=UNSEEN,
        known=known_time(contract),
        unknown_words=_unknown_words(contract, types),
        faults=Fragment("\n".join([*(_doubts(contract) if doubtful_ids else []), *_faults(contract, types)])),
        discarded=_discarded(contract, types),
        protection=_protection(contract),
        record=joined([Fragment(f"{identifier(name)} := {raw(name)}::VARCHAR") for name in contract.columns]),
    )


def known_time(contract: SourceContract) -> Fragment:
    """The expression of when a typed row was known."""
    return identifier(contract.known_time) if contract.known_time else Fragment("NULL::TIMESTAMP")


def no_captured_rows(contract: SourceContract) -> Fragment:
    """A table expression with the columns of captured rows and no rows, for a source without any file."""
    empty = joined([Fragment(f"NULL::VARCHAR AS {identifier(name)}") for name in contract.columns])
    return Fragment(
        f"(SELECT NULL::BIGINT AS _row, NULL::VARCHAR AS _reject, {empty}, NULL::VARCHAR AS _source_key, "
        "NULL::DATE AS _day WHERE false)"
    )


def _trimmed(name: str) -> Fragment:
    return quoted(f"_trimmed_{name}")


def _spelled(name: str) -> Fragment:
    return quoted(f"_spelled_{name}")


def _unknown(name: str) -> Fragment:
    return quoted(f"_unknown_{name}")


def _value(contract: SourceContract, name: str, engine_type: str) -> str:
    """The typed value of a spelled column. A value out of bounds becomes NULL if the contract tolerates bad values."""
    column = contract.columns[name]
    value = read_value(contract, name, engine_type, _spelled(name) if engine_type == "VARCHAR" else raw(name))
    if column.on_invalid == "null":
        bounds = [condition for condition, _ in bounds_of(contract, name, f"({value})")]
        if bounds:
            return f"CASE WHEN {' OR '.join(bounds)} THEN NULL ELSE {value} END"
    return value


def _said(contract: SourceContract, name: str, types: Mapping[str, str]) -> str:
    """The text of a column's captured value; NULL if there is none, or if it means that there is none."""
    if types.get(name, "VARCHAR") != "VARCHAR":
        # A typed value is cast only where its text is asked for.
        return without_words(contract, f"{raw(name)}::VARCHAR")
    return without_words(contract, _spelled(name)) if has_no_words(contract, name) else _spelled(name)


def _doubts(contract: SourceContract) -> list[str]:
    """Faults of ids that may be numbers, or other values that are no ids, as an earlier release spelled them."""
    return [
        f"WHEN regexp_full_match(lower({identifier(name)}), {literal(SPELLED_NUMBER)}) "
        f"THEN {literal(f'{name}: {MAYBE_A_NUMBER}')}"
        for name in contract.columns
        if name in contract.ids
    ]


def _faults(contract: SourceContract, types: Mapping[str, str]) -> list[str]:
    faults = []
    for name, column in contract.columns.items():
        value, said = identifier(name), _said(contract, name, types)
        if column.required:
            faults.append((f"{value} IS NULL AND {said} IS NULL", name, "missing"))
        if column.on_invalid == "quarantine":
            if column.type == "enum":
                faults.append((f"{value} IS NULL AND {is_nested(said)}", name, "nested value"))
            kind = "unknown value" if column.type == "enum" else "unreadable"
            if column.type != "text":
                faults.append((f"{value} IS NULL AND {said} IS NOT NULL", name, kind))
            for condition, fault in bounds_of(contract, name, value):
                # Few rows have an unseen letter in any of their texts.
                first = "_unseen AND " if condition.startswith("regexp_matches") else ""
                faults.append((first + condition, name, fault))
        if name == contract.event_time:
            faults.append((f"{value} IS NOT NULL AND _placed IS NULL", name, "out of range"))
        if name in contract.not_before:
            other = contract.not_before[name]
            faults.append((f"{value} < {identifier(other)}", name, f"before {other}"))
    faults += [
        (condition, contract.protecting_values[0], "missing")
        for condition in lacks_protecting_values(contract, identifier)
    ]
    return [f"WHEN {condition} THEN {literal(f'{name}: {fault}')}" for condition, name, fault in faults]


def _unknown_words(contract: SourceContract, types: Mapping[str, str]) -> Fragment:
    """Whether each list of names holds a word that is not known: it may mean anything.

    It is a column of its own. The engine plans a list's lambdas twice within a CASE, and four times within two.
    """
    return joined(
        [
            Fragment(
                f"len(list_filter(words_of({_said(contract, name, types)}), "
                f"lambda item: {canonical(column, 'item')} IS NULL)) > 0 AS {_unknown(name)}"
            )
            for name, column in contract.columns.items()
            if column.type == "channels"
        ]
    ) or Fragment("NULL AS _no_lists")


def _discarded(contract: SourceContract, types: Mapping[str, str]) -> Fragment:
    """A list of the tolerated columns of which a value, or a part of it, is lost, each with the shape of its text."""
    tolerated = [name for name, column in contract.columns.items() if column.on_invalid == "null"]
    lost = {}
    for name in tolerated:
        said = _said(contract, name, types)
        captured = _spelled(name) if types.get(name, "VARCHAR") == "VARCHAR" else raw(name)
        lost[name] = f"{identifier(name)} IS NULL AND {captured} IS NOT NULL"
        if contract.columns[name].type == "channels":
            lost[name] += f" OR {_unknown(name)}"
        if (
            stays_typed(contract.columns[name], types.get(name, "VARCHAR"))
            and not contract.columns[name].protects
        ):
            # A column of doubles that has no other way to leave a number out has NaN.
            lost[name] += f" AND {said} IS DISTINCT FROM 'nan'"
    if not lost:
        return Fragment("NULL::VARCHAR[]")
    entries = [
        f"CASE WHEN {condition} THEN {{'name': {literal(name)}, 'said': {_said(contract, name, types)}}} END"
        for name, condition in lost.items()
    ]
    # Nearly every row keeps all its values, and a look at NULLs costs nothing.
    return Fragment(
        f"CASE WHEN {' OR '.join(f'({condition})' for condition in lost.values())} "
        f"THEN nullif(list_transform(list_filter([{', '.join(entries)}], lambda entry: entry.said IS NOT NULL), "
        "lambda entry: entry.name || ': ' || shape_of(entry.said)), []) END"
    )


def _protection(contract: SourceContract) -> Fragment:
    """A list of `<column>: <shape>`, one for each thing in a row that may protect its player and cannot be read.

    Of a faulty row, that is what its fault says. Nothing in a rejected record can be relied on.
    """
    cells = " ".join(f"WHEN {literal(name)} THEN {raw(name)}::VARCHAR" for name in contract.columns)
    at_fault = "split_part(_fault, ': ', 1)"
    fault = f"[concat_ws(': ', {at_fault}, shape_of(CASE {at_fault} {cells} END))]"
    if contract.protecting:
        # A list that names a channel we know is readable, whatever else it names.
        unread_here = " ".join(
            f"WHEN {literal(name)} THEN {_is_unread(contract, name)}" for name in contract.protecting
        )
        unread = f"nullif(list_filter(_discarded, lambda entry: CASE split_part(entry, ': ', 1) {unread_here} END), [])"
        # A row that lacks nothing but its player counts if it says that somebody must not be written to, or may say it.
        keys = joined([literal(name) for name in contract.business_key])
        forbids = " OR ".join(_forbids(contract, name) for name in contract.protecting)
        counts = f"{at_fault} NOT IN ({keys}) OR coalesce({forbids}, false) OR {unread} IS NOT NULL"
        return Fragment(f"CASE WHEN _fault IS NULL THEN {unread} WHEN {counts} THEN {fault} END")
    if not contract.protecting_rows:
        return Fragment("NULL::VARCHAR[]")
    may_protect = " AND ".join(
        f"({identifier(name)} IS NULL OR {identifier(name)} IN ({joined([literal(value) for value in values])}))"
        for name, values in contract.protecting_rows.items()
    )
    return Fragment(
        f"CASE WHEN _fault IS NOT NULL AND (_reject IS NOT NULL OR {may_protect}) THEN {fault} END"
    )


def _forbids(contract: SourceContract, name: str) -> str:
    """Whether a value that can be read forbids to write to its player, or may.

    A birth date forbids it on some days only, so it is left to the player's other row.
    """
    match contract.columns[name].type:
        case "boolean":
            return str(identifier(name))
        case "channels":
            return f"len({identifier(name)}) = 0"
        case "date":
            return "false"
        case _:
            return f"{identifier(name)} IS NOT NULL"


def _is_unread(contract: SourceContract, name: str) -> str:
    is_list = contract.columns[name].type == "channels"
    return f"coalesce(len({identifier(name)}), 0) = 0" if is_list else "true"


def cleaned_columns(contract: SourceContract) -> Fragment:
    """The columns of cleaned rows, out of those of `typed_rows`.

    If columns of the contract protect players, `protection_unreadable` lists those that hold something unreadable.
    """
    columns = [identifier(name) for name in contract.columns]
    if contract.protecting:
        columns.append(
            Fragment(
                "list_transform(_protection, lambda entry: split_part(entry, ': ', 1)) AS protection_unreadable"
            )
        )
    return joined(columns)


def typed_columns(contract: SourceContract) -> Fragment:
    """NULLs with the names and types of the contract's cleaned columns."""
    types = {name: cleaned_type(column) for name, column in contract.columns.items()}
    if contract.protecting:
        types["protection_unreadable"] = "VARCHAR[]"
    return joined([Fragment(f"NULL::{spelled} AS {identifier(name)}") for name, spelled in types.items()])
