"""Turns a source contract into SQL: how a captured column becomes a typed value, and what is wrong with a row.

This module only generates text; the parsers are macros in include/sql/create_parsers.sql. A row has at most one fault,
the first in the contract's column order. It is worded `<column>: <what>`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from crmbet.contracts.source import NULL_VALUES, SourceColumn, SourceContract
from crmbet.databases.statements import Fragment, identifier, joined, literal, render

CONTROL = Fragment(r"[\p{Cc}]")
UNSEEN = Fragment(
    r"[\p{Cc}\p{Cf}\x{34f}\x{115f}\x{1160}\x{17b4}\x{17b5}\x{180b}-\x{180f}\x{2800}\x{3164}\x{fe00}-\x{fe0f}\x{ffa0}"
    r"\x{e0000}-\x{e0fff}]"
)
"""Control and format characters, and others that Unicode counts as letters, marks or symbols and that nobody sees: a
zero-width space, a soft hyphen, a Hangul filler. An id may have none. Elsewhere one may join the parts of an emoji."""
NO_IDS = (
    *("nan", "none", "null", "nil", "undefined", "nat", "n/a", "#n/a", "<na>", "<null>", "<none>", "<nil>"),
    *("(null)", "(none)", "[null]", "[object object]"),
)
"""What software writes where it has no id, in lower case."""
SPELLED_NUMBER = (
    r"-?([0-9]+[.]0+|[0-9]([.][0-9]+)?e([-+][0-9]{1,3}|2[1-9]|[3-9][0-9]|[12][0-9]{2}|30[0-8])|inf(inity)?)"
    r"|true|false"
)
"""A whole number as the engine spelled one that was a double or a decimal, a double with an exponent (without a sign
only in JSON, and from 1e21 on), and a boolean. A fraction such as 1.5 was never taken for another id; 4e12 is text."""
MAYBE_A_NUMBER = "maybe a number, captured by an earlier release: run once with full_refresh"
NEVER_WORDS = ("integer", "decimal", "real", "timestamp", "date", "boolean", "timezone")
"""Types of which the usual words for nothing are no values anyway, so that nobody has to look for them."""
INSTANTS = ("TIMESTAMP", "TIMESTAMP WITH TIME ZONE")
INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT")
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
    return render(
        "clean/type_rows",
        files=files,
        day=day,
        raw=joined([Fragment(f"{identifier(name)} AS {_raw(name)}") for name in contract.columns]),
        spelled=joined(
            [
                Fragment(f"{_trimmed(contract, name)} AS {_spelled(name)}")
                for name in contract.columns
                if types.get(name, "VARCHAR") == "VARCHAR"
            ]
        )
        or Fragment("NULL AS _no_texts"),
        values=joined(
            [
                Fragment(f"{_value(contract, name, types.get(name, 'VARCHAR'))} AS {identifier(name)}")
                for name in contract.columns
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
        unseen=UNSEEN,
        known=identifier(contract.known_time) if contract.known_time else Fragment("NULL::TIMESTAMP"),
        unknown_words=_unknown_words(contract, types),
        faults=Fragment("\n".join([*(_doubts(contract) if doubtful_ids else []), *_faults(contract, types)])),
        discarded=_discarded(contract, types),
        protection=_protection(contract),
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


@dataclass(frozen=True)
class Instant:
    """An instant of a captured row as SQL, in two steps.

    A parser looks at its text in a dozen places. If a step before it trims the text, the engine plans that once.
    """

    spelled: Fragment
    """The expression of the captured value, without white space around it."""
    value: Fragment
    """The expression of the instant, as naive UTC. It reads the other one's result as `_spelled`."""


def event_instant(contract: SourceContract, types: Mapping[str, str]) -> Instant:
    """The instant at which a captured row happened; NULL for a current-state feed.

    `types` holds the engine types of the captured columns that are not text.
    """
    return _instant(contract, contract.event_time, types)


