"""The signature is that of Standard Webhooks, and a connection that names no receiver is refused in words."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from crmbet.audiences.notifying import Receiver, sign
from crmbet.failures import BadSetting

pytestmark = pytest.mark.unit


def connection(**fields: object) -> SimpleNamespace:
    usual = {"host": "https://crm.example/hooks/secret-path", "password": "s3cret", "conn_type": "http"}
    return SimpleNamespace(**{"port": None, "schema": None, **usual, **fields})


def test_a_signature_is_that_of_the_published_example() -> None:
    """The example of the reference libraries: github.com/standard-webhooks/standard-webhooks."""
    published = {"password": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
    receiver = Receiver.of(connection(**published), 1)
    signed = sign(receiver.secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b'{"test": 2432232314}')
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    "fields",
    [{"host": ""}, {"host": "ftp://crm.example"}, {"password": None}, {"password": "whsec_not base64!"}],
)
def test_a_connection_without_a_receiver_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(BadSetting, match="crmbet_audiences_webhook") as refused:
        Receiver.of(connection(**fields), 1)
    assert "secret-path" not in str(refused.value)
    assert "not base64!" not in str(refused.value)


def test_a_receiver_does_not_show_its_secret() -> None:
    shown = repr(Receiver.of(connection(), 1))
    assert "s3cret" not in shown
    assert "secret-path" not in shown
