"""How a captured cell becomes a value, as SQL. The parsers are macros in include/sql/create_parsers.sql."""

from __future__ import annotations

import re

from crmbet.contracts.source import NULL_VALUES, SourceColumn, SourceContract
from crmbet.databases.statements import Fragment, joined, literal, quoted

NEVER_WORDS = ("integer", "decimal", "real", "timestamp", "date", "boolean", "timezone")
"""Types of which the usual words for nothing are no values anyway, so that nobody has to look for them."""
INSTANTS = ("TIMESTAMP", "TIMESTAMP WITH TIME ZONE")
INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT")


def raw(name: str) -> Fragment:
    """The column that holds a captured value beside what is made of it."""
    return quoted(f"_raw_{name}")


def keeps_type(column: SourceColumn, engine_type: str) -> bool:
    """Whether a capture keeps a column of the engine's type as it is (docs/adr/0014).

    It does if a value becomes the same cell or fault as its text would. Where something may protect a player it also
    keeps doubles. Elsewhere they are captured as text and a NaN as no value, for which it must not be taken here.
    """
    return _is_as_its_text(column, engine_type) or (column.protects and engine_type in ("DOUBLE", "FLOAT"))


def _is_as_its_text(column: SourceColumn, engine_type: str) -> bool:
    """Whether a value of the engine's type becomes the same cell or fault as its text would.

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


def stays_typed(column: SourceColumn, engine_type: str) -> bool:
    """Whether a captured value has the type of a value already, and needs no parser."""
    # PostgreSQL has already parsed its instants, so formats do not apply to them.
    return _is_as_its_text(column, engine_type) or (column.type == "timestamp" and engine_type in INSTANTS)


def read_value(contract: SourceContract, name: str, engine_type: str, captured: Fragment | str) -> str:
    """The value of a captured column. Text has no white space around it any more."""
    column = contract.columns[name]
    text = captured if engine_type == "VARCHAR" else f"{captured}::VARCHAR"
    if engine_type != "VARCHAR" and not has_no_words(contract, name):
        captured = f"CASE WHEN {_is_no_word(contract, text)} THEN {captured} END"
        text = without_words(contract, text)
    if stays_typed(column, engine_type):
        return _read_typed(column, captured, engine_type)
    match column.type:
        case "text":
            return f"normal_id({text})" if name in contract.ids else text
        case "integer" | "decimal" | "real":
            # Only text has marks.
            return _number(column, text, column.decimal_mark if engine_type == "VARCHAR" else ".")
        case "timestamp" if column.protects:
            return f"coalesce({_time(column, text)}, end_of_time({text}))"
        case "timestamp" | "date":
            return _time(column, text)
        case "enum":
            return canonical(column, f"lower({text})")
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


def spelled(contract: SourceContract, name: str, trimmed: str) -> str:
    """Text without white space around it; NULL if there is none, or if a word says that there is none."""
    return trimmed if has_no_words(contract, name) else without_words(contract, trimmed)


def has_no_words(contract: SourceContract, name: str) -> bool:
    """Whether no word of the contract for nothing could be a value of the column."""
    if not contract.null_values:
        return True
    return contract.columns[name].type in NEVER_WORDS and {*contract.null_values} <= {*NULL_VALUES}


def without_words(contract: SourceContract, text: Fragment | str) -> str:
    """A text; NULL if it is one of the contract's words for nothing."""
    if not contract.null_values:
        return str(text)
    return f"CASE WHEN {_is_no_word(contract, text)} THEN {text} END"


def _is_no_word(contract: SourceContract, text: Fragment | str) -> str:
    return f"{text} NOT IN ({joined([literal(word) for word in contract.null_values])})"


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
            return f"try_cast({name} AS {cleaned_type(column)})"


def _number(column: SourceColumn, text: Fragment | str, mark: str) -> str:
    """Read a number. A cast alone reads nearly every one; try the slow pattern only if the cast fails."""
    number = f"swap_marks({text})" if mark == "," else text
    engine_type = cleaned_type(column)
    value = (
        f"coalesce(try_cast({number} AS {engine_type}), try_cast(castable_number({number}) AS {engine_type}))"
    )
    return f"finite({value})" if column.type == "real" else value


def _time(column: SourceColumn, text: str) -> str:
    iso = f"parse_{column.type}({text})"
    if not column.formats:
        return iso
    named = {"iso": iso, "epoch_s": f"parse_epoch_s({text})", "epoch_ms": f"parse_epoch_ms({text})"}
    readers = [named.get(format_) or _by_format(text, format_) for format_ in column.formats]
    return f"coalesce({', '.join(readers)})::{cleaned_type(column)}"


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
    if not code.startswith("%"):
        return r"\s*" if code.isspace() else re.escape(code)
    if code[-1] in "aAbBp":
        return "[A-Za-z]+"
    return {"%": "%", "n": r"\s*", "t": r"\s*", "z": ".*?", "Z": ".*?"}.get(code[-1], "[0-9]+")


def _known_words(column: SourceColumn, words: str) -> str:
    """The canonical values of a list's words, sorted, each once. Unknown words are left out."""
    trimmed = f"list_transform({words}, lambda item: lower(parse_text(item)))"
    known = f"list_transform({trimmed}, lambda item: {canonical(column, 'item')})"
    return f"list_sort(list_distinct(list_filter({known}, lambda item: item IS NOT NULL)))"


def canonical(column: SourceColumn, spelled: str) -> str:
    """An expression that maps every spelling of the contract onto its canonical value, and anything else onto NULL."""
    canonical_of: dict[str, str] = {}
    for canonical, synonyms in column.values.items():
        for spelling in (canonical, *synonyms):
            canonical_of.setdefault(spelling.strip().lower(), canonical)
    spellings = joined([literal(spelling) for spelling in canonical_of])
    values = joined([literal(canonical) for canonical in canonical_of.values()])
    # Lists rather than a CASE: of a column that a file keeps as a dictionary, the engine looks up each word once.
    return f"([{values}])[list_position([{spellings}], {spelled})]"


def cleaned_type(column: SourceColumn) -> str:
    """The engine's type of a column's values."""
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
