"""Reading one lake object, whatever its format, as rows of text in the contract's columns.

Every format becomes the same shape: `_row`, `_reject` (why the record is not readable, else NULL) and each contract
column as VARCHAR, spelled as in the source. `_row` is the line of a JSON record and of a malformed CSV record, else the
number among the records that parse. Typing comes later, in cleaning, so that quarantine can show what was really there.
The number of records is counted apart from the parser: a parser that drops rows in silence is found out.
"""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Literal

from crmbet.contracts import SourceContract
from crmbet.engine_failures import explain, first_line
from crmbet.failures import SourceMissing, SourceUnreadable
from crmbet.partitions import column_types
from crmbet.statements import Fragment, identifier, literal, render

if TYPE_CHECKING:
    import duckdb

Format = Literal["parquet", "csv", "json_lines", "json_array"]

DELIMITERS = (",", ";", "\t", "|")
BYTES_AT_ONCE = 1 << 20
NESTED = re.compile(r"\[\]|STRUCT|MAP|UNION|JSON", re.IGNORECASE)


@dataclass(frozen=True)
class Reading:
    """How to read one object."""

    query: str
    """SELECT of `_row`, `_reject` and the contract's columns."""
    records: int
    """Records in the file, counted without the parser that `query` uses."""
    unknown_columns: tuple[str, ...]
    """Columns of the file that the contract does not name: they are not read. Of JSON, those of its first object."""
    rejects: str | None = None
    """SELECT of the records that the parser sets aside, once `query` has been run."""


def format_of(key: str) -> Format | None:
    """The format that a key's extension says; None for objects that are no data (`_SUCCESS`, hidden files)."""
    name = key.rsplit("/", 1)[-1].lower()
    if name.startswith((".", "_")):
        return None
    stem = name.removesuffix(".gz")
    if stem.endswith(".parquet"):
        return "parquet"
    if stem.endswith((".csv", ".tsv")):
        return "csv"
    if stem.endswith((".jsonl", ".ndjson", ".json")):
        return "json_lines"
    return None


def read_object(
    connection: duckdb.DuckDBPyConnection, url: str, contract: SourceContract, attempt: str
) -> Reading:
    """Prepare the reading of one object; `attempt` names what the parser sets aside.

    Raises `SourceUnreadable` if the object is not what its extension says, and `SourceMissing` if a column that the
    contract requires is not in it.
    """
    import duckdb

    try:
        match format_of(url):
            case "parquet":
                return _read_parquet(connection, url, contract)
            case "csv":
                return _read_csv(connection, url, contract, attempt)
            case _:
                return _read_json(connection, url, contract)
    except duckdb.Error as error:
        raise explain(error, url) or unreadable(url, first_line(error)) from None


def require_whole_gzip(content: BinaryIO, url: str) -> None:
    """Decompress an object to its end: the engine takes one that stops in the middle for a shorter file.

    Raises `SourceUnreadable` if it is truncated, damaged or no gzip at all.
    """
    try:
        with gzip.GzipFile(fileobj=content) as text:
            while text.read(BYTES_AT_ONCE):
                pass
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise unreadable(url, str(error)) from None


def unreadable(url: str, why: str) -> SourceUnreadable:
    """The error for an object that cannot be read."""
    return SourceUnreadable(
        "a lake object cannot be read",
        where=url,
        why=why,
        next_step="deliver the object again, or move it out of the feed's folder, and clear the task",
    )


def _read_parquet(connection: duckdb.DuckDBPyConnection, url: str, contract: SourceContract) -> Reading:
    types = column_types(connection, Fragment(f"read_parquet({literal(url)}, hive_partitioning = false)"))
    present = _check_columns(list(types), url, contract)
    (records,) = connection.execute(render("ingest/count_parquet_records", url=literal(url))).fetchone() or (
        0,
    )

    def spelled(source_name: str) -> str:
        column = _quoted(source_name)
        return f"to_json({column})::VARCHAR" if NESTED.search(types[source_name]) else f"{column}::VARCHAR"

    values = _values(contract, present, spelled)
    query = render("ingest/read_parquet", url=literal(url), values=values)
    return Reading(query, int(records), _unknown(types, contract))


