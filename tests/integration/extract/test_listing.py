"""What becomes of the objects in a feed's folder that are no data, or no delivery of the feed."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from crmbet.contracts.files import load_source_contracts
from crmbet.databases.work import Work
from crmbet.extract.lake import capture_feed
from crmbet.extract.records import Objects
from crmbet.failures import SourceMissing, SourceUnreadable
from tests.integration.extract.deliveries import HEADER, csv_line, csv_text, parquet

pytestmark = pytest.mark.integration

ODD_FILE = Path(__file__).parents[1] / "odd_files" / "02_put_in_temporary_folder.csv"
GOOD = csv_text(csv_line(1), csv_line(2))
UNLIKE = "name,budget\nspring,100\n"
"""A table that has nothing to do with bets."""


# Objects that are passed over -------------------------------------------------------------------------------------


def test_what_is_no_data_is_passed_over_and_recorded_briefly(
    put: Any, capture: Any, captured_rows: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    put("dt=2026-08-10/part.csv", csv_text(csv_line(1)))
    put("_dt=2026-08-11/part.csv", csv_text(csv_line(2)))
    hidden = [
        put(f"dt=2026-08-10/{folder}/part.csv", csv_text(csv_line(3)))
        for folder in ("_temporary/0", ".hive-staging_x", ".spark-staging-1", "__magic/job/__base")
    ]
    hidden += [
        put(name, csv_text(csv_line(4))) for name in ("part.csv.inprogress", "part.csv._COPYING_", "_SUCCESS")
    ]
    put("part.csv.crc", b"x")
    unknown = [put(name, b"xy") for name in ("README.txt", "bets.csv.bz2", "c.xlsx", "without-an-ending")]

    captures = capture()

    assert [captured.chunk for captured in captures.captures] == [
        "raw/bets/_dt=2026-08-11/part.csv",
        "raw/bets/dt=2026-08-10/part.csv",
    ]
    assert sorted(row["bet_id"] for row in captured_rows(captures)) == ["b1", "b2"]
    assert captures.passed_over == {
        "hidden": Objects(count=7, bytes=captures.passed_over["hidden"].bytes, examples=sorted(hidden)[:3]),
        "marker": Objects(count=1, bytes=1, examples=["raw/bets/part.csv.crc"]),
        "ending": Objects(count=4, bytes=8, examples=sorted(unknown)[:3]),
    }
    [said] = [record for record in caplog.records if "passed over" in record.getMessage()]
    assert said.levelno == logging.WARNING
    assert said.getMessage().endswith(
        "1 marker or checksum (raw/bets/part.csv.crc); "
        "4 of no format that is read (raw/bets/README.txt, raw/bets/bets.csv.bz2, raw/bets/c.xlsx, ...)"
    )
    assert (captures.unreadable, captures.empty) == ([], None)


@pytest.mark.few(3)
@pytest.mark.parametrize(
    ("place", "fate"),
    [
        ("dt=2026-08-10/_temporary/0/part-0.csv", "hidden"),
        ("dt=2026-08-10/.hive-staging_x/part-0.csv", "hidden"),
        (".spark-staging/dt=2026-08-10/part-0.csv", "hidden"),
        ("__magic/part-0.csv", "hidden"),
        ("dt=2026-08-10/part-0.csv.inprogress.1f", "hidden"),
        ("dt=2026-08-10/part-0.txt", "ending"),
        ("_dt=2026-08-10/part-0.csv", "accepted"),
    ],
)
def test_the_fates_of_the_odd_file(put: Any, capture: Any, clean: Any, place: str, fate: str) -> None:
    put("good.csv", GOOD)
    key = put(place, ODD_FILE.read_bytes())

    captures = capture()

    assert clean(captures).accepted == (3 if fate == "accepted" else 2)
    passed_over = {why: objects.examples for why, objects in captures.passed_over.items()}
    assert passed_over == ({} if fate == "accepted" else {fate: [key]})


def test_hidden_objects_alone_are_no_warning(
    put: Any, capture: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    put("part.csv", GOOD)
    put("_SUCCESS", b"")

    capture()

    [said] = [record for record in caplog.records if "passed over" in record.getMessage()]
    assert said.levelno == logging.INFO


def test_a_required_feed_that_is_passed_over_as_a_whole_is_missing_and_says_why(
    put: Any, capture: Any
) -> None:
    put("bets.txt", GOOD)
    put("_temporary/bets.csv", GOOD)

    with pytest.raises(SourceMissing) as failure:
        capture()

    assert (
        "no object has a name that is read; passed over: 1 hidden or unfinished (raw/bets/_temporary/bets.csv); "
        "1 of no format that is read (raw/bets/bets.txt)"
    ) in str(failure.value)


def test_an_optional_feed_that_is_passed_over_as_a_whole_is_left_to_the_gate(put: Any, capture: Any) -> None:
    key = put("limits.txt", "user_id\nu1\n", feed="limits")

    captures = capture(load_source_contracts()["limits"])

    assert captures.captures == []
    assert captures.passed_over == {"ending": Objects(count=1, bytes=11, examples=[key])}


# Table formats ----------------------------------------------------------------------------------------------------


@pytest.mark.few(6)
@pytest.mark.parametrize("nested", ["", "current/"])
@pytest.mark.parametrize(
    ("sign", "data", "table"),
    [
        ("_delta_log/00000000000000000000.json", "part-0.parquet", "a Delta table"),
        ("metadata/v1.metadata.json", "data/part-0.parquet", "an Iceberg table"),
        (".hoodie/hoodie.properties", "dt=2026-08-10/part-0.parquet", "a Hudi table"),
        ("_hudi/hoodie.properties", "part-0.parquet", "a Hudi table"),
    ],
)
@pytest.mark.parametrize("feed", ["bets", "sessions"])
def test_a_table_of_a_table_format_stops_its_feed_with_advice(
    put: Any, capture: Any, store: Any, bucket: str, nested: str, sign: str, data: str, table: str, feed: str
) -> None:
    put("plain.csv", GOOD, feed=feed)
    put(nested + sign, b"{}", feed=feed)
    put(nested + data, parquet([]), feed=feed)

    with pytest.raises(SourceUnreadable) as failure:
        capture(load_source_contracts()[feed])

    said = str(failure.value)
    assert f"Where: s3://{bucket}/raw/{feed}/{nested}." in said
    assert f"this folder is {table}; reading its data files directly would count deleted rows" in said
    assert "exported" in said
    assert f"include/contracts/sources/{feed}.yaml" in said
    assert list(store.list("crmbet/")) == [], "nothing is captured"


# Foreign objects --------------------------------------------------------------------------------------------------


def fates(captures: Any) -> dict[str, bool]:
    return {entry.chunk.removeprefix("raw/bets/"): entry.is_foreign for entry in captures.unreadable}


def test_an_unreadable_object_is_foreign_if_it_is_like_no_delivery_of_this_run(
    put: Any, capture: Any
) -> None:
    put("dt=2026-08-09/part-0.csv", GOOD)
    put("dt=2026-08-10/part-0.csv", UNLIKE)
    put("dt=2026-08-10/part-1.json", "not JSON")
    put("dt=2026-08-10/budget.csv", UNLIKE)
    put("marketing/part-0.csv", UNLIKE)
    put("dt=2026-08-10/part-1.csv", csv_text(csv_line(5)))

    captures = capture()

    assert fates(captures) == {
        "dt=2026-08-10/part-0.csv": False,
        "dt=2026-08-10/part-1.json": False,
        "dt=2026-08-10/budget.csv": True,
        "marketing/part-0.csv": True,
    }
    assert captures.extracted == 3
    assert fates(capture()) == fates(captures), "every run says so, until it is mended or removed"


@pytest.mark.parametrize("nothing", ["", "[]", "\n"])
def test_an_object_without_records_makes_no_name_known(put: Any, capture: Any, nothing: str) -> None:
    put("dt=2026-08-09/part-0.csv", GOOD)
    put("dt=2026-08-10/budget.json", nothing)
    capture()
    put("dt=2026-08-11/budget.json", "not JSON")

    assert fates(capture()) == {"dt=2026-08-11/budget.json": True}


@pytest.mark.parametrize(
    ("ending", "nothing"),
    [("csv", ""), ("csv", "\n"), ("csv", HEADER), ("json", ""), ("json", "[]"), ("json", "\n")],
)
def test_what_replaces_an_object_without_records_is_not_foreign(
    put: Any, capture: Any, ending: str, nothing: str
) -> None:
    put("dt=2026-08-09/part-0.csv", GOOD)
    put(f"dt=2026-08-10/vip-0.{ending}", nothing)
    capture()
    put(f"dt=2026-08-10/vip-0.{ending}", "not what it was")

    assert fates(capture()) == {f"dt=2026-08-10/vip-0.{ending}": False}


@pytest.mark.parametrize("content", [f"{HEADER}\n", parquet([])])
def test_an_object_that_has_the_columns_is_a_delivery_of_no_records(
    put: Any, capture: Any, content: Any
) -> None:
    ending = "csv" if isinstance(content, str) else "parquet"
    put("dt=2026-08-09/part-0.csv", GOOD)
    put(f"dt=2026-08-10/vip-0.{ending}", content)
    capture()
    put("dt=2026-08-11/vip-0.csv", UNLIKE)

    assert fates(capture()) == {"dt=2026-08-11/vip-0.csv": False}


@pytest.mark.parametrize(
    ("feed", "good"),
    [
        ("players", "user_id\nu1\n"),
        ("limits", "user_id,kind,changed_at\nu1,deposit,2026-08-10T12:00:00Z\n"),
    ],
)
def test_nothing_is_foreign_in_a_feed_that_protects(put: Any, capture: Any, feed: str, good: str) -> None:
    contract = load_source_contracts()[feed]
    put(f"dt=2026-08-10/{feed}.csv", good, feed)
    put("dt=2026-08-11/autoexclusoes.csv", UNLIKE, feed)
    put("other/budget.csv.gz", "no gzip", feed)

    captures = capture(contract)

    assert [(of.extracted, of.chunk) for of in captures.captures] == [
        (1, f"raw/{feed}/dt=2026-08-10/{feed}.csv")
    ]
    assert [entry.is_foreign for entry in captures.unreadable] == [False, False]


def test_pods_continue_a_delivery(put: Any, capture: Any) -> None:
    for day, pod in enumerate(["x2k9q", "7wzd4", "p9v2k", "b4t6n", "b9wq7"], 5):
        put(f"dt=2026-08-0{day}/bets-exporter-5c5e65f8c-{pod}.csv", csv_text(csv_line(day)))
    put("dt=2026-08-11/bets-exporter-5c5e65f8c-vmlzm.csv.gz", "no gzip")

    assert fates(capture()) == {"dt=2026-08-11/bets-exporter-5c5e65f8c-vmlzm.csv.gz": False}


def test_a_delivery_of_an_earlier_run_is_remembered(put: Any, capture: Any, delete: Any) -> None:
    old = put("archive/bets-2025.csv", GOOD)
    put("dt=2026-08-09/part-0.csv", csv_text(csv_line(3)))
    capture()
    delete(old)
    capture(source_deletions="remove")
    put("archive/bets-2026.csv", UNLIKE)
    put("archive/notes-2026.csv", UNLIKE)

    assert fates(capture()) == {"archive/bets-2026.csv": False, "archive/notes-2026.csv": True}


def test_an_unreadable_new_version_of_a_delivery_is_not_foreign(put: Any, capture: Any) -> None:
    put("part-0.csv", GOOD)
    put("export-of-the-week.csv", csv_text(csv_line(9)))
    capture()
    put("export-of-the-week.csv", UNLIKE)

    assert fates(capture()) == {"export-of-the-week.csv": False}


def test_where_nothing_was_ever_read_nothing_is_foreign(put: Any, capture: Any) -> None:
    sessions = load_source_contracts()["sessions"]
    put("a.csv", UNLIKE, feed="sessions")
    put("other/notes.csv", UNLIKE, feed="sessions")
    captures = capture(sessions)
    assert [entry.is_foreign for entry in captures.unreadable] == [False, False]

    put("budget.csv", UNLIKE)
    with pytest.raises(SourceUnreadable, match="no object of the feed bets can be read"):
        capture()


def test_a_dry_run_tells_foreign_objects_too(
    put: Any, engine: Any, store: Any, make_run: Any, contract: Any
) -> None:
    put("part-0.csv", GOOD)
    put("budget.csv", HEADER.replace("stake", "amount"))

    captures = capture_feed(Work(run=make_run(dry_run=True), store=store, connection=engine), contract)

    assert captures is not None
    assert fates(captures) == {"budget.csv": True}
