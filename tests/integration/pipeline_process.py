"""Runs of the pipeline's core in processes of their own, which can be killed.

A run is extract to engineer_features on real S3 and PostgreSQL, without Airflow, in a child of a server process that
has imported everything and opened nothing: starting one takes milliseconds. `kill_at` sends SIGKILL before the n-th
object is written, so that a test can die at every point that matters.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from io import BytesIO
from itertools import count
from multiprocessing.process import BaseProcess
from operator import methodcaller
from pathlib import Path
from typing import Any

import boto3
import psycopg2
from botocore.config import Config
from pyarrow.parquet import read_table

from crmbet.clean.clean import clean_shard_of_source, clean_source
from crmbet.clean.records import CleanManifest
from crmbet.contracts.erased_players import NOBODY, ErasedPlayers
from crmbet.contracts.files import load_source_contracts, load_table_contract
from crmbet.databases.duckdb import LakeAccess, attach_postgres, open_engine
from crmbet.databases.work import Work
from crmbet.datasets import segments
from crmbet.erasure.rewriting import rewrite_store
from crmbet.extract.lake import capture_feed, capture_shard_of_feed
from crmbet.extract.postgres import SOURCE, capture_relation, capture_shard_of_relation
from crmbet.extract.records import ExtractManifest
from crmbet.features import engineer
from crmbet.features.knowledge import Knowledge
from crmbet.features.player_parts import PlayerParts
from crmbet.features.records import FeatureManifest
from crmbet.run.params import RunParams
from crmbet.run.records import read_manifest, write_manifest
from crmbet.run.run import Run
from crmbet.run.settings import Settings
from crmbet.run.shards import Shard
from crmbet.run.window import Window, midnight
from crmbet.storage.object_store import PARALLEL_REQUESTS, ObjectStore

Cells = dict[str, dict[str, Any]]
"""User to feature to value."""

STARTED = datetime(2026, 1, 1, tzinfo=UTC)

TABLE = """
CREATE TABLE tbl_transactions (
    transaction_id uuid PRIMARY KEY, user_id varchar(50) NOT NULL, amount decimal(10,2) NOT NULL,
    transaction_type varchar(20) NOT NULL, status varchar(20) NOT NULL, created_at timestamp NOT NULL
)
"""

CONTRACTS, TABLE_CONTRACT = load_source_contracts(), load_table_contract()

_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload(
    [
        *(
            __name__,
            "tests.integration.warm_process",
            "duckdb",
            "numpy",
            "pyarrow.dataset",
            "pyarrow.parquet",
            "boto3",
            "joblib",
            # A child imports what the parent's main module is, too.
            "pytest",
        ),
        *(
            "scipy.optimize",
            "scipy.special",
            "sklearn.cluster",
            "sklearn.compose",
            "sklearn.impute",
            "sklearn.metrics",
        ),
    ]
)


@dataclass(frozen=True)
class Site:
    """Where the sources are, and our prefix beside them."""

    lake: LakeAccess
    bucket: str
    source_url: str

    @cached_property
    def store(self) -> ObjectStore:
        """A client of this process."""
        client = boto3.client(
            "s3",
            endpoint_url=self.lake.endpoint_url,
            region_name=self.lake.region,
            aws_access_key_id=self.lake.access_key,
            aws_secret_access_key=self.lake.secret_key,
            config=Config(
                s3={"addressing_style": "path"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                max_pool_connections=PARALLEL_REQUESTS,
            ),
        )
        return ObjectStore(client, self.bucket)


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One try of one run."""

    run_id: str
    as_of_date: date
    known_at: datetime
    brand: str = "default"
    params: dict[str, Any] = field(default_factory=dict)
    kill_at: int | None = None
    erased: ErasedPlayers = NOBODY
    matrix: bool = True
    """Write the matrix too. It takes a fifth of a run, and says nothing of the cells."""
    shards: int = 1
    """So many parts are made before each step, the last one first."""

    @property
    def parts(self) -> list[Shard]:
        """The parts of a step in the order in which they are made; none if steps are not cut."""
        return [Shard(number, self.shards) for number in range(self.shards, 0, -1)] if self.shards > 1 else []

    def run(self, bucket: str) -> Run:
        settings = Settings.of(
            lake_bucket=bucket, brand=self.brand, memory_limit="512MB", threads=1, shards=self.shards
        )
        return Run(
            run_id=self.run_id,
            window=Window(as_of_date=self.as_of_date, as_of=midnight(self.as_of_date, settings.zone)),
            known_at=self.known_at,
            params=RunParams(**self.params),
            settings=settings,
        )


