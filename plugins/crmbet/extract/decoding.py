"""Turning the local copy of a lake object into plain content: no compression, and text as UTF-8 with line feeds.

The first bytes decide whether a file is compressed, not its name. UTF-16 is recognised by its byte order mark. All
other text is read as UTF-8, and a byte that is not UTF-8 is read as a letter of Windows-1252 (Western European, which
has all letters of Latin-1). The result has no byte order mark.
"""

from __future__ import annotations

import codecs
import gzip
import shutil
import zlib
from pathlib import Path

from crmbet.extract.unreadable import UnreadableObject

BYTES_AT_ONCE = 1 << 20
GZIP = b"\x1f\x8b"
NO_TEXT = {
    b"PAR1": "a Parquet file",
    GZIP: "a gzip inside a gzip",
    b"PK\x03\x04": "a zip archive",
    b"\x89PNG": "a PNG image",
    b"%PDF": "a PDF document",
}
"""The first bytes of files that are not text, and what such a file is."""

FRESH = (b"", 0)
"""The state of a decoder that has not stopped inside a letter."""
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def unpack(path: Path, name: str) -> Path:
    """The object's content without compression; `path` itself if it is not compressed.

    `name` is the object's name. A gzip is read to its end, because the engine takes a truncated one for a shorter file.
    Raises `UnreadableObject` if the gzip is truncated or damaged, or if the name ends with .gz and the content is no
    gzip.
    """
    with path.open("rb") as file:
        compressed = file.read(len(GZIP)) == GZIP
    if not compressed:
        if name.lower().endswith(".gz"):
            raise UnreadableObject("its name ends with .gz, but it is no gzip")
        return path
    unpacked = path.with_suffix(".unpacked")
    try:
        with gzip.open(path) as source, unpacked.open("wb") as target:
            shutil.copyfileobj(source, target, BYTES_AT_ONCE)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UnreadableObject(f"the gzip is truncated or damaged: {error}") from None
    path.unlink()
    return unpacked


def plain_text(path: Path) -> Path:
    """A text file as UTF-8 in which every line ends with a line feed; `path` itself if it is one already.

    A carriage return without a line feed ends a line, as it does for other readers of text. Raises `UnreadableObject`
    if the file is not text.
    """
    with path.open("rb") as file:
        head = file.read(max(map(len, NO_TEXT)))
    for beginning, kind in NO_TEXT.items():
        if head.startswith(beginning):
            raise UnreadableObject(f"its name says text, but it is {kind}")
    if not head.startswith((*UTF_16, codecs.BOM_UTF8)) and _is_plain(path):
        return path
    wide = head.startswith(UTF_16)
    plain = path.with_suffix(".plain")
    with (
        path.open(encoding="utf-16" if wide else "utf-8-sig", errors="strict" if wide else WESTERN) as source,
        plain.open("w", encoding="utf-8", newline="\n") as target,
    ):
        try:
            shutil.copyfileobj(source, target, BYTES_AT_ONCE)
        except UnicodeError:
            raise UnreadableObject("it begins as UTF-16 and does not go on so") from None
    path.unlink()
    return plain


def _is_plain(path: Path) -> bool:
    """Whether a file is UTF-8, and a line feed follows every carriage return in it."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with path.open("rb") as file:
            while piece := file.read(BYTES_AT_ONCE):
                if piece.endswith(b"\r"):
                    piece += file.read(1)
                if b"\r" in piece and piece.count(b"\r") != piece.count(b"\r\n"):
                    return False
                # Most files are ASCII, and testing for it is many times faster than decoding.
                if not piece.isascii() or decoder.getstate() != FRESH:
                    decoder.decode(piece)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _as_western(error: UnicodeError) -> tuple[str, int]:
    """Read only the bytes that are not UTF-8 as Windows-1252, so that one stray letter does not garble the file."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("cp1252", errors="replace"), error.end


WESTERN = "crmbet.western"
codecs.register_error(WESTERN, _as_western)
