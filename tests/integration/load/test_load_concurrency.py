"""Several at once: readers that never see a load half done, and loads that wait for each other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from psycopg2.extensions import TRANSACTION_STATUS_IDLE

from crmbet.failures import LockHeld
from crmbet.load.backup import sweep_backups
from crmbet.load.load import LoadCounts, Strategy
from crmbet.load.staging import Staging
from tests.integration.load.small_loads import NOON, load_rows

if TYPE_CHECKING:
    from crmbet.load.session import LoadSession

pytestmark = pytest.mark.integration

Query = Callable[..., list[tuple[Any, ...]]]
MakeRow = Callable[..., dict[str, Any]]
Stage = Callable[..., Staging]

PLAYERS = 10
STATE = """
    SELECT count(*), max(as_of), sum(hash_record_extended(ROW(user_id, as_of, row_hash), 7)::numeric) FROM {}
"""


def rows_of_load(strategy: Strategy, number: int, row: MakeRow) -> list[dict[str, Any]]:
    """Each load changes every player, or, where it may only add, adds some.

    Few, since each load compares and backs up all that there are by then.
    """
    players = 2 if strategy == "append" else PLAYERS
    first = number * players if strategy == "append" else 0
    as_of = row("u")["as_of"] + timedelta(seconds=number)
    return [row(f"u{first + n}", row_hash=f"load {number}", as_of=as_of) for n in range(players)]


@pytest.mark.few(1)
@pytest.mark.parametrize("loads", [40, pytest.param(1000, marks=pytest.mark.full)])
@pytest.mark.parametrize("strategy", ["merge", "replace", "append"])
def test_a_reader_sees_nothing_but_committed_states(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage, strategy: Strategy, loads: int
) -> None:
    look = STATE.format(session.table)
    committed: set[tuple[Any, ...]] = set()
    seen: set[tuple[Any, ...]] = set()
    finished, looked = threading.Event(), threading.Event()

    def read() -> None:
        while not finished.is_set():
            seen.add(query(look)[0])
            looked.set()

    with ThreadPoolExecutor(1) as reader:
        reading = reader.submit(read)
        try:
            with session.connection, session.connection.cursor() as cursor:
                cursor.execute(look)
                committed.add(cursor.fetchone() or ())
            for number in range(loads):
                staging = stage(session, rows_of_load(strategy, number, row))
                load_rows(session, staging, strategy)
                with session.connection, session.connection.cursor() as cursor:
                    cursor.execute(f"DROP TABLE {session.in_schema(staging.table)}")
                    cursor.execute(look)
                    committed.add(cursor.fetchone() or ())
                if number % 20 == 19:
                    sweep_backups(session, NOON, days=30, count=1)
                # On a busy machine the reader may not get a turn: it looks at least once between two loads.
                looked.clear()
                assert looked.wait(timeout=30)
        finally:
            finished.set()
        reading.result()

    assert len(committed) == loads + 1
    assert len(seen) > loads / 5, "the reader was too slow to prove anything"
    assert seen <= committed


def test_a_reader_is_not_kept_waiting_by_a_load(
    session: LoadSession, open_session: Callable[..., LoadSession], query: Query, row: MakeRow, stage: Stage
) -> None:
    load_rows(session, stage(session, [row("a")]))
    loading = open_session("a run that takes its time")

    with loading.exclusive_transaction() as cursor:
        loading.hold_writers_off(cursor, loading.table)
        cursor.execute(f"DELETE FROM {loading.table}")
        query("SET statement_timeout = '2s'")
        assert query(f"SELECT count(*) FROM {loading.table}") == [(1,)]


@pytest.mark.full
def test_ten_loads_at_once_queue_and_the_newest_as_of_wins(
    open_session: Callable[..., LoadSession], session: LoadSession, query: Query, row: MakeRow, stage: Stage
) -> None:
    days = [23, 20, 25, 21, 24, 22, 19, 18, 26, 17]
    work = [
        (open_session(f"run of day {day}"), stage(session, [row(f"u{n}", day=day) for n in range(PLAYERS)]))
        for day in days
    ]
    start = threading.Barrier(len(work))

    def load_when_all_are_ready(own: LoadSession, staging: Staging) -> LoadCounts:
        start.wait()
        return load_rows(own, staging)

    with ThreadPoolExecutor(len(work)) as pool:
        counts = list(pool.map(load_when_all_are_ready, *zip(*work, strict=True)))

    assert sum(each.inserted for each in counts) == PLAYERS
    assert all(each.staged == each.inserted + each.updated + each.unchanged for each in counts)
    found = query(
        f"SELECT count(*), min(extract(day FROM as_of)), max(extract(day FROM as_of)) FROM {session.table}"
    )
    assert found == [(PLAYERS, 26, 26)]
    (history,) = query(f"SELECT count(*), count(DISTINCT as_of) FROM {session.history}")
    assert history == (PLAYERS * len(days), len(days))


def test_a_load_that_waited_dates_its_rows_after_those_it_waited_for(
    session: LoadSession, open_session: Callable[..., LoadSession], query: Query, row: MakeRow, stage: Stage
) -> None:
    first, second = stage(session, [row("first")]), stage(session, [row("second")])
    holder, waiting = open_session("holder"), open_session("waiting")

    with ThreadPoolExecutor(1) as pool, holder.exclusive_transaction() as cursor:
        outcome = pool.submit(load_rows, waiting, second)
        wait_until_blocked(query)
        cursor.execute(
            f"INSERT INTO {session.table} SELECT *, false, NULL, clock_timestamp() "
            f"FROM {session.in_schema(first.table)}"
        )
        holder.connection.commit()
        outcome.result()

    assert query(f"SELECT user_id FROM {session.table} ORDER BY updated_at") == [("first",), ("second",)]


def test_a_load_that_waits_too_long_names_the_holder(
    session: LoadSession, open_session: Callable[..., LoadSession], row: MakeRow, stage: Stage
) -> None:
    staging = stage(session, [row("a")])
    holder = open_session("scheduled__2026-11-19T03:00:00+00:00")
    waiting = open_session("manual__2026-11-20", lock_timeout_seconds=1)

    with holder.exclusive_transaction(), pytest.raises(LockHeld) as failure:
        load_rows(waiting, staging)

    assert "'crmbet run scheduled__2026-11-19T03:00:00+00:00'" in str(failure.value)
    assert f"pg_terminate_backend({holder.connection.info.backend_pid})" in str(failure.value)
    assert waiting.connection.get_transaction_status() == TRANSACTION_STATUS_IDLE
    assert load_rows(waiting, staging).inserted == 1


def test_a_load_waits_for_another_writer_of_the_table_and_gives_up_in_time(
    session: LoadSession, open_session: Callable[..., LoadSession], row: MakeRow, stage: Stage
) -> None:
    staging = stage(session, [row("a")])
    writer = open_session().connection
    with writer.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {session.table} IN ROW EXCLUSIVE MODE")

    with pytest.raises(LockHeld, match="another session holds one that conflicts"):
        load_rows(open_session(lock_timeout_seconds=1), staging)

    writer.rollback()
    assert load_rows(session, staging).inserted == 1


def wait_until_blocked(query: Query) -> None:
    """Return once a session waits for an advisory lock."""
    for _ in range(200):
        if query("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"):
            return
        time.sleep(0.05)
    raise AssertionError("nobody waits for the load lock")
