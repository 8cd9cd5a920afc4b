"""The history of the target: one row per player and as_of, with the features that were known last.

It is partitioned by the UTC month of as_of. A load writes it in the transaction in which it writes the target. It gets
the same rows under every strategy.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from crmbet.contracts.table import MARKETING
from crmbet.databases.postgres import single_row
from crmbet.databases.statements import Fragment, assignments, identifier, joined, literal, render
from crmbet.failures import LoadRefused
from crmbet.load.session import history_name
from crmbet.load.target import column_list, typed_columns

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg2 import extensions

    from crmbet.load.session import LoadSession


@dataclass(frozen=True, kw_only=True)
class Recording:
    """What a load writes into the history."""

    staging: Fragment
    """The staging table."""
    oldest: datetime | None
    """The oldest as_of of the staged rows; None if there are none."""
    newest: datetime | None
    written_at: datetime
    """The load's instant."""
    reconstructed: str | None = None
    """Why the rows are a reconstruction; None if they are none."""


@dataclass(frozen=True, kw_only=True)
class Gone:
    """Players of whom a load finds that they are gone."""

    rows: Fragment
    """A SELECT of their last rows, with the columns that a run computes."""
    as_of: datetime
    """As of when they are gone."""
    is_found_now: bool
    """Whether the staged day itself lacks them. Otherwise it has them, and the table's newest day does not."""


@dataclass(frozen=True)
class HistoryCounts:
    """Rows of the history that a load wrote."""

    inserted: int = 0
    updated: int = 0
    edited: int = 0
    """Rows that somebody had edited, and that say again what was computed."""


def record(cursor: extensions.cursor, session: LoadSession, recording: Recording) -> HistoryCounts:
    """Write staged rows into the history, inside a load's transaction whose lock keeps other writers off.

    A staged row replaces the history's row of its player and as_of if its features differ and it was not known earlier.
    If both have the same row_hash and other cells, somebody has edited the history's row: it gets the staged cells.
    Raises `LoadRefused` if the history does not hold what was staged afterwards, or if its partition is missing.
    """
    if recording.oldest is None or recording.newest is None:
        return HistoryCounts()
    columns, features = session.contract.computed, session.contract.features
    values = {
        "oldest_staged": recording.oldest,
        "newest_staged": recording.newest,
        "written_at": recording.written_at,
        "is_reconstructed": recording.reconstructed is not None,
        "reconstructed": recording.reconstructed,
    }

    def execute(verb: str, **fragments: Fragment) -> int:
        key = identifier(session.contract.key)
        text = render(f"load/{verb}", table=session.history, staging=recording.staging, key=key, **fragments)
        cursor.execute(text, values)
        return cursor.rowcount

    cells_differ = Fragment(
        f"({column_list(features, 'history.')}) IS DISTINCT FROM ({typed_columns(features, 'staged')})"
    )
    execute("compare_with_history", cells_differ=cells_differ)
    missing, superseded, edited = single_row(cursor)
    if recording.reconstructed is not None:
        execute("mark_reconstructed_rows")
    if missing == superseded == edited == 0:
        return HistoryCounts()
    _ensure_partitions(cursor, session, recording.oldest, recording.newest)
    if edited:
        execute(
            "repair_edited_history", assignments=assignments(features, "staged"), cells_differ=cells_differ
        )
    updated = (
        execute("update_superseded_rows", assignments=assignments(columns, "staged")) if superseded else 0
    )
    inserted = execute(
        "insert_into_history",
        columns=column_list(columns),
        staged_columns=column_list(columns, "staged."),
    )
    # The cells of what was inserted or updated are compared below.
    execute("compare_with_history", cells_differ=cells_differ if edited else Fragment("false"))
    left = single_row(cursor)
    execute(
        "compare_written_history",
        target_columns=column_list(columns, "history."),
        staged_values=typed_columns(columns, "staged"),
    )
    written, miswritten = single_row(cursor)
    if left != (0, 0, 0) or written != missing + superseded or miswritten:
        raise LoadRefused(
            f"the load was rolled back: the history does not hold what was staged: {left[0]} rows are missing, "
            f"{left[1]} are not the rows known last, {left[2]} have other cells, {written} were written instead of "
            f"{missing + superseded}, {miswritten} of them with other values",
            where=session.where,
            why="a trigger or a rule on the history changes what is written, or this is a bug",
            next_step="look at its triggers and rules; table and history are as they were before the load",
        )
    return HistoryCounts(inserted=inserted, updated=updated, edited=edited)


