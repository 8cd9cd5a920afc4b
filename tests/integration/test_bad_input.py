"""What an operator's delivery or a deployment can get wrong: the first task says what, where and what to do."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import boto3
import psycopg2
import pytest

from crmbet.failures import (
    AccessRefused,
    BadParam,
    BadSetting,
    CrmbetError,
    LostConnection,
    PermanentFailure,
    SourceMissing,
    SourceUnreadable,
    TemporaryFailure,
)
from crmbet.operators.extract_pg import ExtractPgOperator
from crmbet.operators.extract_s3 import ExtractS3Operator
from crmbet.orchestration.watching import fail
from local.env import database_variables

pytestmark = pytest.mark.integration

RUN_ID = "manual__2026-08-12T06:00:00+00:00"
SECRET = "do-not-tell-anyone"  # noqa: S105 - the test looks for it in messages
RIGHT_PASSWORD = "known-to-the-server"  # noqa: S105 - so does it for this one
BETS = "bet_id,user_id,placed_at,game_type,stake\nb1,u1,2026-08-10T12:00:00Z,slots,10.50\n"
CLOSED_PORT = 9


@pytest.fixture
def database(services: Any, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The source database, empty, behind its connection."""
    name = postgres_url.partition("?")[0].rpartition("/")[2]
    for variable, value in database_variables(services.postgres, source=name, target=name).items():
        monkeypatch.setenv(variable, value)
    return postgres_url


@pytest.fixture
def put(bucket: str) -> Callable[[str, bytes | str], None]:
    def deliver(key: str, content: bytes | str) -> None:
        boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=content)

    return deliver