def known_instant(contract: SourceContract, types: Mapping[str, str]) -> Instant:
    """The instant at which a captured row reached the lake; NULL if the contract has no known_time."""
    return _instant(contract, contract.known_time, types)


def _instant(contract: SourceContract, name: str | None, types: Mapping[str, str]) -> Instant:
    if name is None:
        return Instant(Fragment("NULL"), Fragment("NULL::TIMESTAMP"))
    engine_type = types.get(name, "VARCHAR")
    spelled = Fragment(_trimmed(contract, name)) if engine_type == "VARCHAR" else identifier(name)
    return Instant(spelled, Fragment(_read(contract, name, engine_type, "_spelled")))


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


def _spelled(name: str) -> Fragment:
    return identifier(f"spelled_{name}")


def _unknown(name: str) -> Fragment:
    return identifier(f"unknown_{name}")


def _value(contract: SourceContract, name: str, engine_type: str) -> str:
    """The typed value of a spelled column. A value out of bounds becomes NULL if the contract tolerates bad values."""
    column = contract.columns[name]
    value = _read(contract, name, engine_type, _spelled(name) if engine_type == "VARCHAR" else _raw(name))
    if column.on_invalid == "null":
        bounds = [condition for condition, _ in _bounds(contract, name, f"({value})")]
        if bounds:
            return f"CASE WHEN {' OR '.join(bounds)} THEN NULL ELSE {value} END"
    return value


def _read(contract: SourceContract, name: str, engine_type: str, captured: Fragment | str) -> str:
    """The value of a captured column. Text has no white space around it any more."""
    column = contract.columns[name]
    # PostgreSQL has already parsed its instants, so formats do not apply to them.
    if keeps_type(column, engine_type) or (column.type == "timestamp" and engine_type in INSTANTS):
        return _read_typed(column, captured, engine_type)
    text = captured if engine_type == "VARCHAR" else f"{captured}::VARCHAR"
    match column.type:
        case "text":
            return f"parse_id({text})" if name in contract.ids else text
        case "integer" | "decimal" | "real":
            return _number(column, text)
        case "timestamp" if column.protects:
            return f"coalesce({_time(column, text)}, end_of_time({text}))"
        case "timestamp" | "date":
            return _time(column, text)
        case "enum":
            return _canonical(column, f"lower({text})")
        case "channels":
            # Two spellings of one channel may say the opposite of each other. Then nothing is known of the list.
            named, refused = (
                _known_words(column, f"parse_list({text})"),
                _known_words(column, f"refused_names({text})"),
            )
            return f"CASE WHEN list_has_any({named}, {refused}) THEN NULL ELSE {named} END"
        case "timezone":
            return f"parse_zone({text})"
        case parser:
            return f"parse_{parser}({text})"


def _trimmed(contract: SourceContract, name: str) -> str:
    text = f"parse_text({identifier(name)})"
    return text if _has_no_words(contract, name) else _without_words(contract, text)


def _has_no_words(contract: SourceContract, name: str) -> bool:
    return contract.columns[name].type in NEVER_WORDS and {*contract.null_values} <= {*NULL_VALUES}


def _said(contract: SourceContract, name: str, types: Mapping[str, str]) -> str:
    """The text of a column's captured value; NULL if there is none, or if it means that there is none."""
    if types.get(name, "VARCHAR") != "VARCHAR":
        # A typed value is cast only where its text is asked for.
        return _without_words(contract, f"{_raw(name)}::VARCHAR")
    return _without_words(contract, _spelled(name)) if _has_no_words(contract, name) else _spelled(name)


def _without_words(contract: SourceContract, text: Fragment | str) -> str:
    for word in contract.null_values:
        text = f"nullif({text}, {literal(word)})"
    return text


