"""Channels that fail: sending a message never raises and never waits for long."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from crmbet.monitoring.alerts import channels
from crmbet.monitoring.alerts.channels import (
    EMAIL_CONNECTION,
    SENT,
    SLACK_CONNECTION,
    WEBHOOK_CONNECTION,
    send_to_all,
)
from crmbet.monitoring.alerts.message import Message
from crmbet.monitoring.outcome import Failure
from crmbet.orchestration.incidents import channel_seconds, configured_channels
from local import ports
from tests.integration.live.sinks import MailSink, WebSink, mail_sink, web_sink

pytestmark = pytest.mark.integration

SECRET = "canary/of/the/address"  # noqa: S105 - nobody's
MESSAGE = Message(
    kind="failed", dag_id="dag", execution_id="run", failure=Failure(kind="Killed", what="it was killed")
)


NO_ADDRESS = (
    "malformed connection: `to` in extra must be an address or a list of them, and `from_email` an address"
)


@pytest.fixture(scope="module")
def web() -> Iterator[WebSink]:
    with web_sink() as sink:
        yield sink


@pytest.fixture(scope="module")
def mail() -> Iterator[MailSink]:
    with mail_sink() as sink:
        yield sink


def connection(**fields: Any) -> Any:
    empty = {"conn_type": "http", "host": None, "port": None, "schema": None, "login": None, "password": None}
    extra = fields.pop("extra", {})
    return SimpleNamespace(**(empty | fields), extra_dejson=extra)


@pytest.mark.parametrize(
    ("name", "fields", "result"),
    [
        (SLACK_CONNECTION, {"host": "{web}/fail", "password": SECRET}, "answered 500"),
        (SLACK_CONNECTION, {"host": "http://127.0.0.1:{closed}", "password": SECRET}, "ConnectError"),
        (SLACK_CONNECTION, {"password": SECRET}, "malformed connection: host is empty; it must hold the address"),
        (WEBHOOK_CONNECTION, {"host": "ftp://x"}, "malformed connection: host is not an http or https address"),
        (EMAIL_CONNECTION, {}, "malformed connection: it needs a host, and `to` in extra"),
        (EMAIL_CONNECTION, {"host": "h", "extra": {"to": 5}}, NO_ADDRESS),
        (EMAIL_CONNECTION, {"host": "h", "extra": {"to": ["a", 5]}}, NO_ADDRESS),
        (EMAIL_CONNECTION, {"host": "h", "extra": {"to": {"a": "b"}}}, NO_ADDRESS),
        (EMAIL_CONNECTION, {"host": "h", "extra": {"to": "a", "from_email": ["b"]}}, NO_ADDRESS),
        (EMAIL_CONNECTION, {"host": "127.0.0.1", "port": "{closed}", "extra": {"to": "a"}}, "ConnectionRefusedError"),
    ],
)  # fmt: skip
def test_what_went_wrong_is_said_without_the_secret(
    web: WebSink, name: str, fields: dict[str, Any], result: str
) -> None:
    closed = ports.first_free([])
    filled = {
        key: value.format(web=web.url, closed=closed) if isinstance(value, str) else value
        for key, value in fields.items()
    }
    if "port" in filled:
        filled["port"] = int(filled["port"])

    results = send_to_all({name: connection(**filled)}, MESSAGE, 5)

    assert results == {name: result}
    assert SECRET not in json.dumps(results)


def test_one_that_hangs_keeps_nobody_and_the_others_send(web: WebSink, mail: MailSink) -> None:
    connections = {
        SLACK_CONNECTION: connection(host=f"{web.url}/hang"),
        EMAIL_CONNECTION: connection(host=ports.HOST, port=mail.port, extra={"to": ["a@example.com"]}),
        WEBHOOK_CONNECTION: connection(host="127.0.0.1", port=int(web.url.rpartition(":")[2]), schema="http", password="token"),  # noqa: S106, E501
    }  # fmt: skip

    results = send_to_all(connections, MESSAGE, 1)

    # Its own time-out, or that of all channels together.
    assert results.pop(SLACK_CONNECTION) in {"ReadTimeout", "no answer in 1 s"}
    assert results == {EMAIL_CONNECTION: SENT, WEBHOOK_CONNECTION: SENT}
    _, headers, body = next(post for post in web.posts if post[2].get("dag_id"))
    assert headers["Authorization"] == "Bearer token"
    assert body["failure"]["what"] == "it was killed"


@pytest.mark.parametrize(
    ("variable", "why"),
    [
        (
            "{no json",
            "{variable} is not valid JSON: Expecting property name enclosed in double quotes, at line 1, column 2",
        ),
        ('{"conn_type": "http", "hots": "http://x"}', "{variable} has fields that no connection has: hots"),
        ('{"conn_type": "http", "port": "https"}', "the port in {variable} is not a number"),
        ('{"conn_type": "http", "host": 5}', "{variable} holds no connection that Airflow can read"),
        (
            '{"conn_type": "http", "extra": "{\\"to\\": [\\"a\\""}',
            "its extra cannot be read: it is not valid JSON: Expecting ',' delimiter, at line 1, column 12",
        ),
        (
            '{"conn_type": "http", "extra": ["a"]}',
            "its extra cannot be read: it is JSON, but not an object with names and values",
        ),
    ],
)
def test_a_connection_that_cannot_be_read_is_the_result_of_its_channel_alone(
    monkeypatch: pytest.MonkeyPatch, web: WebSink, variable: str, why: str
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_CRMBET_ALERTS_SLACK", variable)
    works = json.dumps({"conn_type": "http", "host": f"{web.url}/alerts"})
    monkeypatch.setenv("AIRFLOW_CONN_CRMBET_ALERTS_WEBHOOK", works)
    before = len(web.bodies("/alerts"))

    results = send_to_all(configured_channels(), MESSAGE, 5)

    expected = "malformed connection: " + why.replace("{variable}", "AIRFLOW_CONN_CRMBET_ALERTS_SLACK")
    assert results == {SLACK_CONNECTION: expected, WEBHOOK_CONNECTION: SENT}
    assert len(web.bodies("/alerts")) == before + 1


def test_a_fault_of_our_own_is_raised_once_the_others_have_sent(
    web: WebSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    def send(connection: Any, message: Message, seconds: float) -> None:
        raise NameError("not defined")

    monkeypatch.setattr(channels, "CHANNELS", {**channels.CHANNELS, SLACK_CONNECTION: send})
    before = len(web.bodies("/alerts"))

    with pytest.raises(NameError):
        send_to_all(
            {SLACK_CONNECTION: connection(), WEBHOOK_CONNECTION: connection(host=f"{web.url}/alerts")},
            MESSAGE,
            5,
        )

    assert len(web.bodies("/alerts")) == before + 1


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, 5),
        ({"CRMBET_ALERT_TIMEOUT_SECONDS": "9"}, 9),
        ({"CRMBET_ALERT_TIMEOUT_SECONDS": "soon"}, 5),
        ({"CRMBET_ALERT_TIMEOUT_SECONDS": "9", "CRMBET_THREADS": "none"}, 5),
    ],
)
def test_a_bad_setting_does_not_silence_an_alert(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], seconds: int
) -> None:
    monkeypatch.setenv("CRMBET_LAKE_BUCKET", "lake")
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    assert channel_seconds("user_features_daily") == seconds
