"""Odd types, odd values and a server that goes away: no row is lost or altered, and the person on call knows why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import psutil
import psycopg2
import pytest

from crmbet.clean.clean import clean_source
from crmbet.clean.records import CleanedSource
from crmbet.contracts.source import SourceContract
from crmbet.databases.duckdb import LakeAccess, attach_postgres, open_engine
from crmbet.databases.work import Work
from crmbet.datasets.segments import rows_of_days
from crmbet.extract.postgres import capture_relation
from crmbet.extract.records import UNDATED, SourceCaptures
from crmbet.extract.relation import SOURCE
from crmbet.failures import AccessRefused, LostConnection, SourceMissing, SourceUnreadable, TemporaryFailure
from crmbet.run.run import Run
from crmbet.run.settings import Settings
from crmbet.storage.object_store import ObjectStore
from local.credentials import credentials
from local.object_store import REGION
from local.postgres import EmbeddedPostgres
from local.workspace import Workspace

pytestmark = pytest.mark.integration

Row = dict[str, Any]


@pytest.fixture
def clean(
    engine: duckdb.DuckDBPyConnection,
    store: ObjectStore,
    make_run: Callable[..., Run],
    contract: SourceContract,
) -> Callable[[SourceCaptures], CleanedSource]:
    """Cleans captures; raises unless every row is accounted for."""

    def run(captures: SourceCaptures) -> CleanedSource:
        return clean_source(Work(run=make_run(), store=store, connection=engine), contract, captures)

    return run


@pytest.fixture
def accepted(engine: duckdb.DuckDBPyConnection, store: ObjectStore) -> Callable[[CleanedSource], list[Row]]:
    """The rows that were found good."""

    def read(cleaned: CleanedSource) -> list[Row]:
        rows = engine.sql(f"FROM {rows_of_days(store, cleaned.days)} ORDER BY created_at, amount")
        return [dict(zip(rows.columns, row, strict=True)) for row in rows.fetchall()]

    return read


def rows_of(query: Any, table: str = "tbl_transactions") -> int:
    """PostgreSQL's own count."""
    count: int = query(f"SELECT count(*) FROM {table}")[0][0]
    return count


# Types -----------------------------------------------------------------------------------------------------------


@pytest.mark.few(3)
@pytest.mark.parametrize(
    ("pg_type", "amounts", "spelled", "good"),
    [
        ("text", ["10.50", "abc", "NaN", "1e2"], ["10.50", "1e2", "NaN", "abc"], [10.5, 100]),
        (
            "double precision",
            ["10.5", "0.1", "NaN", "Infinity"],
            ["0.1", "10.5", "Infinity", "NaN"],
            [0.1, 10.5],
        ),
        ("numeric", ["10.5", "123456789.01", "NaN"], ["10.5", "123456789.01", "NaN"], [10.5]),
        ("numeric(20,6)", ["10.500000", "NaN"], ["10.500000", "NaN"], [10.5]),
        ("numeric(40,2)", ["10.50", "1" + "0" * 37], ["10.50", "1" + "0" * 37 + ".00"], [10.5]),
        ("integer", ["10", "-1"], ["-1", "10"], [10]),
    ],
)
def test_an_amount_of_another_type_is_captured_as_postgresql_spells_it(
    *,
    table: Any,
    add: Any,
    query: Any,
    capture: Any,
    captured_rows: Any,
    clean: Any,
    accepted: Any,
    pg_type: str,
    amounts: list[str],
    spelled: list[str],
    good: list[float],
) -> None:
    table(amount=pg_type)
    for amount in amounts:
        add("2026-08-08 12:00:00", amount)

    captures = capture()

    assert sorted(row["amount"] for row in captured_rows(captures)) == sorted(spelled)
    cleaned = clean(captures)
    assert cleaned.extracted == captures.extracted == rows_of(query) == len(amounts)
    assert [float(row["amount"]) for row in accepted(cleaned)] == good
    assert sum(cleaned.quarantined.values()) == len(amounts) - len(good)
    assert all(reason.startswith("amount: ") for reason in cleaned.quarantined)


