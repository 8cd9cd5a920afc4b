"""The feeds as files of one lake: the file of each row, its format, and the writer to S3."""

from __future__ import annotations

import hashlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

import boto3
import pyarrow as pa
import pyarrow.compute as pc
from botocore.config import Config

from local.simulator.calendar import DAY
from local.simulator.dirt import BROKEN, DirtLedger, DirtRates, duplicate, soil
from local.simulator.encoding import (
    CSV,
    CSV_GZ,
    CSV_NO_ZONE,
    JSONL_GZ,
    JSONL_LOCAL,
    PARQUET,
    PARQUET_DOUBLE,
    PARQUET_TEXT,
    Encoding,
    encode,
    render,
)
from local.simulator.simulation import LAKE_FEEDS, Batch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from local.simulator.world import World

PREFIX = "raw"

ROTATION: dict[str, tuple[Encoding, ...]] = {
    "bets": (PARQUET, CSV_GZ, JSONL_GZ, PARQUET_DOUBLE, CSV_NO_ZONE, JSONL_LOCAL, PARQUET_TEXT),
    "sessions": (CSV_GZ, PARQUET, JSONL_LOCAL, CSV_NO_ZONE),
    "communications": (JSONL_GZ, CSV, PARQUET),
    "players": (PARQUET, CSV_GZ, JSONL_GZ, CSV, PARQUET_TEXT),
    "limits": (CSV, JSONL_LOCAL),
}
"""A feed's formats, taken in turn day by day and shard by shard."""


@dataclass(frozen=True)
class LakeFile:
    """An object to write, and what is in it; `rows` includes duplicates and dirt."""

    key: str
    feed: str
    rows: int
    body: bytes
    dirt: DirtLedger


def lake_files(world: World, batch: Batch, rates: DirtRates, *, broken: bool = False) -> Iterator[LakeFile]:
    """The files of a batch. `broken` spoils the bets of the world's last day beyond any tolerance."""
    for feed in LAKE_FEEDS:
        if feed not in batch.tables:
            continue
        rng = world.stream(f"dirt:{feed}", batch.shard, batch.day.day)
        encoding = ROTATION[feed][(batch.day.day.toordinal() + batch.shard) % len(ROTATION[feed])]
        planted = BROKEN if broken and feed == "bets" and batch.is_last_day else rates
        for key, table in _placed(feed, batch, encoding.extension):
            dirt = DirtLedger()
            clean, alone = duplicate(feed, table, planted, rng, dirt)
            dirty = soil(feed, clean, render(clean, encoding), alone, planted, rng, dirt)
            yield LakeFile(key, feed, dirty.num_rows, encode(dirty, encoding), dirt)


def _placed(feed: str, batch: Batch, extension: str) -> Iterator[tuple[str, pa.Table]]:
    """Key and rows of each file: sessions by UTC date, limits in a flat folder, the rest by operator date.

    A day without rows has no file.
    """
    table, day, shard = batch.tables[feed], batch.day.day, f"{batch.shard:02d}"
    if not table.num_rows:
        return
    if feed == "limits":
        yield f"{PREFIX}/limits/limits-{day}-{shard}.{extension}", table
    elif feed == "players":
        yield f"{PREFIX}/players/dt={day}/players-{shard}.{extension}", table
    elif feed == "sessions":
        next_utc_day = pa.scalar((batch.day.start // DAY + 1) * DAY, pa.int64()).cast(
            table["started_at"].type
        )
        early = pc.less(table["started_at"], next_utc_day)
        for date_, mask in ((day, early), (day + timedelta(days=1), pc.invert(early))):
            rows = table.filter(mask)
            if rows.num_rows:
                yield f"{PREFIX}/sessions/dt={date_}/part-{day:%Y%m%d}-{shard}.{extension}", rows
    else:
        yield f"{PREFIX}/{feed}/dt={day}/part-{shard}.{extension}", table


class LakeWriter:
    """Puts files into a bucket, several at once. Objects that have the same content already are left alone.

    Endpoint, keys and region come from the AWS_ environment variables.
    """

    CONNECTIONS = 4
    WAITING = 8

    def __init__(self, bucket: str) -> None:
        self.bucket = bucket
        self.written = self.kept = self.bytes_written = 0
        config = Config(
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            max_pool_connections=self.CONNECTIONS,
        )
        self._s3: Any = boto3.session.Session().client("s3", config=config)
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{PREFIX}/")
        self._etags = {
            item["Key"]: item["ETag"].strip('"') for page in pages for item in page.get("Contents", [])
        }
        self._pool = ThreadPoolExecutor(self.CONNECTIONS, thread_name_prefix="lake")
        self._pending: deque[Future[Any]] = deque()

    def write(self, file: LakeFile) -> None:
        """Starts to upload a file. A failure of an earlier file is raised here or at the end."""
        if self._etags.get(file.key) == hashlib.md5(file.body, usedforsecurity=False).hexdigest():
            self.kept += 1
            return
        put = self._pool.submit(self._s3.put_object, Bucket=self.bucket, Key=file.key, Body=file.body)
        self._pending.append(put)
        self.written += 1
        self.bytes_written += len(file.body)
        if len(self._pending) > self.WAITING:
            self._pending.popleft().result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=error is not None)
        if error is None:
            while self._pending:
                self._pending.popleft().result()
