"""What a run from Python is told."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from crmbet.pipeline import PipelineConfig

pytestmark = pytest.mark.unit

URL = "postgresql://loader:hunter2@warehouse/crm"


def test_the_seeds_configuration_becomes_a_runs_environment() -> None:
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
