"""The name of a column that counts in an object, and whether a capture by other names still is what would be read."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmbet.contracts.files import load_source_contracts
from crmbet.contracts.source import PathName, SourceColumn, SourceContract, SourceName
from crmbet.extract.formats import Reading
from crmbet.extract.names import (
    columns_read,
    file_names,
    in_header,
    in_path,
    names_at,
    reads_alike,
    with_path_values,
)
from crmbet.extract.records import Capture
from crmbet.extract.unreadable import UnreadableObject

pytestmark = pytest.mark.unit

GAME = {"path": "game_type"}


BETS = load_source_contracts()["bets"]


def bets(**source_names: Any) -> SourceContract:
    """The contract of bets with other names in the source."""
    columns = {
        name: SourceColumn.model_validate(BETS.columns[name].model_dump() | {"source_name": names})
        for name, names in source_names.items()
    }
    return BETS.model_copy(update={"columns": BETS.columns | columns})


# The path --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("folders", "value"),
    [
        ("game_type=slots", "slots"),
        ("dt=2026-08-10/game_type=slots/x=1", "slots"),
        ("game_type=video%20poker", "video poker"),
        ("game_type=12%3A00%2F%3D%25", "12:00/=%"),
        ("game_type=a+b", "a+b"),
        ("game_type=a=b", "a=b"),
        ("game_type=100%", "100%"),
        ("game_type=%zz", "%zz"),
        ("game_type=roleta ção", "roleta ção"),
        ("game_type=roleta%20%C3%A7%C3%A3o", "roleta ção"),
        ("game_type='; DROP", "'; DROP"),
        ("game_type=NULL", "NULL"),
        ("game_type=Slots", "Slots"),
        ("game_type=", ""),
        ("game_type=__HIVE_DEFAULT_PARTITION__", None),
        ("game%5Ftype=slots", "slots"),
    ],
)
def test_a_value_of_the_path(folders: str, value: str | None) -> None:
    contract, values = in_path(bets(game_type=GAME), f"raw/bets/{folders}/part-0.csv")

    assert values == {"game_type": value}
    assert file_names(contract)["game_type"] == []
    assert not contract.columns["game_type"].required, "the object itself need not have it"


@pytest.mark.parametrize(
    "key",
    [
        "raw/bets/part-0.csv",
        "raw/bets/game_type=slots.csv",
        "raw/bets/game_type/part-0.csv",
        "raw/bets/Game_Type=slots/part-0.csv",
        "raw/bets/xgame_type=slots/part-0.csv",
        "raw/bets/=game_type/part-0.csv",
    ],
)
def test_a_path_without_the_name(key: str) -> None:
    contract, values = in_path(bets(game_type=GAME), key)

    assert values == {}
    assert contract.columns["game_type"].required


@pytest.mark.parametrize(
    ("folders", "why"),
    [
        ("game_type=slots/game_type=crash", "game_type= in the path appears more than once"),
        ("game_type=slots/game%5Ftype=slots", "game_type= in the path appears more than once"),
        ("game_type=a%00b", "game_type= in the path has bytes that are no text"),
        ("game_type=S%E3o", "game_type= in the path has bytes that are no text"),
    ],
)
def test_a_value_that_is_not_clear_sets_the_object_aside_without_being_shown(folders: str, why: str) -> None:
    with pytest.raises(UnreadableObject) as failure:
        in_path(bets(game_type=GAME), f"raw/bets/{folders}/part-0.csv")

    assert str(failure.value) == why


@pytest.mark.parametrize(
    ("names", "left", "used"),
    [
        (["game_type", GAME], ["game_type"], True),
        ([GAME, "game_type"], [], True),
        (["game_type", GAME, "game"], ["game_type"], True),
        (["game_type", {"path": "game"}, "game"], ["game_type", "game"], False),
        ([{"path": "game"}, GAME], [], True),
    ],
)
def test_nothing_counts_after_a_name_that_the_path_has(names: list[Any], left: list[str], used: bool) -> None:
    contract, values = in_path(bets(game_type=names), "raw/bets/game_type=slots/part-0.csv")

    assert file_names(contract)["game_type"] == left
    assert values == ({"game_type": "slots"} if used else {})


@pytest.mark.parametrize(
    ("header", "used"), [(("bet_id", "game_type"), False), (("bet_id",), True), (None, True)]
)
def test_the_file_counts_before_the_path_if_it_comes_first(
    header: tuple[str, ...] | None, used: bool
) -> None:
    contract, values = in_path(bets(game_type=["game_type", GAME]), "raw/bets/game_type=it's/part-0.csv")
    reading = Reading("SELECT 1", 1, header=header)

    found = with_path_values(reading, contract, values)

    assert ('''coalesce("game_type", 'it''s') AS "game_type"''' in found.query) == used
    assert found.records == 1


# Headers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (["stake", "amount"], ["stake"]),
        (["amount", "stake"], ["stake"]),
        (["amount"], ["amount"]),
        (["Amount", " amount", "AMOUNT", "valor"], ["valor"]),
        (["x"], ["stake", "amount", "valor"]),
        ([], ["stake", "amount", "valor"]),
    ],
)
def test_the_first_name_that_a_header_has_counts(header: list[str], found: list[str]) -> None:
    contract = bets(stake=["stake", "amount", "valor"])

    assert file_names(in_header(contract, header))["stake"] == found
    assert file_names(contract)["stake"] == ["stake", "amount", "valor"], "the contract itself stays"


# Captures by other names -----------------------------------------------------------------------------------------


def captured(
    contract: SourceContract, header: list[str], *, folder: str = "", incomplete: list[str] | None = None
) -> Capture:
    """A capture by a contract of a file with a header or, if `incomplete` is given, of records with these names."""
    key = f"raw/bets/{folder}part-0.csv"
    inner, _ = in_path(contract, key)
    by_record = incomplete is not None
    known = set().union(*file_names(inner if by_record else in_header(inner, header)).values())
    reading = Reading("", 1, tuple(sorted({*header} - known)), header=None if by_record else tuple(header))
    now = datetime(2026, 8, 12, tzinfo=UTC)
    return Capture(
        source="bets",
        chunk=key,
        digest="d",
        files=["f"],
        columns_read=columns_read(reading, contract, key, content="c", incomplete=incomplete or []),
        extracted=1,
        days={},
        captured_at=now,
        made_at=now,
    )


@pytest.mark.parametrize("own_name", ["stake", "valor"])
def test_a_name_that_is_added_anywhere_leaves_what_was_read(own_name: str) -> None:
    before = captured(bets(stake=own_name), [own_name, "bet_id", "x"])

    for place in range(2):
        names = [own_name]
        names.insert(place, "amount")
        assert reads_alike(before, bets(stake=names))
        names.insert(place, "total")
        assert reads_alike(before, bets(stake=names))


@pytest.mark.parametrize(
    ("header", "after", "alike"),
    [
        (["bet_id"], ["payout", "prize"], True),
        (["bet_id", "prize"], ["payout", "prize"], False),
        (["bet_id", "prize"], ["payout", "premio"], True),
        (["bet_id", "payout", "prize"], ["payout", "prize"], True),
        (["bet_id", "payout", "prize"], ["prize", "payout"], False),
        (["bet_id", "payout"], "prize", False),
        (["bet_id"], {"path": "dt"}, False),
        (["bet_id"], ["payout", {"path": "dt"}], False),
        (["bet_id", "payout"], ["payout", {"path": "dt"}], True),
        (["bet_id", "payout"], [{"path": "dt"}, "payout"], False),
        (["bet_id", "payout"], [{"path": "hour"}, "payout"], True),
    ],
)
def test_a_file_is_read_anew_if_another_name_counts_now(header: list[str], after: Any, alike: bool) -> None:
    before = captured(bets(), header, folder="dt=2026-08-10/")

    assert reads_alike(before, bets(payout=after)) == alike


@pytest.mark.parametrize(
    ("incomplete", "after", "alike"),
    [
        ([], ["payout", "prize"], True),
        ([], ["prize", "payout"], True),
        (["payout"], ["payout", "prize"], False),
        (["payout"], ["prize", "payout"], False),
        (["rtp"], ["payout", "prize"], True),
        ([], ["payout", "seen"], True),
        ([], ["seen", "payout"], False),
        ([], "prize", False),
        ([], ["payout", {"path": "dt"}], True),
        (["payout"], ["payout", {"path": "dt"}], False),
        ([], [{"path": "dt"}, "payout"], False),
    ],
)
def test_records_are_read_anew_if_a_new_name_may_give_one_a_value(
    incomplete: list[str], after: Any, alike: bool
) -> None:
    names = ["bet_id", "payout", "seen"]
    before = captured(bets(), names, folder="dt=2026-08-10/", incomplete=incomplete)

    assert reads_alike(before, bets(payout=after)) == alike


@pytest.mark.parametrize(
    ("records", "after", "alike"),
    [
        (100, ["prize", "payout"], True),
        (101, ["prize", "payout"], False),
        (101, ["a", "b", "payout"], False),
        (101, ["payout", "prize"], True),
        (101, [{"path": "x"}, "payout"], True),
    ],
)
def test_a_later_record_may_have_a_name_that_comes_to_the_front(
    records: int, after: Any, alike: bool
) -> None:
    before = captured(bets(), ["bet_id", "payout"], incomplete=[])

    assert reads_alike(before.model_copy(update={"extracted": records}), bets(payout=after)) == alike


@pytest.mark.parametrize("incomplete", [None, []])
def test_a_name_that_is_taken_away_takes_what_it_gave(incomplete: list[str] | None) -> None:
    before = captured(bets(stake=["stake", "amount"]), ["bet_id", "amount"], incomplete=incomplete)

    assert not reads_alike(before, bets())
    assert reads_alike(before, bets(stake=["stake", "amount", "valor"]))


def test_a_capture_that_did_not_record_its_names_is_not_alike_but_an_empty_one_is() -> None:
    capture = captured(bets(), ["bet_id"])

    assert not reads_alike(capture.model_copy(update={"columns_read": None}), bets())
    assert reads_alike(capture.model_copy(update={"extracted": 0}), bets(stake="other"))


NAMES: st.SearchStrategy[SourceName] = st.sampled_from(
    ["payout", "prize", "premio", PathName(path="payout"), PathName(path="dt")]
)
NAME_LISTS = st.lists(NAMES, min_size=1, max_size=4, unique=True)


def value_in_file(names: list[SourceName], header: list[str]) -> SourceName | None:
    """Which name gives the value, told a second time: a folder's name dt is in the path, the other is not."""
    there: list[SourceName] = [*header, PathName(path="dt")]
    return next((name for name in names if name in there), None)


