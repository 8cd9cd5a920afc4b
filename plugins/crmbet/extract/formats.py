"""Reading one lake object of any format as rows in the contract's columns.

All formats give the same columns: `_row`, `_reject` (why the record cannot be read, else NULL) and the columns of the
contract. These are text, spelled as in the source; a typed column of a Parquet file keeps its type if nothing gets
lost. `_row` counts from 1: the line in a file of JSON lines, in other files the place among the records.
Cleaning gives text its types later, so that quarantine can show what the source had. The records are counted without
the parser, so that a parser that silently drops rows is caught.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from crmbet.contracts.source import SourceContract
from crmbet.contracts.typing import keeps_type
from crmbet.databases.parquet import column_types
from crmbet.databases.statements import Fragment, joined, literal, quoted, render
from crmbet.extract.counting import LONGEST_LINE, count_elements, survey
from crmbet.extract.decoding import plain_text, unpack
from crmbet.extract.mending import Mended, mend_csv, mend_lines, split_record
from crmbet.extract.unreadable import UnreadableObject

if TYPE_CHECKING:
    import duckdb

Format = Literal["parquet", "csv", "json"]

DELIMITERS = (",", ";", "\t", "|")
NUMERIC = re.compile(r"DECIMAL|DOUBLE|FLOAT")
NESTED = re.compile(r"\[\]|STRUCT|MAP|UNION|JSON", re.IGNORECASE)
SAMPLED_RECORDS = 100
"""The names in so many JSON records are read first. All records are read only if a required name is missing there."""


@dataclass(frozen=True)
class Reading:
    """One way to read an object. It can be trusted if it gives as many rows as there are records."""

    query: str
    """SELECT of `_row`, `_reject` and the contract's columns."""
    records: int
    """Records in the file, counted without the parser that `query` uses."""
    unknown_columns: tuple[str, ...] = ()
    """Columns of the file that the contract does not name: they are not read. For JSON maybe not all of them."""
    types: Mapping[str, str] = field(default_factory=dict)
    """Engine types of the columns that are not text in the result of `query`."""


def format_of(key: str) -> Format | None:
    """The format by a key's extension; None for objects that are not data, or of a format that is not read."""
    if is_tool_file(key):
        return None
    stem = key.lower().removesuffix(".gz")
    if stem.endswith(".parquet"):
        return "parquet"
    if stem.endswith((".csv", ".tsv")):
        return "csv"
    if stem.endswith((".jsonl", ".ndjson", ".json")):
        return "json"
    return None


def is_tool_file(key: str) -> bool:
    """Whether an object has the name of a file that tools leave beside data (`_SUCCESS`, hidden files)."""
    return key.rsplit("/", 1)[-1].startswith((".", "_"))


def readings(
    connection: duckdb.DuckDBPyConnection, path: Path, key: str, contract: SourceContract
) -> Iterator[Reading]:
    """The ways to read an object's local copy, the fastest first. The file at `path` may be replaced by a plainer one.

    Raises `UnreadableObject` if the content does not have the format of the extension, or lacks a column that the
    contract requires.
    """
    path = unpack(path, key)
    match format_of(key):
        case "parquet":
            yield _read_parquet(connection, path, contract)
        case "csv":
            yield from _read_csv(plain_text(path), contract)
        case _:
            yield _read_json(connection, plain_text(path), contract)


def _read_parquet(connection: duckdb.DuckDBPyConnection, path: Path, contract: SourceContract) -> Reading:
    url = literal(str(path))
    types = column_types(connection, Fragment(f"read_parquet({url}, hive_partitioning = false)"))
    nodes = connection.execute(render("extract/list_parquet_nodes", url=url)).fetchall()
    names = _top_level(nodes)
    _check_columns(names, contract)
    # By place: the engine renames one of two columns whose names differ only in case.
    engine_names = dict(zip(names, types, strict=True))
    commas = {_names(contract)[name] for name in _with_decimal_comma(contract)}
    columns = {
        name: _as_text(column, types[column], decimal_comma=name in commas)
        for name, column in engine_names.items()
    }
    kept = {
        name: types[engine_names[source_name]]
        for name, source_name in _names(contract).items()
        if source_name in engine_names
        and keeps_type(contract.columns[name], types[engine_names[source_name]])
    }
    texts = [
        columns[name]
        for name in _names(contract).values()
        if types.get(engine_names.get(name, "")) in ("VARCHAR", "BLOB")
    ]
    (records,) = connection.execute(render("extract/count_parquet_records", url=url)).fetchone() or (0,)
    query = render(
        "extract/read_parquet",
        url=url,
        has_nul=Fragment(" OR ".join(f"contains({text}, chr(0))" for text in texts) or "false"),
        values=_values(
            contract, columns, {name: quoted(engine_names[_names(contract)[name]]) for name in kept}
        ),
    )
    return Reading(query, int(records), _unknown(names, contract), kept)


