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
from typing import TYPE_CHECKING, Any

from crmbet.contracts.source import SourceContract
from crmbet.contracts.values import keeps_type
from crmbet.databases.duckdb_failures import is_lack_of_resources
from crmbet.databases.parquet import LARGEST_PRECISION, column_types
from crmbet.databases.statements import Fragment, identifier, joined, literal, quoted, render
from crmbet.extract.counting import LONGEST_LINE, count_elements, survey
from crmbet.extract.decoding import UnpackLimits, plain_text, unpack
from crmbet.extract.headers import read_header
from crmbet.extract.ids import id_of_type, json_id, json_spellings
from crmbet.extract.listing import format_of
from crmbet.extract.mending import Mended, mend_csv
from crmbet.extract.names import SAMPLED_RECORDS, file_names, in_header, in_path, with_path_values
from crmbet.extract.parquet_mending import MendedParquet, mend_parquet
from crmbet.extract.parquet_size import check_long_texts, check_pages, may_be_long, repeating_columns
from crmbet.extract.splitting import NO_OBJECT, split
from crmbet.extract.unreadable import UnreadableObject

if TYPE_CHECKING:
    import duckdb

NUMERIC = re.compile(r"DECIMAL|DOUBLE|FLOAT")
NESTED = re.compile(r"\[\]|STRUCT|MAP|UNION|JSON", re.IGNORECASE)
UNREADABLE_CELL = "chr(26)"
"""What stands for a value that cannot be read in a column that tolerates bad ones: the control character SUBSTITUTE,
which cleaning reads as no value of any type."""
MANY_ROW_GROUPS = 500
SMALL_ROW_GROUP = 1_000
"""With more groups than that, each of fewer rows than that on average, reading a file in one go takes too long."""


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
    header: tuple[str, ...] | None = None
    """The names of the file's columns; None if each record has its own."""
    source: str = ""
    """SELECT of `_row` and `record`, if each record has its own names."""
    losses: tuple[str, ...] = ()
    """Parts of the file that cannot be read, in words. Their records are among the rejected ones."""
    size: int = 0
    """Bytes of the text that was read; 0 for a format that is not text."""
    set_aside: int = 0
    """Bytes of the records that cannot be told apart or read, and are set aside."""
    is_plain: bool = False
    """Whether the file is read as it is, since nothing in it looks unusual."""
    undecided: str | None = None
    """The `_reject` of records that a slower way may read. A reading that has one cannot be trusted."""


def readings(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    key: str,
    contract: SourceContract,
    limits: UnpackLimits,
) -> Iterator[Reading]:
    """The ways to read an object's local copy, the fastest first. The file at `path` may be replaced by a plainer one.

    Raises `UnreadableObject` if the content does not have the format of the extension, lacks a column that the
    contract requires, or unpacks to more than it may.
    """
    sought, path_values = in_path(contract, key)
    for reading in _readings_of_content(connection, path, key, sought, limits):
        yield with_path_values(reading, sought, path_values)


def plain_reading(
    connection: duckdb.DuckDBPyConnection, path: Path, format_: str, contract: SourceContract
) -> Reading | None:
    """The reading of CSV or JSON lines as they are; None if something in the file looks unusual.

    Raises `UnreadableObject` as `readings` does.
    """
    read = _read_csv(path, contract) if format_ == "csv" else _read_json(connection, path, contract)
    first = next(read)
    return first if first.is_plain else None


def plain_parquet(
    connection: duckdb.DuckDBPyConnection,
    paths: Sequence[Path],
    contract: SourceContract,
    limits: UnpackLimits,
) -> Reading | None:
    """The reading of Parquet files with one schema; None if it has something unusual.

    Its query says by `_file` from which file a row is. Its number of records is that of the first file. Raises
    `UnreadableObject` as `readings` does.
    """
    first = next(_read_parquet(connection, paths[0], contract, limits, together=paths))
    return first if first.is_plain else None