def test_nan_in_an_ordinary_amount_is_quarantined_and_no_zero(
    source: Any, add: Any, query: Any, capture: Any, captured_rows: Any, clean: Any, accepted: Any
) -> None:
    capture()
    add("2026-08-09 12:00:00", "NaN", "u2")

    captures = capture()

    assert captures.new == 1
    (changed,) = [captured for captured in captures.captures if captured.chunk == "2026-08-09"]
    rows = captured_rows(SourceCaptures(captures=[changed]))
    assert {row["user_id"]: row["amount"] for row in rows} == {"u1": "10.50", "u2": "NaN"}
    cleaned = clean(captures)
    assert cleaned.quarantined == {"amount: unreadable": 1}
    assert cleaned.extracted == rows_of(query) == 7
    assert {row["amount"] for row in accepted(cleaned)} == {Decimal("10.50")}


def test_a_column_that_changes_its_type_is_cleaned_together_with_what_was_captured_before(
    source: Any, add: Any, query: Any, capture: Any, clean: Any, accepted: Any
) -> None:
    before = accepted(clean(capture()))
    query(
        "ALTER TABLE tbl_transactions ALTER COLUMN amount TYPE numeric, ALTER COLUMN transaction_id TYPE text"
    )
    add_id = (
        "INSERT INTO tbl_transactions VALUES ('t-7', 'u1', 7.125, 'bet', 'pending', '2026-08-10 12:00:00')"
    )
    query(add_id)

    mixed = capture(settings={"verify_days": 3})

    assert mixed.new == 2, "the 10th and the 11th; the others are what they were"
    cleaned = clean(mixed)
    assert cleaned.extracted == rows_of(query) == 7
    assert [row for row in accepted(cleaned) if row["transaction_id"] != "t-7"] == before
    assert capture(verify_all=True).new == 2, "the 8th and the 9th, by now as text"


def test_an_event_time_with_a_zone_is_read_in_utc_whatever_the_session(
    *,
    table: Any,
    query: Any,
    engine: Any,
    store: Any,
    make_run: Any,
    contract: Any,
    postgres_url: str,
    captured_rows: Any,
    contents: Any,
) -> None:
    table(created_at="timestamptz")
    for instant in (
        "2026-08-08 21:00:00-03",
        "2026-08-08 23:59:59.999999+00",
        "infinity",
        "12026-01-01 00:00+00",
    ):
        query(
            "INSERT INTO tbl_transactions VALUES (gen_random_uuid(), 'u1', 1, 'bet', 'pending', %s)", instant
        )
    query("CREATE INDEX ON tbl_transactions (created_at)")
    found = []
    for zone in ("UTC", "America/Sao_Paulo", "Asia/Kathmandu"):
        attach_postgres(engine, f"{postgres_url}&options=-c%20TimeZone%3D{zone}", SOURCE, read_only=True)
        try:
            found.append(capture_relation(Work(run=make_run(), store=store, connection=engine), contract))
        finally:
            engine.execute(f"DETACH {SOURCE}")

    assert contents(found[0]) == {"2026-08-08": 1, "2026-08-09": 1, UNDATED: 2}
    assert [captures.new for captures in found] == [3, 0, 0]
    assert [row["created_at"] for row in captured_rows(found[0])][:2] == [
        datetime(2026, 8, 8, 23, 59, 59, 999999),  # noqa: DTZ001 - naive UTC
        datetime(2026, 8, 9),  # noqa: DTZ001
    ]


def test_a_zone_that_is_added_to_the_event_time_changes_no_day(source: Any, query: Any, capture: Any) -> None:
    first = capture()
    query(
        "ALTER TABLE tbl_transactions ALTER COLUMN created_at TYPE timestamptz USING created_at AT TIME ZONE 'UTC'"
    )

    assert capture().captures == first.captures


def test_an_event_time_that_is_a_date_is_midnight_in_utc(
    table: Any, add: Any, capture: Any, captured_rows: Any, contents: Any
) -> None:
    table(created_at="date")
    add("2026-08-08")
    add("infinity")

    captures = capture()

    assert contents(captures) == {"2026-08-08": 1, UNDATED: 1}
    assert captured_rows(captures)[0]["_day"] == date(2026, 8, 7)


@pytest.mark.parametrize("pg_type", ["text", "bigint", "time"])
def test_an_event_time_that_is_no_time_is_named_with_what_to_do(
    query: Any, table: Any, capture: Any, pg_type: str
) -> None:
    table()
    query(f"ALTER TABLE tbl_transactions ALTER COLUMN created_at TYPE {pg_type} USING NULL")

    with pytest.raises(SourceUnreadable) as failure:
        capture()

    assert f'"created_at" of tbl_transactions is of type {pg_type}' in str(failure.value)
    assert "crmbet_source" in str(failure.value)
    assert "a view that does" in failure.value.next_step