def _top_level(nodes: Sequence[tuple[str, int | None]]) -> list[str]:
    """The names of a file's columns, with repetitions. A schema lists each node before its children."""
    names = []
    inside = 0
    for name, children in nodes[1:]:
        if inside:
            inside -= 1
        else:
            names.append(name)
        inside += children or 0
    return names


def _as_text(column: str, engine_type: str, *, decimal_comma: bool) -> str:
    text = quoted(column)
    if decimal_comma and NUMERIC.match(engine_type):
        return f"replace({text}::VARCHAR, '.', ',')"
    if engine_type == "BLOB":
        # Some writers do not mark text as text.
        return f"coalesce(TRY(decode({text})), {text}::VARCHAR)"
    return f"to_json({text})::VARCHAR" if NESTED.search(engine_type) else f"{text}::VARCHAR"


def _read_csv(path: Path, contract: SourceContract) -> Iterator[Reading]:
    """First as the engine reads it, then mended, with the damaged records set aside."""
    first = _first_line(path)
    if not first:
        yield _read_nothing(contract)
        return
    delimiter, header = _split_header(first, contract)
    _check_columns(header, contract)
    # By place: a header may have two names that are one for the engine, or a name that the engine reserves.
    places = [f"c{place}" for place in range(len(header))]
    columns = dict(zip(header, places, strict=True))
    described = joined([Fragment(f"{literal(place)}: 'VARCHAR'") for place in places])
    values = _values(contract, columns)
    unknown = _unknown(header, contract)
    counted = survey(path, quotes=True)
    if not (counted.open_quote or counted.odd):
        query = render(
            "extract/read_csv",
            url=literal(str(path)),
            columns=Fragment(f"{{{described}}}"),
            delimiter=literal(delimiter),
            values=values,
        )
        yield Reading(query, counted.records - 1, unknown)
    mended = mend_csv(path, delimiter, len(header))
    _require_all_lines(mended, counted.lines)
    query = render(
        "extract/read_mended_csv",
        url=literal(str(mended.good)),
        columns=Fragment(f"{{'_row': 'BIGINT', {described}}}"),
        delimiter=literal(delimiter),
        values=values,
        rejects=literal(str(mended.rejects)),
        nothing=_values(contract, {}),
    )
    yield Reading(query, mended.records, unknown)


def _first_line(path: Path) -> bytes:
    """The first line that is not empty, without its end; empty if there is none."""
    with path.open("rb") as file:
        while line := file.readline(LONGEST_LINE):
            if line.strip(b"\r\n"):
                return line.rstrip(b"\r\n")
    return b""


def _split_header(line: bytes, contract: SourceContract) -> tuple[str, list[str]]:
    """The delimiter that gives a header the most names of the contract, and the header's names."""
    text = line.decode(errors="replace")
    if len(line) == LONGEST_LINE or not text.replace("\t", "").isprintable():
        raise UnreadableObject("its name says CSV, but its first line is no text")
    known = {*_names(contract).values()}
    headers = {}
    for delimiter in DELIMITERS:
        split = split_record(line, delimiter.encode())
        names = [] if split.fault or split.open_quote else split.fields
        headers[delimiter] = [name.decode().strip() for name in names]
    delimiter = max(headers, key=lambda delimiter: len(known.intersection(headers[delimiter])))
    header = headers[delimiter]
    while header and not header[-1]:
        header.pop()
    return delimiter, header


def _read_json(connection: duckdb.DuckDBPyConnection, path: Path, contract: SourceContract) -> Reading:
    """Either one array of objects, or one object a line."""
    with path.open("rb") as file:
        head = file.read(LONGEST_LINE).strip()
    if not head:
        return _read_nothing(contract)
    first, more, _ = head.partition(b"\n")
    if head.startswith(b"["):
        elements = count_elements(path)
        if elements is not None:
            return _read_json_array(connection, path, elements, contract)
        if not _is_json(first):
            raise UnreadableObject("the JSON array is cut off, or something follows it")
    elif more and not _is_json(first) and count_elements(path) is not None:
        raise UnreadableObject(
            "it is one JSON object over several lines: deliver one array of objects, or one object a line"
        )
    return _read_json_lines(connection, path, contract)


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _read_json_array(
    connection: duckdb.DuckDBPyConnection, path: Path, elements: int, contract: SourceContract
) -> Reading:
    source = render("extract/list_json_array", url=literal(str(path)))
    unknown = _check_keys(connection, source, contract) if elements else ()
    query = render("extract/read_json_records", records=Fragment(source), **_json_values(contract))
    return Reading(query, elements, unknown)


