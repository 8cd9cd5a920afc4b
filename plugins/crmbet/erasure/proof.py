"""The proof: every object of the store, every table, every log and Airflow's own database is searched for the ids.

Objects are decoded first. A search of the bytes of compressed files finds next to nothing: 13 of 848 objects that held
a player. What cannot be decoded is named, and proves nothing.
"""

from __future__ import annotations

import gzip
import logging
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from crmbet.contracts.erased_players import ErasedPlayers, render_fragment
from crmbet.databases import postgres
from crmbet.databases.parquet import column_types, scan
from crmbet.databases.scratch import scratch_folder
from crmbet.databases.sessions import open_session
from crmbet.databases.statements import Fragment, identifier, joined, literal, quoted, render
from crmbet.databases.work import Work
from crmbet.datasets.prefetch import Fetched
from crmbet.erasure.documents import GZIP, names_somebody
from crmbet.erasure.files import PLAYER_COLUMNS
from crmbet.erasure.records import Searched
from crmbet.erasure.spellings import Spellings
from crmbet.erasure.tables import OURS, PLAYER, Column, Relation, list_relations
from crmbet.load.session import LoadSession
from crmbet.storage.layout import DAMAGED
from crmbet.storage.object_store import StoredObject

if TYPE_CHECKING:
    from psycopg2 import extensions

    from crmbet.run.settings import TimeoutSettings

log = logging.getLogger(__name__)

OBJECTS_AT_ONCE = 16
PARQUET = b"PAR1"
"""How a file of Parquet begins."""


@dataclass(frozen=True)
class Wanted:
    """The players who are looked for."""

    erased: ErasedPlayers
    spellings: Spellings


def search_store(work: Work, wanted: Wanted) -> Searched:
    """Search every object below our prefix, whoever wrote it, its key too."""
    wanted.erased.prepare(work.connection)
    entries = list(work.store.list(work.run.layout.root))
    found: list[str] = []
    unread: list[str] = []
    with scratch_folder(work.run.settings) as folder:
        for some in _in_portions(entries):
            fetched = list(work.store.in_parallel(lambda item: _fetch(work, folder, *item), enumerate(some)))
            for entry, path in zip(some, fetched, strict=True):
                if path is None:
                    continue
                verdict = _look_into(work, entry, path, wanted)
                if verdict is None:
                    unread.append(entry.key)
                elif verdict or wanted.spellings.found_in(unquote(entry.key)):
                    found.append(entry.key)
                path.unlink()
    return Searched(
        place=f"objects below {work.store.url(work.run.layout.root)}",
        items=len(entries),
        size=sum(entry.size for entry in entries),
        found=found,
        unread=unread,
    )


def search_tables(session: LoadSession, wanted: Wanted) -> Searched:
    """Search every relation of the schema, and what the planner remembers of its values."""
    with session.transaction() as cursor:
        relations = [
            each for each in list_relations(cursor, session.contract.schema_name) if each.name not in OURS
        ]
        searched = _search_relations(cursor, session.contract.schema_name, relations, wanted.spellings)
        cursor.execute(
            render("erasure/search_statistics"),
            {"schema": session.contract.schema_name, "ours": list(OURS), "pattern": wanted.spellings.pattern},
        )
        remembered = [f"statistics of {table}.{column}" for table, column in cursor.fetchall()]
    return searched.model_copy(update={"found": searched.found + remembered})


def search_database(dsn: str, timeouts: TimeoutSettings, wanted: Wanted, *, place: str) -> Searched:
    """Search all tables of another database that a login can see, such as Airflow's own."""
    with postgres.failures_explained(place):
        connection = open_session(dsn, timeouts)
    with closing(connection), postgres.transaction(connection, where=place) as cursor:
        cursor.execute(render("erasure/list_schemas"))
        searched = Searched(place=place, items=0, size=0)
        for (schema,) in cursor.fetchall():
            part = _search_relations(cursor, schema, list_relations(cursor, schema), wanted.spellings)
            searched = searched.model_copy(
                update={
                    "items": searched.items + part.items,
                    "size": searched.size + part.size,
                    "found": searched.found + part.found,
                }
            )
    return searched


