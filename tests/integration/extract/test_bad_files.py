"""What deliveries can have wrong: a bad file or record loses nothing but itself, and says why."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError

from crmbet.contracts.files import load_source_contracts
from crmbet.databases.work import Work
from crmbet.extract import gathering, lake
from crmbet.extract.lake import capture_feed
from crmbet.extract.records import SourceCaptures
from crmbet.failures import SourceChanged, SourceUnreadable, TemporaryFailure
from crmbet.storage.object_store import ObjectStore, StoredObject
from local.workspace import PROJECT
from tests.integration.extract.deliveries import (
    HEADER,
    REQUIRED,
    TEXT,
    bet,
    csv_line,
    csv_text,
    json_lines,
    parquet,
    zstd,
)
from tests.tiers import now

pytestmark = pytest.mark.integration

PERSONAL = "joão"
"""A value that no message may repeat."""

NEVER_CLOSED = "malformed record: a quote that is never closed"
AFTER_QUOTE = "malformed record: text after a closing quote"
NO_TEXT = "malformed record: bytes that are no text"
TOO_LONG = "malformed record: longer than 1,048,576 bytes"
NO_OBJECT = "not a JSON object"
HALF_A_PAIR = "malformed record: half of a surrogate pair in user_id"


def of_size(why: str, record: str) -> str:
    """Why a JSON record is set aside, with its size."""
    size = len(record.encode())
    return f"{why} ({size} byte{'s' if size > 1 else ''})"


def names(captures: SourceCaptures) -> list[str]:
    return [captured.chunk.removeprefix("raw/bets/") for captured in captures.captures]


def reasons(captures: SourceCaptures) -> dict[str, str]:
    return {entry.chunk.removeprefix("raw/bets/"): entry.why for entry in captures.unreadable}


# Files that cannot be read ---------------------------------------------------------------------------------------


def cut(content: bytes) -> bytes:
    return content[: len(content) * 2 // 3]


def spoiled(content: bytes) -> bytes:
    return content[:40] + bytes(range(256)) * 4 + content[40 + 4 * 256 :]


def with_another_checksum(compressed: bytes) -> bytes:
    return compressed[:-8] + bytes(4) + compressed[-4:]


def parquet_with_a_column_twice() -> bytes:
    sink = io.BytesIO()
    columns = [*bet(1).items(), ("stake", "99")]
    pq.write_table(
        pa.Table.from_arrays([[value] for _, value in columns], [name for name, _ in columns]), sink
    )
    return sink.getvalue()


BETS = [
    bet(number, user_id=PERSONAL if number % 2 else f"u{number * 7919 % 5003}") for number in range(5_000)
]
CSV = csv_text(*(",".join(row.values()) for row in BETS)).encode()
LINES = json_lines(*BETS).encode()
ARRAY = json.dumps(BETS).encode()
PARQUET = parquet(BETS)
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x01\x00" + bytes(range(256))
ZIP = b"PK\x03\x04\x14\x00\x08\x00" + bytes(range(256))

NO_PARQUET = r"Invalid Input Error: .*"
NO_ZSTD = r"the zstd is truncated or damaged: .*"
NO_GZIP = r"the gzip is truncated or damaged: .*"
NO_COLUMNS = r"it has none of the columns of include/contracts/sources/bets\.yaml; a CSV file names them .*"
NO_OBJECTS = r"it holds no JSON object: deliver one array of objects, or one object a line"
CUT_OFF = r"the JSON array is cut off: it has no end after \d+ elements"
STAKE_MISSING = (
    r"column stake is missing; it has the columns .*\. "
    r"A name can be mapped in include/contracts/sources/bets\.yaml"
)
STAKE_TWICE = "column stake appears more than once"

UNREADABLE: dict[str, tuple[bytes, str]] = {
    # Cut off or damaged on the way.
    "cut.parquet": (cut(PARQUET), NO_PARQUET),
    "spoiled.parquet": (spoiled(PARQUET), ".+"),
    "cut.csv.gz": (cut(gzip.compress(CSV)), NO_GZIP),
    "cut.jsonl.gz": (cut(gzip.compress(LINES)), NO_GZIP),
    "cut.json.gz": (cut(gzip.compress(ARRAY)), NO_GZIP),
    "cut.parquet.gz": (cut(gzip.compress(PARQUET)), NO_GZIP),
    "cut-in-the-head.csv.gz": (gzip.compress(CSV)[:5], NO_GZIP),
    "checksum.csv.gz": (with_another_checksum(gzip.compress(CSV)), NO_GZIP),
    "cut-before.parquet.gz": (gzip.compress(cut(PARQUET)), NO_PARQUET),
    "cut.json": (cut(ARRAY), CUT_OFF),
    "cut-between.json": (ARRAY[: ARRAY.index(b"}") + 2], CUT_OFF),
    "cut-after-a-comma.json": (ARRAY[: ARRAY.index(b"},") + 3], CUT_OFF),
    "cut-in-a-list.json": (json.dumps([bet(1), bet(2, legs=[{"x": 1}, 2])]).encode()[:-2], CUT_OFF),
    "cut-over-lines.json": (cut(json.dumps(BETS[:9], indent=1).encode()), CUT_OFF),
    "cut-after-damage.json": (cut(ARRAY.replace(b"{", b"{{", 1)), CUT_OFF),
    "cut.json.zst": (zstd(ARRAY)[:-9], NO_ZSTD),
    "cut-in-the-head.csv.zst": (zstd(CSV)[:6], NO_ZSTD),
    "cut-in-the-second-frame.csv.zst": (zstd(CSV) + zstd(CSV)[:-9], NO_ZSTD),
    "followed-by-something.csv.zst": (zstd(CSV) + b"more", NO_ZSTD),
    "half-a-letter.csv": (("\ufeff" + CSV.decode()).encode("utf-16-le")[:-1], "it begins as UTF-16 .*"),
    # Another kind of file behind the extension.
    "text.parquet": (CSV, NO_PARQUET),
    "image.parquet": (PNG, NO_PARQUET),
    "parquet.csv": (PARQUET, "its name says text, but it is a Parquet file"),
    "parquet.json": (PARQUET, "its name says text, but it is a Parquet file"),
    "parquet.csv.gz": (gzip.compress(PARQUET), "its name says text, but it is a Parquet file"),
    "image.csv": (PNG, "its name says text, but it is a PNG image"),
    "archive.jsonl": (ZIP, "its name says text, but it is a zip archive"),
    "twice.csv.gz": (
        gzip.compress(gzip.compress(CSV)),
        "its name says text, but it is a gzip inside another compressed file",
    ),
    "twice.csv.zst": (zstd(gzip.compress(CSV)), "its name says text, but it is a gzip inside another .*"),
    "twice-over.csv.zst": (zstd(zstd(CSV)), "its name says text, but it is a zstd inside another .*"),
    "plain.csv.gz": (CSV, r"its name ends with \.gz, but it is no gzip"),
    "gzip.csv.zst": (gzip.compress(CSV), r"its name ends with \.zst, but it is no zstd"),
    "lines.csv": (LINES, NO_COLUMNS),
    "array.csv": (ARRAY, NO_COLUMNS),
    "table.json": (CSV, NO_OBJECTS),
    "table.jsonl": (CSV, NO_OBJECTS),
    "bytes.csv": (bytes(range(256)), "its name says CSV, but its first line is no text"),
    "bytes.json": (bytes(range(256)), NO_OBJECTS),
    "utf-16-without-its-mark.csv": (CSV.decode().encode("utf-16-le"), "its name says CSV, .* is no text"),
    "one-long-line.csv": (b"x" * 300_000, NO_COLUMNS),
    "one-longer-line.csv": (b"x" * 3_000_000, "its name says CSV, but its first line is no text"),
    "open-quote-in-the-header.csv": (b'"' + CSV, "its first line has a quote that is never closed"),
    # JSON of another shape.
    "wrapped.json": (json.dumps({"data": BETS}).encode(), NO_COLUMNS),
    "wrapped-in-lines.json": (
        json.dumps({"data": [{"x": 1}, {"y": PERSONAL}]}, indent=1).encode(),
        NO_COLUMNS,
    ),
    "arrays.json": (json.dumps([[bet(1)], [bet(2)]]).encode(), NO_OBJECTS),
    "empty-objects.json": (b"{}{}", NO_COLUMNS),
    "empty-object.json": (b"{}", NO_COLUMNS),
    "scalars.jsonl": (b'1\n"joao"\nnull\n', NO_OBJECTS),
    # Columns.
    "no-header.csv": (CSV.partition(b"\n")[2], NO_COLUMNS),
    "without-stake.csv": (CSV.replace(b",stake", b"").replace(b",10.50", b""), STAKE_MISSING),
    "renamed.csv": (CSV.replace(b"stake", b"amount"), STAKE_MISSING),
    "renamed.jsonl": (LINES.replace(b"stake", b"amount"), STAKE_MISSING),
    "renamed.json": (ARRAY.replace(b"stake", b"amount"), STAKE_MISSING),
    "without-stake.parquet": (
        parquet(BETS, {name: TEXT for name in REQUIRED if name != "stake"}),
        STAKE_MISSING,
    ),
    "twice.csv": (
        CSV.replace(b"stake", b"stake,stake").replace(b"10.50", b"10.50,1"),
        "column stake .* more than once",
    ),
    "twice.parquet": (parquet_with_a_column_twice(), "column stake appears more than once"),
}


def test_an_object_that_cannot_be_read_is_set_aside_alone(
    put: Any, capture: Any, captured_rows: Any, clean: Any, store: Any, caplog: pytest.LogCaptureFixture
) -> None:
    for name, (content, _) in UNREADABLE.items():
        put(name, content)
    put("good.csv", csv_text(csv_line(1), csv_line(2)))

    captures = capture()

    found = reasons(captures)
    assert found.keys() == UNREADABLE.keys()
    unlike = {name: why for name, why in found.items() if not re.fullmatch(UNREADABLE[name][1], why)}
    assert unlike == {}
    assert names(captures) == ["good.csv"]
    assert [row["bet_id"] for row in captured_rows(captures)] == ["b1", "b2"]
    assert clean(captures).accepted == captures.extracted == 2
    assert all(
        f"{store.url(f'raw/bets/{name}')} cannot be read and is set aside" in caplog.text for name in found
    )
    assert PERSONAL not in caplog.text + str(found), "a message quotes no data"
    assert not re.search(r"/(tmp|crmbet-)", caplog.text + str(found)), "nor does it name our own files"
    captured = store.list("crmbet/brand=default/captures/")
    markers = [entry.key for entry in captured if entry.key.endswith("_done.json")]
    assert len(markers) == 1, "what was set aside is looked at again by the next run"


def repeated(user_id: Any, schema: Mapping[str, pa.DataType] | None = None, **options: Any) -> bytes:
    """A Parquet file of 20,000 bets of one player, whose id it refers to again and again."""
    rows = [bet(1, user_id=user_id, stake=Decimal(10) if "stake" in (schema or {}) else "10")] * 20_000
    return parquet(rows, {**REQUIRED, **(schema or {})}, compression="zstd", **options)


def bombs() -> dict[str, bytes]:
    bomb = csv_text(*[csv_line(1, user_id=" " * 1000)] * 20_000).encode()
    return {
        "bomb.csv.gz": gzip.compress(bomb),
        "bomb-without-its-ending.csv": gzip.compress(bomb),
        "bomb-in-parts.csv.gz": gzip.compress(bomb[: len(bomb) // 4]) * 5,
        "bomb.csv.zst": zstd(bomb),
        "bomb.json.zst": zstd(json_lines(*[bet(1, user_id=" " * 1000)] * 20_000).encode()),
        "bomb.parquet": parquet(
            [bet(1, user_id=" " * 1000)] * 20_000, REQUIRED, compression="zstd", use_dictionary=False
        ),
        "dictionary.parquet": repeated(" " * 2000),
        "dictionary-of-bytes.parquet": repeated(b"x" * 2000, {"user_id": pa.binary()}),
        "dictionary-of-one-width.parquet": repeated(b"x" * 2000, {"user_id": pa.binary(2000)}),
        "dictionary-of-many-groups.parquet": repeated("x" * 19_000, row_group_size=800),
        "dictionary-in-lists.parquet": repeated(["x" * 2000], {"user_id": pa.list_(pa.string())}),
        "dictionary-to-be-mended.parquet": repeated("x" * 2000, {"stake": pa.decimal256(50, 2)}),
        "prefixes.parquet": repeated(
            "x" * 2000, use_dictionary=False, column_encoding={"user_id": "DELTA_BYTE_ARRAY"}
        ),
        "bomb.parquet.gz": gzip.compress(parquet([bet(1, x="")] * 2 + [bet(2)], REQUIRED) + bomb),
    }


@pytest.mark.full
def test_a_bomb_is_set_aside_alone(put: Any, capture: Any, captured_rows: Any) -> None:
    files = bombs()
    for name, content in files.items():
        assert len(content) < 200_000
        put(name, content)
    put("good.csv", csv_text(csv_line(1)))

    captures = capture()

    found = reasons(captures)
    assert found.keys() == files.keys()
    assert all("unpack to more than 200 times as many" in why for why in found.values()), found
    assert names(captures) == ["good.csv"]
    put("bomb.csv.gz", files["bomb.csv.gz"])
    assert capture(settings={"max_unpacked_ratio": 1_000_000, "max_unpacked_size": "20MB"}).unreadable
    wide = capture(settings={"max_unpacked_ratio": 1_000_000})
    assert {*reasons(wide)} <= {"bomb.parquet.gz"}, "that is no Parquet file"


def test_short_words_are_repeated_as_often_as_a_file_likes(put: Any, capture: Any) -> None:
    put("words.parquet", parquet([bet(1, user_id="x" * 900)] * 20_000, REQUIRED, compression="zstd"))

    captures = capture()

    assert not captures.unreadable
    assert captures.extracted == 20_000


def test_small_objects_with_long_repeated_texts_are_set_aside(put: Any, capture: Any) -> None:
    for number in range(3):
        rows = [bet(1, user_id=" " * 1000 + str(number))] * 20_000
        put(f"{number}.parquet", parquet(rows, REQUIRED, compression="zstd"))
    put("good.csv", csv_text(csv_line(1)))

    assert reasons(capture()).keys() == {"0.parquet", "1.parquet", "2.parquet"}


def test_a_disk_that_fills_up_blames_no_object(
    put: Any, capture: Any, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("bets.csv.gz", gzip.compress(CSV))
    download = store.download

    def onto_a_full_disk(entry: StoredObject, path: Path) -> None:
        download(entry, path)
        path.with_suffix(".unpacked").symlink_to("/dev/full")

    monkeypatch.setattr(store, "download", onto_a_full_disk)
    with pytest.raises(TemporaryFailure, match=r"No space left.*CRMBET_SPILL_DIRECTORY"):
        capture()

    monkeypatch.undo()
    assert not capture().unreadable


def test_if_no_object_of_a_required_feed_can_be_read_the_run_stops_at_the_first(
    put: Any, capture: Any, bucket: str
) -> None:
    for name in ("c.csv", "a.csv", "b.csv"):
        put(name, csv_text(csv_line(1), header=HEADER.replace("stake", f"stake_{name[0]}")))

    with pytest.raises(SourceUnreadable) as failure:
        capture()

    message = str(failure.value)
    assert "no object of the feed bets can be read" in message
    assert f"Where: s3://{bucket}/raw/bets/a.csv." in message
    assert (
        "column stake is missing; it has the columns bet_id, user_id, placed_at, game_type, stake_a"
        in message
    )
    assert "deliver it again" in message
    assert not isinstance(failure.value, TemporaryFailure)


def test_an_unreadable_new_version_leaves_what_the_object_held_before(
    put: Any, capture: Any, captured_rows: Any
) -> None:
    key = put("a.csv", csv_text(csv_line(1), csv_line(2)))
    put("b.csv", csv_text(csv_line(3)))
    before = capture()
    put("a.csv", gzip.compress(b"something else")[:-4])

    after = capture()

    assert after.captures == before.captures
    assert [entry.chunk for entry in after.unreadable] == [key]
    assert after.touched_days == []
    assert [row["bet_id"] for row in captured_rows(after)] == ["b1", "b2", "b3"]
    assert reasons(capture()) == reasons(after), "every run says so, until it is mended"

    put("a.csv", csv_text(csv_line(1), csv_line(2, stake="11")))
    mended = capture()

    assert not mended.unreadable
    assert [row["stake"] for row in captured_rows(mended)] == ["10.50", "11", "10.50"]


def test_a_worker_short_of_memory_blames_no_object(
    put: Any, capture: Any, engine: duckdb.DuckDBPyConnection
) -> None:
    put("bets.parquet", PARQUET)
    (before,) = engine.execute("SELECT current_setting('memory_limit')").fetchone() or ()
    engine.execute("SET GLOBAL memory_limit = '1MB'")
    try:
        with pytest.raises(duckdb.OutOfMemoryException):
            capture()
    finally:
        engine.execute(f"SET GLOBAL memory_limit = '{before}'")

    assert not capture().unreadable


def long_rows(rows: int, letters: int) -> list[dict[str, str]]:
    """Bets with an id that does not compress."""
    return [bet(number, session_id=os.urandom(letters // 2).hex()) for number in range(rows)]


@pytest.mark.full
def test_an_object_that_needs_more_memory_than_there_is_is_set_aside_alone(
    put: Any, capture: Any, engine: duckdb.DuckDBPyConnection, captured_rows: Any
) -> None:
    rows = long_rows(40_000, 2_000)
    schema = REQUIRED | {"session_id": TEXT}
    put(
        "large.parquet",
        parquet(rows, schema, use_dictionary=False, data_page_size=1 << 30, row_group_size=1 << 20),
    )
    put("a.csv", csv_text(csv_line(1), csv_line(2)))
    put("b.parquet", parquet([bet(3)]))
    (memory,) = engine.execute("SELECT current_setting('memory_limit')").fetchone() or ()
    threads = engine.execute("SELECT current_setting('threads')").fetchone()
    engine.execute("SET GLOBAL memory_limit = '200MB'")
    try:
        captures = capture()
    finally:
        engine.execute(f"SET GLOBAL memory_limit = '{memory}'")

    found = reasons(captures)
    assert "it needs more memory than CRMBET_MEMORY_LIMIT" in found["large.parquet"]
    assert "deliver it in smaller files or row groups, or raise the limit" in found["large.parquet"]
    assert [row["bet_id"] for row in captured_rows(captures)] == ["b1", "b2", "b3"]
    assert names(captures) == ["a.csv", "b.parquet"]
    assert engine.execute("SELECT current_setting('threads')").fetchone() == threads
    assert "large.parquet" in names(capture()), "with more memory it is read"


def test_an_object_for_which_memory_was_short_once_is_read_alone(
    put: Any, capture: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "SMALL_SIZE", 0)
    for number in range(4):
        put(f"{number}.csv", csv_text(csv_line(number)))
    convert = lake._Capturing._convert
    alone: list[int] = []

    def short_of_memory(self: Any, connection: Any, local: Path, entry: StoredObject) -> Any:
        (threads,) = connection.execute("SELECT current_setting('threads')").fetchone()
        if entry.key.endswith("2.csv") and not alone:
            alone.append(threads)
            raise duckdb.OutOfMemoryException("busy")
        if entry.key.endswith("2.csv"):
            alone.append(threads)
        return convert(self, connection, local, entry)

    monkeypatch.setattr(lake._Capturing, "_convert", short_of_memory)

    captures = capture()

    assert names(captures) == ["0.csv", "1.csv", "2.csv", "3.csv"]
    assert not captures.unreadable
    assert alone[1] == 1


def test_a_full_disk_of_the_worker_blames_no_object(
    put: Any, capture: Any, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("bets.parquet", PARQUET)
    download = store.download

    def onto_a_full_disk(entry: StoredObject, path: Path) -> None:
        download(entry, path)
        path.with_name("written.parquet").symlink_to("/dev/full")

    monkeypatch.setattr(store, "download", onto_a_full_disk)
    with pytest.raises(duckdb.IOException, match="No space left"):
        capture()

    monkeypatch.undo()
    assert not capture().unreadable


def test_an_optional_feed_of_which_nothing_can_be_read_is_left_to_the_gate(
    put: Any, capture: Any, clean: Any
) -> None:
    sessions = load_source_contracts()["sessions"]
    key = put("a.csv.gz", b"no gzip", feed="sessions")

    captures = capture(sessions)

    assert ([entry.chunk for entry in captures.unreadable], captures.captures) == ([key], [])
    assert clean(captures, sessions).accepted == 0


# Objects that change while they are read --------------------------------------------------------------------------


class Obedient:
    """A client of a server that obeys If-Match, as S3 does; the tests' server does not."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.meta = client.meta

    def get_object(self, **request: Any) -> Any:
        answer = self._client.get_object(**request)
        if answer["ETag"].strip('"') != request["IfMatch"]:
            raise ClientError({"Error": {"Code": "PreconditionFailed"}}, "GetObject")
        return answer


