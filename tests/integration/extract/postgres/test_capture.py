"""tbl_transactions is captured by UTC day, each day once per content, in batches of one file."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from crmbet.contracts.source import SourceContract
from crmbet.databases.statements import render
from crmbet.datasets import segments
from crmbet.extract import copying
from crmbet.extract.days_to_read import Span
from crmbet.extract.records import SourceCaptures
from crmbet.extract.relation import SOURCE, ask_postgres, describe_relation, postgres_query
from crmbet.failures import LostConnection, SourceMissing, SourceShrunk
from tests.integration.extract.conftest import FIRST_RUN

pytestmark = pytest.mark.integration

MANY_DAYS = """
INSERT INTO tbl_transactions
SELECT gen_random_uuid(), 'u' || n, 1, 'bet', 'completed', timestamp '2026-01-01' + n * interval '7 hours'
FROM generate_series(0, 300) AS n
"""
"""301 rows on 88 days: three batches."""


def stored(store: Any) -> dict[str, str]:
    return {entry.key: entry.etag for entry in store.list("crmbet/")}


def data_files(store: Any) -> list[str]:
    return [key for key in stored(store) if key.endswith(".parquet")]


def test_days_are_captured_by_utc_and_placed_by_the_operators_clock(
    source: Any, capture: Any, captured_rows: Any, contents: Any
) -> None:
    captures = capture()

    assert contents(captures) == {"2026-08-08": 3, "2026-08-09": 2, "2026-08-11": 1}
    assert captures.new == 3
    rows = captured_rows(captures)
    assert [row["_day"] for row in rows] == [
        *[date(2026, 8, 7)] * 2,
        date(2026, 8, 8),
        *[date(2026, 8, 9)] * 2,
        date(2026, 8, 11),
    ]
    assert {(row["_source_key"], row["_row"], row["_reject"]) for row in rows} == {
        ("tbl_transactions", None, None)
    }
    assert {type(row["transaction_id"]) for row in rows} == {UUID}
    assert {row["amount"] for row in rows} == {Decimal("10.50")}


def test_the_operators_day_is_right_where_the_clock_is_put_forward_at_midnight(
    table: Any, add: Any, capture: Any, captured_rows: Any
) -> None:
    table()
    for instant in (
        "2018-11-04 02:59:59.999999",
        "2018-11-04 03:00:00",
        "2018-02-18 01:59:59",
        "2018-02-18 03:00:00",
    ):
        add(instant)

    rows = captured_rows(capture())

    assert [row["_day"] for row in rows] == [
        *(date(2018, 2, 17), date(2018, 2, 18)),
        *(date(2018, 11, 3), date(2018, 11, 4)),
    ]


def test_a_second_run_captures_nothing(source: Any, capture: Any, store: Any) -> None:
    first = capture()
    written = stored(store)

    second = capture()

    assert (second.new, second.changed, second.touched_days) == (0, {}, [])
    assert second.captures == first.captures
    assert stored(store) == written


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE tbl_transactions SET amount = 10.51 WHERE created_at = '2026-08-09 12:00:00'",
        "UPDATE tbl_transactions SET status = 'cancelled' WHERE created_at = '2026-08-09 12:00:00'",
        "UPDATE tbl_transactions SET user_id = 'u1 ' WHERE created_at = '2026-08-09 12:00:00'",
        "UPDATE tbl_transactions SET created_at = '2026-08-09 12:00:00.5' WHERE created_at = '2026-08-09 12:00:00'",
        "INSERT INTO tbl_transactions VALUES (gen_random_uuid(), 'u2', 1, 'bet', 'pending', '2026-08-09 15:00:00')",
    ],
)
def test_a_day_with_a_changed_or_new_row_alone_is_captured_anew(
    source: Any, capture: Any, captured_rows: Any, change: str
) -> None:
    first = {captured.chunk: captured for captured in capture().captures}
    source(change)

    second = capture()

    now = {captured.chunk: captured for captured in second.captures}
    assert second.new == 1
    assert second.changed == {"2026-08-09": "changed"}
    assert second.touched_days == ["2026-08-09"]
    assert [day for day in now if now[day] != first[day]] == ["2026-08-09"]
    assert len(captured_rows(second)) == second.extracted


@pytest.mark.parametrize("column", ["transaction_id", "user_id", "amount", "transaction_type", "status"])
def test_two_rows_of_a_day_that_swap_a_value_change_the_day(
    source: Any, add: Any, capture: Any, column: str
) -> None:
    """The sum of `hash_record_extended` misses most of these: see docs/adr/0008."""
    source("ALTER TABLE tbl_transactions DROP CONSTRAINT tbl_transactions_pkey")
    source(
        """
        INSERT INTO tbl_transactions
        SELECT gen_random_uuid(), 'u' || n, n, 'type ' || n, 'status ' || n, '2026-07-01'::date + n / 2
        FROM generate_series(0, 39) AS n
        """
    )
    capture()
    source(
        f"""
        UPDATE tbl_transactions AS t SET {column} = other.{column} FROM tbl_transactions AS other
        WHERE t.created_at < '2026-08-01' AND other.created_at = t.created_at AND other.ctid <> t.ctid
        """
    )

    assert capture().new == 20


def test_a_days_fingerprint_is_the_same_on_every_server(
    query: Any, attached: Any, contract: SourceContract
) -> None:
    """These figures were the same on PostgreSQL 15 and 18: a replica, or an upgrade, changes no day."""
    query(
        """
        CREATE TABLE tbl_transactions AS
        SELECT
            md5(n::text)::uuid AS transaction_id,
            CASE WHEN n % 5 > 0 THEN ('ação ' || n)::varchar(50) END AS user_id,
            CASE WHEN n % 7 > 0 THEN n / 100.0 ELSE 'NaN' END::numeric(10,2) AS amount,
            'bet' AS transaction_type,
            'completed' AS status,
            timestamp '2026-08-08' + n * interval '100 minutes' AS created_at
        FROM generate_series(0, 20) AS n
        """
    )
    relation = describe_relation(attached, contract)

    found = ask_postgres(
        attached,
        render(
            "extract/fingerprint_days",
            dated=relation.dated,
            event_time=relation.event.value,
            row_hash=relation.row_hash,
            has_nan=relation.has_nan,
            relation=relation.table,
            within=relation.within([Span(date(2026, 8, 8), date(2026, 8, 9))], undated=False),
        ),
    )

    assert sorted(found) == [
        (date(2026, 8, 8), 15, "1238269454333802662", 3),
        (date(2026, 8, 9), 6, "15659524878636039596", 0),
    ]


def test_a_new_day_alone_is_captured(source: Any, add: Any, capture: Any, contents: Any) -> None:
    capture()
    add("2026-08-10 12:00:00")

    second = capture()

    assert second.new == 1
    assert second.changed == {"2026-08-10": "new"}
    assert contents(second) == {"2026-08-08": 3, "2026-08-09": 2, "2026-08-10": 1, "2026-08-11": 1}


def test_a_column_that_nobody_reads_changes_no_day(source: Any, capture: Any) -> None:
    capture()
    source("ALTER TABLE tbl_transactions ADD COLUMN details json DEFAULT '{}'")

    assert capture().new == 0


def test_a_full_refresh_captures_all_once_more_as_known_since_the_first_time(
    source: Any, capture: Any, contents: Any
) -> None:
    first = capture()

    second = capture(full_refresh=True)

    assert (second.new, second.changed) == (3, {})
    assert contents(second) == contents(first)
    assert {captured.captured_at for captured in second.captures} == {first.captures[0].captured_at}
    assert min(captured.made_at for captured in second.captures) > first.captures[0].captured_at
    assert capture().captures == second.captures


def test_another_contract_or_zone_captures_all_days_anew_seen_or_not(
    table: Any, add: Any, capture: Any, contract: Any, captured_rows: Any
) -> None:
    table()
    add("2020-01-15 02:30:00")
    add("2026-08-11 12:00:00")
    capture()

    moved = capture(settings={"operator_timezone": "UTC"})
    assert moved.new == 2
    assert [row["_day"] for row in captured_rows(moved)] == [date(2020, 1, 15), date(2026, 8, 11)]

    described = contract.model_dump()
    described["columns"]["kind"] = {**described["columns"]["status"], "source_name": "status"}
    again = capture(SourceContract.model_validate(described), settings={"operator_timezone": "UTC"})
    assert again.new == 2
    assert [row["kind"] for row in captured_rows(again)] == ["completed"] * 2


# Losses ----------------------------------------------------------------------------------------------------------


def test_a_deleted_row_is_a_loss_as_the_params_say(source: Any, capture: Any, contents: Any) -> None:
    capture()
    source("DELETE FROM tbl_transactions WHERE created_at = '2026-08-09 12:00:00'")

    with pytest.raises(SourceShrunk, match=r"2026-08-09 \(2 rows before, 1 now\)"):
        capture()
    assert contents(capture(source_deletions="keep"))["2026-08-09"] == 2
    with pytest.raises(SourceShrunk):
        capture()
    assert contents(capture(source_deletions="remove"))["2026-08-09"] == 1
    assert contents(capture())["2026-08-09"] == 1


def test_a_deleted_day_is_a_loss_as_the_params_say(source: Any, capture: Any, contents: Any) -> None:
    capture()
    source("DELETE FROM tbl_transactions WHERE created_at >= '2026-08-11'")

    with pytest.raises(SourceShrunk, match=r"2026-08-11 \(1 rows before, gone now\)"):
        capture()
    removed = capture(source_deletions="remove")
    assert "2026-08-11" not in contents(removed)
    assert removed.changed == {"2026-08-11": "gone"}
    assert "2026-08-11" not in contents(capture())


def test_a_day_that_comes_back_after_its_deletion_is_used_again(
    source: Any, capture: Any, contents: Any
) -> None:
    first = capture()
    source("CREATE TABLE kept AS SELECT * FROM tbl_transactions WHERE created_at >= '2026-08-11'")
    source("DELETE FROM tbl_transactions WHERE created_at >= '2026-08-11'")
    capture(source_deletions="remove")
    source("INSERT INTO tbl_transactions SELECT * FROM kept")

    again = capture()

    assert contents(again) == contents(first)
    assert again.new == 0
    assert capture().captures == again.captures


# Going back ------------------------------------------------------------------------------------------------------


def test_known_at_reads_no_database(source: Any, capture: Any, attached: Any) -> None:
    first = capture()
    attached.execute(f"DETACH {SOURCE}")
    attached.execute(f"ATTACH ':memory:' AS {SOURCE}")

    when = (first.captures[0].captured_at + timedelta(minutes=1)).isoformat()
    assert capture(known_at=when).captures == first.captures
    with pytest.raises(SourceMissing, match="has not been captured by known_at 2026-01-01"):
        capture(known_at="2026-01-01T00:00:00Z")


# Batches ---------------------------------------------------------------------------------------------------------


def test_many_days_lie_in_few_files(source: Any, capture: Any, captured_rows: Any, store: Any) -> None:
    source(MANY_DAYS)

    captures = capture()

    assert captures.extracted == 307 == len(captured_rows(captures))
    assert captures.new == len(captures.captures) == 88 + 3
    assert {captured.captured_at for captured in captures.captures} == {captures.captures[0].captured_at}
    assert {captured.part == captured.chunk for captured in captures.captures} == {True}
    assert len(data_files(store)) == 4


def test_a_first_run_that_was_killed_goes_on_where_it_was(
    source: Any, capture: Any, captured_rows: Any, contents: Any, store: Any, uploads: list[Any]
) -> None:
    source(MANY_DAYS)
    uploads += [lambda: None, _fail]
    with pytest.raises(LostConnection):
        capture()
    (kept,) = data_files(store)

    captures = capture()

    assert captures.new == 88 + 3 - 30
    assert captures.extracted == 307 == len(captured_rows(captures))
    assert [captured.chunk for captured in captures.captures if captured.files == [kept]] == [
        str(date(2026, 1, 1) + timedelta(days=n)) for n in range(30)
    ]
    assert capture().new == 0


@pytest.mark.parametrize("side_by_side", [True, False])
def test_rows_that_are_written_meanwhile_are_of_the_next_run(
    source: Any,
    capture: Any,
    captured_rows: Any,
    attached: Any,
    uploads: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    side_by_side: bool,
) -> None:
    """Whether the engine reads pages over several connections, or PostgreSQL runs one query."""
    source(MANY_DAYS)
    source(MANY_DAYS.replace("7 hours", "9 minutes"))
    source("ANALYZE tbl_transactions")
    monkeypatch.setattr("crmbet.extract.postgres.LARGE_SHARE", 0.1 if side_by_side else 2)
    queries: list[str] = []

    def note_query(sql: str) -> Any:
        queries.append(sql)
        return postgres_query(sql)

    monkeypatch.setattr(copying, "postgres_query", note_query)

    def write() -> None:
        source(
            "INSERT INTO tbl_transactions SELECT gen_random_uuid(), 'late', amount, 'bet', 'pending', created_at "
            "FROM tbl_transactions"
        )
        source("UPDATE tbl_transactions SET status = 'failed' WHERE user_id <> 'late'")

    uploads.append(write)
    attached.execute("SET pg_pages_per_task = 1")

    captures = capture()
    attached.execute("RESET pg_pages_per_task")

    rows = captured_rows(captures)
    assert captures.extracted == len(rows) == 608
    assert {row["status"] for row in rows} == {"completed"}
    # Two of four batches hold days that are no neighbours, or too few of them.
    assert len(queries) == (2 if side_by_side else 4)
    later = capture(verify_all=True)
    assert later.extracted == 2 * 608
    assert {row["status"] for row in captured_rows(later)} == {"failed", "pending"}


def test_a_dry_run_names_days_and_rows_and_writes_nothing(
    source: Any, add: Any, capture: Any, contents: Any, store: Any
) -> None:
    capture()
    add("2026-08-10 12:00:00")
    source("UPDATE tbl_transactions SET status = 'failed' WHERE created_at < '2026-08-08 01:00:00'")
    source("DELETE FROM tbl_transactions WHERE created_at >= '2026-08-11'")
    before = stored(store)

    planned = capture(dry_run=True)

    assert planned.new == 2
    assert planned.changed == {"2026-08-08": "changed", "2026-08-10": "new", "2026-08-11": "gone"}
    assert planned.touched_days == ["2026-08-07", "2026-08-10"], "what is gone is kept unless it is meant"
    assert contents(planned)["2026-08-10"] == 1
    assert stored(store) == before


def test_a_dry_run_before_the_first_run_says_what_that_would_capture(
    source: Any, capture: Any, contents: Any, store: Any
) -> None:
    planned = capture(dry_run=True)

    assert stored(store) == {}
    first = capture()
    assert contents(planned) == contents(first)
    assert [captured.days for captured in planned.captures] == [captured.days for captured in first.captures]


def test_an_empty_table_has_no_days(table: Any, capture: Any) -> None:
    table()

    assert capture() == SourceCaptures(captures=[], new=0)


def test_the_log_says_how_far_it_is(source: Any, capture: Any, caplog: pytest.LogCaptureFixture) -> None:
    source(MANY_DAYS)
    with caplog.at_level("INFO", "crmbet"):
        capture()

    assert "tbl_transactions: 91 days with 307 rows" in caplog.text
    assert "u1" not in caplog.text


def _fail() -> None:
    raise LostConnection("S3 answered 503")


def test_days_of_a_month_that_is_over_are_joined_and_every_known_at_finds_its_rows(
    source: Any, add: Any, capture: Any, captured_rows: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "FEW_FILES", 1)
    runs = [capture()]
    for instant in ("2026-08-10 14:00:00", "2026-08-09 15:00:00", "2026-08-07 15:00:00", None):
        add(instant)
        runs.append(capture())
    rows = [captured_rows(each) for each in runs]
    september = date(2026, 9, 1)

    joined = capture(as_of=september)

    # Rows without a day are of no month.
    [data] = {key for each in joined.captures for key in each.files if each.chunk != "undated"}
    assert captured_rows(joined) == rows[-1]
    again = capture(as_of=september)
    assert (again.new, again.changed, again.captures) == (0, {}, joined.captures)
    for hours, expected in enumerate(rows):
        known_at = (FIRST_RUN + timedelta(hours=hours)).isoformat()
        assert captured_rows(capture(known_at=known_at, as_of=september)) == expected
    assert not any(data in each.files for each in runs[-1].captures)
