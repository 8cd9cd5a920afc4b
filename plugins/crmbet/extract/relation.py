"""A table or view of PostgreSQL, and how each of its columns is read and hashed.

If the contract gives a column several names, the first one that the relation has counts. A column keeps its type only
if nothing can get lost on the way: the engine would make a double of a decimal without a scale, for example. All other
columns are captured as text, which PostgreSQL makes of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Literal

from crmbet import metering
from crmbet.contracts.source import SourceColumn, SourceContract
from crmbet.databases.parquet import LARGEST_PRECISION
from crmbet.databases.statements import Fragment, identifier, joined, literal, render
from crmbet.extract.days_to_read import Span
from crmbet.extract.ids import postgres_id
from crmbet.extract.names import file_names
from crmbet.failures import SourceMissing, SourceUnreadable

if TYPE_CHECKING:
    import duckdb

SOURCE = "source"
"""The source database has this alias in the data engine."""
WHERE = "Airflow connection crmbet_source"

Kind = Literal["uuid", "text", "decimal", "instant", "spelled", "id"]
"""How a column is captured: with its type, or (`spelled`) as the text that PostgreSQL makes of it. An `id` is text of
ours: it was a number with a fraction, or of a type that is no id."""

FIRST_INSTANT, END_OF_TIME = "0001-01-01", "10000-01-01"
"""Instants between these have a day. All others, and the infinite ones, have none."""
TIMES = {
    "timestamp without time zone": ("timestamp", "{column}", ""),
    "timestamp with time zone": ("timestamptz", "({column} AT TIME ZONE 'UTC')", " 00:00:00+00"),
    "date": ("date", "{column}::timestamp", ""),
}
"""By the type of an event time: its short name, the expression for a timestamp in UTC, and the suffix that makes an
instant of a day."""
SEED = "7::bigint"
HASHES = {
    "uuid": "pg_catalog.uuid_hash_extended({value}, {seed})",
    "decimal": "pg_catalog.hash_numeric_extended({value}, {seed})",
    "instant": "pg_catalog.timestamp_hash_extended({value}, {seed})",
    # By bytes and not by the collation: a new version of ICU must not make a day look changed.
    "text": 'pg_catalog.hashtextextended({value} COLLATE "C", {seed})',
    "spelled": 'pg_catalog.hashtextextended({value} COLLATE "C", {seed})',
    "id": 'pg_catalog.hashtextextended({value} COLLATE "C", {seed})',
}


@dataclass(frozen=True)
class Column:
    """A column of the contract as the relation has it."""

    name: str
    source: Fragment
    """Its name there, quoted."""
    kind: Kind
    value: Fragment
    """Its value in the hash and, unless there is a NaN, in the capture: an expression of PostgreSQL."""
    faults: tuple[tuple[str, str], ...] = ()
    """The conditions in PostgreSQL under which a row is set aside because of it, each with the words for it."""

    @property
    def as_is(self) -> bool:
        """Whether PostgreSQL need not convert it."""
        return self.value == self.source

    def captured(self, *, has_nan: bool) -> Fragment:
        """The expression that is read. Among rows with NaN a decimal is text: the engine would make 0.00 of NaN."""
        return Fragment(f"{self.source}::text") if has_nan and self.kind == "decimal" else self.value


@dataclass(frozen=True)
class Relation:
    """A table or view of the source."""

    name: str
    table: Fragment
    """Qualified and quoted."""
    columns: tuple[Column, ...]
    event: Column
    """The column that places a row in a day."""
    event_type: str
    rows: int
    """PostgreSQL's estimate; 0 or less if there is none."""
    is_table: bool
    """Whether it is an ordinary table: neither a view nor partitioned."""
    equal_names: Mapping[str, list[str]]
    """By column of the contract: the name that counts, and its other names that are not there. What was read by one of
    these before is what is read by the first now: the column was renamed."""

    @property
    def dated(self) -> Fragment:
        """The condition that a row has a day."""
        return Fragment(f"{self._since(FIRST_INSTANT)} AND {self._before(END_OF_TIME)}")

    @property
    def row_hash(self) -> Fragment:
        """The 64-bit hash of a row's captured values (docs/adr/0008).

        Each column's hash is the seed of the next one. A NULL makes the whole chain NULL. Such a row is hashed as JSON,
        which has the same text in every session.
        """
        chain = SEED
        for column in self.columns:
            chain = HASHES[column.kind].format(value=column.value, seed=chain)
        values = joined([column.value for column in self.columns])
        careful = (
            f'pg_catalog.hashtextextended(pg_catalog.json_build_array({values})::text COLLATE "C", {SEED})'
        )
        return Fragment(f"coalesce({chain}, {careful})")

    @property
    def reject(self) -> Fragment:
        """Why a row is set aside, or NULL."""
        faults = [
            f"WHEN {fault} THEN {literal(f'{column.name}: {why}')}"
            for column in self.columns
            for fault, why in column.faults
        ]
        return Fragment(f"CASE {' '.join(faults)} END" if faults else "NULL::text")

    @property
    def has_nan(self) -> Fragment:
        """The condition that a decimal is NaN."""
        decimals = [column.source for column in self.columns if column.kind == "decimal"]
        return joined([Fragment(f"{source} = 'NaN'") for source in decimals], " OR ") or Fragment("false")

    def within(self, spans: Iterable[Span], *, undated: bool) -> Fragment:
        """The condition that a row lies in the spans or, if `undated`, has no day. It can use an index."""
        conditions = [
            f"({self._since(span.first.isoformat())} "
            f"AND {self._before((span.last + timedelta(days=1)).isoformat())})"
            for span in spans
        ]
        if undated:
            conditions += [
                f"{self.event.source} IS NULL",
                f"NOT {self._since(FIRST_INSTANT)}",
                f"NOT {self._before(END_OF_TIME)}",
            ]
        return Fragment(" OR ".join(conditions))

    def since(self, day: date) -> Fragment:
        """The condition that a row lies on this day or a later one."""
        return Fragment(f"{self._since(day.isoformat())} AND {self._before(END_OF_TIME)}")

    def _since(self, day: str) -> str:
        return f"{self.event.source} >= {self._instant(day)}"

    def _before(self, day: str) -> str:
        return f"{self.event.source} < {self._instant(day)}"

    def _instant(self, day: str) -> str:
        kind, _, suffix = TIMES[self.event_type]
        return f"{literal(day + suffix)}::{kind}"