def test_ids_and_states_of_any_type_are_read_as_text(
    query: Any, capture: Any, captured_rows: Any, clean: Any, accepted: Any
) -> None:
    query("CREATE TYPE state AS ENUM ('completed', 'pending')")
    query("CREATE DOMAIN player AS varchar(20)")
    query(
        "CREATE TABLE tbl_transactions (transaction_id bigint, user_id player, amount decimal(10,2), "
        "transaction_type char(20), status state, created_at timestamp(3))"
    )
    query("INSERT INTO tbl_transactions VALUES (1, 'u1', 1, 'bet', 'pending', '2026-08-08 12:00:00.123')")

    captures = capture()

    (row,) = captured_rows(captures)
    assert [row[name] for name in ("transaction_id", "user_id", "transaction_type", "status")] == [
        "1", "u1", "bet", "pending"
    ]  # fmt: skip
    assert clean(captures).accepted == 1
    assert capture().new == 0
    query("ALTER TYPE state RENAME VALUE 'pending' TO 'failed'")
    assert capture().new == 1, "what counts is the word"


# Values ----------------------------------------------------------------------------------------------------------


def test_rows_without_a_day_are_kept_apart(
    source: Any, add: Any, query: Any, capture: Any, captured_rows: Any, clean: Any, contents: Any
) -> None:
    for created_at in (None, "infinity", "-infinity", "12026-08-09 00:00:00", "0044-03-15 00:00:00 BC"):
        add(created_at, user_id="undated")

    captures = capture()

    assert contents(captures)[UNDATED] == 5
    assert [row["_day"] for row in captured_rows(captures) if row["user_id"] == "undated"] == [None] * 5
    cleaned = clean(captures)
    assert cleaned.extracted == rows_of(query) == 11
    assert cleaned.accepted == 6
    assert cleaned.quarantined == {
        "created_at: missing": 1,
        "created_at: out of range": 1,
        "created_at: unreadable": 3,
    }
    assert capture().new == 0
    add(None, "2.00")
    assert capture(verify_all=True).new == 1


@pytest.mark.few(4)
@pytest.mark.parametrize("pg_type", ["text", "timestamp", "timestamptz", "date"])
@pytest.mark.parametrize("known", ["10000-01-01", "99999-12-31", "infinity"])
def test_a_time_after_9999_stops_nothing(
    source: Any, query: Any, capture: Any, contract: Any, pg_type: str, known: str
) -> None:
    query(f"ALTER TABLE tbl_transactions ADD COLUMN ingested_at {pg_type}")
    query("UPDATE tbl_transactions SET ingested_at = %s WHERE user_id = 'u1'", known)
    described = contract.model_dump() | {"known_time": "ingested_at"}
    described["columns"]["ingested_at"] = {"type": "timestamp", "on_invalid": "null", "meaning": "-"}

    captures = capture(SourceContract.model_validate(described))

    latest = {of.latest_known_time for of in captures.captures}
    assert latest == ({None} if known == "infinity" else {datetime.max.replace(tzinfo=UTC)})


@pytest.mark.few(3)
@pytest.mark.parametrize(
    "column", ["transaction_id", "user_id", "amount", "transaction_type", "status", "created_at"]
)
def test_a_null_in_any_column_is_quarantined_and_its_change_found(
    source: Any, query: Any, capture: Any, clean: Any, column: str
) -> None:
    query("ALTER TABLE tbl_transactions DROP CONSTRAINT tbl_transactions_pkey")
    for name in ("transaction_id", "user_id", "amount", "transaction_type", "status"):
        query(f"ALTER TABLE tbl_transactions ALTER COLUMN {name} DROP NOT NULL")
    query(f"UPDATE tbl_transactions SET {column} = NULL WHERE created_at = '2026-08-09 12:00:00'")

    captures = capture()

    cleaned = clean(captures)
    assert cleaned.extracted == rows_of(query) == 6
    assert cleaned.quarantined == {f"{column}: missing": 1}
    other = "status" if column != "status" else "user_id"
    query(f"UPDATE tbl_transactions SET {other} = 'other' WHERE {column} IS NULL")
    assert capture(verify_all=True).new == 1


