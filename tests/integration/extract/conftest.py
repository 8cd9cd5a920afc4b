"""A bucket to deliver feeds into, runs that capture them, and a look at what was captured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import boto3
import duckdb
import pyarrow as pa
import pytest
from botocore.config import Config

from crmbet.clean.clean import clean_source
from crmbet.clean.records import CleanedSource
from crmbet.contracts.files import load_source_contracts
from crmbet.contracts.source import SourceContract
from crmbet.databases.duckdb import LakeAccess, open_engine
from crmbet.databases.parquet import scan
from crmbet.databases.work import Work
from crmbet.extract.captured import captured_rows as rows_of_captures
from crmbet.extract.lake import capture_feed
from crmbet.extract.records import SourceCaptures
from crmbet.run.params import RunParams
from crmbet.run.run import Run
from crmbet.run.settings import Settings
from crmbet.run.window import Window, midnight
from crmbet.storage.object_store import PARALLEL_REQUESTS, ObjectStore
from local.credentials import credentials
from local.object_store import REGION
from tests.integration.extract.deliveries import Row, parquet

AS_OF = date(2026, 8, 12)
FIRST_RUN = datetime(2026, 8, 12, 6, tzinfo=UTC)


@pytest.fixture(scope="module")
def engine(services: Any) -> Iterator[duckdb.DuckDBPyConnection]:
    """The data engine, with access to the tests' S3."""
    keys = credentials(services.workspace)
    lake = LakeAccess(
        region=REGION,
        access_key=keys.access_key_id,
        secret_key=keys.secret_access_key,
        endpoint_url=services.object_store.endpoint,
    )
    with open_engine(Settings.of(lake_bucket="unused", threads=1), lake) as connection:
        yield connection


@pytest.fixture(scope="session")
def client(services: Any) -> Any:
    keys = credentials(services.workspace)
    return boto3.client(
        "s3",
        endpoint_url=services.object_store.endpoint,
        region_name=REGION,
        aws_access_key_id=keys.access_key_id,
        aws_secret_access_key=keys.secret_access_key,
        config=Config(
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            max_pool_connections=PARALLEL_REQUESTS,
        ),
    )


@pytest.fixture
def store(client: Any, bucket: str) -> ObjectStore:
    return ObjectStore(client, bucket)


@pytest.fixture
def put(store: ObjectStore) -> Callable[..., str]:
    """Delivers an object into the bets feed, or another; returns its key."""

    def deliver(name: str, content: bytes | str, feed: str = "bets") -> str:
        key = f"raw/{feed}/{name}"
        store.write(key, content.encode() if isinstance(content, str) else content)
        return key

    return deliver


@pytest.fixture
def put_parquet(put: Callable[..., str]) -> Callable[..., str]:
    """Delivers rows as a Parquet file whose columns, and their types, are those of the schema."""

    def deliver(name: str, rows: Sequence[Row], schema: Mapping[str, pa.DataType], feed: str = "bets") -> str:
        return put(name, parquet(rows, schema), feed)

    return deliver


@pytest.fixture
def delete(client: Any, bucket: str) -> Callable[[str], None]:
    def remove(key: str) -> None:
        client.delete_object(Bucket=bucket, Key=key)

    return remove


@pytest.fixture
def contract() -> SourceContract:
    return load_source_contracts()["bets"]


@pytest.fixture
def make_run(bucket: str) -> Callable[..., Run]:
    """Makes runs, each an hour after the one before, with params and settings by name."""
    number = 0

    def make(*, settings: Mapping[str, Any] | None = None, **params: Any) -> Run:
        nonlocal number
        # Several processes share the processors.
        chosen = Settings.of(**{"lake_bucket": bucket, "threads": 1, **(settings or {})})
        run = Run(
            run_id=f"manual__{number}",
            window=Window(as_of_date=AS_OF, as_of=midnight(AS_OF, chosen.zone)),
            known_at=FIRST_RUN + number * timedelta(hours=1),
            params=RunParams(**params),
            settings=chosen,
        )
        number += 1
        return run if run.params.known_at is None else replace(run, known_at=_instant(run.params.known_at))

    return make


@pytest.fixture
def capture(
    engine: duckdb.DuckDBPyConnection,
    store: ObjectStore,
    make_run: Callable[..., Run],
    contract: SourceContract,
) -> Callable[..., SourceCaptures]:
    """Captures the bets feed, or that of another contract, in a run of its own."""

    def run(of: SourceContract = contract, **options: Any) -> SourceCaptures:
        captured = capture_feed(Work(run=make_run(**options), store=store, connection=engine), of)
        assert captured is not None
        return captured

    return run


@pytest.fixture
def captured_rows(
    engine: duckdb.DuckDBPyConnection, store: ObjectStore
) -> Callable[[SourceCaptures], list[Row]]:
    """What was captured, in the order of the files it came from."""

    def read(captures: SourceCaptures) -> list[Row]:
        filled = [capture for capture in captures.captures if capture.files]
        if not filled:
            return []
        shared = any(capture.chunks_in_files > 1 or capture.part for capture in filled)
        # The engine reads all files of a scan as the types of the first.
        source = (
            rows_of_captures(store, filled)
            if shared
            else scan(store, [key for capture in filled for key in capture.files])
        )
        rows = engine.sql(f"FROM {source} ORDER BY _source_key, _row")
        return [dict(zip(rows.columns, row, strict=True)) for row in rows.fetchall()]

    return read


@pytest.fixture
def clean(
    engine: duckdb.DuckDBPyConnection,
    store: ObjectStore,
    make_run: Callable[..., Run],
    contract: SourceContract,
) -> Callable[..., CleanedSource]:
    """Cleans captures of the bets feed, or of another contract, and sees that every record is accounted for."""

    def run(captures: SourceCaptures, of: SourceContract = contract) -> CleanedSource:
        cleaned = clean_source(Work(run=make_run(), store=store, connection=engine), of, captures)
        left = cleaned.accepted + cleaned.duplicates + sum(cleaned.quarantined.values())
        assert left + sum(cleaned.outside.values()) == cleaned.extracted == captures.extracted
        return cleaned

    return run


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.fixture
def mapped(contract: SourceContract) -> Callable[..., SourceContract]:
    """The contract of a source with other names in the source."""

    def change(**source_names: Any) -> SourceContract:
        described = contract.model_dump()
        for name, given in source_names.items():
            described["columns"][name]["source_name"] = given
        return SourceContract.model_validate(described)

    return change