def _read_json_lines(connection: duckdb.DuckDBPyConnection, path: Path, contract: SourceContract) -> Reading:
    counted = survey(path, quotes=False)
    rejects = ""
    if counted.odd:
        mended = mend_lines(path)
        _require_all_lines(mended, counted.lines)
        path = mended.good
        rejects = f"\nUNION ALL\n{render('extract/list_rejects', url=literal(str(mended.rejects)))}"
    source = render("extract/list_json_lines", url=literal(str(path)))
    unknown = _check_keys(connection, source, contract)
    query = render("extract/read_json_records", records=Fragment(source + rejects), **_json_values(contract))
    return Reading(query, counted.lines, unknown)


def _check_keys(
    connection: duckdb.DuckDBPyConnection, source: str, contract: SourceContract
) -> tuple[str, ...]:
    """The names in JSON records that are not in the contract.

    Raises `UnreadableObject` if no record has a required name. A record may leave out a name whose value is NULL, so
    all records are read if the first ones lack a required name.
    """

    def names(sample: str) -> list[str]:
        query = render("extract/name_json_keys", records=Fragment(source), sample=Fragment(sample))
        (keys,) = connection.execute(query).fetchone() or (None,)
        return keys or []

    some = names(f"LIMIT {SAMPLED_RECORDS}")
    if not _missing(some, contract):
        return _unknown(some, contract)
    every = names("")
    if not every:
        raise UnreadableObject("it holds no JSON object: deliver one array of objects, or one object a line")
    _check_columns(every, contract)
    return _unknown(every, contract)


def _json_values(contract: SourceContract) -> dict[str, Fragment]:
    """The JSON paths to extract from a record in one pass, and the columns that they become."""
    names = _names(contract)
    paths = {
        name: literal("/" + names[name].replace("~", "~0").replace("/", "~1")) for name in contract.columns
    }
    fields = {name: f"fields[{place}]" for place, name in enumerate(contract.columns, start=1)}
    for name in _with_decimal_comma(contract):
        number = f"json_type(record, {paths[name]}) = 'DOUBLE'"
        fields[name] = f"CASE WHEN {number} THEN replace({fields[name]}, '.', ',') ELSE {fields[name]} END"
    return {
        "paths": Fragment(f"[{joined(list(paths.values()))}]"),
        "values": Fragment(", ".join(f"{field} AS {quoted(name)}" for name, field in fields.items())),
    }


def _read_nothing(contract: SourceContract) -> Reading:
    """A file without records, and so without names. The file of a day on which nothing happened may be empty."""
    return Reading(render("extract/read_nothing", values=_values(contract, {})), 0)


def _require_all_lines(mended: Mended, lines: int) -> None:
    if mended.lines != lines:
        raise AssertionError(f"mending made records of {mended.lines} lines, there are {lines}")


def _names(contract: SourceContract) -> dict[str, str]:
    """Each column's name in the source."""
    return {name: column.source_name or name for name, column in contract.columns.items()}


def _with_decimal_comma(contract: SourceContract) -> list[str]:
    """Columns whose typed numbers become text with a decimal comma, because the contract says that text has one.

    With a point they would be misread: the point separates thousands there, so 10.125 would become ten thousand.
    """
    return [name for name, column in contract.columns.items() if column.decimal_mark == ","]


def _check_columns(names: Sequence[str], contract: SourceContract) -> None:
    """Raises `UnreadableObject` if a file has a column of the contract twice, or lacks a required one."""
    where = f"include/contracts/sources/{contract.name}.yaml"
    known = [name for name in _names(contract).values() if name in names]
    repeated = [name for name in known if names.count(name) > 1]
    if repeated:
        raise UnreadableObject(f"column {', '.join(repeated)} appears more than once")
    missing = _missing(names, contract)
    if missing and not known:
        # The message does not repeat the names that are there: they may be data.
        raise UnreadableObject(
            f"it has none of the columns of {where}; a CSV file names them in its first line"
        )
    if missing:
        raise UnreadableObject(
            f"column {', '.join(missing)} is missing; it has the columns {', '.join(names)[:300]}. "
            f"A name can be mapped in {where}"
        )


def _missing(names: Sequence[str], contract: SourceContract) -> list[str]:
    """The required columns that are not among the names, by their name in the source."""
    source_names = _names(contract)
    return [
        source_names[name]
        for name, column in contract.columns.items()
        if column.required and source_names[name] not in names
    ]


def _values(
    contract: SourceContract, columns: Mapping[str, str], typed: Mapping[str, str] | None = None
) -> Fragment:
    """The contract's columns, each as an expression.

    `columns` has the expressions by name in the source; a column without one is NULL. `typed` has, by name in the
    contract, the expressions of columns that do not become text.
    """
    typed = typed or {}
    return Fragment(
        ", ".join(
            f"{typed.get(name) or columns.get(source_name, 'NULL::VARCHAR')} AS {quoted(name)}"
            for name, source_name in _names(contract).items()
        )
    )


def _unknown(names: Iterable[str], contract: SourceContract) -> tuple[str, ...]:
    return tuple(sorted({name for name in names if name} - {*_names(contract).values()}))