def _readings_of_content(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    key: str,
    contract: SourceContract,
    limits: UnpackLimits,
) -> Iterator[Reading]:
    if not path.stat().st_size:
        yield _read_nothing(contract)
        return
    path = unpack(path, key, limits)
    # An empty object means the same in every format, compressed or not: there are no records.
    match format_of(key) if path.stat().st_size else None:
        case None:
            yield _read_nothing(contract)
        case "parquet":
            yield from _read_parquet(connection, path, contract, limits)
        case "csv":
            yield from _read_csv(plain_text(path), contract)
        case _:
            yield from _read_json(connection, plain_text(path), contract)


def _check_pages(path: Path, limits: UnpackLimits) -> frozenset[str]:
    """Raises `UnreadableObject` if the pages of a Parquet file unpack to more than they may.

    Returns the columns that may become more than their pages.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    # Not by the engine's table of metadata: it converts the bounds of all columns, and one of them may be out of range.
    try:
        footer = pq.read_metadata(path)
    except (pa.ArrowException, OSError):
        return frozenset()  # the engine says what is wrong with it
    check_pages(footer, path.stat().st_size, limits)
    return repeating_columns(footer)


def _read_parquet(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    contract: SourceContract,
    limits: UnpackLimits,
    together: Sequence[Path] = (),
) -> Iterator[Reading]:
    """First as the engine reads it, then rewritten without what the engine cannot read.

    The first reading is of all files of `together`, if any are given. They have the schema of `path`, and the pages of
    each have been checked.
    """
    repeating = None if together else _check_pages(path, limits)
    packed = sum(each.stat().st_size for each in together or [path])
    footer = _read_footer(connection, path)
    contract = in_header(contract, footer.names)
    _check_columns(footer.names, contract)
    wanted = {
        name: source_name for name, source_name in _names(contract).items() if source_name in footer.names
    }
    unknown = unknown_columns(footer.names, contract)
    types = None
    if not (footer.is_scattered or footer.wide.intersection(wanted.values())):
        types = _types_for_the_engine(connection, path)
    if types is not None:
        # By place: the engine renames one of two columns whose names differ only in case.
        engine_names = dict(zip(footer.names, types, strict=True))
        places = {name: engine_names[source_name] for name, source_name in wanted.items()}
        texts = {
            engine_names[source_name]: types[engine_names[source_name]]
            for source_name in wanted.values()
            if may_be_long(types[engine_names[source_name]])
            and (repeating is None or source_name in repeating)
        }
        check_long_texts(connection, together or [path], texts, packed, limits)
        yield Reading(
            unknown_columns=unknown,
            records=footer.records,
            header=tuple(footer.names),
            is_plain=True,
            **_parquet_columns(
                Fragment(f"[{joined([literal(str(each)) for each in together or (path,)])}]"),
                contract,
                {name: (of, types[of]) for name, of in places.items()},
                with_file=bool(together),
            ),
        )
    tolerated = {name for name in wanted if contract.columns[name].on_invalid == "null"}
    mended = mend_parquet(path, wanted, tolerated)
    types = column_types(connection, _parquet(mended.path))
    texts = {name: of for name, of in types.items() if may_be_long(of)}
    check_long_texts(connection, [mended.path], texts, packed, limits)
    yield Reading(
        unknown_columns=unknown,
        records=footer.records,
        header=tuple(footer.names),
        losses=mended.losses,
        **_parquet_columns(
            literal(str(mended.path)),
            contract,
            {name: (of, types[of]) for name, of in mended.columns.items()},
            mended,
        ),
    )


def _types_for_the_engine(connection: duckdb.DuckDBPyConnection, path: Path) -> dict[str, str] | None:
    """The engine's types of a Parquet file's columns; None if it knows no type for one of them, wanted or not."""
    import duckdb

    try:
        return column_types(connection, _parquet(path))
    except duckdb.Error as error:
        if is_lack_of_resources(error):
            raise
        return None


@dataclass(frozen=True)
class _Footer:
    """What the footer of a Parquet file says."""

    names: list[str]
    """Its columns, with repetitions."""
    wide: frozenset[str]
    """Columns whose decimals have more digits than the engine's. It would read other numbers, without a word."""
    records: int
    row_groups: int

    @property
    def is_scattered(self) -> bool:
        """Whether it has so many and so small row groups that the engine would take minutes."""
        return self.row_groups > MANY_ROW_GROUPS and self.records < self.row_groups * SMALL_ROW_GROUP


