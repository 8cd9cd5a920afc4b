"""Lake objects as local files of plain text: fetched once, so that every later step reads the same bytes.

Compression goes by the first bytes and not by the name. Text becomes UTF-8 without a byte order mark: UTF-16 is known
by its mark, and single bytes that are no UTF-8 are read as Windows' Western European letters (a superset of Latin-1).
"""

from __future__ import annotations

import codecs
import gzip
import shutil
import zlib
from pathlib import Path

from crmbet.extract.unreadable import UnreadableObject

BLOCK = 1 << 20
GZIP = b"\x1f\x8b"
NO_TEXT = {
    b"PAR1": "a Parquet file",
    GZIP: "a gzip inside a gzip",
    b"PK\x03\x04": "a zip archive",
    b"\x89PNG": "a PNG image",
    b"%PDF": "a PDF document",
}
"""What files of other kinds begin with."""

FRESH = (b"", 0)
"""The state of a decoder that is within no letter."""
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def unpack(path: Path, name: str) -> Path:
    """The object's content without compression; `path` itself if it has none.

    A gzip is read to its end: the engine takes one that stops in the middle for a shorter file. Raises
    `UnreadableObject` if it is truncated or damaged, or if the name promises gzip and the content is none.
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
            shutil.copyfileobj(source, target, BLOCK)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UnreadableObject(f"the gzip is truncated or damaged: {error}") from None
    path.unlink()
    return unpacked


def plain_text(path: Path) -> Path:
    """A text file as UTF-8 whose lines end with a line feed; `path` itself if it is that already.

    A lone carriage return ends a line, as in every reader of text. Raises `UnreadableObject` if it is no text.
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
            shutil.copyfileobj(source, target, BLOCK)
        except UnicodeError:
            raise UnreadableObject("it begins as UTF-16 and does not go on so") from None
    path.unlink()
    return plain


def _is_plain(path: Path) -> bool:
    """Whether a file is UTF-8, and every carriage return in it stands before a line feed."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                if block.endswith(b"\r"):
                    block += file.read(1)
                if b"\r" in block and block.count(b"\r") != block.count(b"\r\n"):
                    return False
                # ASCII, of which most files are, is seen at many times the speed.
                if not block.isascii() or decoder.getstate() != FRESH:
                    decoder.decode(block)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _as_western(error: UnicodeError) -> tuple[str, int]:
    """Read the bytes that are no UTF-8 by themselves, so that one stray letter does not garble a whole file."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("cp1252", errors="replace"), error.end


WESTERN = "crmbet.western"
codecs.register_error(WESTERN, _as_western)
