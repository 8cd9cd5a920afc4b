"""Writes the staging table into the target and its history, in one transaction that is verified before it commits.

    merge     update what changed, insert what is new; a row never goes back in time; players that are gone from the
              sources are kept, marked or deleted
    append    insert what is new, leave existing rows alone
    replace   delete everything, insert everything

The history gets every staged row, whatever happens to that row in the target. A backfill of an older day may change
nothing but the history.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, assert_never

from crmbet.databases.postgres import RETRIED_BY_ITSELF, single_row
from crmbet.databases.statements import Fragment, assignments, identifier, render
from crmbet.failures import LoadRefused, TemporaryFailure
from crmbet.load.backup import back_up
from crmbet.load.history import HistoryCounts, record
from crmbet.load.target import column_list, read_columns, refuse_drift, staged_values, target_shape

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from psycopg2 import extensions

    from crmbet.contracts.table import FeatureColumn
    from crmbet.load.session import LoadSession
    from crmbet.load.staging import Staging

Strategy = Literal["merge", "replace", "append"]
GoneUsers = Literal["keep", "mark", "delete"]


@dataclass(frozen=True, kw_only=True)
class LoadRules:
    """How a load writes, and what it may lose."""

    strategy: Strategy
    gone_users: GoneUsers
    """What a merge does with players whom staging lacks."""
    max_shrink: float
    """Share of its players that the target may lose, deleted or marked as gone."""
    accept_loss: bool = False
    """Whether a person has said that this load may lose more, or, by replace, go back in time."""


@dataclass(frozen=True, kw_only=True)
class LoadCounts:
    """Numbers of rows. `staged` is the sum of `inserted`, `updated` and `unchanged`."""

    staged: int
    inserted: int = 0
    updated: int = 0
    unchanged: int
    """Staged rows that wrote nothing to the target: its own row is equal or newer, or append left it alone."""
    removed: int = 0
    """Rows that merge deleted, or that replace deleted, even if it inserted the same players again."""
    marked: int = 0
    """Players that merge marked as gone."""
    recorded: int = 0
    """Rows that the load inserted into the history, or updated there."""
    backup: str | None = None
    """The backup that the load took itself, because the target had changed since the newest one."""


@dataclass(frozen=True)
class Comparison:
    """How staging compares with the target: numbers of rows, and the oldest and newest as_of."""

    rows: int
    """Rows of the target."""
    staged: int
    missing: int
    """Staged players that the target does not have."""
    stale: int
    """Rows of the target that are not newer than staging's and differ in as_of or row_hash."""
    returned: int
    """Rows of the target that are marked as gone although staging has an equal row."""
    older: int
    """Staged rows that are older than the target's."""
    absent: int
    """Rows of the target that staging does not have."""
    unmarked: int
    """Rows of the target that staging does not have and that are not marked as gone."""
    oldest_staged: datetime | None
    newest_staged: datetime | None
    newest_loaded: datetime | None

    @property
    def is_newest(self) -> bool:
        """Whether staging is at least as new as the target. Only then does it know who is gone by now."""
        if self.newest_staged is None:
            return False
        return self.newest_loaded is None or self.newest_staged >= self.newest_loaded

    @property
    def is_equal(self) -> bool:
        """Whether the target holds exactly what was staged."""
        return not (self.missing or self.stale or self.returned or self.older or self.absent)


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What the target must hold after a load, in rows. It follows from the comparison before the load alone."""

    rows: int
    """Rows of the target. The fields are named as in `Comparison`."""
    missing: int = 0
    stale: int
    absent: int
    unmarked: int
    written: int = 0
    """Rows that carry the load's instant, without those that it only marks as gone."""
    changed: bool
    """Whether anything has to be written to the target."""


