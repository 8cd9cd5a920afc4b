"""What a person is asked before a load, and what the answer lets the load do.

Nobody is asked unless a deployment says what to ask for (`CRMBET_ASK_ON`). A run may say it for itself (`ask_on`). What
the form shows is computed beside the load and writes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from crmbet import metering
from crmbet.databases.duckdb import attach_postgres
from crmbet.databases.statements import Fragment, identifier, joined, literal, render
from crmbet.load.load import LoadRules, count_lost
from crmbet.load.staging import ENGINE_ALIAS
from crmbet.load.target import read_columns
from crmbet.run.records import Record

if TYPE_CHECKING:
    import duckdb

    from crmbet.load.session import LoadSession

REPLACE, LOSS = "replace", "loss"
"""What can be asked for beside severities of checks: a load by replace, and one that would lose more than allowed."""
MOST_MOVEMENTS = 8
"""Flows between segments that the form shows."""


class Approval(Record):
    """`approve.json`: what was asked, and what the answer was."""

    asked: list[str]
    """Why a person was asked, in words of `ask_on`. Nobody was if it is empty."""
    answered_by: str | None = None
    lost: int = 0
    """Players that the table may lose by this load: as many as the person was shown."""

    @property
    def agrees_to_replace(self) -> bool:
        """Whether a person has agreed that the table becomes this run's rows, also those of an earlier day."""
        return REPLACE in self.asked or LOSS in self.asked


@dataclass(frozen=True)
class Preview:
    """What a load would do to the table: numbers of players. The fields are those of a comparison before a load."""

    rows: int = 0
    live: int = 0
    staged: int = 0
    missing: int = 0
    changed: int = 0
    """Players whose features differ from those in the table."""
    absent: int = 0
    lost: int = 0
    oldest_staged: datetime | None = None
    newest_staged: datetime | None = None
    newest_loaded: datetime | None = None
    movements: Sequence[tuple[str, str | None, str | None, int]] = ()
    """Dimension, segment now, segment after the load, players: the largest first."""

    @property
    def is_newest(self) -> bool:
        """Whether the run is at least as new as the table."""
        if self.newest_staged is None:
            return False
        return self.newest_loaded is None or self.newest_staged >= self.newest_loaded


def preview_load(
    session: LoadSession, engine: duckdb.DuckDBPyConnection, dsn: str, files: Sequence[str], users: int
) -> Preview:
    """Compare a run's feature files with the table. Reads both and writes nothing.

    `dsn` is a libpq URL or key=value string of the target's database. Raises what attaching it and reading S3 raise.
    """
    import duckdb

    with session.transaction() as cursor:
        if not read_columns(cursor, session, session.contract.name):
            return Preview(staged=users, missing=users)
    listed = joined([literal(file) for file in files])
    sources = {
        "table": identifier(ENGINE_ALIAS, session.contract.schema_name, session.contract.name),
        "staged": Fragment(f"read_parquet([{listed}], hive_partitioning = false)"),
    }
    attach_postgres(engine, dsn, ENGINE_ALIAS, read_only=True, timeouts=session.timeouts)
    try:
        most = Fragment(str(MOST_MOVEMENTS))
        with metering.in_postgres():
            [counts] = engine.execute(render("load/preview_load", **sources)).fetchall()
            moved = engine.execute(render("load/preview_movements", **sources, most=most)).fetchall()
    finally:
        with suppress(duckdb.Error):
            engine.execute(f"DETACH {identifier(ENGINE_ALIAS)}")
    preview = replace(Preview(*counts), movements=moved)
    # Each of the two statements reads the table.
    metering.count_rows(read=2 * preview.rows)
    return preview


def ask(
    questions: Collection[str], rules: LoadRules, preview: Preview, breached: Collection[str]
) -> Approval:
    """What a person has to be asked, and what the load may lose if the answer is yes.

    `questions` are words of `ask_on`. `breached` are the severities of checks that failed and did not stop the run.
    """
    lost, players = count_lost(rules, preview)
    loses = lost > rules.max_shrink * players or _goes_back(rules, preview)
    found = {REPLACE: rules.strategy == "replace", LOSS: loses and not rules.accept_loss}
    found |= dict.fromkeys(breached, True)
    asked = [word for word in questions if found.get(word)]
    return Approval(asked=asked, lost=lost if {REPLACE, LOSS}.intersection(asked) else 0)


def _goes_back(rules: LoadRules, preview: Preview) -> bool:
    oldest, newest = preview.oldest_staged, preview.newest_loaded
    return rules.strategy == "replace" and oldest is not None and newest is not None and oldest < newest
