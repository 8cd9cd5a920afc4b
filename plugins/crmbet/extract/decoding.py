"""Turning the local copy of a lake object into plain content: no compression, and text as UTF-8 with line feeds.

The first bytes decide whether a file is compressed, not its name. UTF-16 is recognised by its byte order mark. All
other text is read as UTF-8, and a byte that is not UTF-8 is read as a letter of Windows-1252 (Western European, which
has all letters of Latin-1). The result has no byte order mark.

An object that unpacks to far more than any delivery is set aside before it fills the disk. A disk that is full anyway
is no fault of the object.
"""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crmbet.databases.scratch import require_room
from crmbet.extract.unreadable import UnreadableObject
from crmbet.run.settings import EngineSettings, size_in_bytes

BYTES_AT_ONCE = 1 << 20
HARMLESS_SIZE = 16 << 20
"""An object that unpacks to no more bytes than this may be packed as tightly as it likes."""

GZIP = b"\x1f\x8b"
ZSTD = b"\x28\xb5\x2f\xfd"
SKIPPABLE = b"\x2a\x4d\x18"
"""A file of Zstandard may begin with a frame to be passed over. These are its second to fourth bytes."""
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd"}
"""What the name of a compressed object ends with, and what it is then."""
OTHER_FORMATS = {
    b"PAR1": "a Parquet file",
    GZIP: "a gzip inside another compressed file",
    ZSTD: "a zstd inside another compressed file",
    b"PK\x03\x04": "a zip archive",
    b"\x89PNG": "a PNG image",
    b"%PDF": "a PDF document",
}
"""The first bytes of files that are not text, and what such a file is."""

FRESH = (b"", 0)
"""The state of a decoder that has not stopped inside a letter."""
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True)
class UnpackLimits:
    """How much an object may become when it is unpacked."""

    ratio: float
    """Times its size as it was delivered."""
    size: int
    """Bytes."""

    @classmethod
    def of(cls, settings: EngineSettings) -> UnpackLimits:
        """The limits of a deployment."""
        return cls(settings.max_unpacked_ratio, size_in_bytes(settings.max_unpacked_size))

    def check(self, packed: int, unpacked: int) -> None:
        """Raises `UnreadableObject` if so many bytes become more than they may."""
        if unpacked > self.size:
            raise UnreadableObject(
                f"its {packed:,} bytes unpack to more than {self.size:,}, the limit CRMBET_MAX_UNPACKED_SIZE: "
                "deliver it in parts, or raise the limit if there is room"
            )
        if unpacked > max(packed * self.ratio, HARMLESS_SIZE):
            raise UnreadableObject(
                f"its {packed:,} bytes unpack to more than {self.ratio:g} times as many, "
                "the limit CRMBET_MAX_UNPACKED_RATIO: find out what it is, or raise the limit if it is data"
            )


def unpack(path: Path, name: str, limits: UnpackLimits) -> Path:
    """The object's content without compression; `path` itself if it is not compressed.

    `name` is the object's name. A compressed file is read to its end, because the engine takes a truncated gzip for a
    shorter file. Raises `UnreadableObject` if the file is truncated or damaged, becomes larger than it may, or is not
    compressed as its name says.
    """
    size = path.stat().st_size
    kind = _compression(path)
    for ending, promised in COMPRESSIONS.items():
        if size and name.lower().endswith(ending) and kind != promised:
            raise UnreadableObject(f"its name ends with {ending}, but it is no {promised}")
    if kind is None:
        return path
    unpacked = path.with_suffix(".unpacked")
    written = 0
    with unpacked.open("wb") as target:
        for piece in _pieces(path, kind):
            written += len(piece)
            limits.check(size, written)
            require_room(path.parent)
            target.write(piece)
    path.unlink()
    return unpacked


def _compression(path: Path) -> str | None:
    with path.open("rb") as file:
        head = file.read(len(ZSTD))
    if head.startswith(GZIP):
        return "gzip"
    is_skipped = head[1:] == SKIPPABLE and head[0] & 0xF0 == 0x50
    return "zstd" if head == ZSTD or is_skipped else None


def _pieces(path: Path, kind: str) -> Iterator[bytes]:
    """The unpacked content. Raises `UnreadableObject` if the file is truncated or damaged."""
    try:
        with _decompressed(path, kind) as source:
            while piece := source.read(BYTES_AT_ONCE):
                yield piece
    except (EOFError, zlib.error, OSError) as error:
        # An error of the disk has a number, and one of the content has none.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise UnreadableObject(f"the {kind} is truncated or damaged: {error}") from None


@contextmanager
def _decompressed(path: Path, kind: str) -> Iterator[Any]:
    """A readable stream of bytes."""
    if kind == "gzip":
        with gzip.open(path) as source:
            yield source
    else:
        import pyarrow as pa

        with pa.CompressedInputStream(pa.OSFile(str(path)), kind) as source:
            yield source


def plain_text(path: Path) -> Path:
    """A text file as UTF-8 in which every line ends with a line feed; `path` itself if it is one already.

    A carriage return without a line feed ends a line, as it does for other readers of text. Raises `UnreadableObject`
    if the file is not text.
    """
    with path.open("rb") as file:
        head = file.read(max(map(len, OTHER_FORMATS)))
    for beginning, kind in OTHER_FORMATS.items():
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
            while piece := source.read(BYTES_AT_ONCE):
                require_room(path.parent)
                target.write(piece)
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