def load(
    session: LoadSession,
    staging: Staging,
    rules: LoadRules,
    taken_at: datetime,
    alongside: Callable[[extensions.cursor, datetime], object] | None = None,
) -> LoadCounts:
    """Write staging into the target and the history. Readers see all of it at once, or nothing.

    A load whose rows are already there writes nothing, so a retry after a lost commit is harmless. Before a load
    changes the target, it takes a backup, dated `taken_at` (an aware instant), unless the newest backup equals the
    target. `alongside` is called with the cursor and the load's instant, and writes what belongs to these rows in the
    same transaction.

    Raises `LoadRefused` if the load would lose more than `rules` allow, if a table does not match its contract, or if
    the target does not hold what was staged afterwards. Raises `LockHeld` if another load is under way. After any of
    these failures everything is as it was.
    """
    with session.exclusive_transaction() as cursor:
        shape = target_shape(session.contract)
        refuse_drift(session, shape, read_columns(cursor, session, shape.name))
        for table in (session.table, session.history):
            session.hold_writers_off(cursor, table)
        write = _Write.begin(cursor, session, staging)
        before = write.compare()
        _refuse_other_rows(session, staging, before)
        _refuse_loss(session, rules, before)
        goal = _find_goal(rules, before)
        done = LoadCounts(staged=before.staged, unchanged=before.staged)
        if goal.changed:
            backup = back_up(cursor, session, taken_at)
            done = write.write_and_verify(goal, rules, before, None if backup is None else backup.name)
        recorded = HistoryCounts()
        if before.oldest_staged is not None and before.newest_staged is not None:
            span = (before.oldest_staged, before.newest_staged)
            recorded = record(cursor, session, write.staging, span, write.written_at)
        if alongside is not None:
            alongside(cursor, write.written_at)
    return LoadCounts(**{**vars(done), "recorded": recorded.inserted + recorded.updated})


@dataclass(frozen=True, kw_only=True)
class _Write:
    """The statements of one load, over one cursor inside its transaction."""

    cursor: extensions.cursor
    where: str
    table: Fragment
    staging: Fragment
    key: Fragment
    columns: dict[str, FeatureColumn]
    written_at: datetime
    """The load's instant, by the server's clock. It goes into updated_at, and no other load has the same."""

    @classmethod
    def begin(cls, cursor: extensions.cursor, session: LoadSession, staging: Staging) -> _Write:
        cursor.execute(render("load/read_clock"))
        (written_at,) = single_row(cursor)
        return cls(
            cursor=cursor,
            where=session.where,
            table=session.table,
            staging=session.in_schema(staging.table),
            key=identifier(session.contract.key),
            columns=session.contract.computed,
            written_at=written_at,
        )

    def compare(self) -> Comparison:
        self._execute("compare_with_staging")
        return Comparison(*single_row(self.cursor))

    def write_and_verify(
        self, goal: Goal, rules: LoadRules, before: Comparison, backup: str | None
    ) -> LoadCounts:
        """Write the staged rows into the target, and verify that it holds what the goal says."""
        removed = marked = updated = inserted = 0
        # The table is newer than a backfilled day. A player whom it lacks is gone by now.
        gone = rules.gone_users == "mark" and rules.strategy != "replace" and not before.is_newest
        if rules.strategy == "replace":
            removed = self._execute("delete_all_rows")
        if rules.strategy == "merge":
            updated = self._update_changed_rows(is_newest=before.is_newest)
            if before.is_newest and rules.gone_users == "mark":
                marked = self._execute("mark_gone_rows")
            if before.is_newest and rules.gone_users == "delete":
                removed = self._execute("delete_gone_rows")
        if goal.missing == 0:
            inserted = self._insert_new_rows(gone=gone)
        self._verify(goal)
        return LoadCounts(
            staged=before.staged,
            inserted=inserted,
            updated=updated,
            unchanged=before.staged - inserted - updated,
            removed=removed,
            marked=marked,
            backup=backup,
        )

    def _update_changed_rows(self, *, is_newest: bool) -> int:
        return self._execute(
            "update_changed_rows", {"is_newest": is_newest}, assignments=assignments(self.columns, "staged")
        )

    def _insert_new_rows(self, *, gone: bool) -> int:
        return self._execute(
            "insert_new_rows",
            {"gone": gone},
            columns=column_list(self.columns),
            staged_columns=column_list(self.columns, "staged."),
        )

    def _verify(self, goal: Goal) -> None:
        """Compare the target with staging and the goal. Raises `LoadRefused`, which rolls the load back."""
        after = self.compare()
        self._execute(
            "compare_written_rows",
            target_columns=column_list(self.columns, "target."),
            staged_values=staged_values(self.columns),
        )
        written, miswritten = single_row(self.cursor)
        faults = []
        if after.rows != goal.rows:
            faults.append(f"the table has {after.rows} rows instead of {goal.rows}")
        if after.missing != goal.missing:
            faults.append(f"{after.missing} staged players are not in the table, instead of {goal.missing}")
        if after.stale != goal.stale:
            faults.append(f"{after.stale} rows are older than staged, instead of {goal.stale}")
        if (after.absent, after.unmarked) != (goal.absent, goal.unmarked):
            faults.append(
                f"{after.absent} players are gone, {after.unmarked} of them not marked, "
                f"instead of {goal.absent} and {goal.unmarked}"
            )
        if written != goal.written:
            faults.append(f"{written} rows carry the load's instant instead of {goal.written}")
        if miswritten:
            faults.append(f"{miswritten} rows were written with other values than those staged")
        if faults:
            raise LoadRefused(
                f"the load was rolled back: the table does not hold what was staged: {'; '.join(faults)}",
                where=self.where,
                why="a trigger or a rule on the table changes what is written, or this is a bug",
                next_step="look at the table's triggers and rules; its rows are as they were before the load",
            )

    def _execute(self, verb: str, values: dict[str, bool] | None = None, **fragments: Fragment) -> int:
        """Run a statement of include/sql/load/; returns the number of its rows."""
        text = render(f"load/{verb}", table=self.table, staging=self.staging, key=self.key, **fragments)
        self.cursor.execute(text, {"written_at": self.written_at, **(values or {})})
        return self.cursor.rowcount


