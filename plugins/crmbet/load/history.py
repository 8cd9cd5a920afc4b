"""The history of the target: one row per player and as_of, with the features that were known last.

It is partitioned by the UTC month of as_of. A load writes it in the transaction in which it writes the target. It gets
the same rows under every strategy.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from crmbet.databases.postgres import single_row
from crmbet.databases.statements import Fragment, assignments, identifier, literal, render
from crmbet.failures import LoadRefused
from crmbet.load.session import history_name
from crmbet.load.target import column_list, history_shape, read_columns, refuse_drift, staged_values

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg2 import extensions

    from crmbet.load.session import LoadSession


@dataclass(frozen=True)
class HistoryCounts:
    """Rows of the history that a load wrote."""

    inserted: int = 0
    updated: int = 0


def record(
    cursor: extensions.cursor,
    session: LoadSession,
    staging: Fragment,
    span: tuple[datetime, datetime],
    written_at: datetime,
) -> HistoryCounts:
    """Write staged rows into the history, inside a load's transaction whose lock keeps other writers off.

    `span` holds the oldest and the newest as_of of the staged rows. A staged row replaces the history's row of its
    player and as_of if its features differ and it was not known earlier. Raises `LoadRefused` if the history does not
    match its contract, or if it does not hold what was staged afterwards.
    """
    shape = history_shape(session.contract)
    refuse_drift(session, shape, read_columns(cursor, session, shape.name))
    columns = session.contract.computed
    values = {"oldest_staged": span[0], "newest_staged": span[1], "written_at": written_at}

    def execute(verb: str, **fragments: Fragment) -> int:
        key = identifier(session.contract.key)
        text = render(f"load/{verb}", table=session.history, staging=staging, key=key, **fragments)
        cursor.execute(text, values)
        return cursor.rowcount

    execute("compare_with_history")
    missing, superseded = single_row(cursor)
    if missing == superseded == 0:
        return HistoryCounts()
    _ensure_partitions(cursor, session, span)
    updated = (
        execute("update_superseded_rows", assignments=assignments(columns, "staged")) if superseded else 0
    )
    inserted = execute(
        "insert_into_history",
        columns=column_list(columns),
        staged_columns=column_list(columns, "staged."),
    )
    execute("compare_with_history")
    left = single_row(cursor)
    execute(
        "compare_written_history",
        target_columns=column_list(columns, "history."),
        staged_values=staged_values(columns),
    )
    written, miswritten = single_row(cursor)
    if left != (0, 0) or written != missing + superseded or miswritten:
        raise LoadRefused(
            f"the load was rolled back: the history does not hold what was staged: {left[0]} rows are missing, "
            f"{left[1]} are not the rows known last, {written} were written instead of {missing + superseded}, "
            f"{miswritten} of them with other values",
            where=session.where,
            why="a trigger or a rule on the history changes what is written, or this is a bug",
            next_step="look at its triggers and rules; table and history are as they were before the load",
        )
    return HistoryCounts(inserted=inserted, updated=updated)


def partition_name(table: str, month: datetime) -> str:
    """The name of a table's partition for the month that begins at an instant."""
    return f"{table}_{month:%Y_%m}"


def months(oldest: datetime, newest: datetime) -> Iterator[datetime]:
    """The first instants of the UTC months from one instant to another."""
    month = oldest.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    while month <= newest:
        yield month
        month = next_month(month)


def next_month(month: datetime) -> datetime:
    """The first instant of the month after the one that begins at `month`."""
    return month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1)


def _ensure_partitions(
    cursor: extensions.cursor, session: LoadSession, span: tuple[datetime, datetime]
) -> None:
    for month in months(*span):
        name = partition_name(history_name(session.contract), month)
        cursor.execute(render("load/find_partition"), {"table": session.history, "partition": name})
        if cursor.fetchone() is None:
            partition = session.in_schema(name)
            cursor.execute(render("load/create_partition", table=session.history, partition=partition))
            cursor.execute(
                render(
                    "load/attach_partition",
                    table=session.history,
                    partition=partition,
                    first=literal(month.isoformat()),
                    after=literal(next_month(month).isoformat()),
                )
            )
