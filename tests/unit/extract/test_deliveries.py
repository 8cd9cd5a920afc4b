"""Which objects look like a delivery of their feed: by the words of folders and names, never by numbers or ids."""

from __future__ import annotations

import random
import re
import string
import uuid
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmbet.extract.deliveries import UNIMPORTANT, Deliveries, likeness

pytestmark = pytest.mark.unit

ONE_DELIVERY = [
    # The next day's object, the next part, another id.
    [
        "bets-2026-08-09.csv",
        "bets-2026-08-10.csv",
        "bets_20260810.csv",
        "bets.csv",
        "BETS (2).csv",
        "bets-7.csv.gz",
    ],
    ["dt=2026-08-09/part-0.csv", "dt=2026-08-10/part-12.csv", "dt=/part-a.csv"],
    ["2026/08/09/bets.json", "2026/08/10/bets.json", "2026/08/bets.json", "bets.ndjson.zst"],
    ["2026-08-09/1.csv", "20260810/00012.csv", "a.csv"],
    [
        "part-00000-5d1f7a9c-1111-4222-8333-444455556666-c000.snappy.parquet",
        "part-00001-aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee-c000.snappy.parquet",
        "part-00001-0b1c2d3e-1111-4222-8333-444455556666.c001.zstd.parquet",
    ],
    [
        "bets-1-2026-08-10-12-00-00-5d1f7a9c-1111-4222-8333-444455556666.json",
        "bets-1-2026-08-11-13-15-42-0b1c2d3e-1111-4222-8333-444455556666.gz.json",
    ],
    [
        "bets_d41d8cd98f00b204e9800998ecf8427e.csv",
        "bets_a94a8fe5ccb19ba61c4c0873d391e987982fbbd3.csv",
        "bets_1a2b3c4d.csv",
    ],
    ["x7kq9zt2.csv", "k2m9p4w.csv"],
    ["2026-W32/bets.csv", "2026-Q3/bets.csv", "seg/bets.csv", "quinta-feira/bets.csv", "Sun/bets.csv"],
    ["seg.csv", "ter.csv", "2026-08-10.csv", "sábado.csv", "friday.csv"],
    [
        "bets-seg.csv",
        "bets-ter.csv",
        "bets_quarta.csv",
        "bets-12am.csv",
        "bets - Copy.csv",
        "bets_v2_final.csv",
    ],
    ["bets-exporter-5c5e65f8c-x2k9q.csv", "bets-exporter-5c5e65f8c-vmlzm.csv.gz"],
    ["20260810_123456_00012_abcde_5d1f7a9c.csv", "20260811_123457_00013_xyz9w_0b1c2d3e.csv"],
    ["bets-10-aug-2026.csv", "bets-01-Sep-2026.csv", "bets-1-setembro-2026.csv"],
    ["bets-2026-08-10T12-00-00Z.csv", "bets-2026-08-11T23-59-59Z.csv", "bets-20260811T235959Z.csv"],
    ["game_type=slots/part-0.parquet", "game_type=crash/part-0.parquet"],
    ["data_0_0_0.snappy.parquet", "data_1_7_12.snappy.parquet"],
]


@pytest.mark.parametrize("keys", ONE_DELIVERY, ids=lambda keys: keys[0])
def test_objects_of_one_delivery_are_alike(keys: list[str]) -> None:
    assert len({likeness(key) for key in keys}) == 1, {key: likeness(key) for key in keys}
    for key in keys:
        assert not Deliveries.of(keys[:1]).is_foreign(key)


SEEN = [
    "dt=2026-08-09/bets-0.csv",
    "dt=2026-08-10/bets-0.csv",
    "late/bets-0.csv",
    "dt=2026-08-10/part-0.parquet",
]


@pytest.mark.parametrize(
    "key",
    [
        "dt=2026-08-10/budget.csv",
        "dt=2026-08-10/2026-report-of-bets.csv",
        "dt=2026-08-10/manifest.json",
        "bets-0.csv",
        "marketing/bets-0.csv",
        "day=2026-08-10/bets-0.csv",
        "dt=2026-08-10/backup/bets-0.csv",
    ],
)
def test_a_folder_or_a_name_that_was_never_read_is_foreign(key: str) -> None:
    assert Deliveries.of(SEEN).is_foreign(key)


@pytest.mark.parametrize(
    "key",
    ["dt=2026-08-11/bets-0.csv", "dt=2026-08-10/bets-0.csv", "late/part-9.csv", "dt=2027-01-01/BETS.json.gz"],
)
def test_what_replaces_or_continues_a_delivery_is_not(key: str) -> None:
    assert not Deliveries.of(SEEN).is_foreign(key)


