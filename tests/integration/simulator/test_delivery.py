"""The command fills a real bucket and a real PostgreSQL, tells what it did, and adds only what is new."""

from __future__ import annotations

import json
from typing import Any

import boto3
import psycopg2
import pytest

from local.simulator.__main__ import main

pytestmark = pytest.mark.integration

ARGUMENTS = ("--players", "200", "--start", "2026-08-01", "--seed", "5")


@pytest.fixture
def run(bucket: str, postgres_url: str, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs the simulator up to a day and returns what it printed as JSON."""

    def simulate(end: str, *more: str) -> dict[str, Any]:
        where = ("--lake-bucket", bucket, "--source-url", postgres_url)
        assert main([*ARGUMENTS, "--end", end, "--json", *where, *more]) == 0
        printed: dict[str, Any] = json.loads(capsys.readouterr().out)
        return printed

    return simulate


def query(url: str, statement: str) -> list[tuple[Any, ...]]:
    connection = psycopg2.connect(url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            rows: list[tuple[Any, ...]] = cursor.fetchall()
            return rows
    finally:
        connection.close()


def objects(bucket: str) -> dict[str, str]:
    """ETag by key of everything in the bucket."""
    pages = boto3.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return {item["Key"]: item["ETag"] for page in pages for item in page.get("Contents", [])}


def test_delivery_fills_both_stores_and_the_ledger_tells_what_is_there(
    run: Any, bucket: str, postgres_url: str
) -> None:
    delivery = run("2026-08-22")
    stored = objects(bucket)
    assert len(stored) == delivery["objects_written"] > 90
    assert {key.split("/")[1] for key in stored} == {
        "bets",
        "sessions",
        "communications",
        "players",
        "limits",
    }
    assert all(key.startswith("raw/") for key in stored)

    [(total,)] = query(postgres_url, "SELECT count(*) FROM tbl_transactions")
    assert total == delivery["transactions_inserted"] == delivery["rows"]["transactions"] > 500
    [(unknown_status, blank, unusable_amount, too_old, future)] = query(
        postgres_url,
        """
        SELECT count(*) FILTER (WHERE status = 'on hold?'), count(*) FILTER (WHERE trim(user_id) = ''),
            count(*) FILTER (WHERE amount <= 0 OR amount = 'NaN'),
            count(*) FILTER (WHERE created_at < '2000-01-01'),
            count(*) FILTER (WHERE created_at > '2099-01-01')
        FROM tbl_transactions
        """,
    )
    dirt = {kind: planted["rows"] for kind, planted in delivery["dirt"]["transactions"].items()}
    assert dirt["status_synonym"] > 0
    assert (unknown_status, blank) == (dirt.get("status_unknown", 0), dirt.get("user_id_missing", 0))
    assert unusable_amount == sum(dirt.get(f"amount_{kind}", 0) for kind in ("zero", "negative", "nan"))
    assert (too_old, future) == (dirt.get("created_at_before_2000", 0), dirt.get("created_at_future", 0))


def test_the_table_is_the_one_that_operators_have(run: Any, postgres_url: str) -> None:
    run("2026-08-03")
    columns = query(
        postgres_url,
        """
        SELECT column_name, data_type, character_maximum_length, numeric_precision, numeric_scale, is_nullable
        FROM information_schema.columns WHERE table_name = 'tbl_transactions' ORDER BY ordinal_position
        """,
    )
    assert columns == [
        ("transaction_id", "uuid", None, None, None, "NO"),
        ("user_id", "character varying", 50, None, None, "NO"),
        ("amount", "numeric", None, 10, 2, "NO"),
        ("transaction_type", "character varying", 20, None, None, "NO"),
        ("status", "character varying", 20, None, None, "NO"),
        ("created_at", "timestamp without time zone", None, None, None, "NO"),
    ]
    indexes = query(postgres_url, "SELECT indexdef FROM pg_indexes WHERE tablename = 'tbl_transactions'")
    assert any("USING brin (created_at)" in definition for (definition,) in indexes)


def test_a_rerun_writes_nothing_and_the_next_day_only_itself(run: Any, bucket: str) -> None:
    first = run("2026-08-08")
    before = objects(bucket)
    again = run("2026-08-08")
    assert (again["objects_written"], again["transactions_inserted"]) == (0, 0)
    assert again["dirt"] == first["dirt"]
    assert objects(bucket) == before

    grown = run("2026-08-09")
    after = objects(bucket)
    assert {key: after[key] for key in before} == before
    assert 0 < len(after) - len(before) == grown["objects_written"] <= 6
    assert grown["transactions_inserted"] == grown["rows"]["transactions"] - first["rows"]["transactions"]


def test_broken_spoils_one_object_and_the_good_one_comes_back(run: Any, bucket: str) -> None:
    run("2026-08-08")
    good = objects(bucket)
    broken = run("2026-08-08", "--broken")
    spoiled = objects(bucket)
    changed = [key for key in spoiled if spoiled[key] != good.get(key)]
    assert len(changed) == broken["objects_written"] == 1
    assert changed[0].startswith("raw/bets/dt=2026-08-07/")
    run("2026-08-08")
    assert objects(bucket) == good


def test_the_summary_is_for_people(
    bucket: str, postgres_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ("--lake-bucket", bucket, "--source-url", postgres_url)
    assert main([*ARGUMENTS, "--end", "2026-08-03", *where]) == 0
    printed = capsys.readouterr().out
    assert "200 players, 2026-08-01 to 2026-08-03 (exclusive), seed 5" in printed
    assert "transactions inserted" in printed
    assert "events in" in printed


def test_a_missing_bucket_is_named(postgres_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    where = ("--lake-bucket", "no-such-bucket-here", "--source-url", postgres_url)
    assert main([*ARGUMENTS, "--end", "2026-08-03", *where]) == 1
    assert "no-such-bucket-here" in capsys.readouterr().err


def test_a_refused_connection_is_explained(bucket: str, capsys: pytest.CaptureFixture[str]) -> None:
    where = ("--lake-bucket", bucket, "--source-url", "postgresql://someone:secret@127.0.0.1:9/nowhere")
    assert main([*ARGUMENTS, "--end", "2026-08-03", *where]) == 1
    message = capsys.readouterr().err
    assert "make services" in message
    assert "secret" not in message


def test_arguments_that_make_no_sense_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CRMBET_LAKE_BUCKET", raising=False)
    with pytest.raises(SystemExit):
        main([*ARGUMENTS, "--end", "2026-08-03"])
    assert "CRMBET_LAKE_BUCKET" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*ARGUMENTS, "--end", "2026-07-31", "--lake-bucket", "b", "--source-url", "u"])
    assert "it is exclusive" in capsys.readouterr().err
