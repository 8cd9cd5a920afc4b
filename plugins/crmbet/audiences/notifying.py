"""Tells the CRM of each publication by a signed message, at least once, in the order of publications.

The message is that of Standard Webhooks (standardwebhooks.com): the receiver recognises a repeat by `webhook-id`, and
checks `webhook-signature`, an HMAC-SHA256 of id, timestamp and body. It names files and counts, and no player: those
who may read players read the files.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from crmbet.failures import BadSetting, CrmbetError, LostConnection, ReceiverRefused
from crmbet.redaction import remember
from crmbet.webhooks import address_of, post

WEBHOOK_CONNECTION = "crmbet_audiences_webhook"
WHERE = f"Airflow connection {WEBHOOK_CONNECTION}"
SECRET_PREFIX = "whsec_"  # noqa: S105 - how Standard Webhooks marks a secret in base64
LATER = (408, 425, 429)
"""Answers of a receiver that wants the message later. Other answers below 500 say that it does not want it."""


@dataclass(frozen=True)
class Receiver:
    """Where messages go."""

    address: str = field(repr=False)
    secret: bytes = field(repr=False)
    answer_seconds: float

    @classmethod
    def of(cls, connection: Any, answer_seconds: float) -> Receiver:
        """The receiver that a connection of Airflow names. Raises `BadSetting`, which repeats nothing of it."""
        try:
            return cls(address_of(connection), _secret(connection.password), answer_seconds)
        except ValueError as error:
            raise BadSetting(
                f"the Airflow connection {WEBHOOK_CONNECTION} names no receiver",
                where=WHERE,
                why=str(error),
                next_step="correct the connection (docs/audiences.md) and clear the task",
            ) from None

    def tell(self, publication: str, message: str, now: datetime) -> None:
        """Post a message, signed. Raises `LostConnection` if it may succeed later, and `ReceiverRefused` if not."""
        import httpx

        body, timestamp = message.encode(), str(int(now.timestamp()))
        headers = {
            "webhook-id": publication,
            "webhook-timestamp": timestamp,
            "webhook-signature": sign(self.secret, publication, timestamp, body),
        }
        try:
            post(self.address, body, headers, self.answer_seconds)
        except httpx.HTTPStatusError as error:
            raise _explain(error.response.status_code, publication) from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise LostConnection(
                "the receiver of audiences cannot be reached",
                where=WHERE,
                why=f"{type(error).__name__}, publication {publication}",
                next_step="the task retries by itself, and so does every later run; look at the receiver",
            ) from None


def sign(secret: bytes, publication: str, timestamp: str, body: bytes) -> str:
    """The signature of a message, as Standard Webhooks has it."""
    signed = hmac.digest(secret, b".".join([publication.encode(), timestamp.encode(), body]), "sha256")
    return f"v1,{base64.b64encode(signed).decode()}"


def _secret(password: str | None) -> bytes:
    if not password:
        raise ValueError("it has no password, which is the secret that messages are signed with")
    if not password.startswith(SECRET_PREFIX):
        return password.encode()
    try:
        secret = base64.b64decode(password.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError("its password begins with whsec_ and is not base64 after it") from None
    remember(password)
    return secret


def _explain(status: int, publication: str) -> CrmbetError:
    what, why = f"the receiver of audiences answered {status}", f"publication {publication}"
    if status >= 500 or status in LATER:
        return LostConnection(
            what,
            where=WHERE,
            why=why,
            next_step="the task retries by itself, and so does every later run; look at the receiver",
        )
    return ReceiverRefused(
        what,
        where=WHERE,
        why=why,
        next_step="correct the address or the secret on either side, and clear the task: it tells what is unconfirmed",
    )