def search_logs(folder: Path, wanted: Wanted) -> Searched:
    """Search the files of a folder of logs on this machine."""
    items = size = 0
    found: list[str] = []
    unread: list[str] = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        items += 1
        size += path.stat().st_size
        name = str(path.relative_to(folder))
        try:
            is_found = any(wanted.spellings.found_in(line) for line in _lines(path))
        except (OSError, EOFError):
            unread.append(name)
            continue
        if is_found or wanted.spellings.found_in(name):
            found.append(name)
    return Searched(place=f"logs in {folder}", items=items, size=size, found=found, unread=unread)


def _search_relations(
    cursor: extensions.cursor, schema: str, relations: Sequence[Relation], spellings: Spellings
) -> Searched:
    rows = 0
    found: list[str] = []
    for relation in relations:
        counts = "".join(f", {_count_naming(column)}" for column in relation.columns)
        table = Fragment(f"{quoted(schema)}.{quoted(relation.name)}")
        cursor.execute(
            render("erasure/search_relation", table=table, counts=Fragment(counts)),
            {
                "pattern": spellings.pattern,
                "user_ids": spellings.in_lower_case,
                # A number says nothing where it does not stand for a player.
                "words": [spelled for spelled in spellings.in_lower_case if not spelled.isdecimal()],
            },
        )
        total, *hits = postgres.single_row(cursor)
        rows += total
        found += [
            f"{relation.name}.{column.name}"
            for column, hit in zip(relation.columns, hits, strict=True)
            if hit
        ]
    return Searched(place=f"schema {schema}", items=len(relations), size=rows, found=found)


def _count_naming(column: Column) -> Fragment:
    ids = Fragment("%(user_ids)s" if column.name == PLAYER else "%(words)s")
    return render_fragment("erasure/count_naming", text=column.as_text, ids=ids)


def _fetch(work: Work, folder: Path, number: int, entry: StoredObject) -> Path | None:
    """A copy of an object; None if it is gone since it was listed."""
    from crmbet.failures import SourceMissing

    path = folder / str(number)
    try:
        work.store.fetch(entry.key, path)
    except SourceMissing:
        return None
    return path


def _look_into(work: Work, entry: StoredObject, path: Path, wanted: Wanted) -> bool | None:
    """Whether an object holds one of the players; None if it cannot be decoded."""
    with path.open("rb") as file:
        beginning = file.read(len(PARQUET))
    if beginning == PARQUET:
        return _look_into_parquet(work, path, wanted)
    if entry.key.endswith(".parquet"):
        return None if DAMAGED in entry.key or entry.size else False
    return names_somebody(path.read_bytes(), wanted.spellings)


def _look_into_parquet(work: Work, path: Path, wanted: Wanted) -> bool | None:
    import duckdb

    connection = work.connection
    rows = scan(Fetched({"it": path}), ["it"])
    try:
        types = column_types(connection, rows)
        ids = [Fragment(f"{identifier(name)}::VARCHAR") for name in PLAYER_COLUMNS if name in types]
        conditions = [wanted.erased.look_up(connection, rows, ids)] if ids else []
        pattern = literal(wanted.spellings.pattern)
        conditions += [
            Fragment(f"coalesce(regexp_matches(lower({quoted(name)}::VARCHAR), {pattern}), false)")
            for name, type_ in types.items()
            if _can_hold_text(type_) and wanted.spellings.user_ids
        ]
        if not conditions:
            return False
        search = render("erasure/find_row", rows=rows, condition=joined(conditions, " OR "))
        return connection.execute(search).fetchone() is not None
    except duckdb.Error:
        return None


def _can_hold_text(type_: str) -> bool:
    """Whether a value of the engine's type may have a text in it."""
    return any(word in type_ for word in ("VARCHAR", "JSON", "BLOB", "UUID", "ENUM"))


def _in_portions(entries: list[StoredObject]) -> Iterator[list[StoredObject]]:
    for start in range(0, len(entries), OBJECTS_AT_ONCE):
        yield entries[start : start + OBJECTS_AT_ONCE]


def _lines(path: Path) -> Iterator[str]:
    """The lines of a log, which may be packed."""
    with path.open("rb") as file:
        is_packed = file.read(2) == GZIP
    if is_packed:
        with gzip.open(path, "rt", errors="replace") as lines:
            yield from lines
    else:
        with path.open(errors="replace") as lines:
            yield from lines