def _read_typed(column: SourceColumn, name: Fragment | str, engine_type: str) -> str:
    match column.type:
        case "timestamp":
            instant = f"in_our_era(make_timestamp(epoch_us(finite({name}))))"
            if engine_type == "TIMESTAMP":
                instant = f"in_our_era({name})"
            return f"coalesce({instant}, end_of_time({name}::VARCHAR))" if column.protects else instant
        case "date":
            return f"in_our_era({name})"
        case "real":
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
    readers = [named.get(spelled) or _by_format(text, spelled) for spelled in column.formats]
    return f"coalesce({', '.join(readers)})::{_engine_type(column)}"


def _by_format(text: str, format_: str) -> str:
    codes = re.findall(r"%-?.|[^%]", format_, re.DOTALL)
    checked = {
        "%z": ("parse_shifted_format", r"([-+][0-9]{2}(?::?[0-9]{2}){0,2})"),
        "%Z": ("parse_zoned_format", "([A-Za-z][-+/_A-Za-z0-9]*)"),
    }
    for code, (parser, part) in checked.items():
        if code in codes:
            pattern = "".join(part if found == code else _pattern_of(found) for found in codes)
            return f"{parser}({text}, {literal(format_)}, {literal(f'^{pattern}$')})"
    return f"parse_format({text}, {literal(format_)})"


def _pattern_of(code: str) -> str:
    """A pattern for what a piece of a format may match."""
    if code.startswith("%"):
        return ".*?"
    return r"\s*" if code.isspace() else re.escape(code)


def _known_words(column: SourceColumn, words: str) -> str:
    """The canonical values of a list's words, sorted, each once. Unknown words are left out."""
    known = f"list_transform({words}, lambda item: {_canonical(column, 'lower(trim(item))')})"
    return f"list_sort(list_distinct(list_filter({known}, lambda item: item IS NOT NULL)))"


def _canonical(column: SourceColumn, spelled: str) -> str:
    """A CASE that maps every spelling of the contract onto its canonical value, and anything else onto NULL."""
    branches = (
        f"WHEN {literal(spelling.strip().lower())} THEN {literal(canonical)}"
        for canonical, synonyms in column.values.items()
        for spelling in (canonical, *synonyms)
    )
    return f"CASE {spelled} {' '.join(branches)} END"


def _bounds(contract: SourceContract, name: str, value: str) -> list[tuple[str, str]]:
    """Conditions under which a value is out of bounds, with the fault's words."""
    column = contract.columns[name]
    bounds = []
    if column.type == "text":
        bounds.append((_nested(value), "nested value"))
    if name in contract.ids:
        words = ", ".join(literal(word) for word in NO_IDS)
        # The first letter cheaply rules out most ids.
        firsts = ", ".join(
            str(ord(letter))
            for letter in sorted({case for word in NO_IDS for case in (word[0], word[0].upper())})
        )
        nothing = f"unicode({value}) IN ({firsts}) AND lower({value}) IN ({words})"
        bounds.append((nothing, "a word for nothing"))
    if column.type == "text":
        # PostgreSQL cannot store a NUL, and the others have no place in a name.
        bounds.append((f"regexp_matches({value}, {literal(CONTROL)})", "control characters"))
    if name in contract.ids:
        bounds.append((f"regexp_matches({value}, {literal(UNSEEN)})", "invisible characters"))
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
                faults.append((f"{value} IS NULL AND {_nested(said)}", name, "nested value"))
            kind = "unknown value" if column.type == "enum" else "unreadable"
            if column.type != "text":
                faults.append((f"{value} IS NULL AND {said} IS NOT NULL", name, kind))
            for condition, fault in _bounds(contract, name, value):
                # Few rows have an unseen letter in any of their texts.
                first = "_unseen AND " if condition.startswith("regexp_matches") else ""
                faults.append((first + condition, name, fault))
        if name == contract.event_time:
            faults.append((f"{value} IS NOT NULL AND _placed IS NULL", name, "out of range"))
        if name in contract.not_before:
            other = contract.not_before[name]
            faults.append((f"{value} < {identifier(other)}", name, f"before {other}"))
    return [f"WHEN {condition} THEN {literal(f'{name}: {fault}')}" for condition, name, fault in faults]


