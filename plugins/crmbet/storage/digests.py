"""The one recipe for identities: a shortened SHA-256 of what something was made from.

Digests are in the names of stored folders and tables. A changed recipe would make every store rebuild itself, so
tests/unit/storage/test_digests.py pins the recipe and its uses.
"""

from __future__ import annotations

import hashlib

LENGTH = 24
"""Hexadecimal digits: 96 bits, so that chance collisions are out of the question."""


def digest(*parts: str | bytes, length: int = LENGTH) -> str:
    """The first `length` hexadecimal digits of the SHA-256 of the parts, which are joined by NUL."""
    encoded = (part.encode() if isinstance(part, str) else part for part in parts)
    return hashlib.sha256(b"\0".join(encoded)).hexdigest()[:length]
