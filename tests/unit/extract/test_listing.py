"""Which objects of a feed's folder are read, by their keys alone."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmbet.extract.decoding import COMPRESSIONS
from crmbet.extract.listing import (
    ENDINGS,
    describe_passed_over,
    find_table,
    format_of,
    sort_listing,
    stem_of,
    why_passed_over,
)
from crmbet.extract.records import Objects
from crmbet.storage.object_store import StoredObject

pytestmark = pytest.mark.unit

FOLDER = "raw/bets/"
WHEN = datetime(2026, 8, 12, tzinfo=UTC)


def stored(key: str, size: int = 10) -> StoredObject:
    return StoredObject(key=FOLDER + key, etag="e", size=size, last_modified=WHEN)


READ = [
    "part-0.csv",
    "dt=2026-08-10/part-0.csv",
    "2026/08/10/bets.parquet",
    # A partition may be named as its column is, and its value may be anything.
    "_dt=2026-01-01/part-0.csv",
    "dt=2026-08-10/_hour=7/part-0.csv",
    ".dt=2026-01-01/part-0.csv",
    "dt=_temporary/part-0.csv",
    "game_type=__HIVE_DEFAULT_PARTITION__/part-0.parquet",
    "day=10.tmp/part-0.csv",
    # Words that only contain what hidden and unfinished names begin or end with.
    "my_temporary/part-0.csv",
    "tmp/part-0.csv",
    "part-0_.csv",
    "bets.part.0.csv",
    "bets.done.csv",
    "bets.tmp1.csv",
    "export.csv/part-0.csv",
    "a~b.csv",
    # Endings.
    "BETS.CSV",
    "bets.tsv",
    "bets.jsonl",
    "bets.ndjson",
    "bets.json",
    "bets.csv.gz",
    "bets.csv.zst",
    "bets.json.zstd",
    "bets.CSV.ZST",
    "part-0.snappy.parquet",
    "part-0.parquet.gz",
]

HIDDEN = [
    # Hadoop, Spark, Hive, Flink, S3A and others, at any depth.
    "_SUCCESS",
    "dt=2026-08-10/_SUCCESS",
    "_temporary/0/part-0.csv",
    "dt=2026-08-10/_temporary/0/part-0.csv",
    "_temporary/0/_temporary/attempt_20260810_0000_m_000000_0/dt=2026-08-10/part-0.csv",
    ".hive-staging_hive_2026-08-10_10-00-00_123_4567/-ext-10000/000000_0.csv",
    "dt=2026-08-10/.hive-staging_x/part-0.parquet",
    ".spark-staging-0b1c2d3e/dt=2026-08-10/part-0.csv",
    "__magic/job-1/part-0.csv",
    "dt=2026-08-10/__magic_job-1/tasks/attempt/__base/part-0.csv",
    "_committed_123",
    "_started_123",
    "_metadata",
    "_common_metadata",
    ".part-0.csv.crc",
    ".Trash/part-0.csv",
    "__MACOSX/bets.csv",
    "._bets.csv",
    ".part-0-0.csv.inprogress.5d1f7a9c-1111-2222-3333-444455556666",
    "part-0-0.csv.inprogress",
    "part-0-0.csv.inprogress.5d1f7a9c",
    "part-0-0.inprogress.csv",
    "part-0-0.csv.pending",
    "bets.csv._COPYING_",
    "bets.csv.tmp",
    "bets.csv.TEMP",
    "bets.csv.part",
    "bets.csv.filepart",
    "bets.csv.partial",
    "bets.csv~",
    "dt=2026-08-10.tmp/_x.csv",
    "batch-7.tmp/part-0.csv",
    "+tmp/dt=2026-08-10/part-0.csv",
    # The name of a file is no partition.
    "_a=b.csv",
    # What begins a hidden name is no partition without a name.
    "_/part-0.csv",
]

MARKERS = [
    "bets.csv.crc",
    "bets.csv.gz.md5",
    "bets.csv.SHA256",
    "bets.csv.done",
    "bets.ok",
    "bets.manifest",
]

UNKNOWN = [
    "bets.txt",
    "bets",
    "bets.csv.zip",
    "bets.csv.bz2",
    "dt=2026-08-10/000000_0",
    "bets.xlsx",
    "bets.gz",
    "x.avro",
]


@pytest.mark.parametrize("key", READ)
def test_it_is_read(key: str) -> None:
    assert why_passed_over(key, 10) is None
    assert format_of(key) is not None


@pytest.mark.parametrize("key", HIDDEN)
def test_it_is_hidden_or_unfinished(key: str) -> None:
    assert why_passed_over(key, 10) == "hidden"


@pytest.mark.parametrize("key", MARKERS)
def test_it_is_a_marker_or_a_checksum(key: str) -> None:
    assert why_passed_over(key, 10) == "marker"


@pytest.mark.parametrize("key", UNKNOWN)
def test_no_format_has_its_ending_unless_it_is_empty(key: str) -> None:
    assert why_passed_over(key, 10) == "ending"
    assert why_passed_over(key, 0) == "marker"
    assert format_of(key) is None


def test_an_empty_object_of_a_format_is_read() -> None:
    assert why_passed_over("bets.parquet", 0) is None


SEGMENT = st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True)
FOLDERS = st.lists(SEGMENT | st.tuples(SEGMENT, SEGMENT).map("=".join), max_size=4)


@given(above=FOLDERS, below=FOLDERS, hidden=st.sampled_from(["_temporary", ".staging", "__magic", "_", "."]))
def test_a_hidden_segment_hides_whatever_is_below_it(above: list[str], below: list[str], hidden: str) -> None:
    shown, key = "/".join([*above, *below, "p.csv"]), "/".join([*above, hidden, *below, "p.csv"])
    assert why_passed_over(shown, 1) is None
    assert why_passed_over(key, 1) == "hidden"


@given(
    stem=st.from_regex(r"[a-zA-Z0-9-]{1,12}", fullmatch=True),
    ending=st.sampled_from(sorted(ENDINGS)),
    compression=st.sampled_from(["", *COMPRESSIONS]),
)
def test_a_compression_does_not_change_the_format(stem: str, ending: str, compression: str) -> None:
    for name in (f"{stem}{ending}{compression}", f"{stem}{ending}{compression}".upper()):
        assert format_of(name) == ENDINGS[ending]
        assert stem_of(name) == stem.lower()


def test_what_is_passed_over_is_counted_and_named_briefly() -> None:
    listing = sort_listing(
        FOLDER,
        [
            stored("dt=2026-08-10/", 0),
            stored("dt=2026-08-10/part-0.csv"),
            *(stored(f"_temporary/{number}.csv", 5) for number in range(2_000)),
            stored("b.txt", 7),
            stored("a.txt", 3),
            stored("_SUCCESS", 0),
            stored("done", 0),
        ],
    )

    assert [entry.key for entry in listing.read] == ["raw/bets/dt=2026-08-10/part-0.csv"]
    assert listing.table is None
    assert listing.passed_over == {
        "hidden": Objects(
            count=2_001,
            bytes=10_000,
            examples=["raw/bets/_SUCCESS", "raw/bets/_temporary/0.csv", "raw/bets/_temporary/1.csv"],
        ),
        "marker": Objects(count=1, bytes=0, examples=["raw/bets/done"]),
        "ending": Objects(count=2, bytes=10, examples=["raw/bets/a.txt", "raw/bets/b.txt"]),
    }
    assert describe_passed_over(listing.passed_over) == (
        "2001 hidden or unfinished (raw/bets/_SUCCESS, raw/bets/_temporary/0.csv, raw/bets/_temporary/1.csv, ...); "
        "1 marker or checksum (raw/bets/done); "
        "2 of no format that is read (raw/bets/a.txt, raw/bets/b.txt)"
    )


UUID = "5d1f7a9c-1111-4222-8333-444455556666"
TABLES = {
    "Delta": [
        ["_delta_log/00000000000000000000.json", "part-0.parquet"],
        [
            "part-0.parquet",
            "dt=2026-08-10/part-1.parquet",
            "_delta_log/00000000000000000010.checkpoint.parquet",
        ],
    ],
    "Iceberg": [
        [f"metadata/00000-{UUID}.metadata.json", "data/part-0.parquet"],
        ["metadata/v1.metadata.json", "data/dt=2026-08-10/part-0.parquet"],
        ["metadata/v2.gz.metadata.json", "elsewhere/part-0.parquet"],
        ["metadata/first.metadata.json", "data/part-0.parquet"],
    ],
    "Hudi": [
        [".hoodie/hoodie.properties", "dt=2026-08-10/part-0.parquet"],
        [".hoodie/20260810.commit", "dt=2026-08-10/.hoodie_partition_metadata", "part-0.parquet"],
        ["_hudi/hoodie.properties", "part-0.parquet"],
    ],
}


@pytest.mark.parametrize("nested", ["", "current/", "v=1/brand=a/"])
@pytest.mark.parametrize(
    ("format_", "keys"), [(format_, keys) for format_, cases in TABLES.items() for keys in cases]
)
def test_a_table_is_recognised_at_any_depth(nested: str, format_: str, keys: list[str]) -> None:
    found = find_table(FOLDER, [FOLDER + "plain.csv", *(FOLDER + nested + key for key in keys)])
    assert found is not None
    assert (found.format, found.folder) == (format_, FOLDER + nested)


@pytest.mark.parametrize(
    "keys",
    [
        ["part-0.csv", "data/part-0.csv", "metadata/schema.json"],
        ["metadata/bets.metadata.json", "part-0.csv"],
        ["part-0.csv", "_delta_log"],
        ["_delta_logs/x.json", "dt=2026-08-10/part-0.csv"],
        ["_temporary/0/_delta_log/00000000000000000000.json"],
        [".Trash/metadata/v1.metadata.json"],
        ["delta/part-0.csv", "hudi/part-0.csv", "iceberg/part-0.csv"],
    ],
)
def test_what_only_resembles_a_table_is_none(keys: list[str]) -> None:
    assert find_table(FOLDER, [FOLDER + key for key in keys]) is None


def test_tables_are_named_in_words() -> None:
    described = {
        found.description
        for (keys, *_) in TABLES.values()
        if (found := find_table(FOLDER, [FOLDER + key for key in keys]))
    }
    assert described == {"a Delta table", "an Iceberg table", "a Hudi table"}
