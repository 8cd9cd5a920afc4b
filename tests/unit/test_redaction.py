"""Texts of drivers and engines, with the secrets that they quote."""

from __future__ import annotations

import html
import json
import traceback
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmbet import redaction
from crmbet.failures import CrmbetError, LostConnection
from crmbet.redaction import MASK, is_secret_name, redact, remember, secrets_in, without_secrets

pytestmark = pytest.mark.unit

CANARY = "Hunter2-canary"


@pytest.fixture(autouse=True)
def nothing_is_known() -> Iterator[None]:
    """Each test begins with no known secret, and leaves none to others."""
    before = set(redaction._known)
    redaction._known.clear()
    redaction._pattern.cache_clear()
    yield
    redaction._known.clear()
    redaction._known.update(before)
    redaction._pattern.cache_clear()


@pytest.mark.parametrize(
    "text",
    [
        # URLs with a user's part, whatever the scheme
        "could not open postgresql://loader:Hunter2-canary@warehouse:5432/crm?sslmode=require",
        "postgres://loader:a/b:Hunter2-canary@warehouse/crm",
        "postgres://:Hunter2-canary@warehouse/crm",
        "redis://:Hunter2-canary@redis:6379/0",
        "amqp://guest:Hunter2-canary@broker//",
        "db+postgresql://airflow:Hunter2-canary@postgres/airflow",
        "POSTGRESQL+PSYCOPG2://loader:Hunter2-canary@warehouse/crm",
        "https://user:Hunter2-canary@hooks.example.com/alert",
        "smtp://ops:Hunter2-canary@mail.example.com:587",
        "https://Hunter2-canary@sentry.example.com/42",
        "http://key:Hunter2-canary with blanks@minio:9000/lake",
        # libpq's key=value, in every quoting
        'IO Error: Unable to connect to Postgres at "host=warehouse password=Hunter2-canary dbname=crm": refused',
        "Unable to connect to Postgres at password='Hunter2-canary' : could not connect",
        "host=warehouse password='it\\'s Hunter2-canary' user=loader",
        "host=warehouse password = 'Hunter2-canary with blanks' user=loader",
        "ATTACH 'host=warehouse password=''Hunter2-canary'' user=loader' AS source (TYPE postgres)",
        "user=loader password=,;)Hunter2-canary host=warehouse",
        "PGPASSWORD=Hunter2-canary psql",
        "sslkey=/etc/key sslpassword=Hunter2-canary",
        "oauth_client_secret=Hunter2-canary scram_client_key=Hunter2-canary scram_server_key=Hunter2-canary",
        # cut in the middle
        "host=warehouse password='Hunter2-canary and then nothi",
        'the config {"password": "Hunter2-canary',
        # statements, JSON, Python
        "CREATE SECRET crmbet_source (TYPE postgres, PASSWORD 'Hunter2-canary', HOST 'warehouse')",
        "CREATE SECRET lake (TYPE s3, KEY_ID 'Hunter2-canary', SECRET 'Hunter2-canary')",
        "CREATE SECRET lake (TYPE s3, REGION 'x', SESSION_TOKEN 'Hunter2-canary')",
        "ALTER ROLE loader PASSWORD 'Hunter2-canary'",
        '{"conn_type": "postgres", "password": "Hunter2-canary", "host": "warehouse"}',
        "{'login': 'x', 'password': 'Hunter2-canary'}",
        '{"aws_secret_access_key":"Hunter2-canary"}',
        # keys, tokens, signatures
        "aws_secret_access_key=Hunter2-canary aws_session_token=Hunter2-canary",
        "AWS_SECRET_ACCESS_KEY = Hunter2-canary",
        "GET https://lake/raw/x.csv?X-Amz-Credential=Hunter2-canary&X-Amz-Signature=Hunter2-canary HTTP/1.1",
        "https://lake/x?AWSAccessKeyId=Hunter2-canary&Signature=Hunter2-canary&Expires=1",
        "https://hook.example.com/?token=Hunter2-canary&x=1",
        "https://account.blob.example.com/x?sv=2024&sig=Hunter2-canary",
        "Authorization: Bearer Hunter2-canary",
        "headers={'Authorization': 'Bearer Hunter2-canary'}",
        "Authorization: Basic Hunter2-canary=",
        "answered 401 to Bearer Hunter2-canary",
        "POST https://hooks.slack.com/services/T000/B000/Hunter2-canary failed",
        "api_key=Hunter2-canary apikey=Hunter2-canary access_token=Hunter2-canary",
        "-----BEGIN RSA PRIVATE KEY-----\nHunter2-canary\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nHunter2-canary",
    ],
)
def test_a_secret_is_recognised_by_its_place(text: str) -> None:
    redacted = redact(text)

    assert "canary" not in redacted
    assert MASK in redacted
    assert redact(redacted) == redacted


def test_an_access_key_of_aws_is_recognised_by_its_form() -> None:
    assert redact("key AKIAIOSFODNN7EXAMPLE of ASIAIOSFODNN7EXAMPLE") == "key *** of ***"


@pytest.mark.parametrize(
    "text",
    [
        "PostgreSQL refuses the login. Next: correct login and password of the connection.",
        'connection to server at "warehouse" (10.0.0.7), port 5432 failed: FATAL:  password authentication failed',
        "fe_sendauth: no password supplied",
        "s3://my-lake/raw/bets/2026-11-20/a@b:c.csv",
        "an object is not there any more. Where: s3://my-lake/crmbet/brand=default/runs/run_id=manual__1/clean.json.",
        "write to ops@example.com, or see https://example.com/runbook#access-refused",
        "nothing answers at http://minio:9000/lake or https://minio; write to ops@example.com",
        "Basic authentication is off; the bearer of bad news",
        "the key of the connection crmbet_lake s3:DeleteObject below crmbet/",
        "look at the primary key user_id=7, and the token of a session",
        "host=warehouse user=loader dbname=crm connect_timeout=10",
        "",
    ],
)
def test_other_text_stays_as_it_is(text: str) -> None:
    assert redact(text) == text


