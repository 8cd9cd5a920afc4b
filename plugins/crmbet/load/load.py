"""Writes the staging table into the target and its history, in one transaction that is verified before it commits.

    merge     update what changed, insert what is new; a row never goes back in time; players that are gone from the
              sources are kept, marked or deleted
    append    insert what is new, leave existing rows alone
    replace   delete everything, insert everything

The history gets every staged row, whatever happens to that row in the target. A backfill of an older day may change
nothing but the history.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol, assert_never

from crmbet.contracts.table import MARKETING
from crmbet.databases.postgres import RETRIED_BY_ITSELF, single_row
from crmbet.databases.statements import Fragment, assignments, identifier, joined, render
from crmbet.failures import LoadRefused, TemporaryFailure
from crmbet.load.backup import back_up, list_backups
from crmbet.load.edits import Search, find_newest_recorded, silence_gone
from crmbet.load.history import Gone, Recording, record, record_gone
from crmbet.load.target import (
    column_list,
    expected_values,
    history_shape,
    require_tables,
    target_shape,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import date, datetime

    from psycopg2 import extensions

    from crmbet.contracts.table import FeatureColumn
    from crmbet.load.session import LoadSession
    from crmbet.load.staging import Staging
    from crmbet.run.run import Run

Strategy = Literal["merge", "replace", "append"]
GoneUsers = Literal["keep", "mark", "delete"]


@dataclass(frozen=True, kw_only=True)
class LoadRules:
    """How a load writes, and what it may lose."""

    strategy: Strategy
    gone_users: GoneUsers
    """What a merge does with players whom staging lacks."""
    max_shrink: float
    """Share of its players that the target may lose: deleted, marked as gone, or without marketing as they are gone."""
    accept_loss: bool = False
    """Whether a person has said that this load may lose more, or, by replace, go back in time."""
    agreed_loss: int = 0
    """Players that a person who was asked has agreed to lose."""
    agreed_replace: bool = False
    """Whether a person who was asked has agreed that replace goes back in time."""
    reconstructed: str | None = None
    """Why the rows are a reconstruction, for the history; None if they are none."""
    as_of_date: date | None = None
    """The date of the run's as_of in the operator's zone, for messages."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """The params of the run that are not the defaults, for messages."""
    dag_id: str = "user_features_daily"
    """The run's DAG, for messages."""


def rules_of(run: Run, reconstructed: str | None, dag_id: str) -> LoadRules:
    """How the load of a run writes. `reconstructed` says why its rows are a reconstruction; None if they are none."""
    return LoadRules(
        strategy=run.params.load_strategy,
        gone_users=run.settings.load.gone_users,
        max_shrink=run.settings.load.max_table_shrink,
        accept_loss=run.params.accept_loss,
        reconstructed=reconstructed,
        as_of_date=run.as_of_date,
        params=run.params.model_dump(mode="json", exclude_defaults=True),
        dag_id=dag_id,
    )


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
    """Players who are gone, whose marketing merge has ended. It marked them unless they are to be kept."""
    recorded: int = 0
    """Rows that the load inserted into the history, or updated there."""
    edited: int = 0
    """Rows of the target that somebody had changed by hand. The load has put them back."""
    edited_history: int = 0
    """The same of the history, among its rows of the staged players and as_of, and those that the target has."""
    deleted: int = 0
    """Rows of the newest run that somebody had deleted from the target. The load has put them back."""
    disputed: int = 0
    """Rows that differ in target and history, and neither has its own hash: the load has left both as they were."""
    backup: str | None = None
    """The backup that holds what the target held before, whether or not this load took it. None if nothing changed."""


@dataclass(frozen=True)
class Bounds:
    """How many rows staging and the target have, and from when to when they are."""

    staged: int
    oldest_staged: datetime | None
    newest_staged: datetime | None
    rows: int
    newest_loaded: datetime | None