@dataclass
class ChangingOperator:
    """An operator whose sources change between runs."""

    site: Site
    runs: Iterator[int] = field(default_factory=lambda: count(1))

    def copy_to(self, site: Site) -> ChangingOperator:
        """This operator at another site, which holds copies of the bucket and of the database."""
        return ChangingOperator(site, copy(self.runs))

    def put(self, key: str, text: str) -> None:
        self.site.store.write(f"raw/{key}", text.encode())

    def delete(self, key: str) -> None:
        self.site.store.delete_all([f"raw/{key}"])

    def sql(self, statement: str, *values: Any) -> None:
        with closing(psycopg2.connect(self.site.source_url)) as connection, connection:
            connection.cursor().execute(statement, values)

    def attempt(self, as_of_date: date, *, brand: str = "increments", **options: Any) -> Attempt:
        """A run that starts an hour after the one before."""
        number = next(self.runs)
        params = {"source_deletions": "remove"} | options.pop("params", {})
        return Attempt(
            run_id=f"run-{number}",
            as_of_date=as_of_date,
            known_at=STARTED + timedelta(hours=number),
            brand=brand,
            params=params,
            **options,
        )

    def rebuild(self, as_of_date: date, **options: Any) -> Cells:
        """What a run on an empty prefix makes."""
        attempt = self.attempt(as_of_date, brand=f"rebuild{next(self.runs)}", matrix=False, **options)
        finish(self.site, attempt)
        return cells(self.site, attempt)


def start(site: Site, attempt: Attempt) -> BaseProcess:
    """Begin a try; join it and look at its exit code."""
    # A client of this process must not travel to another.
    process = _server.Process(target=_run, args=(replace(site), attempt))
    process.start()
    return process


def finish(site: Site, attempt: Attempt) -> None:
    """Try until it is done: a try that was killed is followed by one that is not."""
    process = start(site, attempt)
    process.join()
    if process.exitcode == -signal.SIGKILL and attempt.kill_at is not None:
        return finish(site, replace(attempt, kill_at=None))
    assert process.exitcode == 0, f"{attempt} ended with {process.exitcode}"
    return None


def cells(site: Site, attempt: Attempt) -> Cells:
    """The features that a finished run has made, with each row's hash."""
    names = [*TABLE_CONTRACT.features, "row_hash"]
    files = site.store.read_all(features(site, attempt).files)
    tables = [read_table(BytesIO(content or b""), columns=["user_id", *names]) for content in files.values()]
    return {row.pop("user_id"): row for table in tables for row in table.to_pylist()}


def features(site: Site, attempt: Attempt) -> FeatureManifest:
    """What engineer_features has left."""
    run = attempt.run(site.bucket)
    return read_manifest(site.store, run.prefix, "engineer_features", FeatureManifest)


def extracts(site: Site, attempt: Attempt) -> ExtractManifest:
    """What the sources brought."""
    prefix = attempt.run(site.bucket).prefix
    lake = read_manifest(site.store, prefix, "extract_s3", ExtractManifest)
    database = read_manifest(site.store, prefix, "extract_pg", ExtractManifest)
    return ExtractManifest(sources={**lake.sources, **database.sources})


