"""What PostgreSQL has under the name of a relation, and how each of its columns is read and hashed.

A column is captured as PostgreSQL types it only where nothing can get lost on the way: the engine makes a double of a
decimal without a scale. Any other column is captured as the text that PostgreSQL makes of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Literal

from crmbet.contracts.source import SourceColumn, SourceContract
from crmbet.databases.statements import Fragment, identifier, joined, literal, render
from crmbet.extract.days_to_read import Span
from crmbet.failures import SourceMissing, SourceUnreadable

if TYPE_CHECKING:
    import duckdb

SOURCE = "source"
"""Alias under which the source database is attached to the engine."""
WHERE = "Airflow connection crmbet_source"

Kind = Literal["uuid", "text", "decimal", "instant", "spelled"]
"""How a column is captured: as its own type, or (`spelled`) as PostgreSQL's text of it."""

LARGEST_PRECISION = 38
"""Digits of a decimal that the engine can hold."""
FIRST_INSTANT, END_OF_TIME = "0001-01-01", "10000-01-01"
"""Instants between these have a day. Others, and the infinite ones, do not."""
TIMES = {
    "timestamp without time zone": ("timestamp", "{column}", ""),
    "timestamp with time zone": ("timestamptz", "({column} AT TIME ZONE 'UTC')", " 00:00:00+00"),
    "date": ("date", "{column}::timestamp", ""),
}
"""By type of an event time: its short name, what makes a timestamp in UTC of it, and what makes a day an instant."""
SEED = 7
HASHES = {
    "uuid": "uuid_hash_extended({value}, {seed})",
    "decimal": "hash_numeric_extended({value}, {seed})",
    "instant": "timestamp_hash_extended({value}, {seed})",
    # By bytes, whatever the collation: an ICU version has no say in whether a day has changed.
    "text": 'hashtextextended({value} COLLATE "C", {seed})',
    "spelled": 'hashtextextended({value} COLLATE "C", {seed})',
}


@dataclass(frozen=True)
class Column:
    """A column of the contract as the relation has it."""

    name: str
    source: Fragment
    """Its name there, quoted."""
    kind: Kind
    value: Fragment
    """What stands for it in the hash and, but for NaN, in the capture: an expression of PostgreSQL."""

    @property
    def as_is(self) -> bool:
        """Whether PostgreSQL converts nothing."""
        return self.value == self.source

    def captured(self, *, has_nan: bool) -> Fragment:
        """What is read of it, where rows with NaN are read or not: the engine would make 0.00 of a typed NaN."""
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
    """PostgreSQL's estimate; not above 0 if there is none."""
    is_table: bool
    """An ordinary table, not a view or one that is made of partitions."""

    @property
    def dated(self) -> Fragment:
        """The condition that a row has a day."""
        return Fragment(f"{self._since(FIRST_INSTANT)} AND {self._before(END_OF_TIME)}")

    @property
    def row_hash(self) -> Fragment:
        """64 bits of a row's captured values (docs/adr/0008).

        Each column's hash is the seed of the next. A NULL makes the chain NULL; such a row is hashed as JSON, which
        looks the same in every session.
        """
        chain = str(SEED)
        for column in self.columns:
            chain = HASHES[column.kind].format(value=column.value, seed=chain)
        values = joined([column.value for column in self.columns])
        careful = f'hashtextextended(json_build_array({values})::text COLLATE "C", {SEED})'
        return Fragment(f"coalesce({chain}, {careful})")

    @property
    def has_nan(self) -> Fragment:
        """The condition that an amount is NaN."""
        decimals = [column.source for column in self.columns if column.kind == "decimal"]
        return joined([Fragment(f"{source} = 'NaN'") for source in decimals], " OR ") or Fragment("false")

    def within(self, spans: Iterable[Span], *, undated: bool) -> Fragment:
        """The condition that a row lies in the spans, or has no day. An index on the event time can serve it."""
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
        """The condition that a row lies on a day or a later one."""
        return Fragment(f"{self._since(day.isoformat())} AND {self._before(END_OF_TIME)}")

    def _since(self, day: str) -> str:
        return f"{self.event.source} >= {self._instant(day)}"

    def _before(self, day: str) -> str:
        return f"{self.event.source} < {self._instant(day)}"

    def _instant(self, day: str) -> str:
        kind, _, suffix = TIMES[self.event_type]
        return f"{literal(day + suffix)}::{kind}"


def ask_postgres(connection: duckdb.DuckDBPyConnection, query: str) -> list[tuple[Any, ...]]:
    """The rows of a query that runs in PostgreSQL, within the engine's transaction."""
    return connection.execute(f"FROM {postgres_query(query)}").fetchall()


def postgres_query(query: str) -> Fragment:
    """A table expression of the engine: what a query gives that runs in PostgreSQL."""
    return Fragment(f"postgres_query({literal(SOURCE)}, {literal(query)})")


def describe_relation(connection: duckdb.DuckDBPyConnection, contract: SourceContract) -> Relation:
    """Find the contract's relation and columns.

    Raises `SourceMissing` if the relation or a column is not there, `SourceUnreadable` if the event time is no time.
    """
    schema, _, table = contract.relation.rpartition(".")
    qualified = identifier(schema or "public", table)
    described = ask_postgres(connection, render("extract/describe_relation", relation=literal(qualified)))
    types = {str(name): str(pg_type) for name, pg_type, _, _ in described}
    _require(types, contract)
    columns = {name: _column(name, column, types) for name, column in contract.columns.items()}
    event_time = str(contract.event_time)
    event_type = _bare(types[contract.columns[event_time].source_name or event_time])
    if event_type not in TIMES:
        raise SourceUnreadable(
            f"column {columns[event_time].source} of {contract.relation} is of type {event_type}, which is no time",
            where=WHERE,
            why="rows are captured and dated by it",
            next_step=f"make it a timestamp, or let relation in include/contracts/sources/{contract.name}.yaml name "
            "a view that does",
        )
    (_, _, relation_kind, rows), *_ = described
    return Relation(
        name=contract.relation,
        table=qualified,
        columns=tuple(columns.values()),
        event=columns[event_time],
        event_type=event_type,
        rows=rows,
        is_table=relation_kind == "r",
    )


def _require(types: dict[str, str], contract: SourceContract) -> None:
    wanted = [column.source_name or name for name, column in contract.columns.items()]
    missing = [name for name in wanted if name not in types]
    if not missing:
        return
    raise SourceMissing(
        f"column {', '.join(missing)} is missing from {contract.relation}"
        if types
        else f"the table {contract.relation} does not exist, or our login may not see it",
        where=WHERE,
        next_step=f"correct the database, or the names in include/contracts/sources/{contract.name}.yaml",
    )


def _column(name: str, column: SourceColumn, types: dict[str, str]) -> Column:
    source_name = column.source_name or name
    source = identifier(source_name)
    pg_type = types[source_name]
    if column.type == "timestamp" and _bare(pg_type) in TIMES:
        _, value, _ = TIMES[_bare(pg_type)]
        return Column(name, source, "instant", Fragment(value.format(column=source)))
    kind = _kind(column, pg_type)
    return Column(name, source, kind, Fragment(f"{source}::text") if kind == "spelled" else source)


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