@dataclass(frozen=True)
class Comparison:
    """How staging compares with the target: numbers of rows, and the oldest and newest as_of."""

    rows: int
    """Rows of the target."""
    live: int
    """Of these, players who are not known to be gone."""
    staged: int
    missing: int
    """Staged players that the target does not have."""
    stale: int
    """Rows of the target that are not newer than staging's and differ in as_of or row_hash."""
    returned: int
    """Rows of the target that belong to players who are gone, although staging has an equal row."""
    older: int
    """Staged rows that are older than the target's."""
    absent: int
    """Rows of the target that staging does not have."""
    lost: int
    """Rows of the target that staging does not have, of players who are not known to be gone."""
    unsettled: int
    """Rows of the target that staging does not have, and that do not say so: without the mark, or with marketing."""
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
    unsettled: int
    written: int = 0
    """Rows that carry the load's instant, without those of players who are gone."""
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
    contract = session.contract
    with session.exclusive_transaction() as cursor:
        require_tables(cursor, session, (target_shape(contract), history_shape(contract)))
        for table in (session.table, session.history):
            session.hold_writers_off(cursor, table)
        write = _Write.begin(cursor, session, staging, rules)
        bounds = write.read_bounds()
        _refuse_other_rows(session, staging, bounds)
        recording = Recording(
            staging=write.staging,
            oldest=bounds.oldest_staged,
            newest=bounds.newest_staged,
            written_at=write.written_at,
            reconstructed=rules.reconstructed,
        )
        later = find_newest_recorded(cursor, session, bounds.newest_loaded)
        # The history comes first: the target's rows are compared with it.
        recorded = record(cursor, session, recording)
        search = write.search(bounds, later)
        edits = search.find()
        backup = None
        if edits.can_be_repaired:
            backup = _back_up(cursor, session, taken_at, bounds)
            search.repair(edits)
        before = write.compare()
        _refuse_loss(session, rules, before)
        goal = _find_goal(rules, before)
        done = LoadCounts(staged=before.staged, unchanged=before.staged)
        if goal.changed and not edits.can_be_repaired:
            backup = _back_up(cursor, session, taken_at, bounds)
        gone = record_gone(cursor, session, recording, write.find_gone(before))
        if goal.changed:
            done = write.write_and_verify(goal, before)
        if write.goes_back(before, later):
            silence_gone(cursor, session)
        if alongside is not None:
            alongside(cursor, write.written_at)
    return replace(
        done,
        recorded=recorded.inserted + recorded.updated + gone,
        edited=edits.table,
        edited_history=recorded.edited + edits.history,
        deleted=edits.deleted,
        disputed=edits.unknown,
        backup=backup,
    )


def _back_up(
    cursor: extensions.cursor, session: LoadSession, taken_at: datetime, bounds: Bounds
) -> str | None:
    """The name of the backup that holds what the target holds, which is taken if there is none. None if it is empty."""
    taken = back_up(cursor, session, taken_at)
    if taken is not None:
        return taken.name
    return list_backups(cursor, session)[0].name if bounds.rows else None


