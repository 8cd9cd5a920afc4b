"""Rows of the target and its history that somebody has edited by hand: found, judged, and put back.

The history has what the load of a row's as_of has written. Where the two disagree, `row_hash` says who is right: it is
computed again from the cells of both. A row that does not have its own hash is never the truth for another one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from crmbet.contracts.table import MARKETING
from crmbet.databases.postgres import single_row
from crmbet.databases.statements import Fragment, assignments, identifier, joined, render
from crmbet.failures import LoadRefused
from crmbet.load.target import column_list, typed_columns

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from psycopg2 import extensions

    from crmbet.contracts.table import FeatureColumn
    from crmbet.load.session import LoadSession

BEFORE_ALL = "-infinity"
IS_SAME = Fragment("(recorded.row_hash IN (target.row_hash, 'gone ' || target.row_hash))")
"""Whether a row of the target and its row of the history say that they have the same features."""
IS_LOUD = Fragment(f"(target.marketing_reason IS NOT NULL AND target.{identifier(MARKETING)})")
"""Whether a row of the target has marketing, and a reason against it."""
EVERY_PART = {"has_suspect": True, "has_unrecorded": True, "has_other": True}
"""Every part of the search for edited rows."""


@dataclass(frozen=True, kw_only=True)
class Edits:
    """Numbers of rows that are not what a load has written."""

    table: int = 0
    """Rows of the target: the history has the right ones."""
    history: int = 0
    """Rows of the history: the target has the right ones."""
    unknown: int = 0
    """Rows that differ in target and history, and neither has its own hash. They are left as they are."""
    deleted: int = 0
    """Rows of the newest run that the target lacks."""

    @property
    def can_be_repaired(self) -> bool:
        """Whether there is anything to be put back."""
        return bool(self.table or self.history or self.deleted)


@dataclass(frozen=True, kw_only=True)
class Search:
    """The search for edits in one load, after its staged rows were recorded and before it writes to the target."""

    cursor: extensions.cursor = field(repr=False)
    session: LoadSession
    staging: Fragment
    marks: bool
    """Whether players who are gone have the mark."""
    newest: datetime | None
    """The as_of of the newest run, if the target should have it: its rows are compared with that day of the history,
    and none may be missing. None if the target was taken back to an older day."""
    written_at: datetime

    def find(self) -> Edits:
        """Count what was edited."""
        return self._find()[0]

    def repair(self, found: Edits) -> None:
        """Put back what `find` has counted, but for what cannot be told.

        Raises `LoadRefused` if it does not stay put back.
        """
        features = self._features(but=MARKETING)
        if found.history:
            _, oldest, newest = self._find()
            self._execute(
                "repair_history_from_table",
                {"oldest_edited": oldest, "newest_edited": newest},
                assignments=assignments(features, "target"),
                edited=self._edited(),
                hash_with_marketing=hash_cells(
                    self.session.contract.features, "target", marketing=Fragment("true")
                ),
            )
        if found.table:
            self._execute(
                "repair_edited_rows", assignments=assignments(features, "recorded"), edited=self._edited()
            )
        if found.deleted:
            self._execute(
                "insert_deleted_rows",
                columns=column_list(self.session.contract.computed),
                deleted=self._render("find_deleted_rows"),
            )
        if (left := self.find()).can_be_repaired:
            raise LoadRefused(
                f"the load was rolled back: what somebody had edited by hand could not be put back: {left.table} rows "
                f"of the table, {left.history} of its history, and {left.deleted} that are missing",
                where=self.session.where,
                why="a trigger or a rule on one of them changes what is written, or this is a bug",
                next_step="look at their triggers and rules; table and history are as they were before the load",
            )

    def _find(self) -> tuple[Edits, datetime | None, datetime | None]:
        self._execute("count_suspects", is_suspect=self._is_suspect())
        suspect, unrecorded, other, deleted = single_row(self.cursor)
        if not (suspect or unrecorded or other):
            return Edits(deleted=deleted), None, None
        looked_for = {
            "has_suspect": bool(suspect),
            "has_unrecorded": bool(unrecorded),
            "has_other": bool(other),
        }
        self._execute("count_edits", looked_for, edited=self._edited())
        table, history, unknown, oldest, newest = single_row(self.cursor)
        return Edits(table=table, history=history, unknown=unknown, deleted=deleted), oldest, newest

    def _edited(self) -> Fragment:
        columns = self.session.contract.features
        return self._render(
            "find_edited_rows",
            is_same=IS_SAME,
            is_loud=IS_LOUD,
            is_suspect=self._is_suspect(),
            cells_differ=self._cells_differ(),
            table_fits=fits_hash(columns, "target"),
            history_fits=fits_hash(columns, "recorded"),
            reason=self._render("find_later_reason"),
            unrecorded=self._render("find_unrecorded_rows"),
        )

    def _is_suspect(self) -> Fragment:
        return self._render("is_suspect", is_same=IS_SAME, is_loud=IS_LOUD, cells_differ=self._cells_differ())

    def _cells_differ(self) -> Fragment:
        """Whether a row of the target has other features than its row of the history makes it hold.

        Without marketing, a player who is gone says nothing of what the row held before.
        """
        others = self._features(but=MARKETING)
        marketing = identifier(MARKETING)
        return Fragment(
            f"(({column_list(others, 'target.')}) IS DISTINCT FROM ({typed_columns(others, 'recorded')}) OR "
            "(target.marketing_reason IS NULL AND recorded.marketing_reason IS NULL "
            f"AND target.{marketing} IS DISTINCT FROM recorded.{marketing}))"
        )

    def _features(self, *, but: str) -> dict[str, FeatureColumn]:
        return {name: column for name, column in self.session.contract.features.items() if name != but}

    def _execute(self, verb: str, values: dict[str, Any] | None = None, **fragments: Fragment) -> None:
        known = {"newest": self.newest, "written_at": self.written_at, "marks": self.marks}
        every = {**EVERY_PART, **known, **(values or {})}
        self.cursor.execute(self._render(verb, **fragments), every)

    def _render(self, verb: str, **fragments: Fragment) -> Fragment:
        session = self.session
        text = render(
            f"load/{verb}",
            table=session.table,
            history=session.history,
            staging=self.staging,
            key=identifier(session.contract.key),
            **fragments,
        )
        return Fragment(text)


def find_newest_recorded(
    cursor: extensions.cursor, session: LoadSession, after: datetime | None
) -> datetime | None:
    """The newest as_of that the history has after an instant; None if it has none. It reads all that is later."""
    text = render("load/find_newest_recorded", history=session.history)
    cursor.execute(text, {"after": BEFORE_ALL if after is None else after})
    (newest,) = single_row(cursor)
    found: datetime | None = newest
    return found


def silence_gone(cursor: extensions.cursor, session: LoadSession) -> int:
    """End the marketing of players who are gone since their row of the target; returns their number."""
    text = render(
        "load/silence_gone_rows",
        table=session.table,
        history=session.history,
        key=identifier(session.contract.key),
    )
    cursor.execute(text)
    return cursor.rowcount


def fits_hash(features: Mapping[str, FeatureColumn], source: str) -> Fragment:
    """Whether the cells of a row of a table, by its alias, have its row_hash."""
    computed = hash_cells(features, source, marketing=Fragment("had.marketing_allowed"))
    return Fragment(f"(\n{render('load/fits_hash', source=identifier(source), computed=computed)})")


def hash_cells(
    features: Mapping[str, FeatureColumn], source: str, *, marketing: Fragment | None = None
) -> Fragment:
    """The row_hash of a row of a table, by its alias, as assemble_features.sql computes it.

    `marketing` stands for the cell that says whether a campaign may write to the player.
    """
    cells = [
        Fragment(f"{_spell(name, column, source, marketing)} AS {identifier(name)}")
        for name, column in features.items()
    ]
    return Fragment(f"(\n{render('load/hash_cells', cells=joined(cells))})")


def _spell(name: str, column: FeatureColumn, source: str, marketing: Fragment | None) -> Fragment:
    if name == MARKETING and marketing is not None:
        return marketing
    value = Fragment(f"{source}.{identifier(name)}")
    match column.type:
        case "real" | "r01" | "money":
            return Fragment(f"(\n{render('load/spell_real', value=value)})")
        case _:
            return value
