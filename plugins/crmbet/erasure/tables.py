"""The tables beside the feature table without erased players, whichever there are: the catalogue lists them.

Rows of a table with the player's id go. In all other texts, such as samples of keys and alerts, the id is blotted out.
A table that somebody adds later is treated the same way, since nothing here knows a table by name but the requests.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crmbet.audiences.publications import TABLE as AUDIENCES
from crmbet.databases.statements import Fragment, joined, literal, quoted, render
from crmbet.erasure.ledger import HOLDS, REQUESTS
from crmbet.erasure.spellings import BLOT, Spellings
from crmbet.load.backup import Backup, list_backups, measure
from crmbet.load.session import LoadSession
from crmbet.load.target import read_columns

if TYPE_CHECKING:
    from psycopg2 import extensions

log = logging.getLogger(__name__)

OURS = (REQUESTS, HOLDS)
"""Tables that hold ids because they have to: open requests, and players who must not be erased."""
PLAYER = "user_id"


@dataclass(frozen=True)
class Column:
    """A column that can hold a text."""

    name: str
    type: str

    @property
    def as_text(self) -> Fragment:
        """The expression of its values as texts."""
        column = quoted(self.name)
        return Fragment(
            f"pg_catalog.encode({column}, 'escape')" if self.type == "bytea" else f"{column}::text"
        )


@dataclass(frozen=True)
class Relation:
    """A table of the schema, with the columns that can hold a text."""

    name: str
    kind: str
    """The letter of the catalogue: r is a table or a partition; m a materialized view, f a foreign table."""
    columns: tuple[Column, ...]

    @property
    def names_players(self) -> bool:
        """Whether a row of it is about a player."""
        return any(column.name == PLAYER for column in self.columns)


def erase_from_tables(session: LoadSession, user_ids: Collection[str]) -> dict[str, int]:
    """Delete players, whatever their ids are spelled like. Returns the rows that were deleted or mended, by relation.

    One transaction with the load lock: readers see all of it or nothing, and no load comes between. Backups get a new
    proof if theirs was true. Then the tables are vacuumed, which also forgets what the planner remembered of the ids.
    """
    spellings = Spellings.of(user_ids)
    changed: dict[str, int] = {}
    if not spellings.user_ids:
        return changed
    with session.exclusive_transaction() as cursor:
        backups = {backup.name: backup for backup in list_backups(cursor, session)}
        for relation in list_relations(cursor, session.contract.schema_name):
            if relation.kind != "r" or relation.name in OURS:
                continue
            rows = _erase(cursor, session, relation, spellings, backups)
            if rows:
                changed[relation.name] = rows
    _vacuum(session, [*changed])
    return changed


def rename_files(session: LoadSession, renamed: Mapping[str, str]) -> None:
    """Let the table of audiences name other files."""
    if not renamed:
        return
    with session.transaction() as cursor:
        cursor.execute(
            render("load/find_table"), {"schema": session.contract.schema_name, "table": AUDIENCES}
        )
        if cursor.fetchone() is None:
            return
        for old, new in renamed.items():
            cursor.execute(
                render("erasure/rename_files", table=session.in_schema(AUDIENCES)), {"old": old, "new": new}
            )


def list_relations(cursor: extensions.cursor, schema: str) -> list[Relation]:
    """All relations of a schema that hold rows."""
    cursor.execute(render("erasure/list_relations"), {"schema": schema})
    relations: dict[tuple[str, str], list[Column]] = {}
    for name, kind, column, type_ in cursor.fetchall():
        columns = relations.setdefault((name, kind), [])
        if column is not None:
            columns.append(Column(column, type_))
    return [Relation(name, kind, tuple(columns)) for (name, kind), columns in relations.items()]


def _erase(
    cursor: extensions.cursor,
    session: LoadSession,
    relation: Relation,
    spellings: Spellings,
    backups: Mapping[str, Backup],
) -> int:
    table = session.in_schema(relation.name)
    if not relation.names_players:
        return sum(_blot(cursor, table, column, spellings) for column in relation.columns)
    cursor.execute(
        render("erasure/count_player_rows", table=table, key=quoted(PLAYER)),
        {"user_ids": spellings.in_lower_case},
    )
    (found,) = cursor.fetchone() or (0,)
    if not found:
        return 0
    backup = backups.get(relation.name)
    columns = read_columns(cursor, session, relation.name)
    was_true = backup is not None and measure(cursor, table, columns) == backup.proof.content
    cursor.execute(
        render("erasure/delete_player_rows", table=table, key=quoted(PLAYER)),
        {"user_ids": spellings.in_lower_case},
    )
    deleted = cursor.rowcount
    if backup and was_true:
        proof = backup.proof.model_copy(update=measure(cursor, table, columns).model_dump())
        comment = literal(proof.model_dump_json())
        cursor.execute(render("load/comment_table", table=table, comment=comment))
    return deleted


def _blot(cursor: extensions.cursor, table: Fragment, column: Column, spellings: Spellings) -> int:
    """Put a word in the place of the ids in a column."""
    mended = 0
    # The letters beside an id belong to the match of the id before it, so one statement may leave the next one.
    while True:
        cursor.execute(
            render(
                "erasure/blot_column", table=table, column=quoted(column.name), type=Fragment(column.type)
            ),
            {"pattern": spellings.pattern, "blot": rf"\1\4{BLOT}\3\6"},
        )
        if not cursor.rowcount:
            return mended
        mended += cursor.rowcount


def _vacuum(session: LoadSession, names: Collection[str]) -> None:
    """Free the room of deleted rows, which may be read in the files until then. It cannot be in a transaction."""
    if not names:
        return
    connection = session.connection
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            tables = joined([session.in_schema(name) for name in (*names, REQUESTS)])
            cursor.execute(render("erasure/vacuum_tables", tables=tables))
    finally:
        connection.autocommit = False