def test_a_null_and_an_empty_text_are_two_things(source: Any, query: Any, capture: Any) -> None:
    query("ALTER TABLE tbl_transactions ALTER COLUMN status DROP NOT NULL")
    query("UPDATE tbl_transactions SET status = '' WHERE created_at = '2026-08-09 12:00:00'")
    capture()
    query("UPDATE tbl_transactions SET status = NULL WHERE created_at = '2026-08-09 12:00:00'")

    assert capture().new == 1


@pytest.mark.parametrize("text", ["", "ação 'x' \"y\" \\ ; --", "a\tb\nc", "𝄞" * 40])
def test_any_text_is_captured_as_it_is(
    source: Any, add: Any, capture: Any, captured_rows: Any, text: str
) -> None:
    add("2026-08-10 12:00:00", user_id=text)

    assert text in {row["user_id"] for row in captured_rows(capture())}
    assert capture().new == 0


# Relations -------------------------------------------------------------------------------------------------------


def test_a_view_is_read_like_a_table(source: Any, query: Any, capture: Any, contract: Any) -> None:
    query("CREATE VIEW completed AS SELECT *, 1 AS more FROM tbl_transactions WHERE status = 'completed'")

    captures = capture(contract.model_copy(update={"relation": "completed"}))

    assert captures.extracted == rows_of(query, "completed") == 6


def test_a_table_of_partitions_is_read_like_any_other(source: Any, query: Any, capture: Any) -> None:
    query("ALTER TABLE tbl_transactions RENAME TO old")
    query("CREATE TABLE tbl_transactions (LIKE old) PARTITION BY RANGE (created_at)")
    query("CREATE TABLE early PARTITION OF tbl_transactions FOR VALUES FROM (MINVALUE) TO ('2026-08-09')")
    query("CREATE TABLE late PARTITION OF tbl_transactions FOR VALUES FROM ('2026-08-09') TO (MAXVALUE)")
    query("INSERT INTO tbl_transactions SELECT * FROM old")
    query("ANALYZE")

    assert capture().extracted == 6


def test_a_table_in_another_schema_is_found(
    query: Any, table: Any, capture: Any, contract: Any, captured_rows: Any
) -> None:
    query("CREATE SCHEMA other")
    table("other.tbl")
    table("tbl")
    query("INSERT INTO other.tbl VALUES (gen_random_uuid(), 'u', 1, 'bet', 'pending', '2026-08-08 12:00:00')")

    captures = capture(contract.model_copy(update={"relation": "other.tbl"}))

    assert captures.extracted == 1
    assert [row["_source_key"] for row in captured_rows(captures)] == ["other.tbl"]


def test_a_missing_table_is_named(query: Any, capture: Any) -> None:
    with pytest.raises(SourceMissing) as failure:
        capture()

    assert "the table tbl_transactions does not exist" in str(failure.value)
    assert "crmbet_source" in str(failure.value)


def test_a_missing_column_is_named(source: Any, capture: Any) -> None:
    source("ALTER TABLE tbl_transactions RENAME COLUMN amount TO valor")

    with pytest.raises(SourceMissing) as failure:
        capture()

    assert "column amount is missing from tbl_transactions" in str(failure.value)
    assert "include/contracts/sources/transactions.yaml" in str(failure.value)


def test_a_column_of_another_name_is_read_as_the_contract_says(
    source: Any, capture: Any, contract: Any, captured_rows: Any
) -> None:
    source("ALTER TABLE tbl_transactions RENAME COLUMN amount TO valor")
    source("ALTER TABLE tbl_transactions RENAME COLUMN created_at TO quando")
    described = contract.model_dump()
    described["columns"]["amount"]["source_name"] = "valor"
    described["columns"]["created_at"]["source_name"] = "quando"

    rows = captured_rows(capture(SourceContract.model_validate(described)))

    assert [row["amount"] for row in rows] == [Decimal("10.50")] * 6


# Servers ---------------------------------------------------------------------------------------------------------