def _run(site: Site, attempt: Attempt) -> None:
    run, store = attempt.run(site.bucket), site.store
    # The first two days of a history are in a month that is over soon.
    segments.FEW_FILES = 1
    segments.MANY_FILES = 3
    if not attempt.matrix:
        vars(engineer)["write_matrix"] = _write_no_matrix
    with (
        open_engine(run.settings) as connection,
        _killed_at(attempt.kill_at, store),
    ):
        work = Work(run=run, store=store, connection=connection)
        feeds = [contract for contract in CONTRACTS.values() if contract.kind == "lake"]
        for shard in attempt.parts:
            for contract in feeds:
                capture_shard_of_feed(work, contract, shard)
        lake = {
            name: captures
            for name, contract in CONTRACTS.items()
            if contract.kind == "lake" and (captures := capture_feed(work, contract))
        }
        write_manifest(store, run.prefix, "extract_s3", ExtractManifest(sources=lake))
        attach_postgres(connection, site.source_url, SOURCE, read_only=True)
        for shard in attempt.parts:
            capture_shard_of_relation(work, CONTRACTS["transactions"], shard)
        database = {"transactions": capture_relation(work, CONTRACTS["transactions"])}
        write_manifest(store, run.prefix, "extract_pg", ExtractManifest(sources=database))
        for shard in attempt.parts:
            for name, captures in (lake | database).items():
                clean_shard_of_source(work, CONTRACTS[name], captures, shard, erased=attempt.erased)
        cleaned = CleanManifest(
            sources={
                name: clean_source(work, CONTRACTS[name], captures, attempt.erased)
                for name, captures in (lake | database).items()
            }
        )
        write_manifest(store, run.prefix, "clean", cleaned)
        for shard in attempt.parts:
            engineer.engineer_shard(work, CONTRACTS, cleaned, shard)
        _make_player_parts(work, cleaned, attempt.parts)
        made = engineer.engineer_features(work, CONTRACTS, TABLE_CONTRACT, cleaned)
        write_manifest(store, run.prefix, "engineer_features", made)


def _make_player_parts(work: Work, cleaned: CleanManifest, shards: Sequence[Shard]) -> None:
    """Make what the tasks before `engineer_features` make of the players: each opens the parts by itself."""
    knowledge = Knowledge(known_at=work.run.known_at)
    tasks: list[Callable[[PlayerParts], object]] = [
        *(methodcaller("ensure_own_themes", shard) for shard in shards),
        *([PlayerParts.ensure_learned] if shards else []),
        *(methodcaller("ensure_scored", shard) for shard in shards),
    ]
    for make in tasks:
        with engineer.open_player_parts(work, CONTRACTS, TABLE_CONTRACT, cleaned, lambda: knowledge) as parts:
            if parts:
                make(parts)


def start_erasure(site: Site, attempt: Attempt, user_ids: Sequence[str]) -> BaseProcess:
    """Begin a pass over the store that takes players out; join it and look at its exit code."""
    process = _server.Process(target=_erase, args=(replace(site), attempt, user_ids))
    process.start()
    return process


def _erase(site: Site, attempt: Attempt, user_ids: Sequence[str]) -> None:
    run, store = attempt.run(site.bucket), site.store
    with open_engine(run.settings) as connection, _killed_at(attempt.kill_at, store):
        rewrite_store(Work(run=run, store=store, connection=connection), attempt.erased, user_ids)


def _write_no_matrix(*_: Any) -> None:
    """Replaces write_matrix where no matrix is wanted."""


@contextmanager
def _killed_at(number: int | None, store: ObjectStore) -> Iterator[None]:
    """Count the objects that are written, and the requests that delete some, and die before the n-th."""
    written = 0

    def count() -> None:
        nonlocal written
        written += 1
        if written == number:
            os.kill(os.getpid(), signal.SIGKILL)

    write, upload, delete = store.write, store.upload, store.delete_all

    def counted_write(key: str, content: bytes, content_type: str = "application/json") -> None:
        count()
        write(key, content, content_type)

    def counted_upload(path: Path, key: str) -> None:
        count()
        upload(path, key)

    def counted_deletion(keys: Iterable[str]) -> None:
        if wanted := list(keys):
            count()
            delete(wanted)

    store.delete_all = counted_deletion  # type: ignore[method-assign]
    store.write = counted_write  # type: ignore[method-assign]
    store.upload = counted_upload  # type: ignore[method-assign]
    yield
