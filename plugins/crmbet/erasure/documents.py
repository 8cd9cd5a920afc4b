"""Documents of the store, such as reports: their texts, packed or not, and the same without some ids."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from io import BytesIO
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile

from crmbet.erasure.spellings import Spellings

GZIP, ZIP = b"\x1f\x8b", b"PK\x03\x04"
"""How packed contents begin. Nothing of ours is packed in another way, but for Parquet."""


def names_somebody(content: bytes, spellings: Spellings) -> bool | None:
    """Whether a document names one of the players; None if it cannot be unpacked."""
    try:
        return any(spellings.found_in(text) for text in _texts(content))
    except (OSError, EOFError, BadZipFile):
        return None


def without_ids(content: bytes, spellings: Spellings) -> bytes:
    """The document with a word in place of the ids, packed as it was. Raises `BadZipFile` if it is damaged."""
    if not content.startswith(ZIP):
        return spellings.blotted(content.decode(errors="replace")).encode()
    packed = BytesIO()
    with ZipFile(BytesIO(content)) as archive, ZipFile(packed, "w", ZIP_DEFLATED) as blotted:
        for name in archive.namelist():
            text = archive.read(name).decode(errors="replace")
            blotted.writestr(spellings.blotted(name), spellings.blotted(text))
    return packed.getvalue()


def _texts(content: bytes) -> Iterator[str]:
    if content.startswith(ZIP):
        with ZipFile(BytesIO(content)) as archive:
            for name in archive.namelist():
                yield name
                yield archive.read(name).decode(errors="replace")
        return
    if content.startswith(GZIP):
        content = gzip.decompress(content)
    yield content.decode(errors="replace")