@pytest.fixture
def change_connection(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Changes parts of an Airflow connection that is in the environment."""

    def change(name: str, endpoint_url: str | None = None, **parts: Any) -> None:
        variable = f"AIRFLOW_CONN_CRMBET_{name.upper()}"
        connection = json.loads(os.environ[variable]) | parts
        if endpoint_url:
            connection["extra"]["endpoint_url"] = endpoint_url
        monkeypatch.setenv(variable, json.dumps(connection))

    return change


@pytest.fixture
def password_wanted(database: str, services: Any) -> Iterator[str]:
    """A login whose password the server really checks."""
    rules = services.postgres.data / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text("local all careful scram-sha-256\n" + before)
    admin = psycopg2.connect(database)
    admin.autocommit = True
    with admin.cursor() as cursor:
        cursor.execute("CREATE ROLE careful LOGIN PASSWORD %s", (RIGHT_PASSWORD,))
        cursor.execute("SELECT pg_reload_conf()")
        yield "careful"
        cursor.execute("DROP ROLE careful")
        rules.write_text(before)
        cursor.execute("SELECT pg_reload_conf()")
    admin.close()


def execute(operator: type[Any], **params: Any) -> Any:
    """Run an operator as Airflow would, in a manual run."""
    now = datetime(2026, 8, 12, 6, tzinfo=UTC)
    dag_run = SimpleNamespace(
        dag_id="user_features_daily", run_id=RUN_ID, run_type="manual", start_date=now, run_after=now,
        logical_date=None, data_interval_end=None,
    )  # fmt: skip
    ti = SimpleNamespace(task_id="extract", try_number=1, xcom_push=lambda **_: None)
    context = {"params": params, "dag_run": dag_run, "ti": ti}
    try:
        return operator(task_id="extract").execute(context)
    except CrmbetError as failure:
        fail({**context, "exception": failure})
        raise


def failure_of(
    kind: type[CrmbetError], caplog: pytest.LogCaptureFixture, operator: type[Any], **params: Any
) -> str:
    """The message of a failure of exactly that kind, which is complete, leaks nothing, and is logged with its run."""
    caplog.set_level(logging.INFO)
    with pytest.raises(CrmbetError) as failure:
        execute(operator, **params)
    message = str(failure.value)
    assert type(failure.value) is kind, message
    assert "Where: " in message
    assert "Next: " in message
    assert f"FAILED dag=user_features_daily run={RUN_ID} task=extract try=1: {message}" in caplog.text
    for secret in (SECRET, RIGHT_PASSWORD, os.environ["AWS_SECRET_ACCESS_KEY"]):
        assert secret not in message + caplog.text
    return message


def create_table(url: str, columns: str) -> None:
    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE tbl_transactions ({columns})")
    connection.close()


# S3 --------------------------------------------------------------------------------------------------------------


def test_no_such_bucket(bucket: str, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    monkeypatch.setenv("CRMBET_LAKE_BUCKET", "no-such-bucket")

    message = failure_of(SourceMissing, caplog, ExtractS3Operator)

    assert "the bucket no-such-bucket does not exist" in message
    assert "CRMBET_LAKE_BUCKET" in message


def test_no_bets_feed(put: Any, bucket: str, caplog: Any) -> None:
    put("raw/players/dt=2026-08-10/part.csv", "user_id\nu1\n")

    message = failure_of(SourceMissing, caplog, ExtractS3Operator)

    assert "the feed bets has no object" in message
    assert f"s3://{bucket}/raw/bets/" in message


@pytest.mark.parametrize("content", [b"PAR1 cut off in the mid", b"bet_id,user_id\n1,2\n", b"PAR1PAR1PAR1"])
def test_unreadable_parquet(put: Any, bucket: str, caplog: Any, content: bytes) -> None:
    put("raw/bets/dt=2026-08-10/part-00.parquet", content)

    message = failure_of(SourceUnreadable, caplog, ExtractS3Operator)

    assert "no object of the feed bets can be read" in message
    assert f"s3://{bucket}/raw/bets/dt=2026-08-10/part-00.parquet" in message
    assert "Why: Invalid Input Error" in message
    assert "deliver it again" in message


def test_column_missing_in_the_lake(put: Any, caplog: Any) -> None:
    put("raw/bets/part.csv", BETS.replace("stake", "amount"))

    message = failure_of(SourceUnreadable, caplog, ExtractS3Operator)

    assert (
        "column stake is missing; it has the columns bet_id, user_id, placed_at, game_type, amount" in message
    )
    assert "A name can be mapped in include/contracts/sources/bets.yaml" in message


@pytest.mark.parametrize("part", ["login", "password"])
def test_wrong_s3_key(put: Any, change_connection: Any, caplog: Any, part: str) -> None:
    put("raw/bets/part.csv", BETS)
    change_connection("lake", **{part: SECRET})

    message = failure_of(AccessRefused, caplog, ExtractS3Operator)

    assert "S3 refuses our key" in message
    assert "crmbet_lake" in message


def test_s3_server_down(
    change_connection: Any, bucket: str, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    change_connection("lake", endpoint_url=f"http://127.0.0.1:{CLOSED_PORT}")

    message = failure_of(LostConnection, caplog, ExtractS3Operator)

    assert "S3 cannot be reached" in message
    assert bucket in message
    assert issubclass(LostConnection, TemporaryFailure)


# PostgreSQL ------------------------------------------------------------------------------------------------------


def test_postgres_refused(database: str, bucket: str, change_connection: Any, caplog: Any) -> None:
    change_connection("source", host="127.0.0.1", port=CLOSED_PORT, password=SECRET)

    message = failure_of(LostConnection, caplog, ExtractPgOperator)

    assert "PostgreSQL cannot be reached" in message
    assert "crmbet_source" in message


def test_postgres_wrong_password(
    password_wanted: str, bucket: str, change_connection: Any, caplog: Any
) -> None:
    change_connection("source", login=password_wanted, password=SECRET)

    message = failure_of(AccessRefused, caplog, ExtractPgOperator)

    assert "PostgreSQL refuses the login" in message
    assert "crmbet_source" in message


def test_no_such_database(database: str, bucket: str, change_connection: Any, caplog: Any) -> None:
    change_connection("source", schema="no_such_database")

    assert "does not know the database" in failure_of(SourceMissing, caplog, ExtractPgOperator)


def test_table_missing(database: str, bucket: str, caplog: Any) -> None:
    message = failure_of(SourceMissing, caplog, ExtractPgOperator)

    assert "the table tbl_transactions does not exist" in message
    assert "crmbet_source" in message


def test_column_missing_in_postgres(database: str, bucket: str, caplog: Any) -> None:
    create_table(database, "transaction_id uuid, user_id text, amount decimal(10,2), status text")

    message = failure_of(SourceMissing, caplog, ExtractPgOperator)

    assert "column transaction_type, created_at is missing from tbl_transactions" in message


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_server_that_goes_away_fails_the_task_and_not_its_process(
    database: str, bucket: str, caplog: Any, dry_run: bool
) -> None:
    with psycopg2.connect(database) as admin, admin.cursor() as cursor:
        cursor.execute(
            """
            CREATE TABLE hidden (transaction_id uuid, user_id text, amount decimal(10,2), transaction_type text,
                status text, created_at timestamp);
            INSERT INTO hidden VALUES (gen_random_uuid(), 'u1', 1, 'bet', 'completed', '2026-08-10');
            CREATE VIEW tbl_transactions AS SELECT * FROM hidden WHERE pg_terminate_backend(pg_backend_pid());
            """
        )
    admin.close()

    assert "PostgreSQL went away" in failure_of(LostConnection, caplog, ExtractPgOperator, dry_run=dry_run)


# Params and settings ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"as_off": "2026-08-10"}, "unknown param 'as_off'"),
        ({"as_of": "10/08/2026"}, "as_of '10/08/2026' is not a date"),
        ({"as_of": "2026-08-13"}, "as_of 2026-08-13 is in the future"),
        ({"known_at": "yesterday"}, "known_at 'yesterday' is not an instant"),
        ({"known_at": "2026-08-10T00:00:00"}, "has no time zone"),
        ({"load_strategy": "overwrite"}, "load_strategy"),
        ({"source_deletions": "ignore"}, "source_deletions"),
        ({"fail_on": ["SEVERE"]}, "fail_on"),
    ],
)
def test_a_bad_param_stops_both_first_tasks(bucket: str, params: dict[str, Any], said: str) -> None:
    with pytest.raises(BadParam):
        execute(ExtractPgOperator, **params)
    with pytest.raises(BadParam) as failure:
        execute(ExtractS3Operator, **params)

    assert said in str(failure.value)
    assert "Next: " in str(failure.value)
    assert isinstance(failure.value, PermanentFailure)
    assert "Contents" not in boto3.client("s3").list_objects_v2(Bucket=bucket), "nothing was written"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("CRMBET_THREADS", "many"),
        ("CRMBET_MEMORY_LIMIT", "lots"),
        ("CRMBET_OPERATOR_TIMEZONE", "America/Sao_Paolo"),
        ("CRMBET_BRAND", "Not A Path"),
        ("MIN_DATA_COMPLETENESS", "95%"),
        ("CRMBET_LAKE_BUCKET", ""),
    ],
)
def test_a_bad_setting_is_named_and_its_value_is_not(
    bucket: str, monkeypatch: pytest.MonkeyPatch, caplog: Any, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)

    message = failure_of(BadSetting, caplog, ExtractS3Operator)

    assert variable in message
    assert not value or value not in message


@pytest.mark.parametrize(("name", "operator"), [("source", ExtractPgOperator), ("lake", ExtractS3Operator)])
def test_a_connection_that_does_not_exist(
    name: str,
    operator: type[Any],
    database: str,
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
    airflow_database: None,
    caplog: Any,
) -> None:
    monkeypatch.delenv(f"AIRFLOW_CONN_CRMBET_{name.upper()}")

    message = failure_of(BadSetting, caplog, operator)

    assert f"the Airflow connection crmbet_{name} does not exist" in message
    assert f"AIRFLOW_CONN_CRMBET_{name.upper()}" in message
