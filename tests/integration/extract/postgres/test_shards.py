"""Parts of a table: each captures its days, the step finds them, and an impossible date cuts nothing askew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import duckdb
import pytest

from crmbet.contracts.source import SourceContract
from crmbet.databases.work import Work
from crmbet.extract.postgres import capture_relation, capture_shard_of_relation
from crmbet.run.run import Run
from crmbet.run.shards import Shard
from crmbet.storage.object_store import ObjectStore
from tests.integration.extract.postgres.conftest import Query

pytestmark = pytest.mark.integration

TWELVE_DAYS = """
INSERT INTO tbl_transactions (user_id, amount, transaction_type, status, created_at)
SELECT 'ana', 1, 'deposit', 'completed', day + number * interval '1 minute'
FROM generate_series('2026-07-20'::timestamp, '2026-07-31', '1 day') AS day, generate_series(1, 50) AS number
UNION ALL
SELECT 'ana', 1, 'deposit', 'completed', '1998-01-01'
UNION ALL
SELECT 'ana', 1, 'deposit', 'completed', NULL
"""
"""With one date that nobody can mean, and one row without any."""


Capture = Callable[..., tuple[list[int], int, int]]


@pytest.fixture
def in_parts(
    attached: duckdb.DuckDBPyConnection,
    store: ObjectStore,
    make_run: Callable[..., Run],
    contract: SourceContract,
) -> Capture:
    """Captures a table in three parts and then as a whole: the days that each took, those of the step, all rows."""

    def run(**params: Any) -> tuple[list[int], int, int]:
        work = Work(run=make_run(**params), store=store, connection=attached)
        made = [capture_shard_of_relation(work, contract, shard) for shard in Shard.all_of(3)]
        whole = capture_relation(work, contract)
        return made, whole.new, whole.extracted

    return run


@pytest.fixture
def source_of_twelve_days(table: Callable[..., None], query: Query) -> Query:
    table()
    query(TWELVE_DAYS)
    return query


def test_parts_take_about_as_many_days_and_the_step_takes_none(
    source_of_twelve_days: Query, in_parts: Capture
) -> None:
    source_of_twelve_days("ANALYZE tbl_transactions")

    made, by_step, rows = in_parts()

    # Twelve days, the impossible date, and the rows without one.
    assert (sum(made), by_step, rows) == (14, 0, 602)
    assert all(4 <= days <= 6 for days in made)


def test_the_first_part_takes_all_of_a_table_that_was_never_analysed(
    source_of_twelve_days: Query, in_parts: Capture
) -> None:
    source_of_twelve_days("ALTER TABLE tbl_transactions SET (autovacuum_enabled = false)")

    assert in_parts() == ([14, 0, 0], 0, 602)


def test_a_full_refresh_reads_each_day_once(source_of_twelve_days: Query, in_parts: Capture) -> None:
    source_of_twelve_days("ANALYZE tbl_transactions")
    in_parts()

    made, by_step, rows = in_parts(full_refresh=True)

    assert (sum(made), by_step, rows) == (14, 0, 602)
