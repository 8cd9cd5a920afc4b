"""The channels that carry a message: Slack, mail and a webhook. None of them can fail a run or delay it for long.

Each channel is an optional Airflow connection. An address may be a secret in itself, as that of a Slack webhook is, so
no error repeats it. docs/adr/0018 says why Airflow's notifiers and Apprise do not send in place of this module.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from email.message import EmailMessage
from functools import partial
from typing import Any

from crmbet.monitoring.alerts.budget import Attempt, OutOfTime
from crmbet.monitoring.alerts.message import Message
from crmbet.webhooks import address_of, post

SLACK_CONNECTION = "crmbet_alerts_slack"
EMAIL_CONNECTION = "crmbet_alerts_email"
WEBHOOK_CONNECTION = "crmbet_alerts_webhook"

ANSWER_SHARE = 0.8
"""How much of the time of all channels one of them may take to connect, or to answer. So its own error comes first."""
SENT = "sent"
MALFORMED = "malformed connection"
"""How the result of a channel begins whose connection has to be corrected."""

log = logging.getLogger(__name__)

Send = Callable[[Any, Message, float], None]
"""Sends a message by a connection. The last argument is how long it may take to connect, or to answer, in seconds."""


def send_to_all(connections: Mapping[str, Any], message: Message, seconds: float) -> dict[str, str]:
    """Send by every channel whose connection is given, in parallel.

    A text in place of a connection says why there is none, and becomes the channel's result.

    Returns `sent` for each connection, or the reason why it was not sent. It takes at most about `seconds`, whatever
    the channels do. A fault of our own in one of them is raised after the others have had their time.
    """
    results = {name: why for name, why in connections.items() if isinstance(why, str)}
    attempts = {
        name: Attempt(partial(CHANNELS[name], connection, message, seconds * ANSWER_SHARE))
        for name, connection in connections.items()
        if name not in results
    }
    faults: list[Exception] = []
    deadline = time.monotonic() + seconds
    for name, attempt in attempts.items():
        try:
            attempt.result(deadline - time.monotonic())
        except OutOfTime:
            results[name] = f"no answer in {seconds:g} s"
        except _failures() as error:
            results[name] = _explain(error)
        except Exception as error:  # noqa: BLE001 - it is raised below
            faults.append(error)
        else:
            results[name] = SENT
    if faults:
        raise faults[0]
    return results


def send_slack(connection: Any, message: Message, seconds: float) -> None:
    """Post to a Slack incoming webhook. Its address is `host`, followed by the password if there is one."""
    address = "/".join(part.strip("/") for part in (address_of(connection), connection.password) if part)
    _post(address, message.to_slack(), {}, seconds)


def send_webhook(connection: Any, message: Message, seconds: float) -> None:
    """Post JSON to any address. A password is sent as a bearer token."""
    headers = {"Authorization": f"Bearer {connection.password}"} if connection.password else {}
    _post(address_of(connection), message.to_document(), headers, seconds)


def send_email(connection: Any, message: Message, seconds: float) -> None:
    """Send by SMTP to the addresses in the extra field `to`. TLS is used if the server offers it."""
    import smtplib

    extra = connection.extra_dejson
    recipients = extra.get("to")
    recipients = [recipients] if isinstance(recipients, str) else recipients
    if not connection.host or not recipients:
        raise ValueError("it needs a host, and `to` in extra")
    texts = [*recipients, extra.get("from_email", "")] if isinstance(recipients, list) else [recipients]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("`to` in extra must be an address or a list of them, and `from_email` an address")
    mail = EmailMessage()
    mail["Subject"] = message.title
    mail["From"] = extra.get("from_email") or connection.login or recipients[0]
    mail["To"] = ", ".join(recipients)
    mail.set_content(message.to_text())
    mail.add_alternative(message.to_html(), subtype="html")
    implicit_tls = not extra.get("disable_ssl", connection.port != 465)
    connect = smtplib.SMTP_SSL if implicit_tls else smtplib.SMTP
    with connect(connection.host, connection.port or 25, timeout=seconds) as server:
        server.ehlo()
        if not implicit_tls and not extra.get("disable_tls") and server.has_extn("starttls"):
            server.starttls()
            server.ehlo()
        if connection.login and connection.password:
            server.login(connection.login, connection.password)
        server.send_message(mail)


CHANNELS: Mapping[str, Send] = {
    SLACK_CONNECTION: send_slack,
    EMAIL_CONNECTION: send_email,
    WEBHOOK_CONNECTION: send_webhook,
}


def _failures() -> tuple[type[Exception], ...]:
    """What a channel may fail with: its server, the network, TLS, or a malformed connection."""
    import smtplib

    import httpx

    return (httpx.HTTPError, httpx.InvalidURL, smtplib.SMTPException, OSError, ValueError)


def _explain(error: Exception) -> str:
    """What went wrong, without the address and the answer's text: they may hold secrets."""
    response = getattr(error, "response", None)
    if response is not None:
        return f"answered {response.status_code}"
    if isinstance(error, ValueError) and type(error) is ValueError:
        return f"{MALFORMED}: {error}"
    return type(error).__name__


def _post(address: str, body: dict[str, Any], headers: dict[str, str], seconds: float) -> None:
    post(address, json.dumps(body).encode(), headers, seconds)
