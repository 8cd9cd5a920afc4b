"""From staging into the target, in one transaction that proves itself before it commits.

Three strategies are made of three statements:

    merge     update what changed, insert what is new; a row never goes back in time
    append    insert what is new, touch nothing that is there
    replace   delete everything, insert everything
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, assert_never

from crmbet.failures import LoadRefused, TemporaryFailure
from crmbet.loading.staging import Staging, staged_columns
from crmbet.loading.target import column_list
from crmbet.postgres import RETRIED_BY_ITSELF, single_row
from crmbet.statements import Fragment, identifier, joined, render

if TYPE_CHECKING:
    from datetime import datetime

    from psycopg2 import extensions

    from crmbet.loading.session import LoadSession

Strategy = Literal["merge", "replace", "append"]


@dataclass(frozen=True, kw_only=True)
class LoadCounts:
    """Rows, where staged = inserted + updated + unchanged."""

    staged: int
    inserted: int = 0
    updated: int = 0
    unchanged: int
    """Staged rows that wrote nothing: equal to the target's, older than it, or left alone by append."""
    removed: int = 0
    """Rows of the target that replace deleted, whether or not it inserted the same players again."""


@dataclass(frozen=True)
class Comparison:
    """Staging against the target, in rows."""

    rows: int
    """The target's."""
    staged: int
    missing: int
    """Staged players that the target does not have."""
    stale: int
    """Rows of the target that are not newer than staging's and differ in as_of or row_hash."""


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What a load has to reach, in rows: known from the comparison before it, not from what it reports."""

    rows: int
    """The target's."""
    written: int
    stale: int


def load(session: LoadSession, staging: Staging, strategy: Strategy) -> LoadCounts:
    """Write staging into the target; all of it is visible to readers at once, or nothing is.

    A load whose rows are there already writes nothing, so that a retry after a lost commit is harmless.

    Raises `LoadRefused` if replace would go back in time or empty the table, and if the verification finds
    anything but what was staged; `LockHeld` if another load goes on. In each case the target is as it was.
    """
    with session.exclusive_transaction() as cursor:
        session.hold_writers_off(cursor)
        write = _Write.begin(cursor, session, staging)
        before = write.compare()
        _refuse_other_rows(session, staging, before)
        if strategy == "replace":
            write.refuse_going_back()
        goal = _find_goal(strategy, before)
        if goal.written == 0:
            return LoadCounts(staged=before.staged, unchanged=before.staged)
        removed = write.delete_all_rows() if strategy == "replace" else 0
        updated = write.update_changed_rows() if strategy == "merge" else 0
        inserted = write.insert_new_rows()
        write.verify(goal)
    return LoadCounts(
        staged=before.staged,
        inserted=inserted,
        updated=updated,
        unchanged=before.staged - inserted - updated,
        removed=removed,
    )


@dataclass(frozen=True, kw_only=True)
class _Write:
    """The statements of one load, over one cursor inside its transaction."""

    cursor: extensions.cursor
    where: str
    table: Fragment
    staging: Fragment
    key: Fragment
    columns: list[str]
    written_at: datetime
    """What the load puts into updated_at, by the server's clock; no other load has the same."""

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
            columns=staged_columns(session.contract),
            written_at=written_at,
        )

    def compare(self) -> Comparison:
        self._execute("compare_with_staging")
        return Comparison(*single_row(self.cursor))

    def refuse_going_back(self) -> None:
        """Raise `LoadRefused` if replacing the target by staging would lose later rows, or all."""
        self._execute("compare_as_of")
        oldest_staged, newest_loaded = single_row(self.cursor)
        if oldest_staged is None:
            raise LoadRefused(
                "replace would leave an empty table, since the run computed no rows",
                where=self.where,
                next_step="find out why engineer_features made none",
            )
        if newest_loaded is not None and oldest_staged < newest_loaded:
            raise LoadRefused(
                f"replace would take the table back from as_of {newest_loaded.isoformat()} "
                f"to {oldest_staged.isoformat()}",
                where=self.where,
                why="the table holds rows of a later run",
                next_step="load with load_strategy merge, which keeps the newer rows",
            )

    def delete_all_rows(self) -> int:
        return self._execute("delete_all_rows")

    def update_changed_rows(self) -> int:
        names = [identifier(name) for name in self.columns]
        return self._execute(
            "update_changed_rows", assignments=joined([Fragment(f"{name} = staged.{name}") for name in names])
        )

    def insert_new_rows(self) -> int:
        return self._execute(
            "insert_new_rows",
            columns=column_list(self.columns),
            staged_columns=column_list(self.columns, "staged."),
        )

    def verify(self, goal: Goal) -> None:
        """Compare the target with staging and goal. Raises `LoadRefused`, which rolls the load back."""
        after = self.compare()
        self._execute(
            "compare_written_rows",
            target_columns=column_list(self.columns, "target."),
            staged_columns=column_list(self.columns, "staged."),
        )
        written, miswritten = single_row(self.cursor)
        faults = []
        if after.rows != goal.rows:
            faults.append(f"the table has {after.rows} rows instead of {goal.rows}")
        if after.missing:
            faults.append(f"{after.missing} staged players are not in the table")
        if after.stale != goal.stale:
            faults.append(f"{after.stale} rows are not as new as staged, instead of {goal.stale}")
        if written != goal.written:
            faults.append(f"{written} rows carry the load's instant instead of {goal.written}")
        if miswritten:
            faults.append(f"{miswritten} rows were written with other values than staged")
        if faults:
            raise LoadRefused(
                f"the load was rolled back: the table did not become what was staged: {'; '.join(faults)}",
                where=self.where,
                why="a trigger or a rule on the table changes what is written, or this is a bug",
                next_step="look at the table's triggers and rules; its rows are as they were before the load",
            )

    def _execute(self, verb: str, **fragments: Fragment) -> int:
        """Run a statement of include/sql/load/; returns the number of its rows."""
        text = render(f"load/{verb}", table=self.table, staging=self.staging, key=self.key, **fragments)
        self.cursor.execute(text, {"written_at": self.written_at})
        return self.cursor.rowcount


def _find_goal(strategy: Strategy, before: Comparison) -> Goal:
    match strategy:
        case "merge":
            written = before.missing + before.stale
            return Goal(rows=before.rows + before.missing, written=written, stale=0)
        case "append":
            return Goal(rows=before.rows + before.missing, written=before.missing, stale=before.stale)
        case "replace":
            return Goal(rows=before.staged, written=before.staged, stale=0)
        case _:
            assert_never(strategy)


def _refuse_other_rows(session: LoadSession, staging: Staging, before: Comparison) -> None:
    if before.staged != staging.rows:
        raise TemporaryFailure(
            f"the staging table holds {before.staged} rows where {staging.rows} were checked",
            where=session.where,
            why="another try of this run replaced it, or PostgreSQL crashed and emptied it",
            next_step=f"{RETRIED_BY_ITSELF}; see that no other try of it is still running",
        )