@dataclass(frozen=True, kw_only=True)
class _Write:
    """The statements of one load, over one cursor inside its transaction."""

    cursor: extensions.cursor
    session: LoadSession
    rules: LoadRules
    staging: Fragment
    key: Fragment
    columns: dict[str, FeatureColumn]
    written_at: datetime
    """The load's instant, by the server's clock. It goes into updated_at, and no other load has the same."""

    @classmethod
    def begin(
        cls, cursor: extensions.cursor, session: LoadSession, staging: Staging, rules: LoadRules
    ) -> _Write:
        cursor.execute(render("load/spell_reals_exactly"))
        cursor.execute(render("load/read_clock"))
        (written_at,) = single_row(cursor)
        return cls(
            cursor=cursor,
            session=session,
            rules=rules,
            staging=session.in_schema(staging.table),
            key=identifier(session.contract.key),
            columns=session.contract.computed,
            written_at=written_at,
        )

    def read_bounds(self) -> Bounds:
        """Count the rows of staging and target, and find from when to when they are."""
        self._execute("read_bounds")
        return Bounds(*single_row(self.cursor))

    def search(self, bounds: Bounds, later: datetime | None) -> Search:
        """The search for rows that somebody has edited. `later` is the newest as_of that the target's is older than."""
        # An emptied table lacks the rows of the newest run. One that was taken back to an older day lacks them rightly.
        newest = later if bounds.rows == 0 else None if later is not None else bounds.newest_loaded
        return Search(
            cursor=self.cursor,
            session=self.session,
            staging=self.staging,
            marks=self.rules.gone_users == "mark",
            newest=newest,
            written_at=self.written_at,
        )

    def goes_back(self, before: Comparison, later: datetime | None) -> bool:
        """Whether the target is older afterwards than what the history has, as after a restore."""
        is_last = before.is_newest or self.rules.strategy == "replace"
        newest = later if later is not None else before.newest_loaded
        return (
            is_last
            and newest is not None
            and before.newest_staged is not None
            and before.newest_staged < newest
        )

    def find_gone(self, before: Comparison) -> Gone | None:
        """The players of whom this load is the first to find that they are gone; None if it cannot know of any."""
        if before.newest_staged and before.is_newest and before.absent:
            rows = self._render("select_absent_rows", columns=column_list(self.columns, "target."))
            return Gone(rows=rows, as_of=before.newest_staged, is_found_now=True)
        if before.newest_loaded and before.missing and self._is_past(before):
            rows = self._render("select_missing_rows", columns=column_list(self.columns, "staged."))
            return Gone(rows=rows, as_of=before.newest_loaded, is_found_now=False)
        return None

    def write_and_verify(self, goal: Goal, before: Comparison) -> LoadCounts:
        """Write the staged rows into the target, and verify that it holds what the goal says."""
        rules = self.rules
        removed = marked = updated = inserted = 0
        if rules.strategy == "replace":
            removed = self._execute("delete_all_rows")
        if rules.strategy == "merge":
            updated = self._update_changed_rows(before)
        if rules.strategy != "replace" and before.is_newest:
            if rules.strategy == "merge" and rules.gone_users == "delete":
                removed = self._execute("delete_gone_rows")
            else:
                marked = self._execute("mark_gone_rows", {"marks": rules.gone_users == "mark"})
        if goal.missing == 0:
            inserted = self._insert_new_rows(before)
        self._verify(goal)
        return LoadCounts(
            staged=before.staged,
            inserted=inserted,
            updated=updated,
            unchanged=before.staged - inserted - updated,
            removed=removed,
            marked=marked,
        )

    def _is_past(self, before: Comparison) -> bool:
        """Whether the table is newer than what is staged, and stays so. A player whom it lacks is gone by now."""
        return (
            self.rules.strategy != "replace"
            and before.newest_staged is not None
            and before.newest_loaded is not None
            and not before.is_newest
        )

    def compare(self) -> Comparison:
        """Compare the target with staging."""
        marks = self.rules.gone_users == "mark"
        self._execute("compare_with_staging", {"marks": marks}, history=self.session.history)
        return Comparison(*single_row(self.cursor))

    def _update_changed_rows(self, before: Comparison) -> int:
        features = {name: column for name, column in self.columns.items() if name != MARKETING}
        return self._execute(
            "update_changed_rows",
            {"is_newest": before.is_newest},
            assignments=assignments(features, "staged"),
        )

    def _insert_new_rows(self, before: Comparison) -> int:
        is_past = self._is_past(before)
        staged = [
            Fragment(f"staged.{identifier(name)}" + (" AND NOT %(is_gone)s" if name == MARKETING else ""))
            for name in self.columns
        ]
        return self._execute(
            "insert_new_rows",
            {"is_gone": is_past, "is_marked": is_past and self.rules.gone_users == "mark"},
            columns=column_list(self.columns),
            staged_columns=joined(staged),
        )

    def _verify(self, goal: Goal) -> None:
        """Compare the target with staging and the goal. Raises `LoadRefused`, which rolls the load back."""
        after = self.compare()
        self._execute(
            "compare_written_rows",
            target_columns=column_list(self.columns, "target."),
            staged_values=expected_values(self.columns, "staged", "target"),
        )
        written, miswritten = single_row(self.cursor)
        faults = []
        if after.rows != goal.rows:
            faults.append(f"the table has {after.rows} rows instead of {goal.rows}")
        if after.missing != goal.missing:
            faults.append(f"{after.missing} staged players are not in the table, instead of {goal.missing}")
        if after.stale != goal.stale:
            faults.append(f"{after.stale} rows are older than staged, instead of {goal.stale}")
        if (after.absent, after.unsettled) != (goal.absent, goal.unsettled):
            faults.append(
                f"{after.absent} players are gone, {after.unsettled} of them not marked or with marketing, "
                f"instead of {goal.absent} and {goal.unsettled}"
            )
        if written != goal.written:
            faults.append(f"{written} rows carry the load's instant instead of {goal.written}")
        if miswritten:
            faults.append(f"{miswritten} rows were written with other values than those staged")
        if faults:
            raise LoadRefused(
                f"the load was rolled back: the table does not hold what was staged: {'; '.join(faults)}",
                where=self.session.where,
                why="a trigger or a rule on the table changes what is written, or this is a bug",
                next_step="look at the table's triggers and rules; its rows are as they were before the load",
            )

    def _execute(self, verb: str, values: dict[str, Any] | None = None, **fragments: Fragment) -> int:
        """Run a statement of include/sql/load/; returns the number of its rows."""
        text = self._render(verb, **fragments)
        self.cursor.execute(text, {"written_at": self.written_at, **(values or {})})
        return self.cursor.rowcount

    def _render(self, verb: str, **fragments: Fragment) -> Fragment:
        text = render(
            f"load/{verb}", table=self.session.table, staging=self.staging, key=self.key, **fragments
        )
        return Fragment(text)