def _read_footer(connection: duckdb.DuckDBPyConnection, path: Path) -> _Footer:
    url = literal(str(path))
    nodes = connection.execute(render("extract/list_parquet_nodes", url=url)).fetchall()
    records, row_groups = connection.execute(render("extract/count_parquet_records", url=url)).fetchone() or (
        0,
        0,
    )
    wide = {name for name, _, precision in nodes if precision and precision > LARGEST_PRECISION}
    return _Footer(_top_level(nodes), frozenset(wide), int(records), int(row_groups))


def _parquet(path: Path) -> Fragment:
    return Fragment(f"read_parquet({literal(str(path))}, hive_partitioning = false)")


def _parquet_columns(
    url: Fragment,
    contract: SourceContract,
    columns: Mapping[str, tuple[str, str]],
    mended: MendedParquet | None = None,
    *,
    with_file: bool = False,
) -> dict[str, Any]:
    """The query of a Parquet file, and the types of the columns that are not text in its result.

    `columns` has the name and the engine's type of each column in the file, by its name in the contract. With
    `with_file`, `_file` says from which file a row is.
    """
    commas = _with_decimal_comma(contract)
    marks = mended.unreadable if mended else {}
    expressions, types, faults, texts = {}, {}, [], []
    for name, (column, engine_type) in columns.items():
        if name in marks:
            marked = f"WHEN {quoted(marks[name])} THEN {UNREADABLE_CELL}"
            text = _as_text(column, engine_type, decimal_comma=name in commas)
            expressions[name] = f"CASE {marked} ELSE {text} END"
        elif name in contract.ids:
            spelled = id_of_type(quoted(column), engine_type)
            expressions[name] = spelled.text
            faults += [f"WHEN {fault} THEN {literal(f'{name}: {why}')}" for fault, why in spelled.faults]
        elif keeps_type(contract.columns[name], engine_type):
            expressions[name] = quoted(column)
            types[name] = engine_type
        else:
            text = _as_text(column, engine_type, decimal_comma=name in commas)
            # A NaN in a column of doubles is no value, whatever the contract makes of the numbers.
            is_double = engine_type in ("DOUBLE", "FLOAT")
            expressions[name] = (
                f"CASE WHEN NOT isnan({quoted(column)}) THEN {text} END" if is_double else text
            )
        if engine_type in ("VARCHAR", "BLOB") or (engine_type == "JSON" and name in contract.ids):
            texts.append(expressions[name])
    query = render(
        "extract/read_parquet",
        url=url,
        file=Fragment("filename AS _file," if with_file else ""),
        has_nul=Fragment(" OR ".join(f"contains({text}, chr(0))" for text in texts) or "false"),
        faults=Fragment("\n        ".join(faults)),
        set_aside=Fragment("_reject" if mended else "NULL::VARCHAR"),
        values=_values(contract, {}, expressions),
    )
    return {"query": query, "types": types}


def _top_level(nodes: Sequence[tuple[str, int | None, int | None]]) -> list[str]:
    """The names of a file's columns, with repetitions. A schema lists each node before its children."""
    names = []
    inside = 0
    for name, children, _ in nodes[1:]:
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
    first = read_header(path, every_name(contract))
    if first is None:
        yield _read_nothing(contract)
        return
    delimiter, header = first.delimiter, first.names
    contract = in_header(contract, header)
    _check_columns(header, contract)
    # By place: a header may have two names that are one for the engine, or a name that the engine reserves.
    places = [f"c{place}" for place in range(len(header))]
    columns = dict(zip(header, places, strict=True))
    described = joined([Fragment(f"{literal(place)}: 'VARCHAR'") for place in places])
    values = _values(contract, columns)
    unknown = unknown_columns(header, contract)
    counted = survey(path, quotes=True)
    if not (counted.open_quote or counted.odd):
        query = render(
            "extract/read_csv",
            url=literal(str(path)),
            columns=Fragment(f"{{{described}}}"),
            delimiter=literal(delimiter),
            values=values,
        )
        yield Reading(
            query,
            counted.records - 1,
            unknown,
            header=tuple(header),
            size=path.stat().st_size,
            is_plain=True,
        )
    mended = mend_csv(path, delimiter, len(header), first.width)
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
    yield Reading(
        query,
        mended.records,
        unknown,
        header=tuple(header),
        size=path.stat().st_size,
        set_aside=mended.set_aside,
    )


