"""Backups: full copies of the target, each with a proof of its content, and how long they are kept.

A backup is a table beside the target, `<target>_backup_<UTC time>_<digest of the run>`. It appears together with its
comment, which holds run, as_of, row count and checksum as JSON; a table without such a comment belongs to
somebody else and is never touched.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from crmbet.databases.postgres import RETRIED_BY_ITSELF, single_row
from crmbet.databases.statements import Fragment, literal, render
from crmbet.failures import LoadRefused, TemporaryFailure
from crmbet.load.session import DDL_WAIT_SECONDS, LoadSession, limit_lock_wait
from crmbet.load.target import column_list, read_columns, read_tables, target_shape
from crmbet.storage.digests import digest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from psycopg2 import extensions


class Content(BaseModel):
    """A summary of what a table holds. Any difference in content changes it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    as_of: datetime | None
    """Newest as_of among the rows, None if there are none."""
    rows: int
    checksum: str
    """Order-free sum of the rows' hashes, as decimal digits."""


class Proof(Content):
    """What the comment of a backup's table holds."""

    run_id: str
    """The run that took the backup before its load."""
    taken_at: datetime

    @property
    def content(self) -> Content:
        """What the copy holds."""
        return Content(as_of=self.as_of, rows=self.rows, checksum=self.checksum)


class Backup(BaseModel):
    """A backup that exists."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """Table, in the target's schema."""
    proof: Proof


def take_backup(session: LoadSession, taken_at: datetime) -> Backup | None:
    """Copy the target. Returns None if there is no table or no row yet, or if the newest backup equals the table.

    Copy, proof and name appear in one commit, so a try that dies leaves nothing behind. `taken_at` is an
    aware instant. Raises `LoadRefused` if the table does not match its contract, or if the copy differs from the
    table.
    """
    with session.exclusive_transaction() as cursor:
        shape = target_shape(session.contract)
        if not read_tables(cursor, session, [shape])[shape.name]:
            return None
        session.hold_writers_off(cursor, session.table)
        return back_up(cursor, session, taken_at)


def back_up(cursor: extensions.cursor, session: LoadSession, taken_at: datetime) -> Backup | None:
    """Take a backup in a transaction that has the load lock, keeps other writers off and has checked the columns."""
    columns = read_columns(cursor, session, session.contract.name)
    proof = Proof(
        run_id=session.run_id,
        taken_at=taken_at,
        **measure(cursor, session.table, columns).model_dump(),
    )
    if proof.rows == 0:
        return None
    backups = list_backups(cursor, session)
    if backups and backups[0].proof.content == proof.content:
        return None
    if any(backup.name == backup_name(session, taken_at) for backup in backups):
        raise TemporaryFailure(
            "the run has taken another backup within the same second",
            where=session.where,
            next_step=RETRIED_BY_ITSELF,
        )
    backup = Backup(name=backup_name(session, taken_at), proof=proof)
    _copy(cursor, session, backup, columns)
    return backup


def sweep_backups(session: LoadSession, now: datetime, days: int, count: int) -> list[str]:
    """Drop backups older than `days`, and all but the `count` newest. Returns the names of the dropped ones.

    It is called after a successful load. It never drops the newest backup: if the target has not changed for a long
    time, that backup is the only one that equals it.
    """
    with session.exclusive_transaction() as cursor:
        backups = list_backups(cursor, session)
        oldest_kept = now - timedelta(days=days)
        swept = [
            backup.name
            for rank, backup in enumerate(backups)
            if rank > 0 and (rank >= count or backup.proof.taken_at < oldest_kept)
        ]
        limit_lock_wait(cursor, DDL_WAIT_SECONDS)
        for name in swept:
            cursor.execute(render("load/drop_table", table=session.in_schema(name)))
        return swept


def list_backups(cursor: extensions.cursor, session: LoadSession) -> list[Backup]:
    """The target's backups, newest first."""
    pattern = rf"^{session.contract.name}_backup_\d{{8}}t\d{{6}}z_[0-9a-f]{{8}}$"
    cursor.execute(render("load/list_backups"), {"schema": session.contract.schema_name, "pattern": pattern})
    proofs = [(name, _read_proof(comment)) for name, comment in cursor.fetchall()]
    backups = [Backup(name=name, proof=proof) for name, proof in proofs if proof is not None]
    return sorted(backups, key=lambda backup: backup.proof.taken_at, reverse=True)


def backup_name(session: LoadSession, taken_at: datetime) -> str:
    """The name of a backup's table: in lower case, so that a person can type it without quotes. It sorts by time."""
    run = digest(session.run_id, length=8)
    return f"{session.contract.name}_backup_{taken_at.astimezone(UTC):%Y%m%dt%H%M%Sz}_{run}"


def measure(cursor: extensions.cursor, table: Fragment, columns: Iterable[str]) -> Content:
    """Summarise what a table holds in some columns. Tables with equal rows in these columns have equal summaries."""
    cursor.execute(render("load/checksum_table", table=table, columns=column_list(columns)))
    rows, checksum, as_of = single_row(cursor)
    newest = None if as_of is None else as_of.astimezone(UTC)
    return Content(as_of=newest, rows=rows, checksum=checksum)


def _copy(cursor: extensions.cursor, session: LoadSession, backup: Backup, columns: Iterable[str]) -> None:
    table = session.in_schema(backup.name)
    cursor.execute(render("load/copy_table", backup=table, table=session.table))
    copied = measure(cursor, table, columns)
    if copied != backup.proof.content:
        raise LoadRefused(
            f"the backup {backup.name} differs from the table: {copied.rows} rows instead of "
            f"{backup.proof.rows}, checksum {copied.checksum} instead of {backup.proof.checksum}",
            where=session.where,
            why="something on the server changes new tables, or its storage is damaged",
            next_step="look for event triggers, and read the server's log; nothing was loaded and no backup was kept",
        )
    comment = literal(backup.proof.model_dump_json())
    cursor.execute(render("load/comment_table", table=table, comment=comment))


def _read_proof(comment: str | None) -> Proof | None:
    try:
        return Proof.model_validate_json(comment or "")
    except ValidationError:
        return None