def _find_goal(rules: LoadRules, before: Comparison) -> Goal:
    # Whoever is absent from the newest run loses marketing, if the load leaves the row.
    settled = before.unsettled if before.is_newest else 0
    match rules.strategy:
        case "merge":
            return _find_goal_of_merge(rules, before, settled)
        case "append":
            return Goal(
                rows=before.rows + before.missing,
                stale=before.stale,
                absent=before.absent,
                unsettled=before.unsettled - settled,
                written=before.missing,
                changed=before.missing + settled > 0,
            )
        case "replace":
            return Goal(
                rows=before.staged,
                stale=0,
                absent=0,
                unsettled=0,
                written=before.staged,
                changed=not before.is_equal,
            )
        case _:
            assert_never(rules.strategy)


def _find_goal_of_merge(rules: LoadRules, before: Comparison, settled: int) -> Goal:
    updated = before.stale + (before.returned if before.is_newest else 0)
    if not before.is_newest and rules.gone_users == "delete":
        # An older day does not bring back a player whom the table's newest load deleted.
        return Goal(
            rows=before.rows,
            missing=before.missing,
            stale=0,
            absent=before.absent,
            unsettled=before.unsettled,
            written=updated,
            changed=updated > 0,
        )
    deleted = before.absent if before.is_newest and rules.gone_users == "delete" else 0
    return Goal(
        rows=before.rows + before.missing - deleted,
        stale=0,
        absent=before.absent - deleted,
        unsettled=before.unsettled - settled,
        written=updated + before.missing,
        changed=updated + before.missing + deleted + settled > 0,
    )


def _refuse_other_rows(session: LoadSession, staging: Staging, bounds: Bounds) -> None:
    if bounds.staged != staging.rows:
        raise TemporaryFailure(
            f"the staging table holds {bounds.staged} rows where {staging.rows} were checked",
            where=session.where,
            why="another try of this run replaced it, or PostgreSQL crashed and emptied it",
            next_step=f"{RETRIED_BY_ITSELF}; make sure that no other try of the run is still running",
        )


def _refuse_loss(session: LoadSession, rules: LoadRules, before: Comparison) -> None:
    """Raise `LoadRefused` if the load would lose a later state, too many players, or all of them."""
    if before.staged == 0 and before.rows > 0 and rules.strategy == "replace":
        raise LoadRefused(
            "replace would leave an empty table, since the run computed no rows",
            where=session.where,
            next_step="find out why engineer_features computed none",
        )
    if rules.accept_loss:
        return
    oldest, newest = before.oldest_staged, before.newest_loaded
    may_go_back = rules.strategy != "replace" or rules.agreed_replace
    if not may_go_back and oldest is not None and newest is not None and oldest < newest:
        raise LoadRefused(
            f"replace would take the table back from as_of {newest.isoformat()} to {oldest.isoformat()}",
            where=session.where,
            why="the table holds rows of a later run",
            next_step="load with load_strategy merge, which keeps the newer rows; if the table should really go back, "
            f"{_advise_acceptance(rules)}",
        )
    lost, players = count_lost(rules, before)
    if lost > max(rules.max_shrink * players, rules.agreed_loss):
        raise LoadRefused(
            f"{rules.strategy} would lose {lost} of the table's {players} players"
            + (f" (without {before.rows - players} who are gone)" if players < before.rows else "")
            + ", more than "
            f"CRMBET_MAX_TABLE_SHRINK ({rules.max_shrink:g}) allows",
            where=session.where,
            why="the run did not find them in its sources",
            next_step=f"find out where they went; if they are really gone, {_advise_acceptance(rules)}",
        )


def _advise_acceptance(rules: LoadRules) -> str:
    """How to load with accept_loss. Clearing the task does not help: a cleared run keeps its params."""
    params = dict(rules.params)
    if rules.as_of_date:
        params["as_of"] = rules.as_of_date.isoformat()
    if rules.strategy != "merge":
        params["load_strategy"] = rules.strategy
    conf = shlex.quote(json.dumps({**params, "accept_loss": True}))
    return f"start a new run of the day: airflow dags trigger {rules.dag_id} --conf {conf}"


class Losses(Protocol):
    """How many players the target has and staging has not, in the words of `Comparison`."""

    @property
    def rows(self) -> int: ...  # noqa: D102
    @property
    def live(self) -> int: ...  # noqa: D102
    @property
    def absent(self) -> int: ...  # noqa: D102
    @property
    def lost(self) -> int: ...  # noqa: D102
    @property
    def is_newest(self) -> bool: ...  # noqa: D102


def count_lost(rules: LoadRules, before: Losses) -> tuple[int, int]:
    """Players of the table who would be absent from it, or who would be gone in it; and of how many players.

    Whoever is gone already is lost only if the row goes too. Among many such rows, a few live players would not count.
    """
    if rules.strategy == "replace":
        return before.absent, before.rows
    if not before.is_newest:
        return 0, before.rows
    if rules.strategy == "merge" and rules.gone_users == "delete":
        return before.absent, before.rows
    return before.lost, before.live