def _unknown_words(contract: SourceContract, types: Mapping[str, str]) -> Fragment:
    """Whether each list of names holds a word that is not known: it may mean anything.

    It is a column of its own. The engine plans a list's lambdas twice within a CASE, and four times within two.
    """
    return joined(
        [
            Fragment(
                f"len(list_filter(words_of({_said(contract, name, types)}), "
                f"lambda item: {_canonical(column, 'item')} IS NULL)) > 0 AS {_unknown(name)}"
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
        captured = _spelled(name) if types.get(name, "VARCHAR") == "VARCHAR" else _raw(name)
        lost[name] = f"{identifier(name)} IS NULL AND {captured} IS NOT NULL"
        if contract.columns[name].type == "channels":
            lost[name] += f" OR {_unknown(name)}"
        if contract.columns[name].type == "real":
            # Software that has no other way to leave a number out writes NaN.
            lost[name] += f" AND ltrim(lower({said}), '+-') IS DISTINCT FROM 'nan'"
    if not lost:
        return Fragment("NULL::VARCHAR[]")
    shapes = {name: f"shape_of({_said(contract, name, types)})" for name in lost}
    entries = [f"CASE WHEN {lost[name]} THEN {literal(name + ': ')} || {shapes[name]} END" for name in lost]
    # Nearly every row keeps all its values, and a look at NULLs costs nothing.
    return Fragment(
        f"CASE WHEN {' OR '.join(f'({condition})' for condition in lost.values())} "
        f"THEN nullif(list_filter([{', '.join(entries)}], lambda entry: entry IS NOT NULL), []) END"
    )


def _protection(contract: SourceContract) -> Fragment:
    """A list of `<column>: <shape>`, one for each thing in a row that may protect its player and cannot be read.

    Of a faulty row, that is what its fault says. Nothing in a rejected record can be relied on.
    """
    shapes = " ".join(
        f"WHEN {literal(name)} THEN shape_of({_raw(name)}::VARCHAR)" for name in contract.columns
    )
    fault = f"[concat_ws(': ', split_part(_fault, ': ', 1), CASE split_part(_fault, ': ', 1) {shapes} END)]"
    if contract.protecting:
        # A list that names a channel we know is readable, whatever else it names.
        unread_here = " ".join(
            f"WHEN {literal(name)} THEN {_is_unread(contract, name)}" for name in contract.protecting
        )
        unread = f"nullif(list_filter(_discarded, lambda entry: CASE split_part(entry, ': ', 1) {unread_here} END), [])"
        # A row whose player cannot be told protects nobody, and is one of those in quarantine.
        keys = joined([literal(name) for name in contract.business_key])
        of_a_player = f"_fault IS NOT NULL AND split_part(_fault, ': ', 1) NOT IN ({keys})"
        return Fragment(f"CASE WHEN {of_a_player} THEN {fault} WHEN _fault IS NULL THEN {unread} END")
    if not contract.protecting_rows:
        return Fragment("NULL::VARCHAR[]")
    may_protect = " AND ".join(
        f"({identifier(name)} IS NULL OR {identifier(name)} IN ({joined([literal(value) for value in values])}))"
        for name, values in contract.protecting_rows.items()
    )
    return Fragment(
        f"CASE WHEN _fault IS NOT NULL AND (_reject IS NOT NULL OR {may_protect}) THEN {fault} END"
    )


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
    types = {name: _engine_type(column) for name, column in contract.columns.items()}
    if contract.protecting:
        types["protection_unreadable"] = "VARCHAR[]"
    return joined([Fragment(f"NULL::{spelled} AS {identifier(name)}") for name, spelled in types.items()])


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
