"""A lake in a folder: captured rows of text, as cleaning finds them, without S3."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import duckdb
import pyarrow as pa

from crmbet.clean.clean import clean_source
from crmbet.clean.records import CleanedSource
from crmbet.contracts.instants import event_instant, known_instant
from crmbet.contracts.source import SourceContract
from crmbet.databases.parquet import scan, write_file
from crmbet.databases.statements import Fragment, identifier, joined, literal, render
from crmbet.databases.work import Work
from crmbet.databases.zones import zone_shifts
from crmbet.datasets import segments
from crmbet.extract.records import UNDATED, Capture, DayCount, SourceCaptures
from crmbet.failures import SourceMissing
from crmbet.run.run import Run
from crmbet.storage.layout import attempt_name
from crmbet.storage.object_store import ObjectStore, StoredObject

CAPTURED_AT = datetime(2026, 1, 1, tzinfo=UTC)


@cache
def _client() -> Any:
    return boto3.client("s3", region_name="eu-west-1")


class FolderStore(ObjectStore):
    """The core's view of a bucket, over a folder."""

    def __init__(self, folder: Path) -> None:
        # A client that sends nothing: the store counts the requests of its client.
        super().__init__(_client(), folder.name)
        self.folder = folder

    def url(self, key: str) -> str:
        return str(self.path(key))

    def path(self, key: str) -> Path:
        path = self.folder / key
        # A bucket needs no folders, a disk does.
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def list(self, prefix: str) -> Iterator[StoredObject]:
        for path in sorted((self.folder / prefix.rpartition("/")[0]).rglob("*")):
            key = str(path.relative_to(self.folder))
            if path.is_file() and key.startswith(prefix):
                yield StoredObject(key=key, etag="", size=path.stat().st_size, last_modified=CAPTURED_AT)

    def read(self, key: str) -> bytes | None:
        path = self.folder / key
        return path.read_bytes() if path.exists() else None

    def write(self, key: str, content: bytes, content_type: str = "") -> None:  # noqa: ARG002 - a disk has none
        self.path(key).write_bytes(content)

    def fetch(self, key: str, path: Path) -> None:
        if not (self.folder / key).exists():
            raise SourceMissing("an object is not there any more", where=key)
        shutil.copyfile(self.folder / key, path)

    def upload(self, path: Path, key: str) -> None:
        shutil.copyfile(path, self.path(key))

    def move(self, key: str, to: str) -> None:
        with suppress(FileNotFoundError):
            self.path(key).rename(self.path(to))


def capture(
    connection: duckdb.DuckDBPyConnection,
    store: ObjectStore,
    run: Run,
    contract: SourceContract,
    rows: Sequence[Mapping[str, str | None]],
    chunk: str = "raw/feed/a.csv",
    modified_at: datetime = CAPTURED_AT,
) -> Capture:
    """One captured object. A row may have `_reject`, as the parser gives it."""
    names = ("_reject", *contract.columns)
    given = [{"_row": number, **dict.fromkeys(names), **row} for number, row in enumerate(rows, start=1)]
    schema = pa.schema([("_row", pa.int64()), *((name, pa.string()) for name in names)])
    connection.register("given", pa.Table.from_pylist(given, schema))
    happened, known = event_instant(contract, {}), known_instant(contract, {})
    query = render(
        "extract/place_rows",
        rows=Fragment("SELECT * FROM given"),
        source_key=Fragment(f"{literal(chunk)} AS _source_key,"),
        spelled=happened.spelled,
        event_time=happened.value,
        zone=literal(run.settings.operator_timezone),
        shifts=zone_shifts(run.settings.operator_timezone),
        earliest=Fragment(f"DATE {literal(contract.earliest.isoformat())}"),
    )
    key = f"{run.layout.capture(contract.name, chunk.replace('/', '-')).prefix}{attempt_name()}.parquet"
    key, _ = write_file(Work(run=run, store=store, connection=connection), key, query)
    connection.unregister("given")
    contents = joined([identifier(name) for name in contract.columns])
    days = connection.execute(
        f"SELECT _day, count(*), sum(hash({contents})::HUGEINT)::VARCHAR, max({known.value}) "
        f"FROM (SELECT *, {known.spelled} AS _spelled FROM {scan(store, [key])}) GROUP BY _day"
    ).fetchall()
    return Capture(
        source=contract.name,
        chunk=chunk,
        digest=chunk.replace("/", "-"),
        files=[key],
        extracted=len(rows),
        days={
            day.isoformat() if day else UNDATED: DayCount(rows=count, fingerprint=fingerprint)
            for day, count, fingerprint, _ in days
        },
        latest_known_time=max((known.replace(tzinfo=UTC) for *_, known in days if known), default=None),
        source_modified_at=modified_at,
        captured_at=CAPTURED_AT,
        made_at=CAPTURED_AT,
    )


def clean(
    connection: duckdb.DuckDBPyConnection,
    store: ObjectStore,
    run: Run,
    contract: SourceContract,
    *captures: Capture,
) -> CleanedSource:
    """What cleaning makes of captures."""
    return clean_source(
        Work(run=run, store=store, connection=connection), contract, SourceCaptures(captures=list(captures))
    )


def accepted_rows(
    connection: duckdb.DuckDBPyConnection, store: ObjectStore, cleaned: CleanedSource
) -> list[dict[str, Any]]:
    """The rows that were accepted, as they were written."""
    return _rows(connection, segments.rows_of_days(store, cleaned.days))


def quarantined_rows(
    connection: duckdb.DuckDBPyConnection, store: ObjectStore, cleaned: CleanedSource
) -> list[dict[str, Any]]:
    """The rows in quarantine, as they were written."""
    return _rows(connection, segments.quarantined_rows(store, cleaned.quarantined_days))


def _rows(connection: duckdb.DuckDBPyConnection, found: Fragment | None) -> list[dict[str, Any]]:
    if not found:
        return []
    rows = connection.sql(f"FROM {found}")
    return [dict(zip(rows.columns, row, strict=True)) for row in rows.fetchall()]
