"""Restores a backup as safely as a load: with the lock, one transaction, a proof, and a backup of what was there.

The history is left as it is. It holds what runs computed, and a restore computes nothing. It also says who is gone by
now: their marketing does not come back.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from crmbet.databases.postgres import single_row
from crmbet.databases.statements import render
from crmbet.failures import BadParam, LoadRefused
from crmbet.load.backup import Backup, back_up, list_backups, measure
from crmbet.load.edits import silence_gone
from crmbet.load.target import column_list, history_shape, read_columns, require_tables, target_shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crmbet.load.session import LoadSession

NEWEST = "newest"
"""Means the newest backup where the name of a backup is expected."""


@dataclass(frozen=True, kw_only=True)
class Restored:
    """The result of a restore."""

    backup: str
    rows: int
    """Rows of the target after the restore."""
    changed: bool
    """Whether the restore changed the target."""
    as_of: datetime | None
    """That of the newest row after the restore. None if there is no row."""
    silenced: int = 0
    """Players of the backup who are gone since: their rows are back, but for marketing."""
    kept: str | None = None
    """The backup of the previous content, if one had to be taken."""


def choose(session: LoadSession, backups: Sequence[Backup], name: str) -> Backup:
    """The backup with this name, or the newest one for `NEWEST`. Raises `BadParam` if there is none."""
    for backup in backups:
        if name in (backup.name, NEWEST):
            return backup
    raise BadParam(
        f"there is no backup {name!r}",
        where=session.where,
        why=f"there are {len(backups)} backups"
        + "".join(f", the newest is {backup.name}" for backup in backups[:1]),
        next_step="start restore_backup without a name: it lists them",
    )


def restore(session: LoadSession, name: str, taken_at: datetime) -> Restored:
    """Make the target hold what the backup of that name holds, and nothing else.

    Whoever is gone since the backup gets no marketing. The previous content is backed up first, dated `taken_at` (an
    aware instant). A target that is so already is left alone. Columns that are newer than the backup become NULL.

    Raises `BadParam` if there is no such backup. Raises `LoadRefused` and leaves the target as it was if the backup
    does not match its proof, or if the target does not match the backup afterwards.
    """
    with session.exclusive_transaction() as cursor:
        shape = target_shape(session.contract)
        history = history_shape(session.contract)
        tables = require_tables(cursor, session, [shape, history])
        actual = tables[shape.name]
        session.hold_writers_off(cursor, session.table)
        backup = choose(session, list_backups(cursor, session), name)
        table = session.in_schema(backup.name)
        columns = list(read_columns(cursor, session, backup.name))
        if dropped := [column for column in columns if column not in actual]:
            raise LoadRefused(
                f"the backup {backup.name} has columns that the table lacks: {', '.join(dropped)}",
                where=session.where,
                why="they have been removed from the contract since",
                next_step="put them back into include/contracts/ and run the DAG once, then restore again",
            )
        expected = backup.proof.content
        if (held := measure(cursor, table, columns)) != expected:
            raise LoadRefused(
                f"the backup {backup.name} no longer holds what was backed up: {held.rows} rows instead of "
                f"{expected.rows}, checksum {held.checksum} instead of {expected.checksum}",
                where=session.where,
                why="somebody changed it, or the server's storage is damaged",
                next_step="restore another one; the table was not touched",
            )
        before = measure(cursor, session.table, columns)
        cursor.execute("SAVEPOINT before_restore")
        kept = back_up(cursor, session, taken_at)
        cursor.execute(render("load/delete_all_rows", table=session.table))
        cursor.execute(
            render("load/insert_from_backup", table=session.table, backup=table, columns=column_list(columns))
        )
        if (restored := measure(cursor, session.table, columns)) != expected:
            raise LoadRefused(
                f"the restore was rolled back: the table has {restored.rows} rows instead of {expected.rows}, checksum "
                f"{restored.checksum} instead of {expected.checksum}",
                where=session.where,
                why="a trigger or a rule on the table changes what is written, or this is a bug",
                next_step="look at the table's triggers and rules; its rows are as they were before",
            )
        # A release that did not know of the reason recorded nobody as gone.
        knows_gone = all("marketing_reason" in columns for columns in tables.values())
        silenced = silence_gone(cursor, session) if knows_gone else 0
        cursor.execute(render("load/find_newest_as_of", table=session.table))
        (as_of,) = single_row(cursor)
        if measure(cursor, session.table, columns) == before:
            cursor.execute("ROLLBACK TO SAVEPOINT before_restore")
            return Restored(
                backup=backup.name, rows=expected.rows, changed=False, as_of=as_of, silenced=silenced
            )
        return Restored(
            backup=backup.name,
            rows=expected.rows,
            changed=True,
            as_of=as_of,
            silenced=silenced,
            kept=None if kept is None else kept.name,
        )