def ask_postgres(connection: duckdb.DuckDBPyConnection, query: str) -> list[tuple[Any, ...]]:
    """The rows of a query that PostgreSQL runs, within the engine's transaction."""
    with metering.in_postgres():
        rows = connection.execute(f"FROM {postgres_query(query)}").fetchall()
    metering.count_rows(read=len(rows))
    return rows


def postgres_query(query: str) -> Fragment:
    """A table expression of the engine: the result of a query that PostgreSQL runs."""
    return Fragment(f"postgres_query({literal(SOURCE)}, {literal(query)})")


def describe_relation(connection: duckdb.DuckDBPyConnection, contract: SourceContract) -> Relation:
    """Look up the contract's relation, a name such as `table` (in schema public) or `schema.table`, and its columns.

    Raises `SourceMissing` if the relation or a column is not there, and `SourceUnreadable` if the event time is neither
    a timestamp nor a date.
    """
    schema, _, table = contract.relation.rpartition(".")
    qualified = identifier(schema or "public", table)
    described = ask_postgres(connection, render("extract/describe_relation", relation=literal(qualified)))
    types = {str(name): str(pg_type) for name, pg_type, *_ in described}
    _require(types, contract)
    found = {
        name: next(each for each in names if each in types) for name, names in file_names(contract).items()
    }
    columns = {name: _column(name, column, found[name], types) for name, column in contract.columns.items()}
    behind = {str(name): (str(pg_type), str(category)) for name, _, pg_type, category, *_ in described}
    columns |= {name: _id_column(columns[name], *behind[found[name]]) for name in contract.ids}
    event_time = str(contract.event_time)
    event_type = _bare(types[found[event_time]])
    if event_type not in TIMES:
        raise SourceUnreadable(
            f"column {columns[event_time].source} of {contract.relation} is of type {event_type}, which is no time",
            where=WHERE,
            why="rows are captured and dated by it",
            next_step=f"make it a timestamp, or let relation in include/contracts/sources/{contract.name}.yaml name "
            "a view that does",
        )
    (*_, relation_kind, rows), *_ = described
    return Relation(
        name=contract.relation,
        table=qualified,
        columns=tuple(columns.values()),
        event=columns[event_time],
        event_type=event_type,
        rows=rows,
        is_table=relation_kind == "r",
        equal_names={
            name: [found[name], *(each for each in names if each not in types)]
            for name, names in file_names(contract).items()
        },
    )


def _require(types: dict[str, str], contract: SourceContract) -> None:
    missing = [" or ".join(names) for names in file_names(contract).values() if not types.keys() & {*names}]
    if not missing:
        return
    raise SourceMissing(
        f"column {', '.join(missing)} is missing from {contract.relation}"
        if types
        else f"the table {contract.relation} does not exist, or our login may not see it",
        where=WHERE,
        next_step=f"correct the database, or the names in include/contracts/sources/{contract.name}.yaml",
    )


def _column(name: str, column: SourceColumn, source_name: str, types: dict[str, str]) -> Column:
    source = identifier(source_name)
    pg_type = types[source_name]
    if column.type == "timestamp" and _bare(pg_type) in TIMES:
        _, value, _ = TIMES[_bare(pg_type)]
        return Column(name, source, "instant", Fragment(value.format(column=source)))
    kind = _kind(column, pg_type)
    return Column(name, source, kind, Fragment(f"{source}::text") if kind == "spelled" else source)


def _id_column(spelled: Column, pg_type: str, category: str) -> Column:
    """An id as all formats spell it. `pg_type` and its category are those of the type behind domains."""
    captured = postgres_id(spelled.source, pg_type, category)
    if captured is None:
        return spelled
    return Column(spelled.name, spelled.source, "id", Fragment(captured.text), captured.faults)


def _kind(column: SourceColumn, pg_type: str) -> Kind:
    if column.type in ("text", "enum"):
        if pg_type == "uuid":
            return "uuid"
        if _bare(pg_type) in ("text", "character varying"):
            return "text"
    decimal = re.fullmatch(r"numeric\((\d+),(\d+)\)", pg_type)
    if column.type == "decimal" and decimal:
        precision, scale = int(decimal[1]), int(decimal[2])
        if precision <= LARGEST_PRECISION and scale <= column.scale:
            return "decimal"
    return "spelled"


def _bare(pg_type: str) -> str:
    """A type without its modifier: 'character varying' for 'character varying(50)'."""
    return re.sub(r"\(\d+\)", "", pg_type)
