"""A column with several names in the course of time, or in the path: its cells are right, and are captured once.

The files 08_old.csv and 08_new.csv are in odd_files/, with the fate of their rows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from crmbet.contracts.source import SourceContract
from crmbet.extract.records import Capture, SourceCaptures
from crmbet.failures import SourceUnreadable
from local.workspace import PROJECT
from tests.integration.extract.deliveries import REQUIRED, TEXT, Row, bet, json_lines, parquet
from tests.tiers import now

pytestmark = pytest.mark.integration

ODD_FILES = Path(__file__).parents[1] / "odd_files"
FORMATS = ["csv", "mended.csv", "jsonl", "json", "parquet"]


def written(kind: str, *rows: Row) -> bytes:
    """Rows of text as a file of a format, with the names of the first row; a mended CSV file is one with a torn row."""
    match kind:
        case "csv" | "mended.csv":
            torn = ["torn,line"] if kind == "mended.csv" else []
            lines = [",".join(rows[0]), *(",".join(row.values()) for row in rows), *torn]
            return ("\n".join(lines) + "\n").encode()
        case "jsonl":
            return json_lines(*rows).encode()
        case "json":
            return json.dumps(rows, indent=1).encode()
        case _:
            return parquet(rows, dict.fromkeys(rows[0], TEXT))


def renamed(row: Row, **names: str) -> Row:
    return {names.get(name, name): value for name, value in row.items()}


@pytest.fixture
def cells(captured_rows: Any) -> Callable[..., list[Any]]:
    """The cells of a column in captured rows that are not torn."""

    def read(captures: SourceCaptures, name: str) -> list[Any]:
        return [row[name] for row in captured_rows(captures) if row["_reject"] is None]

    return read


def of(captures: SourceCaptures, end: str) -> Capture:
    [found] = [capture for capture in captures.captures if capture.chunk.endswith(end)]
    return found


# Several names ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names", now(["x", "amount", "y", "stake"], full=[["stake", "amount"], ["amount", "stake"]])
)
def test_a_column_that_was_renamed_is_read_before_and_after(
    put: Any, capture: Any, clean: Any, cells: Any, mapped: Any, names: list[str]
) -> None:
    for number, kind in enumerate(FORMATS):
        put(f"{number}.old.{kind}", written(kind, bet(number, stake="10.50")))
        put(f"{number}.new.{kind}", written(kind, renamed(bet(number + 10, stake="7.25"), stake="amount")))
    contract = mapped(stake=names)

    captures = capture(contract)

    assert cells(captures, "stake") == ["7.25", "10.50"] * len(FORMATS)
    assert captures.unreadable == []
    assert clean(captures, contract).quarantined == {"record: malformed record: 2 fields instead of 5": 2}


def test_the_case_of_a_rename(put: Any, capture: Any, clean: Any, cells: Any, mapped: Any) -> None:
    for name in ("08_old.csv", "08_new.csv"):
        put(name, (ODD_FILES / name).read_bytes())

    as_shipped = capture()
    assert [captured.chunk for captured in as_shipped.captures] == ["raw/bets/08_old.csv"]
    [aside] = as_shipped.unreadable
    assert aside.chunk == "raw/bets/08_new.csv"
    assert "column stake is missing" in aside.why

    contract = mapped(stake=["stake", "amount"])
    both = capture(contract)
    assert (both.new, both.unreadable) == (1, []), "the old object is not captured anew"
    assert cells(both, "bet_id") == ["k2", "k1"]
    assert [Decimal(cell) for cell in cells(both, "stake")] == [Decimal("10.50")] * 2
    assert clean(both, contract).accepted == 2


@pytest.mark.parametrize("kind", ["csv", "mended.csv", "parquet"])
@pytest.mark.parametrize(
    ("names", "value", "foreign"), [(["stake", "amount"], "1", "amount"), (["amount", "stake"], "2", "stake")]
)
def test_of_two_names_in_one_file_the_first_counts_and_the_other_is_told(
    put: Any,
    capture: Any,
    cells: Any,
    mapped: Any,
    caplog: pytest.LogCaptureFixture,
    kind: str,
    names: list[str],
    value: str,
    foreign: str,
) -> None:
    put(f"part.{kind}", written(kind, bet(1, stake="1", amount="2"), bet(2, stake="1", amount="2")))

    captures = capture(mapped(stake=names))

    assert cells(captures, "stake") == [value] * 2
    assert f"part.{kind} has columns that no contract names: {foreign}" in caplog.text


@pytest.mark.parametrize("kind", ["jsonl", "json"])
@pytest.mark.parametrize("later", now(100, full=[1, 99, 151]))
def test_a_name_put_in_front_counts_although_only_a_later_record_has_it(
    put: Any, capture: Any, cells: Any, mapped: Any, kind: str, later: int
) -> None:
    records = [bet(number, stake="1") for number in range(1, 161)]
    records[later - 1]["amount"] = "2"
    put(f"part.{kind}", written(kind, *records))
    capture()

    captures = capture(mapped(stake=["amount", "stake"]))

    assert cells(captures, "stake") == ["2" if number == later else "1" for number in range(1, 161)]


@pytest.mark.parametrize("kind", ["jsonl", "json"])
def test_each_json_record_may_use_either_name_and_a_null_counts_as_none(
    put: Any, capture: Any, cells: Any, mapped: Any, kind: str
) -> None:
    records = [
        bet(1, stake="1"),
        renamed(bet(2, stake="2"), stake="amount"),
        bet(3, stake="3", amount="30"),
        bet(4, stake=None, amount="4"),
        bet(5, stake="5", amount=None),
        bet(6, stake=None, amount=None),
        bet(7, stake="", amount="7"),
        bet(8, stake=0, amount=8),
        bet(9, stake=False, amount=9),
    ]
    put(f"part.{kind}", written(kind, *records))

    found = cells(capture(mapped(stake=["stake", "amount"])), "stake")

    assert found == ["1", "2", "3", "4", "5", None, "", "0", "false"]


def test_numbers_keep_the_decimal_mark_under_each_name(
    put: Any, capture: Any, cells: Any, mapped: Any
) -> None:
    described = mapped(stake=["stake", "amount/valor~x"]).model_dump()
    described["columns"]["stake"]["decimal_mark"] = ","
    records = [bet(1, stake=10.125), renamed(bet(2, stake=2.5), stake="amount/valor~x")]
    put("a.jsonl", json_lines(*records))
    put(
        "b.parquet",
        parquet([records[1]], renamed(REQUIRED | {"stake": pa.float64()}, stake="amount/valor~x")),
    )

    captures = capture(SourceContract.model_validate(described))

    assert cells(captures, "stake") == ["10,125", "2,5", "2,5"]


def test_a_parquet_column_keeps_its_type_under_each_name(
    put: Any, capture: Any, cells: Any, mapped: Any
) -> None:
    money = REQUIRED | {"stake": pa.decimal128(18, 2)}
    put("a.parquet", parquet([bet(1, stake=Decimal("1.50"))], money))
    put(
        "b.parquet",
        parquet([renamed(bet(2, stake=Decimal("2.50")), stake="amount")], renamed(money, stake="amount")),
    )

    captures = capture(mapped(stake=["amount", "stake"]))

    assert cells(captures, "stake") == [Decimal("1.50"), Decimal("2.50")]
    assert {captured.types["stake"] for captured in captures.captures} == {"DECIMAL(18,2)"}


@pytest.mark.parametrize("kind", FORMATS)
def test_an_object_with_none_of_the_names_is_set_aside_and_all_of_them_are_told(
    put: Any, capture: Any, mapped: Any, kind: str
) -> None:
    put("good.csv", written("csv", bet(1)))
    put(f"part.{kind}", written(kind, renamed(bet(1), stake="valor")))

    [aside] = capture(mapped(stake=["stake", "amount", {"path": "stake"}])).unreadable

    assert "column stake or amount or stake= in the path is missing" in aside.why
    assert "include/contracts/sources/bets.yaml" in aside.why


def test_a_header_of_later_names_shows_the_delimiter(put: Any, capture: Any, cells: Any, mapped: Any) -> None:
    names = {"bet_id": "Aposta, nr", "user_id": "Cliente, nr", "stake": "Valor, R$"}
    row = renamed(bet(1, stake="7,5"), **names)
    put("part.csv", ";".join(row) + "\n" + ";".join(row.values()) + "\n")

    contract = mapped(**{name: [name, later] for name, later in names.items()})

    assert cells(capture(contract), "stake") == ["7,5"]


# Captured once ---------------------------------------------------------------------------------------------------


@pytest.mark.few(2)
@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("before", now("stake", full=[["stake"], "amount", ["amount"]]))
def test_names_that_are_added_anywhere_capture_nothing_anew(
    put: Any, capture: Any, mapped: Any, kind: str, before: Any
) -> None:
    name = before if isinstance(before, str) else before[0]
    put(f"part.{kind}", written(kind, renamed(bet(1), stake=name)))
    first = capture(mapped(stake=before))
    (other,) = {"stake", "amount"} - {name}

    # A torn row of JSON or CSV has no value under any name; but a CSV file has one header for all rows.
    for names in (
        [name, other],
        [other, name],
        ["a", other, "b", name, "c"],
        [{"path": "x"}, name],
        [name, {"path": "x"}],
    ):
        again = capture(mapped(stake=names))
        assert (again.new, again.captures, again.changed) == (0, first.captures, {}), names


@pytest.mark.few(1)
@pytest.mark.parametrize(
    "names", now(["x", "amount", "stake"], full=[["stake", "amount"], ["amount", "stake"]])
)
@pytest.mark.parametrize("before", ["stake", "amount"])
def test_a_store_of_a_version_without_lists_is_not_captured_anew(
    put: Any, capture: Any, mapped: Any, store: Any, before: str, names: list[str]
) -> None:
    put("a.csv", written("csv", renamed(bet(1), stake=before)))
    put("b.jsonl", written("jsonl", renamed(bet(2), stake=before, bet_id="id")))
    put("c.csv", written("csv", renamed(bet(3), stake=before, bet_id="id")))
    first = capture(mapped(stake=before, bet_id="id", payout="prize"))
    assert [aside.chunk for aside in first.unreadable] == ["raw/bets/a.csv"]
    forget_names(store)

    second = capture(mapped(stake=names, bet_id=["bet_id", "id"], payout=["payout", "prize"]))

    assert second.new == 1
    assert [captured.digest for captured in second.captures[1:]] == [
        captured.digest for captured in first.captures
    ]
    assert (
        capture(
            mapped(stake=["stake", "amount"], bet_id="other", payout="prize"), source_deletions="keep"
        ).new
        == 0
    )


def forget_names(store: Any) -> None:
    """Leave the done-files of captures as an earlier version wrote them."""
    for entry in list(store.list("crmbet/")):
        if "/captures/" not in entry.key or entry.key.endswith(".parquet"):
            continue
        described = json.loads(store.read(entry.key))
        if "captures" in described:
            store.delete_all([entry.key])
            for captured in described["captures"]:
                assert captured.pop("columns_read")
                folder = entry.key[: entry.key.index("chunk=")] + f"chunk={captured['digest']}/"
                store.write(f"{folder}old_done.json", json.dumps(captured).encode())


@pytest.mark.few(1)
@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("names", now(["prize", "payout"], full=[["payout", "prize"]]))
def test_an_object_that_has_the_added_name_alone_is_captured_anew_and_the_past_stays(
    put: Any, capture: Any, cells: Any, mapped: Any, make_run: Any, kind: str, names: list[str]
) -> None:
    put(f"a.{kind}", written(kind, bet(1)))
    put(f"b.{kind}", written(kind, bet(2, payout="3")))
    put(f"c.{kind}", written(kind, bet(3, prize="4")))
    first = capture(mapped(payout="payout"))
    then = first.captures[0].captured_at.isoformat()
    assert cells(first, "payout") == [None, "3", None]

    second = capture(mapped(payout=names))

    assert cells(second, "payout") == [None, "3", "4"]
    # Not every name in JSON is known, so an object with a record that lacks the column is captured anew.
    anew = ["a", "c"] if kind in ("jsonl", "json") else ["c"]
    assert second.new == len(anew)
    assert of(second, f"b.{kind}") == of(first, f"b.{kind}")
    assert second.touched_days == ["2026-08-10"]
    assert second.changed == {f"raw/bets/c.{kind}": "changed"}

    assert cells(capture(mapped(payout=names), known_at=then), "payout") == [None, "3", None]
    third = capture(mapped(payout=[*names, "premio"]))
    assert cells(third, "payout") == [None, "3", "4"]
    assert third.new == (1 if kind in ("jsonl", "json") else 0)
    assert capture(mapped(payout=[*names, "premio"])).new == 0


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_name_that_is_taken_away_takes_its_cells_and_can_come_back(
    put: Any, capture: Any, cells: Any, mapped: Any, kind: str
) -> None:
    put(f"a.{kind}", written(kind, bet(1, wrong="9")))
    put(f"b.{kind}", written(kind, bet(2, payout="3")))
    mistaken = capture(mapped(payout=["payout", "wrong"]))
    assert cells(mistaken, "payout") == ["9", "3"]

    right = capture(mapped(payout="payout"))
    assert cells(right, "payout") == [None, "3"]

    back = capture(mapped(payout=["payout", "wrong"]))
    assert cells(back, "payout") == ["9", "3"]
    assert back.new == 0
    now = of(back, f"a.{kind}").captured_at.isoformat()
    assert cells(capture(known_at=now), "payout") == ["9", "3"]


def test_a_full_refresh_captures_under_the_new_names(put: Any, capture: Any, cells: Any, mapped: Any) -> None:
    put("a.csv", written("csv", bet(1)))
    first = capture()

    refreshed = capture(mapped(stake=["amount", "stake"]), full_refresh=True)

    assert refreshed.new == 1
    assert (refreshed.changed, cells(refreshed, "stake")) == ({}, ["10.50"])
    assert capture(mapped(stake=["amount", "stake"])).captures == refreshed.captures
    when = first.captures[0].captured_at.isoformat()
    assert capture(known_at=when).captures == first.captures


# Names in the path -----------------------------------------------------------------------------------------------

GAME = {"path": "game_type"}


@pytest.mark.few(2)
@pytest.mark.parametrize("kind", FORMATS)
def test_a_column_that_stands_in_the_path_alone(
    put: Any, capture: Any, clean: Any, captured_rows: Any, mapped: Any, kind: str
) -> None:
    row = {name: value for name, value in bet(1).items() if name not in ("game_type", "placed_at")}
    for folder, number in {"game_type=slots": 1, "game_type=Video%20Poker": 2, "game_type=%3A": 3}.items():
        key = f"dt=2026-08-1{number - 1}/{folder}/part.{kind}"
        put(key, written(kind, row | {"bet_id": f"b{number}"}, row | {"bet_id": f"c{number}"}))
    put(
        f"dt=2026-08-10/game_type=__HIVE_DEFAULT_PARTITION__/part.{kind}",
        written(kind, row | {"bet_id": "d"}),
    )
    described = mapped(game_type=GAME, placed_at={"path": "dt"}).model_dump()
    described["columns"]["game_type"]["values"]["poker"] = ["video poker"]
    contract = SourceContract.model_validate(described)

    captures = capture(contract)

    good = {
        row["bet_id"]: (row["game_type"], row["placed_at"], str(row["_day"]))
        for row in captured_rows(captures)
        if not row["_reject"]
    }
    # Midnight in UTC is the evening before in Sao Paulo.
    first, second, third = (
        ("2026-08-10", "2026-08-09"),
        ("2026-08-11", "2026-08-10"),
        ("2026-08-12", "2026-08-11"),
    )
    assert good == {
        "b1": ("slots", *first),
        "c1": ("slots", *first),
        "b2": ("Video Poker", *second),
        "c2": ("Video Poker", *second),
        "b3": (":", *third),
        "c3": (":", *third),
        "d": (None, *first),
    }
    cleaned = clean(captures, contract)
    assert cleaned.accepted == 4
    torn = {"record: malformed record: 2 fields instead of 3": 4} if kind == "mended.csv" else {}
    assert cleaned.quarantined == {"game_type: unknown value": 2, "game_type: missing": 1, **torn}
    assert capture(contract).new == 0


@pytest.mark.few(6)
@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(
    ("names", "in_file", "expected"),
    [
        (["game_type", GAME], "crash", "crash"),
        ([GAME, "game_type"], "crash", "slots"),
        (GAME, "crash", "slots"),
        (["game_type", GAME], None, "slots"),
        (["game", "game_type", GAME], None, "slots"),
    ],
)
def test_in_the_file_and_in_the_path_the_contract_says_which_counts(
    put: Any, capture: Any, cells: Any, mapped: Any, kind: str, names: Any, in_file: str | None, expected: str
) -> None:
    row = bet(1, game_type=in_file)
    if in_file is None:
        del row["game_type"]
    put(f"game_type=slots/part.{kind}", written(kind, row))

    captures = capture(mapped(game_type=names))

    assert cells(captures, "game_type") == [expected]


def test_the_path_fills_in_for_single_json_records_and_not_for_empty_cells(
    put: Any, capture: Any, cells: Any, mapped: Any
) -> None:
    rows = [bet(1), bet(2, game_type=None)]
    put("game_type=crash/a.jsonl", written("jsonl", *rows))
    put("game_type=crash/b.parquet", written("parquet", *rows))
    put("game_type=crash/c.csv", written("csv", bet(1), bet(2, game_type="")))

    captures = capture(mapped(game_type=["game_type", GAME]))

    assert cells(captures, "game_type") == ["slots", "crash", "slots", None, "slots", None]


def test_a_typed_column_is_not_touched_by_the_path(put: Any, capture: Any, cells: Any, mapped: Any) -> None:
    money = REQUIRED | {"stake": pa.decimal128(18, 2)}
    put("stake=9/a.parquet", parquet([bet(1, stake=Decimal("1.50"))], money))
    put("stake=9/b.csv", written("csv", {name: text for name, text in bet(1).items() if name != "stake"}))

    captures = capture(mapped(stake=["stake", {"path": "stake"}]))
    assert cells(captures, "stake") == [Decimal("1.50"), Decimal(9)]
    assert [captured.types.get("stake") for captured in captures.captures] == ["DECIMAL(18,2)", None]
    [from_path, _] = cells(capture(mapped(stake={"path": "stake"})), "stake")
    assert from_path == "9"


def test_a_path_that_is_not_clear_sets_its_object_aside(put: Any, capture: Any, mapped: Any) -> None:
    put("game_type=slots/a.csv", written("csv", bet(1)))
    put("game_type=slots/game_type=crash/b.csv", written("csv", bet(2)))
    put("c.csv", written("csv", bet(3)))

    captures = capture(mapped(game_type=GAME))

    assert [captured.chunk for captured in captures.captures] == ["raw/bets/game_type=slots/a.csv"]
    repeated, absent = sorted((aside.why for aside in captures.unreadable), reverse=True)
    assert repeated == "game_type= in the path appears more than once"
    assert absent.startswith("column game_type= in the path is missing; it has the columns bet_id, ")


def test_the_example_in_the_documentation(put: Any, capture: Any, captured_rows: Any, mapped: Any) -> None:
    page = (PROJECT / "docs" / "contracts.md").read_text(encoding="utf-8").partition("\n## ")[2]
    (example,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    columns = yaml.safe_load(example)["columns"]
    contract = mapped(**{name: options["source_name"] for name, options in columns.items()})
    (key,) = re.findall(r"`raw/bets/(\S+/)part-0.parquet`", page)
    row = {name: value for name, value in bet(1).items() if name != "game_type"}
    put(f"{key}part-0.parquet", written("parquet", row))
    put("dt=2026-08-11/game_type=slots/part-1.csv", written("csv", renamed(row, stake="amount")))

    found = [(row["game_type"], row["stake"]) for row in captured_rows(capture(contract))]
    assert found == [("table games", "10.50"), ("slots", "10.50")]


def test_a_mapping_into_the_path_captures_anew_what_the_path_has(
    put: Any, capture: Any, cells: Any, mapped: Any
) -> None:
    put("game_type=crash/a.csv", written("csv", bet(1)))
    put("b.csv", written("csv", bet(2)))
    capture()

    later = capture(mapped(game_type=[GAME, "game_type"]))
    assert later.new == 1
    assert cells(later, "game_type") == ["slots", "crash"]
    assert capture(mapped(game_type=["game_type", GAME])).new == 0


def test_only_what_the_contract_names_is_taken_from_the_path(put: Any, capture: Any, cells: Any) -> None:
    put("game_type=crash/part.csv", written("csv", bet(1)))
    put("stake=7/part.csv", written("csv", {name: text for name, text in bet(1).items() if name != "stake"}))

    captures = capture()

    assert cells(captures, "game_type") == ["slots"]
    assert "column stake is missing" in captures.unreadable[0].why


def test_a_feed_without_any_of_the_names_is_refused(put: Any, capture: Any, mapped: Any) -> None:
    put("part.csv", written("csv", bet(1)))

    with pytest.raises(SourceUnreadable, match="column a or b is missing"):
        capture(mapped(stake=["a", "b"]))
