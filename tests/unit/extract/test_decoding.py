"""Text of any encoding and line end becomes the same text; damage of one kind or another is named."""

from __future__ import annotations

import errno
import gzip
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmbet.databases.scratch import LEAST_ROOM, lack_of_room_explained
from crmbet.extract import decoding as module
from crmbet.extract.decoding import HARMLESS_SIZE, UnpackLimits, plain_text, unpack
from crmbet.extract.unreadable import UnreadableObject
from crmbet.failures import TemporaryFailure

pytestmark = pytest.mark.unit

TEXT = st.text(alphabet='a,"\r\né€\U0001f600', max_size=30)
SIZES = st.integers(1, 9)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("spool") / "file"


def plain(file: Path, content: bytes, piece: int) -> bytes:
    file.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BYTES_AT_ONCE", piece)
        return plain_text(file).read_bytes()


@settings(deadline=None)
@given(
    text=TEXT,
    mark_and_encoding=st.sampled_from(
        [(b"", "utf-8"), (b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")]
    ),
    piece=SIZES,
)
def test_text_is_the_same_in_every_encoding(
    file: Path, text: str, mark_and_encoding: tuple[bytes, str], piece: int
) -> None:
    mark, encoding = mark_and_encoding

    found = plain(file, mark + text.encode(encoding), piece).decode()

    assert found.replace("\r\n", "\n") == text.replace("\r\n", "\n").replace("\r", "\n")


@settings(deadline=None)
@given(lines=st.lists(st.tuples(st.text(alphabet="aéã,"), st.sampled_from(["utf-8", "cp1252"]))), piece=SIZES)
def test_each_letter_is_read_in_the_encoding_that_it_is_in(
    file: Path, lines: list[tuple[str, str]], piece: int
) -> None:
    found = plain(file, b"".join(line.encode(encoding) + b"\n" for line, encoding in lines), piece)

    assert found.decode() == "".join(line + "\n" for line, _ in lines)


@settings(deadline=None)
@given(st.binary())
def test_any_bytes_become_text_or_are_refused(file: Path, content: bytes) -> None:
    try:
        found = plain(file, content, 3)
    except UnreadableObject:
        return
    text = found.decode()
    assert "\r" not in text.replace("\r\n", "")


@pytest.mark.parametrize("piece", range(1, 12))
def test_plain_text_is_not_copied(file: Path, piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_bytes("é,b\r\nc,d\n".encode())
    monkeypatch.setattr(module, "BYTES_AT_ONCE", piece)

    assert plain_text(file) == file


# Compression ------------------------------------------------------------------------------------------------------


def zstd(content: bytes) -> bytes:
    packed: bytes = pa.Codec("zstd").compress(content, asbytes=True)
    return packed


PASSED_OVER = b"\x5a\x2a\x4d\x18\x04\x00\x00\x00abcd"
"""A frame that readers of Zstandard pass over."""
PACKERS: dict[str, Callable[[bytes], bytes]] = {"gz": gzip.compress, "zst": zstd}
LIMITS = UnpackLimits(ratio=200, size=1 << 30)


def unpacked(file: Path, content: bytes, name: str, limits: UnpackLimits = LIMITS) -> bytes:
    file.write_bytes(content)
    return unpack(file, name, limits).read_bytes()


@pytest.mark.parametrize("ending", PACKERS)
@pytest.mark.parametrize("named", [True, False])
def test_what_is_compressed_is_unpacked_whatever_its_name(file: Path, ending: str, named: bool) -> None:
    pack = PACKERS[ending]
    name = f"a.csv.{ending.upper()}" if named else "a.csv"

    assert unpacked(file, pack(b"abc"), name) == b"abc"
    assert unpacked(file, pack(b""), name) == b""
    assert unpacked(file, pack(b"abc") + pack(b"") + pack(b"def"), name) == b"abcdef"


def test_frames_of_zstandard_that_hold_no_data_are_passed_over(file: Path) -> None:
    for content in (
        PASSED_OVER + zstd(b"abc"),
        zstd(b"abc") + PASSED_OVER,
        zstd(b"a") + PASSED_OVER + zstd(b"bc"),
    ):
        assert unpacked(file, content, "a.csv.zst") == b"abc"


@pytest.mark.parametrize("ending", PACKERS)
@pytest.mark.parametrize("first", [b"", b"abc" * 1000])
def test_every_cut_is_noticed(file: Path, ending: str, first: bytes) -> None:
    pack = PACKERS[ending]
    whole = pack(b"abc,def\n" * 9)
    before = pack(first) if first else b""
    for length in range(4 if not first else 1, len(whole)):
        with pytest.raises(UnreadableObject, match="truncated or damaged"):
            unpacked(file, before + whole[:length], f"a.csv.{ending}")


@pytest.mark.parametrize("ending", PACKERS)
def test_a_name_that_promises_compression_is_kept_to(file: Path, ending: str) -> None:
    (other,) = PACKERS.keys() - {ending}
    for content in (b"a,b\n", PACKERS[other](b"a,b\n")):
        with pytest.raises(UnreadableObject, match=f"its name ends with .{ending}, but it is no"):
            unpacked(file, content, f"a.csv.{ending}")
    assert unpacked(file, b"", f"a.csv.{ending}") == b""


BOMB = bytes(HARMLESS_SIZE + (4 << 20))


@pytest.mark.parametrize("ending", PACKERS)
@pytest.mark.parametrize("members", [1, 20])
def test_a_bomb_is_set_aside_before_it_is_large(file: Path, ending: str, members: int) -> None:
    content = PACKERS[ending](BOMB[: len(BOMB) // members]) * members

    with pytest.raises(
        UnreadableObject, match=r"bytes unpack to more than 200 times as many.*CRMBET_MAX_UNPACKED_RATIO"
    ):
        unpacked(file, content, "a.csv")
    assert file.with_suffix(".unpacked").stat().st_size <= HARMLESS_SIZE

    assert (
        len(unpacked(file, content, "a.csv", UnpackLimits(ratio=1e6, size=1 << 30)))
        == len(BOMB) // members * members
    )


@pytest.mark.parametrize("ending", PACKERS)
def test_an_object_that_becomes_too_large_is_set_aside(file: Path, ending: str) -> None:
    content = PACKERS[ending](b"abcdefgh" * 200_000)

    with pytest.raises(UnreadableObject, match=r"to more than 1,599,999, the limit CRMBET_MAX_UNPACKED_SIZE"):
        unpacked(file, content, "a.csv", UnpackLimits(ratio=1e6, size=1_599_999))
    assert len(unpacked(file, content, "a.csv", UnpackLimits(ratio=1e6, size=1_600_000))) == 1_600_000


def test_a_small_file_may_be_packed_as_tightly_as_it_likes(file: Path) -> None:
    assert unpacked(file, gzip.compress(BOMB[:HARMLESS_SIZE]), "a.csv") == BOMB[:HARMLESS_SIZE]


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.mark.parametrize(
    "content",
    [gzip.compress(b"a,b\n"), zstd(b"a,b\n"), "a,b\n".encode("utf-16"), b"a\rb"],
    ids=["gzip", "zstd", "UTF-16", "carriage return"],
)
def test_a_disk_that_is_nearly_full_is_no_fault_of_the_object(
    file: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = LEAST_ROOM - 1
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(0, 0, free))
    file.write_bytes(content)

    with pytest.raises(TemporaryFailure) as failure:
        plain_text(unpack(file, "a.csv", LIMITS))

    assert f"{LEAST_ROOM - 1:,} bytes are left" in str(failure.value)
    assert "CRMBET_SPILL_DIRECTORY" in str(failure.value)
    free += 1
    file.write_bytes(content)
    plain_text(unpack(file, "a.csv", LIMITS))


@pytest.mark.parametrize("ending", PACKERS)
def test_a_disk_that_is_full_is_no_damage_of_the_object(file: Path, ending: str) -> None:
    file.write_bytes(PACKERS[ending](b"a,b\n"))
    target = file.with_suffix(".unpacked")
    target.unlink(missing_ok=True)
    target.symlink_to("/dev/full")
    try:
        with (
            pytest.raises(TemporaryFailure, match="No space left on device"),
            lack_of_room_explained(file.parent),
        ):
            unpack(file, "a.csv", LIMITS)
    finally:
        target.unlink()


def test_other_errors_of_the_disk_pass(file: Path) -> None:
    with pytest.raises(OSError, match="x") as failure, lack_of_room_explained(file.parent):
        raise OSError(errno.EIO, "x")
    assert failure.value.errno == errno.EIO
