"""A broker, and a casino that plays into topics of its own while streams read them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import count
from typing import Any

import boto3
import psycopg2
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from crmbet.contracts.files import load_source_contracts, load_table_contract
from crmbet.contracts.source import SourceContract
from crmbet.databases.duckdb import open_engine
from crmbet.databases.sessions import open_session
from crmbet.databases.work import Work
from crmbet.load.session import LoadSession
from crmbet.run.params import RunParams
from crmbet.run.run import Run
from crmbet.run.settings import Settings
from crmbet.run.window import Window, midnight
from crmbet.storage.object_store import ObjectStore
from crmbet.stream.consumer import open_consumer
from crmbet.stream.figures import StreamFigures
from crmbet.stream.parity import Parity, compare_live
from crmbet.stream.streaming import Stream, run_at
from crmbet.stream.target import StreamTables
from local.broker import EmbeddedBroker

NOON = datetime(2026, 8, 12, 15, tzinfo=UTC)
"""Noon of 12 August on the operator's clock."""
PATIENCE_SECONDS = 120
CONTRACTS = load_source_contracts()
SOURCES = ("bets", "transactions", "limits")

_numbers = count(1)


@pytest.fixture(scope="session")
def broker(services: Any) -> Iterator[EmbeddedBroker]:
    """A broker that keeps its topics in memory."""
    started = EmbeddedBroker(services.workspace)
    started.start()
    yield started
    started.stop()


@dataclass(kw_only=True)
class Casino:
    """Topics of a test's own, and the store and database that streams of them write to."""

    broker: str
    store: ObjectStore
    target_url: str
    settings: Settings
    producer: Producer
    now: datetime = NOON
    produced: int = 0

    def produce(self, source: str, *messages: dict[str, Any] | bytes | None, partition: int = 0) -> None:
        """Send messages and wait until the broker has them."""
        topic = self.settings.stream.topics[source]
        for message in messages:
            value = json.dumps(message).encode() if isinstance(message, dict) else message
            at = int(self.now.timestamp() * 1000)
            self.producer.produce(topic, value=value, partition=partition, timestamp=at)
        assert self.producer.flush(PATIENCE_SECONDS) == 0
        self.produced += len(messages)

    @contextmanager
    def open_stream(self, sources: Mapping[str, SourceContract] = CONTRACTS) -> Iterator[Stream]:
        """A run of the stream with an engine, a consumer and a session of its own."""
        run = Run(
            run_id="stream",
            window=Window(as_of_date=self.now.date(), as_of=midnight(self.now.date(), self.settings.zone)),
            known_at=self.now,
            params=RunParams(),
            settings=self.settings,
        )
        with ExitStack() as stack:
            connection = stack.enter_context(open_engine(self.settings))
            session = stack.enter_context(closing(open_session(self.target_url, self.settings.timeouts)))
            consumer = stack.enter_context(open_consumer({"bootstrap.servers": self.broker}))
            yield Stream(
                work=Work(run=run_at(run, self.now), store=self.store, connection=connection),
                tables=StreamTables(
                    LoadSession(
                        connection=session,
                        contract=load_table_contract(),
                        run_id="stream",
                        lock_timeout_seconds=5,
                    )
                ),
                consumer=consumer,
                topics=self.settings.stream.topics,
                sources=sources,
                clock=lambda: self.now,
            )

    def stream(self, messages: int | None = None) -> StreamFigures:
        """Run the stream until it has committed so many messages, or all that were produced since the last call."""
        wanted = self.produced if messages is None else messages
        self.produced = 0
        with self.open_stream() as stream:
            return run_until(stream, lambda: stream.figures.messages >= wanted)

    def parity(self, day: date) -> Parity:
        """Compare the live rows of a day with a rebuild, in an engine and a session of its own."""
        with self.open_stream() as stream:
            return compare_live(stream.work, stream.tables, stream.topics, stream.sources, day)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows from the target."""
        with closing(psycopg2.connect(self.target_url)) as connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall()

    def execute(self, sql: str) -> None:
        """Change something in the target."""
        with (
            closing(psycopg2.connect(self.target_url)) as connection,
            connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(sql)

    def live(self, *columns: str) -> dict[tuple[str, str], tuple[Any, ...]]:
        """Columns of the live rows, by player and day."""
        rows = self.query(
            f"SELECT user_id, day::text, {', '.join(columns)} FROM ml_features.user_features_live ORDER BY 1, 2"
        )
        return {(user, day): tuple(cells) for user, day, *cells in rows}

    def offsets(self) -> dict[tuple[str, int], tuple[int, int]]:
        """Next and claimed offset by source and partition."""
        by_topic = {topic: source for source, topic in self.settings.stream.topics.items()}
        rows = self.query(
            "SELECT topic, partition, next_offset, claimed_offset FROM ml_features.stream_offsets"
        )
        return {
            (by_topic[topic], number): (first, until)
            for topic, number, first, until in rows
            if topic in by_topic
        }


def run_until(stream: Stream, is_enough: Callable[[], bool]) -> StreamFigures:
    """Run a stream until something is so. Fails if it takes too long."""
    ends_at = time.monotonic() + PATIENCE_SECONDS
    figures = stream.run(lambda: is_enough() or time.monotonic() > ends_at)
    assert is_enough(), figures
    return figures


@pytest.fixture
def open_casino(broker: EmbeddedBroker, bucket: str, postgres_url: str) -> Callable[..., Casino]:
    """Makes a casino with a topic for each source; options are settings."""

    def create(
        sources: Sequence[str] = SOURCES,
        *,
        partitions: int = 1,
        broker: EmbeddedBroker = broker,
        **settings: Any,
    ) -> Casino:
        number = next(_numbers)
        topics = {source: f"{source}-{number}" for source in sources}
        admin = AdminClient({"bootstrap.servers": broker.address})
        for made in admin.create_topics([NewTopic(name, partitions, 1) for name in topics.values()]).values():
            made.result()
        defaults = {
            "lake_bucket": bucket,
            "threads": 1,
            "stream_batch_seconds": 0.05,
            "stream_topics": " ".join(f"{source}={topic}" for source, topic in topics.items()),
        }
        return Casino(
            broker=broker.address,
            store=ObjectStore(boto3.client("s3"), bucket),
            target_url=postgres_url,
            settings=Settings.of(**{**defaults, **settings}),
            producer=Producer({"bootstrap.servers": broker.address, "linger.ms": 1}),
        )

    return create


@pytest.fixture
def casino(open_casino: Callable[..., Casino]) -> Casino:
    return open_casino()