AWKWARD = "p@ss 'wörd\"\\:/?#%&=;<x>"


@pytest.mark.parametrize(
    "spell",
    [
        str,
        quote,
        quote_plus,
        html.escape,
        json.dumps,
        repr,
        lambda secret: quote(secret, safe=""),
        lambda secret: json.dumps(secret, ensure_ascii=False),
        lambda secret: secret.replace("'", "''"),
        lambda secret: secret.replace("\\", "\\\\").replace("'", "\\'"),
        lambda secret: secret.replace("\\", "\\\\").replace("'", "\\'").replace("'", "''"),
    ],
)
def test_a_known_secret_is_found_however_it_is_spelled(spell: object) -> None:
    assert callable(spell)
    remember(AWKWARD)

    assert redact(f"the engine said [{spell(AWKWARD)}] and went") in (
        "the engine said [***] and went",
        "the engine said ['***'] and went",
        'the engine said ["***"] and went',
    )


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=8), st.text(), st.text())
def test_no_text_shows_a_known_secret(secret: str, before: str, after: str) -> None:
    remember(f"A{secret}")

    assert f"A{secret}" not in redact(f"{before}A{secret}{after}")


@pytest.mark.parametrize(
    ("address", "secrets"),
    [
        ("http://key:pass word@my_host:9000", {"pass word"}),
        ("key:Hunter2@minio:9000", {"Hunter2"}),
        ("http://key:Hunter2@host name", {"Hunter2"}),
        ("https://Hunter2@sentry.example.com/42", {"Hunter2"}),
        ("http://key:Hunter%402@minio", {"Hunter%402", "Hunter@2"}),
        ("http://key:p@ss@minio/a@b", {"p", "p@ss", "p@ss@minio/a"}),
        ("http://key:Hunter2@[::1]:9000", {"Hunter2"}),
        ("http://minio:9000", set()),
        ("ops@example.com", set()),
        ("s3://lake/raw/a:b@c.csv", set()),
        ("", set()),
    ],
)
def test_the_secrets_of_an_address_are_found_however_it_is_malformed(address: str, secrets: set[str]) -> None:
    """Where a password may end is not certain, so each end is taken."""
    assert secrets_in(address) == secrets


def test_the_secrets_of_an_extra_are_found_at_any_depth() -> None:
    extra = {
        "region_name": "us-east-1",
        "aws_session_token": "token-1",
        "session_kwargs": {"aws_secret_access_key": "key-2"},
        "config_kwargs": {"proxies": {"http": "http://u:proxy-3@proxy:3128"}},
        "service_config": {"s3": {"endpoint_url": "http://u:endpoint-4@minio:9000"}},
        "to": ["ops@example.com"],
        "port": 5432,
        "nothing": None,
    }

    assert secrets_in(extra) == {"token-1", "key-2", "proxy-3", "endpoint-4"}


def test_a_password_that_is_a_plain_word_is_taken_out_where_it_stands_alone() -> None:
    remember("crmbet")

    assert redact("crmbet_source has no connection for crmbet") == "crmbet_source has no connection for ***"


def test_a_password_of_few_letters_is_no_word_to_look_for() -> None:
    assert remember("a", "", None, "abcd") == frozenset()
    assert redact("a bad dad; password=abcd") == "a bad dad; password=***"


def test_our_own_errors_show_no_secret_in_any_part() -> None:
    remember(CANARY)
    leak = f"postgresql://loader:{CANARY}@warehouse: {CANARY}"

    failure = LostConnection(leak, where=leak, why=leak, next_step=leak)

    for text in (str(failure), failure.what, failure.where, failure.why, failure.next_step, repr(failure)):
        assert CANARY not in text
        assert MASK in text
    assert isinstance(failure, CrmbetError)


class _Demanding(Exception):
    def __init__(self, text: str, status: int) -> None:
        super().__init__(f"{text} {status}")


def test_an_error_of_another_keeps_its_class_and_its_place_and_loses_its_secret() -> None:
    remember(CANARY)

    def fail() -> None:
        raise ValueError(f"bad {CANARY}")

    try:
        fail()
    except ValueError as error:
        clean = without_secrets(error)
    assert type(clean) is ValueError
    assert str(clean) == "bad ***"
    assert "in fail" in "".join(traceback.format_exception(clean))

    innocent = ValueError("bad value")
    assert without_secrets(innocent) is innocent
    demanding = without_secrets(_Demanding(CANARY, 500))
    assert (type(demanding), str(demanding)) == (RuntimeError, "_Demanding: *** 500")


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("password", True), ("sslpassword", True), ("aws_secret_access_key", True), ("aws_session_token", True),
        ("oauth_client_secret", True), ("api_key", True), ("host", False), ("region_name", False),
        ("sslmode", False), ("endpoint_url", False), ("key", False),
        ("sasl.password", True), ("ssl.key.password", True), ("ssl.keystore.password", True), ("ssl.key.pem", True),
        ("sasl.oauthbearer.client.secret", True), ("sasl.oauthbearer.config", True), ("sasl.username", False),
        ("ssl.ca.location", False), ("bootstrap.servers", False),
    ],
)  # fmt: skip
def test_which_extras_of_a_connection_are_secret(name: str, secret: bool) -> None:
    assert is_secret_name(name) is secret