def _read_csv(
    connection: duckdb.DuckDBPyConnection, url: str, contract: SourceContract, attempt: str
) -> Reading:
    header_line = connection.execute(render("ingest/read_first_line", url=literal(url))).fetchone()
    if header_line is None or header_line[0] is None:
        raise unreadable(url, "the file is empty: a CSV file has at least a header")
    delimiter, header = _parse_header(str(header_line[0]).lstrip("\ufeff"))
    present = _check_columns(header, url, contract)
    (records,) = connection.execute(render("ingest/count_csv_records", url=literal(url))).fetchone() or (0,)
    columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in header)
    rejects = f"rejects_{attempt}"
    query = render(
        "ingest/read_csv",
        url=literal(url),
        rejects=literal(rejects),
        rejects_scan=literal(f"{rejects}_scan"),
        columns=Fragment("{" + columns + "}"),
        delimiter=literal(delimiter),
        values=_values(contract, present, _quoted),
    )
    empty = _values(contract, set(), _quoted)
    set_aside = render("ingest/read_rejects", rejects=identifier(rejects), values=empty)
    return Reading(query, int(records) - 1, _unknown(header, contract), set_aside)


def _read_json(connection: duckdb.DuckDBPyConnection, url: str, contract: SourceContract) -> Reading:
    first_line = connection.execute(render("ingest/read_first_line", url=literal(url))).fetchone()
    is_array = first_line is not None and str(first_line[0] or "").lstrip("\ufeff \t").startswith("[")
    reader, counter, names = (
        ("ingest/read_json_array", "ingest/count_json_array", "ingest/name_json_array_keys")
        if is_array
        else ("ingest/read_json_lines", "ingest/count_lines", "ingest/name_json_line_keys")
    )
    query = render(
        reader,
        url=literal(url),
        values=_values(
            contract,
            {column.source_name or name for name, column in contract.columns.items()},
            lambda name: f"json_extract_string(record, {literal('$.' + _quoted(name))})",
        ),
    )
    (records,) = connection.execute(render(counter, url=literal(url))).fetchone() or (0,)
    (keys,) = connection.execute(render(names, url=literal(url))).fetchone() or ([],)
    return Reading(query, int(records), _unknown(keys, contract))


def _parse_header(line: str) -> tuple[str, list[str]]:
    delimiter = max(DELIMITERS, key=line.count)
    (names,) = csv.reader([line], delimiter=delimiter) if line.strip() else ([],)
    return delimiter, [name.strip() for name in names]


def _check_columns(found: list[str], url: str, contract: SourceContract) -> set[str]:
    repeated = sorted({name for name in found if found.count(name) > 1})
    if repeated:
        raise unreadable(url, f"column {', '.join(repeated)} appears more than once")
    missing = [
        column.source_name or name
        for name, column in contract.columns.items()
        if column.required and (column.source_name or name) not in found
    ]
    if missing:
        raise SourceMissing(
            f"column {', '.join(missing)} is missing from the feed {contract.name}",
            where=url,
            why=f"the file has the columns {', '.join(found)[:300]}",
            next_step=f"deliver the column, or map its name in include/contracts/sources/{contract.name}.yaml",
        )
    return set(found)


def _values(contract: SourceContract, present: set[str], spell: Callable[[str], str]) -> Fragment:
    parts = []
    for name, column in contract.columns.items():
        source_name = column.source_name or name
        parts.append(
            f"{spell(source_name) if source_name in present else 'NULL::VARCHAR'} AS {_quoted(name)}"
        )
    return Fragment(", ".join(parts))


def _unknown(found: Iterable[str], contract: SourceContract) -> tuple[str, ...]:
    known = {column.source_name or name for name, column in contract.columns.items()}
    return tuple(sorted(set(found) - known))


def _quoted(name: str) -> str:
    """A column name as the source spells it, which no allow-list can foresee, quoted for the engine."""
    return '"' + name.replace('"', '""') + '"'
