"""Takes secrets out of text. Every text of a driver or an engine passes here before it leaves the process.

There are two nets, since neither holds alone. The secrets of our own connections are known by their value, in whatever
way a driver or an engine spells them (`remember`). All others are recognised by the place where they stand: before the
host of a URL, after `password=`, in a signature.
"""

from __future__ import annotations

import html
import json
import re
from functools import cache
from typing import Any
from urllib.parse import quote, quote_plus, unquote

MASK = "***"
SHORTEST = 5
"""A known secret with fewer letters is recognised by its place alone: its letters stand in any sentence."""
PLAIN_WORD = re.compile(r"[a-z_]+")
"""A secret that is such a word is taken out only where it stands alone, since it may be a part of a name."""

_known: set[str] = set()
"""Each spelling of the secrets of this process's connections."""

_NAMES = (
    r"(?:ssl|pg|db|user|http_proxy_|aws_)?(?:password|passwd|passphrase|pwd)"
    r"|(?:oauth_)?(?:client_)?secret|scram_(?:client|server)_key"
    r"|(?:aws_)?secret_(?:access_)?key|(?:aws_)?access_key(?:_id)?|awsaccesskeyid|key_id|private_key"
    r"|(?:aws_)?(?:session|security|access|refresh|auth|bearer|id)_?token|token"
    r"|key_pem|oauthbearer_config|api_?key|sig|signature|x-amz-(?:signature|credential|security-token)"
)
_SCHEME = r"(?!(?:s3[an]?|gs|file)://)[a-z][a-z0-9+.-]*://"
"""Before an address that may have a user's part. A lake's has none, and an @ in a key is only a letter."""
_PLACES = (
    (re.compile(rf"\b({_SCHEME})[^\s\"'<>]*@", re.IGNORECASE), r"\1***@"),
    # A password with a blank in it. A number after the colon is a port.
    (
        re.compile(rf"\b({_SCHEME})[^\s\"'<>:/@\[]*:(?!\d+(?:[/?#.,;)\s]|$))[^\n\"'<>]*@", re.IGNORECASE),
        r"\1***@",
    ),
    # password=..., password='...', "password": "...", PASSWORD '...'. A text may be cut within the quotes.
    (
        re.compile(
            rf"\b({_NAMES})(\"?'?\s*[=:]\s*(?=[\"'])|\s+(?=')|\s*=\s*)"
            r"(?:''(?:[^'\\]|\\.)+''|'(?:[^'\\]|\\.|'')*(?:'|\\?\Z)|\"(?:[^\"\\]|\\.)*(?:\"|\\?\Z)|[^\s&\"']+)",
            re.IGNORECASE | re.DOTALL,
        ),
        r"\1\2***",
    ),
    (
        re.compile(r"\b(authorization\W{1,5}(?:(?:bearer|basic|token|digest)\s+)?)[^\s\"',]+", re.IGNORECASE),
        r"\1***",
    ),
    (re.compile(r"\b(Bearer|Basic)\s+(?=\S*[0-9=._-])[\w.~+/=-]{8,}"), r"\1 ***"),
    (re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), MASK),
    (re.compile(r"(hooks\.slack(?:-gov)?\.com/[a-z]+/)[^\s\"'>]+", re.IGNORECASE), r"\1***"),
    (
        re.compile(
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
        ),
        MASK,
    ),
)


def remember(*secrets: str | None) -> frozenset[str]:
    """Take these secrets out of every later text. Returns the spellings that are looked for."""
    spellings = frozenset(
        spelling
        for secret in secrets
        if secret and len(secret) >= SHORTEST
        for spelling in _spellings(secret)
    )
    if not spellings <= _known:
        _known.update(spellings)
        _pattern.cache_clear()
    return spellings


def redact(text: str) -> str:
    """The text with a mask in the place of each secret. Redacting it again changes nothing."""
    known = _pattern()
    if known is not None:
        text = known.sub(MASK, text)
    for place, masked in _PLACES:
        text = place.sub(masked, text)
    return text


def is_secret_name(name: str) -> bool:
    """Whether what stands under this name in the extra of a connection is a secret.

    Options of Kafka have dots: of `sasl.oauthbearer.client.secret` the end says that it is one.
    """
    parts = name.split(".")
    ends = ("_".join(parts[place:]) for place in range(len(parts)))
    return any(re.fullmatch(_NAMES, end, re.IGNORECASE) for end in ends)


def secrets_in(value: Any, name: str = "") -> set[str]:
    """The secrets in a value of a connection that stands under this name: a text, or a list or an object of an extra.

    They are what stands under the name of a secret, and what addresses have in their user's parts.
    """
    if isinstance(value, dict):
        return {secret for inner, each in value.items() for secret in secrets_in(each, str(inner))}
    if isinstance(value, (list, tuple)):
        return {secret for each in value for secret in secrets_in(each, name)}
    if not isinstance(value, str):
        return set()
    return {value} if is_secret_name(name) else _secrets_of_address(value)


def _secrets_of_address(address: str) -> set[str]:
    """Where a malformed address ends its user's part is not certain, so it may end at each @.

    Without a scheme, only a colon tells a secret from the address of a mail.
    """
    scheme = re.match(r"\s*[a-z][a-z0-9+.-]*://", address, re.IGNORECASE)
    if scheme and not re.match(rf"\s*{_SCHEME}", address, re.IGNORECASE):
        return set()
    rest = address[scheme.end() :] if scheme else address
    secrets = set()
    for at in re.finditer("@", rest):
        user, colon, password = rest[: at.start()].partition(":")
        secret = password if colon else user if scheme else ""
        secrets |= {secret, unquote(secret)}
    return secrets - {""}


def without_secrets(error: Exception) -> Exception:
    """The error itself if its text names no secret, and otherwise one of its class with the redacted text."""
    text = str(error)
    redacted = redact(text)
    if redacted == text:
        return error
    try:
        copy: Exception = type(error)(redacted)
    except Exception:  # noqa: BLE001 - a class may want other arguments, and the text must not get out by that
        copy = RuntimeError(f"{type(error).__name__}: {redacted}")
    return copy.with_traceback(error.__traceback__)


def _spellings(secret: str) -> set[str]:
    """A secret as libpq, SQL, URLs, JSON, Python and HTML spell it."""
    for_libpq = secret.replace("\\", "\\\\").replace("'", "\\'")
    spelled = {
        secret,
        for_libpq,
        secret.replace("'", "''"),
        for_libpq.replace("'", "''"),
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1],
        html.escape(secret),
    }
    return {each for each in spelled if len(each) >= SHORTEST}


@cache
def _pattern() -> re.Pattern[str] | None:
    if not _known:
        return None
    # The longest first, so that no rest of a longer spelling is left.
    alternatives = [
        rf"\b{secret}\b" if PLAIN_WORD.fullmatch(secret) else re.escape(secret)
        for secret in sorted(_known, key=len, reverse=True)
    ]
    return re.compile("|".join(alternatives))