@pytest.mark.parametrize("client_of", [lambda client: client, Obedient], ids=["no If-Match", "If-Match"])
def test_an_object_that_was_replaced_after_the_listing_is_not_read(
    client: Any, bucket: str, put: Any, delete: Any, tmp_path: Path, client_of: Callable[[Any], Any]
) -> None:
    key = put("a.csv", csv_text(csv_line(1)))
    reader = ObjectStore(client_of(client), bucket)
    (listed,) = ObjectStore(client, bucket).list(key)
    reader.download(listed, tmp_path / "same")
    assert (tmp_path / "same").read_text() == csv_text(csv_line(1))

    changes: list[Callable[[], Any]] = [lambda: put("a.csv", csv_text(csv_line(2))), lambda: delete(key)]
    for change in changes:
        change()
        with pytest.raises(SourceChanged) as failure:
            reader.download(listed, tmp_path / "other")
        assert isinstance(failure.value, TemporaryFailure)
        assert f"s3://{bucket}/{key}" in str(failure.value)
        assert "retries by itself" in str(failure.value)


class Stale(ObjectStore):
    """A store that lists what was there a moment ago."""

    listed: tuple[StoredObject, ...] = ()

    def list(self, prefix: str) -> Iterator[StoredObject]:
        return iter(self.listed) if prefix.startswith("raw/") else super().list(prefix)