def test_a_table_that_the_login_may_not_read_is_refused(
    source: Any, engine: Any, postgres_url: str, store: Any, make_run: Any, contract: SourceContract
) -> None:
    source("CREATE ROLE reader LOGIN")
    try:
        attach_postgres(engine, postgres_url.replace("postgres@", "reader@"), SOURCE, read_only=True)
        with pytest.raises(AccessRefused) as failure:
            capture_relation(Work(run=make_run(), store=store, connection=engine), contract)
        engine.execute(f"DETACH {SOURCE}")
    finally:
        source("DROP ROLE reader")

    assert "tbl_transactions" in str(failure.value)
    assert "grant" in str(failure.value).lower()


def test_a_server_that_goes_away_is_a_lost_connection(source: Any, capture: Any, postgres_url: str) -> None:
    # A view that ends its own session is the surest way to lose a connection in the middle of a scan.
    source("ALTER TABLE tbl_transactions RENAME TO hidden")
    source(
        "CREATE VIEW tbl_transactions AS SELECT * FROM hidden WHERE pg_terminate_backend(pg_backend_pid())"
    )

    with pytest.raises(LostConnection) as failure:
        capture()

    assert "crmbet_source" in str(failure.value)
    assert "retries by itself" in str(failure.value)


def test_a_query_that_postgresql_cancels_is_tried_again(
    source: Any, engine: Any, postgres_url: str, store: Any, make_run: Any, contract: SourceContract
) -> None:
    source("ALTER TABLE tbl_transactions RENAME TO hidden")
    source("CREATE VIEW tbl_transactions AS SELECT * FROM hidden WHERE pg_sleep(1) IS NOT NULL")
    attach_postgres(engine, f"{postgres_url}&options=-c%20statement_timeout%3D300", SOURCE, read_only=True)
    try:
        with pytest.raises(TemporaryFailure) as failure:
            capture_relation(Work(run=make_run(), store=store, connection=engine), contract)
    finally:
        engine.execute(f"DETACH {SOURCE}")

    assert failure.value.why == "canceling statement due to statement timeout"
    assert "statement_timeout" in failure.value.next_step


@pytest.fixture
def server(session_folder: Path) -> Iterator[EmbeddedPostgres]:
    """A server of the test's own, to be killed."""
    own = EmbeddedPostgres(Workspace(session_folder / "killed"), {"fsync": "off"})
    own.start()
    yield own
    own.stop()


def test_what_was_captured_before_the_server_was_killed_is_not_read_again(
    services: Any,
    server: EmbeddedPostgres,
    store: Any,
    make_run: Any,
    contract: SourceContract,
    uploads: list[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("crmbet.extract.postgres.COPIED_DAYS", 20)
    server.create_database("source")
    connection = psycopg2.connect(server.url("source"))
    with connection, connection.cursor() as cursor:
        cursor.execute(
            """
            CREATE TABLE tbl_transactions AS
            SELECT gen_random_uuid() AS transaction_id, 'u' || n AS user_id, 1::numeric(10,2) AS amount,
                'bet' AS transaction_type, 'completed' AS status,
                timestamp '2025-10-01' + n * interval '1 day' AS created_at
            FROM generate_series(0, 49) AS n
            """
        )
    connection.close()
    run = make_run()

    def capture_as_a_task_does() -> SourceCaptures:
        with open_engine(Settings(lake_bucket="unused"), _lake(services)) as engine:
            attach_postgres(engine, server.url("source"), SOURCE, read_only=True)
            return capture_relation(Work(run=run, store=store, connection=engine), contract)

    def kill() -> None:
        process = server.daemon.process()
        assert process is not None
        # Its children end by themselves once it is gone.
        processes = [process, *process.children()]
        process.kill()
        psutil.wait_procs(processes, timeout=30)

    uploads += [lambda: None, kill]
    with pytest.raises(LostConnection) as failure:
        capture_as_a_task_does()
    assert "table tbl_transactions" in str(failure.value)
    kept = {entry.key for entry in store.list("crmbet/") if entry.key.endswith(".parquet")}
    server.start()

    captures = capture_as_a_task_does()

    assert captures.new == 50 - 40
    assert captures.extracted == 50
    assert kept == {key for captured in captures.captures[:40] for key in captured.files}


def _lake(services: Any) -> LakeAccess:
    keys = credentials(services.workspace)
    return LakeAccess(
        region=REGION,
        access_key=keys.access_key_id,
        secret_key=keys.secret_access_key,
        endpoint_url=services.object_store.endpoint,
    )