def record_gone(
    cursor: extensions.cursor, session: LoadSession, recording: Recording, gone: Gone | None
) -> int:
    """Write a row without marketing for each player who is gone, before the target's row changes; returns their number.

    It has the player's last features. A day that has the player takes its place when it is loaded again and was known
    later.
    """
    if gone is None:
        return 0
    _ensure_partitions(cursor, session, gone.as_of, gone.as_of)
    columns = session.contract.computed
    replaced = {
        "as_of": "%(as_of)s",
        "known_at": "run.known_at",
        "execution_id": "%(run_id)s",
        "row_hash": "'gone ' || lost.row_hash",
        MARKETING: "false",
    }
    values = [Fragment(replaced.get(name, f"lost.{identifier(name)}")) for name in columns]
    text = render(
        "load/record_gone_rows",
        table=session.history,
        staging=recording.staging,
        key=identifier(session.contract.key),
        columns=column_list(columns),
        values=joined(values),
        rows=gone.rows,
        assignments=assignments(
            [name for name in columns if name not in (session.contract.key, "as_of")], "excluded"
        ),
    )
    parameters: dict[str, Any] = {
        "as_of": gone.as_of,
        "run_id": session.run_id,
        "written_at": recording.written_at,
        "is_found_now": gone.is_found_now,
    }
    cursor.execute(text, parameters)
    return cursor.rowcount


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
    cursor: extensions.cursor, session: LoadSession, oldest: datetime, newest: datetime
) -> None:
    # The catalogue shows bounds in the session's zone.
    cursor.execute("SET LOCAL timezone = 'UTC'")
    for month in months(oldest, newest):
        name = partition_name(history_name(session.contract), month)
        first, after = _bound(month), _bound(next_month(month))
        cursor.execute(
            render("load/find_partition"),
            {
                "table": session.history,
                "partition": name,
                "partition_address": session.in_schema(name),
                "bounds": f"FOR VALUES FROM ({first}) TO ({after})",
            },
        )
        is_named, is_attached = single_row(cursor)
        if is_attached:
            continue
        attach = render(
            "load/attach_partition",
            table=session.history,
            partition=session.in_schema(name),
            first=first,
            after=after,
        )
        if is_named:
            raise LoadRefused(
                f"{name} is no partition of {history_name(session.contract)}, which lacks its rows of {month:%Y-%m}",
                where=session.where,
                why="somebody detached it, or something else has its name",
                next_step=f"to put it back, run: {attach.strip()}; to go on without its rows, give it another name. "
                "Then clear load_merge",
            )
        partition = session.in_schema(name)
        cursor.execute(render("load/create_partition", table=session.history, partition=partition))
        _attach(cursor, session, attach, month)


def _attach(cursor: extensions.cursor, session: LoadSession, attach: str, month: datetime) -> None:
    """Attach a partition. Raises `LoadRefused` if others have rows of the month, such as a partition of a year."""
    from psycopg2.errors import CheckViolation, InvalidObjectDefinition

    try:
        cursor.execute(attach)
    except (InvalidObjectDefinition, CheckViolation):
        raise LoadRefused(
            f"{history_name(session.contract)} cannot have a partition for {month:%Y-%m}, since another one has that "
            "month or a part of it",
            where=session.where,
            why="somebody made a partition with other bounds, or a default partition that holds rows of the month",
            next_step="detach it, move its rows into partitions of whole UTC months, and clear load_merge",
        ) from None


def _bound(instant: datetime) -> Fragment:
    """An instant as the catalogue shows it in UTC."""
    return literal(f"{instant:%Y-%m-%d %H:%M:%S}+00")