def test_a_run_that_meets_a_replaced_object_fails_to_be_tried_again(
    client: Any, bucket: str, engine: Any, put: Any, capture: Any, make_run: Any, contract: Any
) -> None:
    put("a.csv", csv_text(csv_line(1)))
    put("b.csv", csv_text(csv_line(2)))
    stale = Stale(client, bucket)
    stale.listed = tuple(ObjectStore(client, bucket).list("raw/bets/"))
    put("b.csv", csv_text(csv_line(2), csv_line(3)))

    with pytest.raises(SourceChanged, match=r"raw/bets/b\.csv"):
        capture_feed(Work(run=make_run(), store=stale, connection=engine), contract)

    retried = capture()
    assert [captured.extracted for captured in retried.captures] == [1, 2]
    assert not retried.unreadable


# Damaged CSV records -----------------------------------------------------------------------------------------------

BROKEN_FIELD = '"first, with a comma\nsecond ""quoted""\n\nfourth"'


def plain(number: int) -> str:
    return csv_line(number, user_id=f"u{number}")


def with_line_breaks(number: int) -> str:
    return csv_line(number, user_id=BROKEN_FIELD if number % 3 == 0 else f'"u{number}"')


def with_blanks(number: int) -> str:
    """Quoted blanks, at which the engine's parser opens a quote anew."""
    return csv_line(number, user_id=f"u{number}", game_type='" "' if number % 5 == 0 else '""')


