"""What Airflow's connections become, and what becomes of their secrets."""

from __future__ import annotations

import json
import os
import traceback
from typing import Any

import pytest
from airflow.sdk.log import _secrets_masker  # type: ignore[attr-defined]
from psycopg2.extensions import parse_dsn

from crmbet.failures import BadSetting
from crmbet.orchestration.context import dsn_of, monitoring_dsn, open_lake, stream_config
from crmbet.redaction import _spellings, redact
from crmbet.run.settings import Settings

pytestmark = pytest.mark.unit

AWKWARD = "canary 'p@ss' \\ \"x\" %/:"


def define(patch: pytest.MonkeyPatch, name: str, **parts: object) -> None:
    connection = {"conn_type": "postgres", "host": "warehouse", "schema": "crm", "login": "loader", **parts}
    patch.setenv(f"AIRFLOW_CONN_CRMBET_{name.upper()}", json.dumps(connection))


def test_from_then_on_neither_we_nor_airflow_show_the_secrets_of_a_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key_phrase = "canary of the key"
    define(monkeypatch, "source", password=AWKWARD, extra={"sslpassword": key_phrase, "sslmode": "require"})

    dsn = dsn_of("crmbet_source")

    assert (parse_dsn(dsn)["password"], parse_dsn(dsn)["sslpassword"]) == (AWKWARD, key_phrase)
    for spelling in (*_spellings(AWKWARD), *_spellings(key_phrase)):
        assert "anary" not in redact(f"the engine said [{spelling}] to us")
        assert "anary" not in str(_secrets_masker().redact(f"the engine said [{spelling}] to us"))


def test_the_same_of_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    login, key_phrase = "canary of the login", "canary of the client's key"
    extra = {"security.protocol": "SASL_SSL", "ssl.key.password": key_phrase}
    define(monkeypatch, "stream", conn_type="kafka", port=9092, password=login, extra=extra)

    config = stream_config(Settings(lake_bucket="unused"))

    assert (config["sasl.password"], config["ssl.key.password"]) == (login, key_phrase)
    for spelling in (*_spellings(login), *_spellings(key_phrase)):
        assert "anary" not in redact(f"the client said [{spelling}] to us")
        assert "anary" not in str(_secrets_masker().redact(f"the client said [{spelling}] to us"))


def test_each_brand_has_a_consumer_group_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    define(monkeypatch, "stream", conn_type="kafka", port=9092)

    groups = [
        stream_config(Settings.of(lake_bucket="unused", brand=brand))["group.id"]
        for brand in ("default", "aurora")
    ]

    assert groups == ["crmbet", "crmbet_aurora"]


def test_the_page_has_a_login_of_its_own_if_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    define(monkeypatch, "target", login="crmbet_loader")
    assert parse_dsn(monitoring_dsn(os.environ))["user"] == "crmbet_loader"

    define(monkeypatch, "monitoring", login="crmbet_monitor")
    assert parse_dsn(monitoring_dsn(os.environ))["user"] == "crmbet_monitor"


ENDPOINT = "canary-7-endpoint"


@pytest.mark.parametrize(
    "extra",
    [
        {"endpoint_url": f"http://key:{ENDPOINT}@my_host:9"},
        {"endpoint_url": f"http://key:{ENDPOINT}@host name:9"},
        {"endpoint_url": f"http://key:{ENDPOINT} 7@127.0.0.1:9"},
        {"endpoint_url": f"http://key:{ENDPOINT}/7@127.0.0.1:9"},
        {"endpoint_url": f"http://key:{ENDPOINT}@127.0.0.1:port"},
        {"endpoint_url": f"http://key:{ENDPOINT}@127.0.0.1:99999"},
        {"endpoint_url": f"http://key:{ENDPOINT}@[127.0.0.1"},
        {"endpoint_url": f"http://key:{ENDPOINT}@"},
        {"endpoint_url": f"key:{ENDPOINT}@127.0.0.1:9"},
        {"endpoint_url": f"ftp://key:{ENDPOINT}@127.0.0.1:9"},
        {"endpoint_url": [f"http://key:{ENDPOINT}@127.0.0.1:9"]},
        {"service_config": {"s3": {"endpoint_url": f"http://key:{ENDPOINT}@my_host:9"}}},
        {"config_kwargs": {"no_such_option": ENDPOINT}},
        {"config_kwargs": {"region_name": f"{ENDPOINT} x"}},
    ],
)
def test_a_lake_that_cannot_be_opened_is_told_in_a_sentence_without_its_secrets(
    monkeypatch: pytest.MonkeyPatch, extra: dict[str, Any]
) -> None:
    given = {"region_name": "us-east-1", **extra}
    lake = {"conn_type": "aws", "login": "Canary7key", "password": "Canary7secret", "extra": given}
    monkeypatch.setenv("AIRFLOW_CONN_CRMBET_LAKE", json.dumps(lake))

    with pytest.raises(BadSetting, match="connection crmbet_lake") as refused:
        open_lake(Settings(lake_bucket="unused"))

    shown = "".join(traceback.format_exception(refused.value)) + repr(vars(refused.value))
    assert "anary" not in shown
