"""Putting a backup back, with the guarantees of a load: the lock, one transaction, a proof, and a way back.

The history is left as it is: it says what runs computed, and a restore computes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from crmbet.databases.statements import render
from crmbet.failures import BadParam, LoadRefused
from crmbet.load.backup import Backup, back_up, list_backups, measure
from crmbet.load.target import column_list, read_columns, refuse_drift, target_shape

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from crmbet.load.session import LoadSession

NEWEST = "newest"
"""Stands for the name of the newest backup."""


@dataclass(frozen=True, kw_only=True)
class Restored:
    """What came of a restore."""

    backup: str
    rows: int
    """What the target holds now."""
    changed: bool
    """Whether it held anything else before."""
    kept: str | None = None
    """The backup that was taken of it first, where none equalled it."""


def choose(session: LoadSession, backups: Sequence[Backup], name: str) -> Backup:
    """The backup of a name, or the newest. Raises `BadParam` if there is none such."""
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

    What the target held is backed up first, dated `taken_at` (an aware instant). A target that holds the same
    already is left alone. Columns that the contract has got since the backup become NULL.

    Raises `BadParam` if there is no such backup, and `LoadRefused`, with the target as it was, if the backup is
    not what its proof says, or the target did not become like it.
    """
    with session.exclusive_transaction() as cursor:
        shape = target_shape(session.contract)
        actual = read_columns(cursor, session, shape.name)
        refuse_drift(session, shape, actual)
        session.hold_writers_off(cursor, session.table)
        backup = choose(session, list_backups(cursor, session), name)
        table = session.in_schema(backup.name)
        columns = list(read_columns(cursor, session, backup.name))
        if dropped := [column for column in columns if column not in actual]:
            raise LoadRefused(
                f"the backup {backup.name} has columns that the table has not: {', '.join(dropped)}",
                where=session.where,
                why="the contract has lost them since",
                next_step="bring them back into include/contracts/ and run the DAG once, then restore again",
            )
        expected = backup.proof.content
        if (found := measure(cursor, table, columns)) != expected:
            raise LoadRefused(
                f"the backup {backup.name} is not what was backed up: {found.rows} rows instead of {expected.rows}, "
                f"checksum {found.checksum} instead of {expected.checksum}",
                where=session.where,
                why="somebody changed it, or the server's storage is damaged",
                next_step="restore another one; the table was not touched",
            )
        if measure(cursor, session.table, columns) == expected:
            return Restored(backup=backup.name, rows=expected.rows, changed=False)
        kept = back_up(cursor, session, taken_at)
        cursor.execute(render("load/delete_all_rows", table=session.table))
        cursor.execute(
            render("load/insert_from_backup", table=session.table, backup=table, columns=column_list(columns))
        )
        if (became := measure(cursor, session.table, columns)) != expected:
            raise LoadRefused(
                f"the restore was rolled back: the table has {became.rows} rows instead of {expected.rows}, checksum "
                f"{became.checksum} instead of {expected.checksum}",
                where=session.where,
                why="a trigger or a rule on the table changes what is written, or this is a bug",
                next_step="look at the table's triggers and rules; its rows are as they were before",
            )
        return Restored(
            backup=backup.name, rows=expected.rows, changed=True, kept=None if kept is None else kept.name
        )
