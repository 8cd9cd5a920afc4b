"""Documents are searched and mended in their packing."""

from __future__ import annotations

import gzip
from io import BytesIO
from zipfile import ZipFile

import pytest

from crmbet.erasure.documents import names_somebody, without_ids
from crmbet.erasure.spellings import Spellings

pytestmark = pytest.mark.unit

ANA = Spellings.of(["ana-7"])


def zipped(**pages: str) -> bytes:
    packed = BytesIO()
    with ZipFile(packed, "w") as archive:
        for name, page in pages.items():
            archive.writestr(f"{name}.html", page)
    return packed.getvalue()


@pytest.mark.parametrize(
    "pack", [str.encode, lambda text: gzip.compress(text.encode()), lambda text: zipped(page=text)]
)
def test_a_document_is_unpacked_before_it_is_searched(pack: object) -> None:
    assert callable(pack)
    assert names_somebody(pack("<td>ANA-7</td>"), ANA)
    assert names_somebody(pack("<td>ana-77</td>"), ANA) is False


def test_what_cannot_be_unpacked_is_not_called_clean() -> None:
    assert names_somebody(zipped(page="ana-7")[:-30], ANA) is None
    assert names_somebody(gzip.compress(b"ana-7")[:-9], ANA) is None


def test_an_archive_keeps_its_other_pages() -> None:
    mended = without_ids(zipped(index="see ana-7", other="bia-7"), ANA)

    with ZipFile(BytesIO(mended)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {
            "index.html": b"see [erased]",
            "other.html": b"bia-7",
        }