def _read_json(
    connection: duckdb.DuckDBPyConnection, path: Path, contract: SourceContract
) -> Iterator[Reading]:
    """First as one array of objects, or as one object a line; then split into records wherever one ends."""
    with path.open("rb") as file:
        head = file.read(LONGEST_LINE).strip()
    if not head:
        yield _read_nothing(contract)
        return
    elements = count_elements(path) if head.startswith(b"[") else None
    is_array = head.startswith(b"[") and (elements is not None or not _is_json(head.partition(b"\n")[0]))
    is_ordinary = elements is not None or not is_array
    if is_ordinary and (ordinary := _read_ordinary_json(connection, path, elements, contract)):
        yield ordinary
    yield _read_split_json(connection, path, contract, is_array=is_array)


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _read_ordinary_json(
    connection: duckdb.DuckDBPyConnection, path: Path, elements: int | None, contract: SourceContract
) -> Reading | None:
    """An array of so many elements, or JSON lines; None if the file cannot be read as that."""
    import duckdb

    if elements is None:
        counted = survey(path, quotes=False)
        if counted.odd:
            return None
        source = render("extract/list_json_lines", url=literal(str(path)))
        records = counted.lines
    else:
        source = render("extract/list_json_array", url=literal(str(path)))
        records = elements
    try:
        unknown = _check_keys(connection, source, contract) if records else ()
    except UnreadableObject:
        return None
    except duckdb.Error as error:
        if is_lack_of_resources(error):
            raise
        return None
    query = read_records(source, contract)
    return Reading(
        query,
        records,
        unknown,
        source=source,
        size=path.stat().st_size,
        is_plain=elements is None,
        undecided=NO_OBJECT,
    )


def _read_split_json(
    connection: duckdb.DuckDBPyConnection, path: Path, contract: SourceContract, *, is_array: bool
) -> Reading:
    records = split(path, is_array=is_array, names=every_name(contract))
    if not records.records:
        return _read_nothing(contract)
    source = render(
        "extract/list_json_records",
        url=literal(str(records.path)),
        row=identifier("_place" if is_array or records.shares_lines else "_line"),
    )
    unknown = _check_keys(connection, source, contract)
    query = read_records(source, contract)
    measured = connection.execute(render("extract/measure_set_aside", records=Fragment(source))).fetchone()
    (set_aside,) = measured or (0,)
    return Reading(query, records.records, unknown, size=path.stat().st_size, set_aside=set_aside)


def read_records(source: str, contract: SourceContract) -> str:
    """SELECT of JSON records (`_row`, `_reject`, `record`) as `_row`, `_reject` and the contract's columns as text."""
    return render("extract/read_json_records", records=Fragment(source), **_json_values(contract))


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
    if not missing_columns(some, contract):
        return unknown_columns(some, contract)
    every = names("")
    (objects,) = connection.execute(
        render("extract/count_json_objects", records=Fragment(source))
    ).fetchone() or (0,)
    if not objects:
        raise UnreadableObject("it holds no JSON object: deliver one array of objects, or one object a line")
    _check_columns(every, contract)
    return unknown_columns(every, contract)