@given(
    before=st.tuples(NAME_LISTS, NAME_LISTS),
    after=st.tuples(NAME_LISTS, NAME_LISTS),
    header=st.lists(st.sampled_from(["payout", "prize", "premio", "x"]), unique=True),
)
def test_a_file_counts_as_captured_exactly_if_it_would_be_read_the_same(
    before: tuple[list[SourceName], ...], after: tuple[list[SourceName], ...], header: list[str]
) -> None:
    capture = captured(bets(payout=before[0], rtp=before[1]), header, folder="dt=1/")

    alike = reads_alike(capture, bets(payout=after[0], rtp=after[1]))

    assert alike == all(
        value_in_file(then, header) == value_in_file(now, header)
        for then, now in zip(before, after, strict=True)
    )


@given(
    before=st.tuples(NAME_LISTS, NAME_LISTS),
    after=st.tuples(NAME_LISTS, NAME_LISTS),
    records=st.lists(st.lists(st.sampled_from(["payout", "prize", "premio", "x"]), unique=True), min_size=1),
)
def test_records_count_as_captured_only_if_each_would_be_read_the_same(
    before: tuple[list[SourceName], ...], after: tuple[list[SourceName], ...], records: list[list[str]]
) -> None:
    incomplete = [
        column
        for column, names in zip(("payout", "rtp"), before, strict=True)
        if None in [value_in_file(names, record) for record in records]
    ]
    seen = sorted(set(itertools.chain(*records)))
    contract = bets(payout=before[0], rtp=before[1])
    capture = captured(contract, seen, folder="dt=1/", incomplete=incomplete)

    if reads_alike(capture, bets(payout=after[0], rtp=after[1])):
        for record in records:
            for then, now in zip(before, after, strict=True):
                assert value_in_file(then, record) == value_in_file(now, record)


def test_a_name_of_the_path_that_is_absent_cannot_count() -> None:
    contract = bets(stake=["stake", {"path": "stake"}, "amount"])

    assert names_at(contract, "raw/bets/part.csv")["stake"] == ["stake", "amount"]
    assert names_at(contract, "raw/bets/stake=1/part.csv")["stake"] == ["stake", PathName(path="stake")]