LETTERS, CAPITALS, DIGITS = string.ascii_lowercase, string.ascii_uppercase, string.digits
DRAWN = {
    "pods": ("bets-exporter-5c5e65f8c-{}.csv", "bcdfghjklmnpqrstvwxz2456789", 5),
    "pods first": ("{}-bets.csv", "bcdfghjklmnpqrstvwxz2456789", 5),
    "base36": ("bets-{}.csv", LETTERS + DIGITS, 6),
    "base36 alone": ("{}.csv", LETTERS + DIGITS, 6),
    "base62": ("{}.csv", LETTERS + CAPITALS + DIGITS, 11),
    "KSUID": ("{}.json", LETTERS + CAPITALS + DIGITS, 27),
    "nanoid": ("{}.json", LETTERS + CAPITALS + DIGITS + "_-", 21),
    "ULID": ("{}.json", DIGITS + "ABCDEFGHJKMNPQRSTVWXYZ", 26),
    "tempfile": ("tmp{}.csv", LETTERS + DIGITS + "_", 8),
    "letters": ("{}.csv", LETTERS, 5),
    "a folder": ("run/{}/part-0.csv", LETTERS + DIGITS, 6),
    "a folder of letters": ("{}/part-0.csv", LETTERS, 8),
}


@pytest.mark.parametrize("name", DRAWN)
def test_letters_that_are_drawn_by_chance_are_the_same_delivery(name: str) -> None:
    template, alphabet, length = DRAWN[name]
    for seed in range(20):
        chance = random.Random(seed)  # noqa: S311 - no secret
        keys = [f"dt=2026-08-{day}/{template}" for day in range(1, 29)]
        keys = [key.format("".join(chance.choices(alphabet, k=length))) for key in keys]
        known = Deliveries.of(keys[:7])
        assert [key for key in keys[7:] if known.is_foreign(key)] == [], keys[:7]


def test_a_few_names_of_words_are_not_drawn_by_chance() -> None:
    assert Deliveries.of(["bets.csv"]).is_foreign("budget.csv")
    assert Deliveries.of(["bets.csv", "late.csv"]).is_foreign("budget.csv")
    assert Deliveries.of(
        [*(f"dt={day}/bets.csv" for day in range(9)), "a/b.csv", "c.csv", "fix.csv"]
    ).is_foreign("dt=1/budget.csv")


def test_a_key_that_was_read_is_known_even_if_it_held_nothing() -> None:
    known = Deliveries.of(["bets-0.csv", "bets-1.csv"], empty=["late/vip.csv"])
    assert not known.is_foreign("late/vip.csv")
    assert known.is_foreign("late/vip-2.csv"), "it may be anything"


@pytest.mark.parametrize("key", ["budget.csv", "x/y/z.csv", "dt=2026-08-10/part.csv"])
def test_nothing_is_foreign_where_nothing_was_ever_read(key: str) -> None:
    assert not Deliveries.of([]).is_foreign(key)


WORD = st.from_regex(r"[g-z]{2,8}", fullmatch=True).filter(lambda word: not UNIMPORTANT.fullmatch(word))
NUMBER = st.from_regex(r"[0-9]{1,12}", fullmatch=True)
DATE = st.dates(date(2000, 1, 1)).map(str)
UUID = st.uuids().map(str)
HASH = st.uuids().map(lambda drawn: drawn.hex)
VARYING = [NUMBER, DATE, UUID, HASH]


@st.composite
def templates(draw: st.DrawFn) -> list[tuple[str, st.SearchStrategy[str] | None]]:
    """Pieces of a key: words and separators, which stay, and what differs from object to object."""
    pieces: list[tuple[str, st.SearchStrategy[str] | None]] = []
    for _ in range(draw(st.integers(1, 4))):
        pieces.append((draw(WORD), None))
        pieces.append((draw(st.sampled_from(["-", "_", ".", "/"])), None))
        pieces.append(("", draw(st.sampled_from(VARYING))))
        pieces.append((draw(st.sampled_from(["-", "_", ".", "/"])), None))
    pieces.append((draw(WORD), None))
    return pieces


@given(template=templates(), data=st.data())
def test_other_numbers_dates_and_ids_are_the_same_delivery(template: list[Any], data: st.DataObject) -> None:
    first, second = (
        "".join(text if varying is None else data.draw(varying) for text, varying in template) + ".csv"
        for _ in range(2)
    )
    assert likeness(first) == likeness(second)
    assert not Deliveries.of([first]).is_foreign(second)


@given(key=st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_digits_are_never_looked_at(key: str) -> None:
    other = re.sub(r"\d", "5", key)
    assert likeness(key) == likeness(other)
    assert not Deliveries.of([key]).is_foreign(other)


@given(words=st.lists(WORD, min_size=2, max_size=2, unique=True))
def test_other_words_are_another_delivery(words: list[str]) -> None:
    one, other = words
    known = Deliveries.of([f"dt=2026-08-10/{one}-{uuid.uuid4()}.csv"])
    assert known.is_foreign(f"dt=2026-08-10/{other}-{uuid.uuid4()}.csv")
    assert known.is_foreign(f"{other}/{one}-{uuid.uuid4()}.csv")
