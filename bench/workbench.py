"""Services for the measurements, operators whose data are in them, and runs of the pipeline on that data.

An operator and a run are described by text and numbers. So a run can be handed to a separate process, whose peak memory
is measured apart from ours.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

import boto3
from botocore.config import Config

from crmbet.databases.duckdb import LakeAccess, attach_postgres, open_engine
from crmbet.databases.work import Work
from crmbet.extract.postgres import SOURCE
from crmbet.run.params import RunParams
from crmbet.run.run import Run
from crmbet.run.settings import Settings
from crmbet.run.window import Window, midnight
from crmbet.storage.object_store import KEPT_CONNECTIONS, ObjectStore
from local.credentials import credentials
from local.object_store import REGION, EmbeddedObjectStore
from local.postgres import EmbeddedPostgres
from local.workspace import Workspace

if TYPE_CHECKING:
    import duckdb

NOT_DURABLE = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_wal_size": "4GB",
    "autovacuum": "off",
}
"""Filling a table must not take longer than the measurement, and no background process may work on the table."""


@dataclass(frozen=True, kw_only=True)
class Operator:
    """A betting operator: a bucket and a source database with the same name."""

    services: str
    """Folder of the services that hold them."""
    name: str
    endpoint: str | None = None
    """Another address of the store, such as that of a proxy in front of it."""

    @property
    def workspace(self) -> Workspace:
        """The workspace of the services."""
        return Workspace(Path(self.services))

    @property
    def bucket(self) -> str:
        """Name of the bucket."""
        return f"bench-{self.name}".replace("_", "-")

    @property
    def source_url(self) -> str:
        """The libpq URL of the source database."""
        return EmbeddedPostgres(self.workspace).url(self.name)

    @cached_property
    def lake(self) -> LakeAccess:
        """How the engine reaches the bucket."""
        keys = credentials(self.workspace)
        return LakeAccess(
            region=REGION,
            access_key=keys.access_key_id,
            secret_key=keys.secret_access_key,
            endpoint_url=self.endpoint or EmbeddedObjectStore(self.workspace).endpoint,
        )

    @cached_property
    def store(self) -> ObjectStore:
        """The bucket. Its client takes a moment to make."""
        lake = self.lake
        client = boto3.client(
            "s3",
            endpoint_url=lake.endpoint_url,
            region_name=lake.region,
            aws_access_key_id=lake.access_key,
            aws_secret_access_key=lake.secret_key,
            config=Config(
                s3={"addressing_style": "path"},
                proxies={},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                max_pool_connections=KEPT_CONNECTIONS,
            ),
        )
        return ObjectStore(client, self.bucket)

    @contextmanager
    def engine(self, memory_limit: str = "4GB", threads: int = 2) -> Iterator[duckdb.DuckDBPyConnection]:
        """The data engine, with access to the bucket."""
        settings = Settings.of(lake_bucket=self.bucket, memory_limit=memory_limit, threads=threads)
        with open_engine(settings, self.lake) as connection:
            yield connection

    @contextmanager
    def source(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """The data engine, with the source database attached for writing."""
        with self.engine() as connection:
            attach_postgres(connection, self.source_url, SOURCE, read_only=False)
            yield connection


@dataclass(frozen=True, kw_only=True)
class PipelineRun:
    """A run of the pipeline on an operator's data."""

    operator: Operator
    as_of: str
    """ISO date."""
    known_after_minutes: int = 360
    """Minutes from as_of to known_at. A later run on the same data knows more."""
    brand: str = "default"
    """The brand is a part of our prefix, so another brand finds nothing that was captured or made before."""
    memory_limit: str = "2GB"
    threads: int = 2
    full_refresh: bool = False
    shards: int = 1

    @property
    def run(self) -> Run:
        """The run in the form that the core takes."""
        settings = Settings.of(
            lake_bucket=self.operator.bucket,
            brand=self.brand,
            memory_limit=self.memory_limit,
            threads=self.threads,
            shards=self.shards,
        )
        as_of_date = date.fromisoformat(self.as_of)
        as_of = midnight(as_of_date, settings.zone)
        return Run(
            run_id=f"bench__{self.as_of}__{self.known_after_minutes}",
            window=Window(as_of_date=as_of_date, as_of=as_of),
            known_at=as_of + timedelta(minutes=self.known_after_minutes),
            params=RunParams(full_refresh=self.full_refresh),
            settings=settings,
        )

    @contextmanager
    def work(self) -> Iterator[Work]:
        """The run with a connection of the data engine within its settings, for the length of a task."""
        run = self.run
        with open_engine(run.settings, self.operator.lake) as connection:
            yield Work(run=run, store=self.operator.store, connection=connection)

    def to_json(self) -> str:
        """The run as JSON, for another process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The run that `to_json` described."""
        fields = json.loads(text)
        return cls(**fields | {"operator": Operator(**fields["operator"])})


@dataclass(frozen=True)
class Workbench:
    """Running services, in a folder of their own."""

    folder: Path

    @contextmanager
    def operator(self, name: str) -> Iterator[Operator]:
        """A new operator. Its data are removed afterwards."""
        workspace = Workspace(self.folder)
        postgres, store = EmbeddedPostgres(workspace), EmbeddedObjectStore(workspace)
        operator = Operator(services=str(self.folder), name=name)
        postgres.create_database(name)
        store.create_bucket(operator.bucket)
        try:
            yield operator
        finally:
            postgres.drop_database(name)
            # The server does not notice this, but nobody uses this bucket again.
            shutil.rmtree(store.folder / operator.bucket)


@contextmanager
def open_workbench(folder: Path) -> Iterator[Workbench]:
    """Start PostgreSQL and S3 in a folder, and stop them at the end."""
    workspace = Workspace(folder)
    postgres, store = EmbeddedPostgres(workspace, NOT_DURABLE), EmbeddedObjectStore(workspace)
    try:
        postgres.start()
        store.start()
        yield Workbench(folder)
    finally:
        store.stop()
        postgres.stop()
