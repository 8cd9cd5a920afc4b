"""Files of the store, of Parquet or CSV, without the rows of erased players.

A file is never changed. The rows that stay are written into another one, and who names the file names that one from
then on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field

from crmbet.contracts.erased_players import ErasedPlayers, render_fragment
from crmbet.databases.parquet import column_types, scan
from crmbet.databases.scratch import scratch_folder
from crmbet.databases.statements import Fragment, identifier, joined, literal, render, statement
from crmbet.databases.work import Work
from crmbet.datasets.prefetch import Fetched, fetch_ahead
from crmbet.erasure.spellings import Spellings
from crmbet.storage.done_files import folder_of
from crmbet.storage.layout import attempt_name
from crmbet.storage.verified import keep_file

FETCHED_AT_ONCE = 8
"""Files on the local disk at once, and as many that are being fetched."""
PLAYER_COLUMNS = ("user_id", "protected_user_id")
"""Columns of our files that name a player."""
RECORD_COLUMNS = ("record", "_reject")
"""Columns that repeat what a source delivered."""
CHUNK_COLUMNS = ("_part", "_chunk", "_source_key")
"""The columns that tell captured chunks apart. The first that a file has does so."""


@dataclass(frozen=True)
class Place:
    """Some rows of a file: their chunk, day and reason, each None in files that have no such column."""

    chunk: str | None
    day: str | None
    reason: str | None


@dataclass(frozen=True)
class Rewritten:
    """A file that held erased players."""

    key: str
    """The new file's."""
    rows: Counter[Place] = field(default_factory=Counter)
    """Rows that it lacks."""


def rewrite_files(
    work: Work, keys: Iterable[str], erased: ErasedPlayers, spellings: Spellings
) -> Iterator[tuple[str, Rewritten]]:
    """Write those of some files again that hold erased players, without their rows; yields the old keys.

    A row is a player's if it says so, or if it is a rejected record that spells one of the ids.
    """
    erased.prepare(work.connection)
    work.connection.execute(statement("erasure/keep_order"))
    ordered = list(keys)
    batches = [ordered[start : start + FETCHED_AT_ONCE] for start in range(0, len(ordered), FETCHED_AT_ONCE)]
    with closing(fetch_ahead(work.store, work.run.settings, batches)) as fetched:
        for batch, files in zip(batches, fetched, strict=True):
            for key in batch:
                if rewritten := _rewrite(work, key, files, erased, spellings):
                    yield key, rewritten


def _rewrite(
    work: Work, key: str, files: Fetched, erased: ErasedPlayers, spellings: Spellings
) -> Rewritten | None:
    is_csv = key.endswith(".csv")
    connection = work.connection
    rows = (
        render_fragment("erasure/read_csv", file=literal(*files.urls([key])))
        if is_csv
        else scan(files, [key])
    )
    types = column_types(connection, rows)
    condition = _condition(work, rows, types, erased, spellings)
    if condition is None:
        return None
    chunk = next((identifier(name) for name in CHUNK_COLUMNS if name in types), Fragment("NULL"))
    count = render(
        "erasure/count_rows",
        rows=rows,
        condition=condition,
        chunk=chunk,
        day=identifier("_day") if "_day" in types else Fragment("NULL"),
        reason=identifier("reason") if "reason" in types else Fragment("NULL"),
    )
    counted = Counter({Place(*place): number for *place, number in connection.execute(count).fetchall()})
    if not counted:
        return None
    with scratch_folder(work.run.settings) as folder:
        path = folder / "kept"
        kept = Fragment(render("erasure/select_kept_rows", rows=rows, condition=condition))
        copy = "audiences/copy_to_csv" if is_csv else "erasure/copy_kept_rows"
        connection.execute(render(copy, rows=kept, path=literal(str(path))))
        return Rewritten(keep_file(work.store, path, _other_name(key)), counted)


def _other_name(key: str) -> str:
    """A key in the same folder that nothing has yet, without a checksum."""
    return f"{folder_of(key)}{attempt_name()}.{key.rpartition('.')[2]}"


def _condition(
    work: Work, rows: Fragment, types: dict[str, str], erased: ErasedPlayers, spellings: Spellings
) -> Fragment | None:
    """The condition that a row is an erased player's; None if no row of the file can be."""
    ids = [Fragment(f"{identifier(name)}::VARCHAR") for name in PLAYER_COLUMNS if name in types]
    if "record" in types:
        ids.append(Fragment("json_extract_string(record::JSON, '$.user_id')"))
    conditions = [erased.look_up(work.connection, rows, ids)] if ids else []
    conditions += [
        Fragment(
            f"coalesce(regexp_matches(lower({identifier(name)}::VARCHAR), {literal(spellings.pattern)}), false)"
        )
        for name in RECORD_COLUMNS
        if name in types and spellings.user_ids
    ]
    return joined(conditions, " OR ") if conditions else None
