"""Text of any encoding and line end becomes the same text; damage of one kind or another is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmbet.extract import decoding as module
from crmbet.extract.decoding import plain_text
from crmbet.extract.unreadable import UnreadableObject

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
