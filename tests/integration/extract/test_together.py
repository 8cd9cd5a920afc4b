"""Small objects that are captured together: every cell, count and record is that of an object which is read alone."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from crmbet.datasets import segments
from crmbet.extract import gathering
from crmbet.extract.records import Capture, SourceCaptures
from tests.integration.extract.deliveries import HEADER, REQUIRED, bet, broken, parquet
from tests.tiers import now

pytestmark = pytest.mark.integration


def csv(*lines: str, header: str = HEADER) -> str:
    return "\n".join([header, *lines]) + "\n"


def line(number: int, day: int, **more: Any) -> str:
    row = {
        "bet_id": f"j{number}",
        "user_id": "ana",
        "placed_at": f"2026-08-{day:02d}T12:00:00Z",
        "game_type": "slots",
        "stake": number,
    }
    return json.dumps(row | more)


DELIVERY: dict[str, bytes | str] = {
    "a.csv": csv("b1,ana,2026-08-01T12:00:00Z,slots,1", "b2,bia,2026-08-02T12:00:00Z,slots,2"),
    "no line end.csv": csv("b3,ana,2026-08-01T12:00:00Z,slots,3").rstrip("\n"),
    "crlf.csv": csv("b4,ana,2026-08-03T12:00:00Z,crash,4").replace("\n", "\r\n"),
    "bom.csv": "\ufeff" + csv("b5,ana,2026-08-03T12:00:00Z,crash,5"),
    "packed.csv.gz": gzip.compress(csv("b6,ana,2026-08-03T12:00:00Z,poker,6").encode()),
    "quoted.csv": csv('"b7","a ""quoted"" name","2026-08-03T12:00:00Z",poker,"7"', '"b\n8",ana,,,'),
    "blank lines.csv": csv("b9,ana,2026-08-03T12:00:00Z,poker,9", "", "b10,ana,infinity,poker,10", ""),
    "header only.csv": HEADER + "\n",
    "other order.csv": csv(
        "7,b11,2026-08-03T12:00:00Z,slots,ana", header="stake,bet_id,placed_at,game_type,user_id"
    ),
    "other order too.csv": csv("8,b12,,slots,ana", header="stake,bet_id,placed_at,game_type,user_id"),
    "semicolons.csv": csv("b13,ana,2026-08-03T12:00:00Z,slots,1").replace(",", ";"),
    "semicolons too.csv": csv("b14,ana,2026-08-04T12:00:00Z,slots,2").replace(",", ";"),
    "foreign column.csv": csv("b15,ana,2026-08-03T12:00:00Z,slots,1,x", header=HEADER + ",colour"),
    "foreign column too.csv": csv("b16,ana,2026-08-03T12:00:00Z,slots,1,y", header=HEADER + ",colour"),
    "ingested.csv": csv(
        "b17,ana,2026-08-03T12:00:00Z,slots,1,2026-08-04T00:00:00Z", header=HEADER + ",ingested_at"
    ),
    "ingested too.csv": csv(
        "b18,ana,2026-08-03T12:00:00Z,slots,1,2026-08-05T00:00:00-03:00", header=HEADER + ",ingested_at"
    ),
    "a.jsonl": line(1, 1) + "\n" + line(2, 2) + "\n",
    "blank.jsonl": "\n" + line(3, 2) + "\n\n" + line(4, 3),
    "names.jsonl": line(5, 3, colour="red", rtp=0.95) + "\n",
    "nulls.jsonl": line(6, 3, device_type=None, rtp="0.9") + "\n" + line(7, 3) + "\n",
    "packed.jsonl.gz": gzip.compress((line(8, 4) + "\n").encode()),
}
"""Objects that need nothing unusual: all of them are gathered with others of their shape."""

MONEY = REQUIRED | {"stake": pa.decimal128(18, 2)}
DOUBLE = REQUIRED | {"stake": pa.float64(), "rtp": pa.float64()}
DELIVERY |= {
    "a.parquet": parquet([bet(31, stake=Decimal("1.50")), bet(32, stake=Decimal("2.50"))], MONEY),
    "b.parquet": parquet([bet(33, stake=None)], MONEY),
    "doubles.parquet": parquet([bet(34, stake=0.1, rtp=float("nan"))], DOUBLE),
    "doubles too.parquet": parquet([bet(35, stake=1e20, rtp=None)], DOUBLE),
    "no rows.parquet": parquet([], DOUBLE),
}

BESIDE = {
    "csv": ("a.csv", "crlf.csv"),
    "json": ("a.jsonl", "blank.jsonl"),
    "parquet": ("a.parquet", "b.parquet"),
}
"""Objects of each format: what is unusual may spoil those of its own."""
UNUSUAL: dict[str, bytes | str] = {
    "open quote.csv": csv('x1,"ana,2026-08-01T12:00:00Z,slots,1', "x2,bia,2026-08-01T12:00:00Z,slots,2"),
    "short record.csv": csv("x3,ana", "x4,bia,2026-08-01T12:00:00Z,slots,2"),
    "array.json": "[" + line(20, 1) + "," + line(21, 2) + "]",
    "broken.jsonl": line(22, 1) + "\n{broken\n" + line(23, 2) + "\n",
    "an array in lines.jsonl": line(24, 1) + "\n[1, 2]\n",
    "two on a line.jsonl": line(25, 1) + line(26, 1) + "\n",
    "no id.jsonl": '{"user_id": "ana"}\n',
    "no column.csv": "bet_id,user_id\nx5,ana\n",
    "text.csv": b"\x00\x01\x02",
    "truncated.csv.gz": gzip.compress(csv("x6,ana,2026-08-01T12:00:00Z,slots,1").encode())[:-6],
    "empty.csv": "",
    "cut.parquet": parquet([bet(40, stake=Decimal("1.50"))], MONEY)[:-9],
    "no column.parquet": parquet([{"bet_id": "x"}], {"bet_id": pa.string()}),
    "a wide number.parquet": parquet([bet(41, stake=Decimal(1))], REQUIRED | {"stake": pa.decimal256(50, 2)}),
    "an id that is a fraction.parquet": parquet([bet(42, user_id=1.5)], REQUIRED | {"user_id": pa.float64()}),
    "a damaged page.parquet": broken(parquet([bet(43, stake=Decimal("1.50"))], MONEY), "stake", 1),
    "empty.jsonl": "",
    "a number twice.jsonl": '{"bet_id": "x7", "bet_id": "x8", "user_id": "ana"}\n',
}
"""Each of them spoils the lot that it is in, or is not gathered."""


@pytest.fixture
def compare(
    put: Callable[..., str],
    capture: Callable[..., SourceCaptures],
    captured_rows: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[dict[str, bytes | str]], SourceCaptures]:
    """Captures a delivery together and one by one, and requires equal results. Returns the former."""

    def both(delivery: dict[str, bytes | str]) -> SourceCaptures:
        for name, content in delivery.items():
            put(name, content)
        together = capture()
        with monkeypatch.context() as patch:
            patch.setattr(gathering, "SMALL_SIZE", 0)
            # So many files would be joined.
            patch.setattr(segments, "MANY_FILES", len(delivery))
            alone = capture(full_refresh=True)
        assert list(described(together)) == list(described(alone))
        assert together.unreadable == alone.unreadable
        for one, other in zip(together.captures, alone.captures, strict=True):
            rows, expected = (captured_rows(SourceCaptures(captures=[each])) for each in (one, other))
            # A NaN is no equal of itself.
            assert repr(rows) == repr(expected), one.chunk
        return together

    return both


def described(captures: SourceCaptures) -> Iterator[Any]:
    for each in captures.captures:
        assert isinstance(each, Capture)
        yield each.model_dump(exclude={"files", "chunks_in_files", "captured_at", "made_at"}) | {
            "files": len(each.files)
        }


def test_objects_that_share_a_file_are_as_they_are_alone(
    compare: Callable[[dict[str, bytes | str]], SourceCaptures],
) -> None:
    together = compare(DELIVERY)

    files = {key for each in together.captures for key in each.files}
    shapes = 8
    assert len(files) == shapes
    assert sum(each.chunks_in_files > 1 for each in together.captures) == len(DELIVERY)


@pytest.mark.few(3)
@pytest.mark.parametrize("name", now(*[*UNUSUAL][::2], full=UNUSUAL))
def test_an_unusual_object_loses_nothing_of_those_beside_it(
    compare: Callable[[dict[str, bytes | str]], SourceCaptures], name: str
) -> None:
    [beside] = (names for kind, names in BESIDE.items() if kind in name)
    compare({**{each: DELIVERY[each] for each in beside}, name: UNUSUAL[name]})
