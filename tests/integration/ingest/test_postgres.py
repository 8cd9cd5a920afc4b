"""tbl_transactions is captured by UTC day, each day once per content."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import psycopg2
import pytest

from crmbet.contracts import SourceContract, load_source_contracts
from crmbet.engine import attach_postgres
from crmbet.failures import AccessRefused, LostConnection, SourceMissing, SourceShrunk
from crmbet.ingest.postgres import SOURCE, capture_relation, plan_relation
from crmbet.manifest import UNDATED, SourceCaptures

pytestmark = pytest.mark.integration

TABLE = """
CREATE TABLE tbl_transactions (
    transaction_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id varchar(50) NOT NULL,
    amount decimal(10,2) NOT NULL,
    transaction_type varchar(20) NOT NULL,
    status varchar(20) NOT NULL,
    created_at timestamp
)
"""
INSERT = """
INSERT INTO tbl_transactions (user_id, amount, transaction_type, status, created_at)
VALUES (%s, %s, 'deposit', 'completed', %s)
"""

Query = Callable[..., None]


@pytest.fixture
def contract() -> SourceContract:
    return load_source_contracts()["transactions"]


@pytest.fixture
def query(postgres_url: str) -> Iterator[Query]:
    """Runs SQL in the source database."""
    connection = psycopg2.connect(postgres_url)
    connection.autocommit = True

    def run(sql: str, *values: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(sql, values or None)

    yield run
    connection.close()


@pytest.fixture
def source(query: Query) -> Query:
    """Three transactions on the 8th, two on the 9th, none on the 10th, one on the 11th, in UTC."""
    query(TABLE)
    for created_at in (
        "2026-08-08 00:00:00",
        "2026-08-08 02:59:59.999999",
        "2026-08-08 23:59:59",
        "2026-08-09 12:00:00",
        "2026-08-09 13:00:00",
        "2026-08-11 03:00:00",
    ):
        query(INSERT, "u1", "10.50", created_at)
    return query


@pytest.fixture
def attached(engine: Any, postgres_url: str) -> Iterator[Any]:
    attach_postgres(engine, postgres_url, SOURCE, read_only=True)
    yield engine
    if engine.sql(f"SELECT count(*) FROM duckdb_databases() WHERE database_name = '{SOURCE}'").fetchone() != (
        0,
    ):
        engine.execute(f"DETACH {SOURCE}")


@pytest.fixture
def capture(
    attached: Any, store: Any, make_run: Any, contract: SourceContract
) -> Callable[..., SourceCaptures]:
    def run(**options: Any) -> SourceCaptures:
        # A task has an engine of its own, and so sees columns and rows as they are now.
        attached.execute("CALL pg_clear_cache()")
        return capture_relation(attached, store, make_run(**options), contract)

    return run


def contents(captures: SourceCaptures) -> dict[str, int]:
    return {captured.chunk: captured.extracted for captured in captures.captures}


def test_days_are_captured_by_utc_and_placed_by_the_operators_clock(
    source: Query, capture: Any, captured_rows: Any
) -> None:
    captures = capture()

    assert contents(captures) == {"2026-08-08": 3, "2026-08-09": 2, "2026-08-11": 1}
    assert captures.new == 3
    rows = captured_rows(captures)
    assert sorted(row["_day"] for row in rows) == [
        *[date(2026, 8, 7)] * 2,
        date(2026, 8, 8),
        *[date(2026, 8, 9)] * 2,
        date(2026, 8, 11),
    ]
    assert {row["amount"] for row in rows} == {Decimal("10.50")}
    assert {row["_source_key"] for row in rows} == {"tbl_transactions"}
    assert all(len(row["transaction_id"]) == 36 for row in rows), "ids travel as text"


def test_a_second_run_captures_nothing(source: Query, capture: Any, store: Any) -> None:
    first = capture()
    written = {entry.key: entry.etag for entry in store.list("crmbet/")}

    second = capture()

    assert second.new == 0
    assert second.captures == first.captures
    assert {entry.key: entry.etag for entry in store.list("crmbet/")} == written


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE tbl_transactions SET amount = 10.51 WHERE created_at = '2026-08-09 12:00:00'",
        "UPDATE tbl_transactions SET status = 'cancelled' WHERE created_at = '2026-08-09 12:00:00'",
        "UPDATE tbl_transactions SET created_at = '2026-08-09 12:00:00.5' WHERE created_at = '2026-08-09 12:00:00'",
        "INSERT INTO tbl_transactions VALUES (gen_random_uuid(), 'u2', 1, 'bet', 'pending', '2026-08-09 00:00:00')",
    ],
)
def test_a_day_with_a_changed_or_new_row_alone_is_captured_anew(
    source: Query, capture: Any, captured_rows: Any, change: str
) -> None:
    first = {captured.chunk: captured for captured in capture().captures}
    source(change)

    second = capture()

    now = {captured.chunk: captured for captured in second.captures}
    assert second.new == 1
    assert [day for day in now if now[day] != first[day]] == ["2026-08-09"]
    assert len(captured_rows(second)) == sum(contents(second).values())


def test_a_new_day_alone_is_captured(source: Query, capture: Any) -> None:
    capture()
    source(INSERT, "u1", "3.00", "2026-08-10 12:00:00")

    second = capture()

    assert second.new == 1
    assert contents(second) == {"2026-08-08": 3, "2026-08-09": 2, "2026-08-10": 1, "2026-08-11": 1}


def test_a_column_that_nobody_reads_changes_no_day(source: Query, capture: Any) -> None:
    capture()
    source("ALTER TABLE tbl_transactions ADD COLUMN details json DEFAULT '{}'")

    assert capture().new == 0


def test_a_deleted_row_is_a_loss_as_the_params_say(source: Query, capture: Any) -> None:
    capture()
    source("DELETE FROM tbl_transactions WHERE created_at = '2026-08-09 12:00:00'")

    with pytest.raises(SourceShrunk, match=r"2026-08-09 \(2 rows before, 1 now\)"):
        capture()
    assert contents(capture(source_deletions="keep"))["2026-08-09"] == 2
    with pytest.raises(SourceShrunk):
        capture()
    assert contents(capture(source_deletions="remove"))["2026-08-09"] == 1
    assert contents(capture())["2026-08-09"] == 1


def test_a_deleted_day_is_a_loss_as_the_params_say(source: Query, capture: Any) -> None:
    capture()
    source("DELETE FROM tbl_transactions WHERE created_at >= '2026-08-11'")

    with pytest.raises(SourceShrunk, match=r"2026-08-11 \(1 rows before, gone now\)"):
        capture()
    assert "2026-08-11" not in contents(capture(source_deletions="remove"))
    assert "2026-08-11" not in contents(capture())


def test_known_at_reads_no_database(source: Query, capture: Any, attached: Any) -> None:
    first = capture()
    attached.execute(f"DETACH {SOURCE}")
    attached.execute(f"ATTACH ':memory:' AS {SOURCE}")

    when = (first.captures[0].captured_at + timedelta(minutes=1)).isoformat()
    assert capture(known_at=when).captures == first.captures
    with pytest.raises(SourceMissing, match="has not been captured by known_at 2026-01-01"):
        capture(known_at="2026-01-01T00:00:00Z")


def test_many_days_in_several_batches(source: Query, capture: Any, captured_rows: Any) -> None:
    source(
        """
        INSERT INTO tbl_transactions
        SELECT gen_random_uuid(), 'u' || n, 1, 'bet', 'completed', timestamp '2026-01-01' + n * interval '7 hours'
        FROM generate_series(0, 300) AS n
        """
    )

    captures = capture()

    assert captures.extracted == 307 == len(captured_rows(captures))
    assert captures.new == len(captures.captures) == 88 + 3
    assert {captured.captured_at for captured in captures.captures} == {captures.captures[0].captured_at}


def test_an_amount_that_is_no_number_counts_as_nothing(
    source: Query, capture: Any, captured_rows: Any
) -> None:
    source(INSERT, "nan", "NaN", "2026-08-10 12:00:00")

    (row,) = [row for row in captured_rows(capture()) if row["user_id"] == "nan"]

    assert not row["amount"] > 0, "cleaning quarantines it: a transaction is above 0"


def test_rows_without_a_day_are_kept_apart(source: Query, capture: Any, captured_rows: Any) -> None:
    for created_at in (None, "infinity", "-infinity"):
        source(INSERT, "undated", "1.00", created_at)

    captures = capture()

    assert contents(captures)[UNDATED] == 3
    assert [row["_day"] for row in captured_rows(captures) if row["user_id"] == "undated"] == [None] * 3
    assert capture().new == 0
    source(INSERT, "undated", "2.00", None)
    assert capture().new == 1


def test_an_empty_table_has_no_days(query: Query, capture: Any) -> None:
    query(TABLE)

    assert capture() == SourceCaptures(captures=[], new=0)


def test_a_plan_names_days_and_writes_nothing(
    source: Query, capture: Any, attached: Any, store: Any, make_run: Any, contract: SourceContract
) -> None:
    capture()
    source(INSERT, "u1", "3.00", "2026-08-10 12:00:00")
    before = list(store.list("crmbet/"))

    plan = plan_relation(attached, store, make_run(), contract)

    assert [(day.day, day.rows) for day in plan] == [(date(2026, 8, 10), 1)]
    assert list(store.list("crmbet/")) == before


# What can go wrong -----------------------------------------------------------------------------------------------


def test_a_missing_table_is_named(query: Query, capture: Any) -> None:
    with pytest.raises(SourceMissing) as failure:
        capture()

    assert "the table tbl_transactions does not exist" in str(failure.value)
    assert "crmbet_source" in str(failure.value)


def test_a_missing_column_is_named(source: Query, capture: Any) -> None:
    source("ALTER TABLE tbl_transactions RENAME COLUMN amount TO valor")

    with pytest.raises(SourceMissing) as failure:
        capture()

    assert "column amount is missing from tbl_transactions" in str(failure.value)
    assert "include/contracts/sources/transactions.yaml" in str(failure.value)


def test_a_table_that_the_login_may_not_read_is_refused(
    source: Query, engine: Any, postgres_url: str, store: Any, make_run: Any, contract: SourceContract
) -> None:
    source("CREATE ROLE reader LOGIN")
    try:
        attach_postgres(engine, postgres_url.replace("postgres@", "reader@"), SOURCE, read_only=True)
        with pytest.raises(AccessRefused) as failure:
            capture_relation(engine, store, make_run(), contract)
        engine.execute(f"DETACH {SOURCE}")
    finally:
        source("DROP ROLE reader")

    assert "tbl_transactions" in str(failure.value)
    assert "grant" in str(failure.value).lower()


def test_a_server_that_goes_away_is_a_lost_connection(source: Query, capture: Any, postgres_url: str) -> None:
    # A view that ends its own session is the surest way to lose a connection in the middle of a scan.
    source("ALTER TABLE tbl_transactions RENAME TO hidden")
    source(
        "CREATE VIEW tbl_transactions AS SELECT * FROM hidden WHERE pg_terminate_backend(pg_backend_pid())"
    )

    with pytest.raises(LostConnection) as failure:
        capture()

    assert "crmbet_source" in str(failure.value)
    assert "retries by itself" in str(failure.value)