def opened(number: int) -> str:
    return csv_line(number, user_id=f'"u{number}')


def closed(number: int) -> str:
    return csv_line(number, stake='10.50"')


Damage = dict[int, tuple[str, list[str]]]
"""Number of a record to the text in its place, and the reasons for which its lines are set aside."""

Fate = tuple[str | None, str | None]
"""The bet that was captured, or why it was not."""


def damages(last: int) -> dict[str, tuple[Callable[[int], str], Damage]]:
    """Kinds of files of so many records, by name: their good records, and what is wrong with others."""
    middle = last // 2
    never = {number: (opened(number), [NEVER_CLOSED]) for number in (1, middle, last)}
    return {
        "start": (plain, {1: never[1]}),
        "middle": (plain, {middle: never[middle]}),
        "end": (plain, {last: never[last]}),
        "in-the-last-field": (plain, {middle: (csv_line(middle, stake='"10.50'), [NEVER_CLOSED])}),
        "alone": (plain, {middle: ('"', [NEVER_CLOSED])}),
        "two": (
            plain,
            {middle: (opened(middle), [AFTER_QUOTE]), middle + 500: (opened(middle + 500), [NEVER_CLOSED])},
        ),
        "a-thousand": (
            plain,
            {number: (opened(number), [AFTER_QUOTE]) for number in range(1, last - 1, last // 1000 or 1)}
            | {last: never[last]},
        ),
        "quote-in-a-field": (
            plain,
            {middle: (csv_line(middle, user_id='u"1"'), []), 9: (csv_line(9, user_id='5"'), [])},
        ),
        "among-line-breaks": (with_line_breaks, {middle // 3 * 3 + 1: (opened(middle), [AFTER_QUOTE])}),
        "line-breaks-at-the-end": (with_line_breaks, {last: (opened(last), [NEVER_CLOSED])}),
        "among-blanks": (
            with_blanks,
            {6: (opened(6), [AFTER_QUOTE]), 31: (csv_line(31, user_id='u31"'), [])},
        ),
        "a-broken-field-cut-off": (
            with_line_breaks,
            {
                7: (
                    csv_line(7, user_id=BROKEN_FIELD[:-1]),
                    [
                        AFTER_QUOTE,
                        "malformed record: 1 fields instead of 5",
                        "malformed record: 4 fields instead of 5",
                    ],
                )
            },
        ),
        "too-few-and-too-many": (
            plain,
            {
                1: ("b1,u1", ["malformed record: 2 fields instead of 5"]),
                middle: (plain(middle) + ",surplus", ["malformed record: 6 fields instead of 5"]),
                last: ("x", ["malformed record: 1 fields instead of 5"]),
            },
        ),
        "a-carriage-return": (
            plain,
            {
                middle: (
                    csv_line(middle, user_id="u\r1"),
                    ["malformed record: 2 fields instead of 5", "malformed record: 4 fields instead of 5"],
                )
            },
        ),
        "a-nul": (plain, {middle: (csv_line(middle, user_id="u\x001"), [NO_TEXT])}),
        "a-control-character": (plain, {middle: (csv_line(middle, user_id="u\x011"), [NO_TEXT])}),
        "text-after-a-quote": (plain, {middle: (csv_line(middle, user_id='"u"1'), [AFTER_QUOTE])}),
    }


def damaged(last: int, good: Callable[[int], str], damage: Damage) -> tuple[str, list[Fate]]:
    """A file of records 1 to `last`, and what has to become of each record in it."""
    lines: list[str] = []
    fates: list[Fate] = []
    for number in range(1, last + 1):
        text, whys = damage.get(number, (good(number), []))
        lines.append(text)
        fates += [(None, why) for why in whys] or [(f"b{number}", None)]
    return csv_text(*lines), fates


@pytest.mark.parametrize("last", [2_000, pytest.param(200_000, marks=pytest.mark.full)])
def test_a_damaged_csv_record_loses_nothing_but_itself(
    put: Any, capture: Any, captured_rows: Any, clean: Any, last: int
) -> None:
    expected = {}
    for name, (good, damage) in damages(last).items():
        text, fates = damaged(last, good, damage)
        expected[put(f"{name}.csv", text)] = fates

    captures = capture()

    assert not captures.unreadable
    assert {captured.chunk: captured.extracted for captured in captures.captures} == {
        key: len(fates) for key, fates in expected.items()
    }
    found: dict[str, list[Fate]] = {}
    places: dict[str, list[int]] = {}
    for row in captured_rows(captures):
        found.setdefault(row["_source_key"], []).append((row["bet_id"], row["_reject"]))
        places.setdefault(row["_source_key"], []).append(row["_row"])
    unlike = {
        key: [pair for pair in zip(fates, found[key], strict=True) if pair[0] != pair[1]]
        for key, fates in expected.items()
    }
    assert not any(unlike.values()), unlike
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in places.values())
    quarantined = clean(captures).quarantined
    for why, rows in Counter(why for fates in expected.values() for _, why in fates if why).items():
        assert quarantined[f"record: {why}"] == rows


@pytest.mark.full
def test_two_open_quotes_among_50_000_records(put: Any, capture: Any, engine: Any, store: Any) -> None:
    text, fates = damaged(50_000, *damages(50_000)["two"])
    put("part.csv", text)

    (captured,) = capture().captures

    assert captured.extracted == 50_000
    rows = engine.execute(
        f"SELECT bet_id, _reject FROM '{store.url(captured.files[0])}' ORDER BY _row"
    ).fetchall()
    assert rows == fates


def test_values_under_the_wrong_name_are_quarantined_and_counted(put: Any, capture: Any, clean: Any) -> None:
    swapped = csv_text(*(csv_line(number, placed_at="10.50", stake="2026-08-10") for number in range(5)))
    put("a.csv", swapped)
    put("b.csv", csv_text(csv_line(9), ",,,,"))

    cleaned = clean(capture())

    assert (cleaned.accepted, cleaned.extracted) == (1, 7)
    assert cleaned.quarantined == {"bet_id: missing": 1, "placed_at: unreadable": 5}


# Damaged JSON records -----------------------------------------------------------------------------------------------


def test_a_damaged_json_record_loses_nothing_but_itself(
    put: Any, capture: Any, captured_rows: Any, clean: Any
) -> None:
    twice = json.dumps(bet(0))[:-1] + ', "stake": "99"}'
    half = json.dumps(bet(0, user_id="u\ud800"))
    bad = {
        '{"bet_id": "b0", "stake":': NO_OBJECT,
        json.dumps(bet(0)).replace('"', "'"): NO_OBJECT,
        "[1, 2]": NO_OBJECT,
        "null": NO_OBJECT,
        csv_line(0): NO_OBJECT,
        "9001,4711,slots": NO_OBJECT,
        half: HALF_A_PAIR,
        twice: "a name appears more than once",
        json.dumps(bet(0, user_id="u\x00")): NO_TEXT,
        "\x00\x01": NO_TEXT,
        "[" * 100_000: NO_OBJECT,
        '{"bet_id":' * 10_000: NO_OBJECT,
    }
    unsized = {twice, json.dumps(bet(0, user_id="u\x00"))}
    lines: list[Any] = []
    for number, text in enumerate(bad, start=1):
        lines += [text, bet(number), "", bet(number + 100, stake=10.5, payout={"amount": 1})]
    put("a.jsonl", json_lines(*lines))
    array = [bet(1), None, 3, "x", [bet(0)], bet(2, user_id=["u1"], game_type={"name": "slots"})]
    put("b.json", json.dumps(array)[:-1] + f", {twice}]")

    captures = capture()

    assert not captures.unreadable
    sized = {text: why if text in unsized else of_size(why, text) for text, why in bad.items()}
    expected = [
        (place, sized[line] if isinstance(line, str) else line["bet_id"])
        for place, line in enumerate(lines, start=1)
        if line
    ]
    in_array = [json.dumps(value) for value in array[1:5]]
    expected += enumerate(
        ["b1", *(of_size(NO_OBJECT, text) for text in in_array), "b2", sized[twice]], start=1
    )
    assert [(row["_row"], row["_reject"] or row["bet_id"]) for row in captured_rows(captures)] == expected
    assert [captured.set_aside for captured in captures.captures] == [
        sum(len(text) for text in bad if text not in unsized),
        sum(map(len, in_array)),
    ]
    cleaned = clean(captures)
    assert cleaned.extracted == 3 * len(bad) + 7
    assert cleaned.quarantined[f"record: {NO_OBJECT}"] == 8 + 4


def test_parquet_text_with_a_nul_is_set_aside_since_no_database_takes_it(
    put: Any, capture: Any, captured_rows: Any, clean: Any
) -> None:
    put("part.parquet", parquet([bet(1), bet(2, user_id="u\x002"), bet(3)]))

    captures = capture()

    assert [row["_reject"] for row in captured_rows(captures)] == [None, NO_TEXT, None]
    assert clean(captures).quarantined == {f"record: {NO_TEXT}": 1}


def test_parquet_values_of_another_type_are_quarantined_one_by_one(
    put: Any, put_parquet: Any, capture: Any, clean: Any
) -> None:
    put_parquet(
        "a.parquet",
        [bet(1, stake=None), bet(2, stake=float("nan")), bet(3, stake=1.25)],
        REQUIRED | {"stake": pa.float64()},
    )
    put_parquet("b.parquet", [bet(4, stake="many"), bet(5)], REQUIRED)

    cleaned = clean(capture())

    assert (cleaned.accepted, cleaned.extracted) == (2, 5)
    assert cleaned.quarantined == {"stake: missing": 2, "stake: unreadable": 1}


@pytest.mark.few(2)
@pytest.mark.parametrize("doubles", now(pa.float64(), full=[pa.float32()]))
@pytest.mark.parametrize("column", ["payout", "rtp", "is_bonus", "ingested_at", "device_type"])
def test_a_nan_in_a_column_of_doubles_is_no_value(
    put_parquet: Any, capture: Any, clean: Any, column: str, doubles: pa.DataType
) -> None:
    put_parquet(
        "a.parquet",
        [bet(1, **{column: float("nan")}), bet(2, **{column: None})],
        REQUIRED | {column: doubles},
    )

    cleaned = clean(capture())

    assert (cleaned.accepted, cleaned.quarantined, cleaned.discarded) == (2, {}, {})


# Very long lines -----------------------------------------------------------------------------------------------------


def long_csv(size: int, letter: str = "x") -> Iterator[bytes]:
    yield csv_text(*map(csv_line, range(1, 1001))).encode()
    yield b'b0,"'
    for _ in range(size >> 20):
        yield letter.encode("latin-1") * (1 << 20)
    yield b'",2026-08-10T12:00:00Z,slots,10.50\n'
    yield csv_text(*map(csv_line, range(1001, 2001))).partition("\n")[2].encode()


def long_json(size: int) -> Iterator[bytes]:
    yield json_lines(*map(bet, range(1, 1001))).encode()
    yield b'{"bet_id": "'
    for _ in range(size >> 20):
        yield b"x" * (1 << 20)
    yield b'"}\n'
    yield json_lines(*map(bet, range(1001, 2001))).encode()


@pytest.mark.full
def test_a_line_that_is_too_long_loses_nothing_but_itself(
    put: Any, capture: Any, captured_rows: Any, clean: Any
) -> None:
    size = 2 << 20
    put("a.csv", b"".join(long_csv(size)))
    put("b.csv", b"".join(long_csv(size, letter="ã")))
    put("c.jsonl", b"".join(long_json(size)))
    put("d.json", b"[" + b",".join(b"".join(long_json(size)).splitlines()) + b"]")

    captures = capture()

    assert [captured.extracted for captured in captures.captures] == [2001] * 4
    assert [
        (row["_source_key"], row["_row"], row["_reject"]) for row in captured_rows(captures) if row["_reject"]
    ] == [
        ("raw/bets/a.csv", 1001, TOO_LONG),
        ("raw/bets/b.csv", 1001, TOO_LONG),
        ("raw/bets/c.jsonl", 1001, f"{TOO_LONG} ({size + len(json.dumps({'bet_id': ''}))} bytes)"),
    ], "an element of an array may be as long as that"
    assert [captured.set_aside // size for captured in captures.captures] == [1, 2, 1, 0]
    cleaned = clean(captures)
    assert cleaned.quarantined == {f"record: {TOO_LONG}": 3, "bet_id: too long": 1}


@pytest.mark.full
@pytest.mark.parametrize(("name", "write"), [("part.csv", long_csv), ("part.jsonl", long_json)])
def test_a_line_of_100_mb_takes_little_memory(
    client: Any, bucket: str, tmp_path: Path, name: str, write: Callable[[int], Iterator[bytes]]
) -> None:
    large = tmp_path / name
    with large.open("wb") as file:
        file.writelines(write(100 << 20))
    client.upload_file(str(large), bucket, f"raw/bets/{name}")

    done = subprocess.run(
        [sys.executable, "-m", "tests.integration.extract.measured_capture"],
        env=os.environ | {"PYTHONPATH": str(PROJECT / "plugins")},
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )

    measured = json.loads(done.stdout)
    [(why, rows)] = measured["rejects"].items()
    assert (why.startswith(TOO_LONG), rows) == (True, 1)
    assert measured["extracted"] == 2001
    assert measured["grown_mib"] < 300
