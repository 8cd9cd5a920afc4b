"""How the configuration of a run from Python becomes the environment of that run."""

from __future__ import annotations

import json

import pytest
from psycopg2.extensions import parse_dsn
from pydantic import ValidationError

from crmbet.orchestration.context import source_dsn, target_dsn
from crmbet.pipeline import PipelineConfig

pytestmark = pytest.mark.unit

URL = "postgresql://loader:hunter2@warehouse/crm"


def test_the_specifications_configuration_becomes_a_runs_environment() -> None:
    config = PipelineConfig(s3_bucket="my-lake", db_url=URL, min_data_completeness=0.9)

    environment = config.environment()
    assert json.loads(environment.pop("AIRFLOW_CONN_CRMBET_SOURCE")) == {
        "conn_type": "postgres", "host": "warehouse", "schema": "crm", "login": "loader", "password": "hunter2",
        "extra": {},
    }  # fmt: skip
    environment.pop("AIRFLOW_CONN_CRMBET_TARGET")
    assert environment == {
        "CRMBET_LAKE_BUCKET": "my-lake",
        "CRMBET_MIN_DATA_COMPLETENESS": "0.9",
    }


def test_the_target_may_be_another_database() -> None:
    config = PipelineConfig(
        s3_bucket="my-lake", db_url=URL, target_url="postgresql:///crm?host=/run/pg&port=5433&sslmode=disable"
    )

    assert json.loads(config.environment()["AIRFLOW_CONN_CRMBET_TARGET"]) == {
        "conn_type": "postgres", "host": "/run/pg", "port": 5433, "schema": "crm", "extra": {"sslmode": "disable"},
    }  # fmt: skip


def test_a_bad_setting_is_refused_before_anything_runs() -> None:
    with pytest.raises(ValidationError, match="min_data_completeness"):
        PipelineConfig(s3_bucket="my-lake", db_url=URL, min_data_completeness=95)
    with pytest.raises(ValidationError, match="min_completeness"):
        PipelineConfig(s3_bucket="my-lake", db_url=URL, min_completeness=0.9)


def test_it_shows_no_password() -> None:
    assert "hunter2" not in repr(PipelineConfig(s3_bucket="my-lake", db_url=URL))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://loader:hunter2@warehouse:6432/crm?connect_timeout=3&keepalives=0&keepalives_idle=30",
        "postgresql://loader:hunter2@warehouse/crm?options=-c%20search_path%3Da%2Cb&application_name=crm%20%27features%27",
        "postgresql://loader:hunter2@first:5432,second:5433/crm?target_session_attrs=read-write",
        "postgresql://loader@first,second/crm?sslmode=verify-full&sslrootcert=/etc/ca.pem",
    ],
)
def test_every_libpq_option_of_the_url_reaches_libpq(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    config = PipelineConfig(s3_bucket="my-lake", db_url=url)
    for name, value in config.environment().items():
        monkeypatch.setenv(name, value)

    assert parse_dsn(source_dsn()) == parse_dsn(url)
    assert parse_dsn(target_dsn()) == parse_dsn(url)


def test_an_extra_that_is_no_option_of_libpq_stays_in_airflow(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = {
        "conn_type": "postgres", "host": "warehouse", "schema": "crm",
        "extra": {"cursor": "dictcursor", "iam": False, "keepalives": 0, "host=elsewhere application_name": "x",
                  "sslmode": "", "passfile": None, "dbname": "another"},
    }  # fmt: skip
    monkeypatch.setenv("AIRFLOW_CONN_CRMBET_SOURCE", json.dumps(connection))

    assert parse_dsn(source_dsn()) == {"host": "warehouse", "dbname": "crm", "keepalives": "0"}


def test_a_switch_in_the_extra_of_a_connection_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    extra = {"keepalives": True, "sslcompression": False}
    given = {"conn_type": "postgres", "host": "warehouse", "schema": "crm", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_CRMBET_SOURCE", json.dumps(given))

    options = parse_dsn(source_dsn())
    assert (options["keepalives"], options["sslcompression"]) == ("1", "0")