def _find_goal(rules: LoadRules, before: Comparison) -> Goal:
    match rules.strategy:
        case "merge":
            return _find_goal_of_merge(rules, before)
        case "append":
            return Goal(
                rows=before.rows + before.missing,
                stale=before.stale,
                absent=before.absent,
                unmarked=before.unmarked,
                written=before.missing,
                changed=before.missing > 0,
            )
        case "replace":
            return Goal(
                rows=before.staged,
                stale=0,
                absent=0,
                unmarked=0,
                written=before.staged,
                changed=not before.is_equal,
            )
        case _:
            assert_never(rules.strategy)


def _find_goal_of_merge(rules: LoadRules, before: Comparison) -> Goal:
    updated = before.stale + (before.returned if before.is_newest else 0)
    if not before.is_newest and rules.gone_users == "delete":
        # An older day does not bring back a player whom the table's newest load deleted.
        return Goal(
            rows=before.rows,
            missing=before.missing,
            stale=0,
            absent=before.absent,
            unmarked=before.unmarked,
            written=updated,
            changed=updated > 0,
        )
    deleted = before.absent if before.is_newest and rules.gone_users == "delete" else 0
    marked = before.unmarked if before.is_newest and rules.gone_users == "mark" else 0
    return Goal(
        rows=before.rows + before.missing - deleted,
        stale=0,
        absent=before.absent - deleted,
        unmarked=0 if deleted else before.unmarked - marked,
        written=updated + before.missing,
        changed=updated + before.missing + deleted + marked > 0,
    )


def _refuse_other_rows(session: LoadSession, staging: Staging, before: Comparison) -> None:
    if before.staged != staging.rows:
        raise TemporaryFailure(
            f"the staging table holds {before.staged} rows where {staging.rows} were checked",
            where=session.where,
            why="another try of this run replaced it, or PostgreSQL crashed and emptied it",
            next_step=f"{RETRIED_BY_ITSELF}; make sure that no other try of the run is still running",
        )


def _refuse_loss(session: LoadSession, rules: LoadRules, before: Comparison) -> None:
    """Raise `LoadRefused` if the load would lose a later state, too many players, or all of them."""
    if rules.strategy == "append":
        return
    if before.staged == 0 and before.rows > 0 and rules.strategy == "replace":
        raise LoadRefused(
            "replace would leave an empty table, since the run computed no rows",
            where=session.where,
            next_step="find out why engineer_features computed none",
        )
    if rules.accept_loss:
        return
    oldest, newest = before.oldest_staged, before.newest_loaded
    if rules.strategy == "replace" and oldest is not None and newest is not None and oldest < newest:
        raise LoadRefused(
            f"replace would take the table back from as_of {newest.isoformat()} to {oldest.isoformat()}",
            where=session.where,
            why="the table holds rows of a later run",
            next_step="load with load_strategy merge, which keeps the newer rows; if the table should really go back, "
            "load with accept_loss",
        )
    lost = _count_lost(rules, before)
    if lost > rules.max_shrink * before.rows:
        raise LoadRefused(
            f"{rules.strategy} would lose {lost} of the table's {before.rows} players, more than "
            f"CRMBET_MAX_TABLE_SHRINK ({rules.max_shrink:g}) allows",
            where=session.where,
            why="the run did not find them in its sources",
            next_step="find out where they went; if they are really gone, clear the run with the param accept_loss",
        )


def _count_lost(rules: LoadRules, before: Comparison) -> int:
    """Players that the load would delete or mark as gone."""
    if rules.strategy == "replace":
        return before.rows - before.staged
    if not before.is_newest:
        return 0
    return {"keep": 0, "mark": before.unmarked, "delete": before.absent}[rules.gone_users]
