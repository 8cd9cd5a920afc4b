"""How the configuration of a run from Python becomes the environment of that run."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from psycopg2.extensions import parse_dsn
from pydantic import BaseModel, ValidationError

from crmbet import pipeline
from crmbet.failures import BadParam
from crmbet.orchestration.context import dsn_of
from crmbet.pipeline import PipelineConfig
from crmbet.run import params, settings
from crmbet.run.params import RunParams
from crmbet.run.settings import SETTINGS, THRESHOLDS, Settings

pytestmark = pytest.mark.unit

URL = "postgresql://loader:hunter2@warehouse/crm"
MISPLACED: list[Any] = ["hunter2", URL, URL.encode(), {"url": URL}, [URL]]
"""Secrets that somebody has put into a wrong place."""
MODELS = [
    model
    for module in (settings, params, pipeline)
    for model in vars(module).values()
    if isinstance(model, type) and issubclass(model, BaseModel) and model.__module__ == module.__name__
]
"""Every model that is made of what a person gives."""


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
        "CRMBET_SOURCE_CONNECTION": "crmbet_source",
        "CRMBET_TARGET_CONNECTION": "crmbet_target",
        "CRMBET_TARGET_SCHEMA": "ml_features",
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


def refusal(make: Callable[..., Any], **values: Any) -> str:
    """All that a refusal shows; an empty text if the values are taken."""
    try:
        make(**values)
    except (ValidationError, BadParam) as error:
        return "".join(traceback.format_exception(error)) + repr(error) + repr(getattr(error, "__dict__", ""))
    return ""


@pytest.mark.parametrize("model", MODELS)
def test_no_model_shows_what_it_refuses(model: type[BaseModel]) -> None:
    """Any value, under its own name or a wrong one."""
    needed = {"db_url": URL} if model is PipelineConfig else {}
    names = ["target_dsn", *model.model_fields]
    shown = [refusal(model, **{**needed, name: value}) for name in names for value in MISPLACED]

    assert any(shown)
    assert "hunter2" not in "".join(shown)


@pytest.mark.parametrize("name", ["target_dsn", "targeturl", "db_url", "target_url", *SETTINGS])
def test_no_setting_shows_what_it_refuses(name: str) -> None:
    shown = [
        refusal(PipelineConfig, **{"s3_bucket": "my-lake", "db_url": URL, name: value}) for value in MISPLACED
    ]
    shown += [refusal(Settings.of, **{"lake_bucket": "my-lake", name: value}) for value in MISPLACED]

    assert any(shown)
    assert "hunter2" not in "".join(shown)


def test_no_param_and_no_threshold_shows_what_it_refuses() -> None:
    def read(**values: Any) -> RunParams:
        return RunParams.read(values)

    def set_limit(**values: Any) -> Settings:
        return Settings.of(lake_bucket="my-lake").with_thresholds(values)

    params = [refusal(read, **{name: value}) for name in RunParams.model_fields for value in MISPLACED]
    limits = [refusal(set_limit, **{name: value}) for name in THRESHOLDS for value in MISPLACED]

    assert all(limits)
    assert "hunter2" not in "".join([*params, *limits])


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

    assert parse_dsn(dsn_of("crmbet_source")) == parse_dsn(url)
    assert parse_dsn(dsn_of("crmbet_target")) == parse_dsn(url)


def test_an_extra_that_is_no_option_of_libpq_stays_in_airflow(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = {
        "conn_type": "postgres", "host": "warehouse", "schema": "crm",
        "extra": {"cursor": "dictcursor", "iam": False, "keepalives": 0, "host=elsewhere application_name": "x",
                  "sslmode": "", "passfile": None, "dbname": "another"},
    }  # fmt: skip
    monkeypatch.setenv("AIRFLOW_CONN_CRMBET_SOURCE", json.dumps(connection))

    assert parse_dsn(dsn_of("crmbet_source")) == {"host": "warehouse", "dbname": "crm", "keepalives": "0"}


def test_a_switch_in_the_extra_of_a_connection_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    extra = {"keepalives": True, "sslcompression": False}
    given = {"conn_type": "postgres", "host": "warehouse", "schema": "crm", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_CRMBET_SOURCE", json.dumps(given))

    options = parse_dsn(dsn_of("crmbet_source"))
    assert (options["keepalives"], options["sslcompression"]) == ("1", "0")
