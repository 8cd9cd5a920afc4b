"""Which column of a lake object is which column of the contract.

A contract may give a column several names: its name changed in the course of time, or it stands in the path. The first
name that is there counts. In a file with a header, that is decided once for the file. In JSON it is decided for each
record, and a null counts as no name.

What was read, and under which name, is recorded with a capture. So a later contract with other names can tell whether
it would read the object in the same way, without fetching it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from crmbet.contracts.source import PathName, SourceColumn, SourceContract, SourceName
from crmbet.databases.statements import Fragment, joined, literal, quoted, render
from crmbet.extract.records import Capture, ColumnsRead
from crmbet.extract.unreadable import UnreadableObject

if TYPE_CHECKING:
    import duckdb

    from crmbet.extract.formats import Reading

NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"
"""Hive and Spark write this for a NULL, and for an empty text."""

SAMPLED_RECORDS = 100
"""The names in so many JSON records are read first. All records are read only if a required name is missing there."""


def names_at(contract: SourceContract, key: str) -> dict[str, list[SourceName]]:
    """Each column's names that can count in the object of a key, the first one first.

    Those of the path are left out if the path does not have them. Nothing comes after one that it has.
    """
    folders = {name for name, _ in _folders(key)}
    can_count: dict[str, list[SourceName]] = {}
    for name, names in contract.source_names.items():
        can_count[name] = []
        for each in names:
            if isinstance(each, str) or each.path in folders:
                can_count[name].append(each)
            if isinstance(each, PathName) and each.path in folders:
                break
    return can_count


def in_path(contract: SourceContract, key: str) -> tuple[SourceContract, dict[str, str | None]]:
    """Look up the names of the path in a key.

    Returns the contract with the names that still have to be looked for in the object, and the path's values for
    columns that have none of them there. Raises `UnreadableObject` if such a value is not clear.
    """
    columns: dict[str, SourceColumn] = {}
    values: dict[str, str | None] = {}
    for name, names in names_at(contract, key).items():
        if names and isinstance(names[-1], PathName):
            values[name] = _value(key, names[-1])
            before = {"source_name": names[:-1], "required": False}
            columns[name] = contract.columns[name].model_copy(update=before)
    return _with_columns(contract, columns), values


def _folders(key: str) -> Iterator[tuple[str, str]]:
    for folder in key.split("/")[:-1]:
        name, is_pair, value = folder.partition("=")
        if is_pair:
            yield unquote(name), value


def _value(key: str, name: PathName) -> str | None:
    values = [value for folder, value in _folders(key) if folder == name.path]
    if len(values) > 1:
        raise UnreadableObject(f"{name} appears more than once")
    try:
        value = unquote(values[0], errors="strict")
    except UnicodeDecodeError:
        value = "\0"
    if "\0" in value:
        raise UnreadableObject(f"{name} has bytes that are no text")
    return None if value == NULL_PARTITION else value


def in_header(contract: SourceContract, header: Sequence[str]) -> SourceContract:
    """The contract with the one name of each column that counts in a file with this header.

    A column keeps all its names if none of them is there.
    """
    columns = {
        name: contract.columns[name].model_copy(update={"source_name": found})
        for name, names in contract.source_names.items()
        if len(names) > 1 and (found := _first(names, header))
    }
    return _with_columns(contract, columns)


def _with_columns(contract: SourceContract, columns: Mapping[str, SourceColumn]) -> SourceContract:
    return contract.model_copy(update={"columns": {**contract.columns, **columns}}) if columns else contract


def _first(names: Iterable[SourceName], header: Collection[str]) -> str | None:
    return next((name for name in names if isinstance(name, str) and name in header), None)


def file_names(contract: SourceContract) -> dict[str, list[str]]:
    """Each column's names without those of the path."""
    return {
        name: [each for each in names if isinstance(each, str)]
        for name, names in contract.source_names.items()
    }


def with_path_values(reading: Reading, contract: SourceContract, values: Mapping[str, str | None]) -> Reading:
    """A reading whose columns have the path's value where the object has none. The arguments are those of `in_path`."""
    names = contract.source_names
    added = [
        Fragment(f"coalesce({quoted(name)}, {'NULL' if value is None else literal(value)}) AS {quoted(name)}")
        for name, value in values.items()
        if reading.header is None or not _first(names[name], reading.header)
    ]
    if not added:
        return reading
    query = render("extract/add_path_values", values=joined(added), rows=Fragment(reading.query))
    return replace(reading, query=query)


def columns_read(
    reading: Reading, contract: SourceContract, key: str, *, content: str, incomplete: Iterable[str]
) -> ColumnsRead:
    """What is recorded of a reading with its capture. `incomplete` are the columns with a NULL in some row."""
    header = reading.header
    names = names_at(contract, key)
    if header is not None:
        there = {*header}
        names = {
            name: [each for each in of if isinstance(each, PathName) or each in there][:1]
            for name, of in names.items()
        }
    return ColumnsRead(
        content=content,
        names={name: of for name, of in names.items() if of != [name]},
        foreign=list(reading.unknown_columns),
        by_record=header is None,
        incomplete=sorted(incomplete) if header is None else [],
    )


def incomplete_columns(connection: duckdb.DuckDBPyConnection, written: Path, reading: Reading) -> list[str]:
    """If each record has its own names: the columns of a captured file that have no value in some record."""
    if reading.header is not None:
        return []
    rows = connection.execute(render("extract/list_incomplete_columns", url=literal(str(written)))).fetchall()
    return [name for (name,) in rows if not name.startswith("_")]


def reads_alike(capture: Capture, contract: SourceContract) -> bool:
    """Whether the names of a contract would read a captured object as it was read, as far as the capture can tell."""
    read = capture.columns_read
    if read is None:
        return False
    if not capture.extracted:
        return True
    # A name that another column was read by is there, too. In records, a name that was looked for may be there.
    read_by = {name: read.names.get(name, [name]) for name in contract.columns}
    known = {*read.foreign, *chain.from_iterable(read_by.values())}
    if read.by_record and capture.extracted > SAMPLED_RECORDS:
        # The names of the later records were not recorded, so any may be there.
        known.update(name for names in file_names(contract).values() for name in names)
    for name, names in names_at(contract, capture.chunk).items():
        then = read_by[name]
        now = [each for each in names if isinstance(each, PathName) or each in known]
        if (now[: len(then)] if read.by_record else now[:1]) != then:
            return False
        if name in read.incomplete and not {*names} <= {*then}:
            return False
    return True