def _json_values(contract: SourceContract) -> dict[str, Fragment]:
    """The JSON paths to extract from a record in one pass, and the columns that they become."""
    paths: list[Fragment] = []
    columns, faults = [], []
    for name, source_names in file_names(contract).items():
        fields: list[str] = []
        for source_name in source_names:
            paths.append(literal("/" + source_name.replace("~", "~0").replace("/", "~1")))
            field, json_type = f"fields[{len(paths)}]", f"json_type(record, {paths[-1]})"
            if contract.columns[name].decimal_mark == ",":
                field = f"CASE WHEN {json_type} = 'DOUBLE' THEN replace({field}, '.', ',') ELSE {field} END"
            if name in contract.ids:
                field, why = json_id(field, json_type, json_spellings("record", source_name))
                counts = f"coalesce({', '.join(fields)}) IS NULL AND " if fields else ""
                faults.append(
                    f"CASE WHEN {counts}{field} IS NOT NULL THEN {literal(name + ': ')} || {why} END"
                )
            fields.append(field)
        # A null counts as no name.
        value = f"coalesce({', '.join(fields)})" if len(fields) > 1 else "".join(fields) or "NULL::VARCHAR"
        columns.append(f"{value} AS {quoted(name)}")
    return {
        "id_fault": Fragment(f"coalesce({', '.join(faults)})" if faults else "NULL"),
        "paths": Fragment(f"[{joined(paths)}]"),
        "values": Fragment(", ".join(columns)),
    }


def _read_nothing(contract: SourceContract) -> Reading:
    """A file without records, and so without names. The file of a day on which nothing happened may be empty."""
    return Reading(render("extract/read_nothing", values=_values(contract, {})), 0)


def _require_all_lines(mended: Mended, lines: int) -> None:
    if mended.lines != lines:
        raise AssertionError(f"mending made records of {mended.lines} lines, there are {lines}")


def _names(contract: SourceContract) -> dict[str, str]:
    """The columns of a contract that `in_header` has made, by name; those that are in the path alone are left out."""
    return {name: names[0] for name, names in file_names(contract).items() if names}


def every_name(contract: SourceContract) -> frozenset[str]:
    """All names that columns of a contract may have in a file."""
    return frozenset(name for names in file_names(contract).values() for name in names)


def _with_decimal_comma(contract: SourceContract) -> list[str]:
    """Columns whose typed numbers become text with a decimal comma, because the contract says that text has one.

    With a point they would be misread: the point separates thousands there, so 10.125 would become ten thousand.
    """
    return [name for name, column in contract.columns.items() if column.decimal_mark == ","]


def _check_columns(names: Sequence[str], contract: SourceContract) -> None:
    """Raises `UnreadableObject` if a file has a column of the contract twice, or lacks a required one."""
    where = f"include/contracts/sources/{contract.name}.yaml"
    known = [name for of in file_names(contract).values() for name in of if name in names]
    repeated = [name for name in known if names.count(name) > 1]
    if repeated:
        raise UnreadableObject(f"column {', '.join(repeated)} appears more than once")
    missing = missing_columns(names, contract)
    if missing and not known:
        # The message does not repeat the names that are there: they may be data.
        raise UnreadableObject(
            f"it has none of the columns of {where}; a CSV file names them in its first line, "
            "a JSON file in each of its records"
        )
    if missing:
        raise UnreadableObject(
            f"column {', '.join(missing)} is missing; it has the columns {', '.join(names)[:300]}. "
            f"A name can be mapped in {where}"
        )


def missing_columns(names: Sequence[str], contract: SourceContract) -> list[str]:
    """The required columns that are not among the names, each with all its names in the source."""
    return [
        " or ".join(map(str, contract.source_names[name]))
        for name, source_names in file_names(contract).items()
        if contract.columns[name].required and not {*source_names} & {*names}
    ]


def _values(
    contract: SourceContract, columns: Mapping[str, str], typed: Mapping[str, str] | None = None
) -> Fragment:
    """The contract's columns, each as an expression.

    `columns` has the expressions by name in the source; a column without one is NULL. `typed` has, by name in the
    contract, the expressions of columns that do not become text.
    """
    found = {name: columns[of] for name, of in _names(contract).items() if of in columns} | dict(typed or {})
    return Fragment(
        ", ".join(f"{found.get(name, 'NULL::VARCHAR')} AS {quoted(name)}" for name in contract.columns)
    )


def unknown_columns(names: Iterable[str], contract: SourceContract) -> tuple[str, ...]:
    """The names that no column of the contract has."""
    return tuple(sorted({name for name in names if name} - every_name(contract)))
