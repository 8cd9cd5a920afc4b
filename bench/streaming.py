"""`python -m bench.streaming ours|floor|feed ...`: a consumer or a producer of messages, in a process of its own."""

from __future__ import annotations

import io
import sys
import time
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime

import psycopg2
from confluent_kafka import Consumer, TopicPartition

from bench.apart import Stopwatch, report
from bench.stream import PARTITIONS, feed
from bench.workbench import PipelineRun
from crmbet.contracts.files import load_source_contracts, load_table_contract
from crmbet.databases.sessions import open_session
from crmbet.load.session import LoadSession
from crmbet.run.settings import StreamSettings
from crmbet.stream.consumer import open_consumer
from crmbet.stream.streaming import Stream, run_at
from crmbet.stream.target import StreamTables

PATIENCE_SECONDS = 900


def ours(pipeline_run: PipelineRun, address: str, topic: str, messages: int) -> None:
    """Stream until so many messages are committed."""
    stopwatch = Stopwatch()
    with ExitStack() as stack:
        work = stack.enter_context(pipeline_run.work())
        timeouts = work.run.settings.timeouts
        session = stack.enter_context(closing(open_session(pipeline_run.operator.source_url, timeouts)))
        consumer = stack.enter_context(open_consumer({"bootstrap.servers": address}))
        topics = StreamSettings(stream_topics=f"bets={topic}")
        settings = work.run.settings.model_copy(update={"stream": topics})
        run = run_at(replace(work.run, settings=settings), datetime.now(UTC))
        stream = Stream(
            work=replace(work, run=run),
            tables=StreamTables(
                LoadSession(
                    connection=session,
                    contract=load_table_contract(),
                    run_id="bench",
                    lock_timeout_seconds=60,
                )
            ),
            consumer=consumer,
            topics=topics.topics,
            sources=load_source_contracts(),
            clock=lambda: datetime.now(UTC),
        )
        ends_at = time.monotonic() + PATIENCE_SECONDS
        with stopwatch.step("stream"):
            stream.run(lambda: stream.figures.messages >= messages or time.monotonic() > ends_at)
    figures = stream.figures.manifest()
    if figures.messages != messages:
        raise RuntimeError(f"{figures.messages} of {messages} messages were read")
    steps = {"age_p50": figures.age_p50 or 0.0, "age_p95": figures.age_p95 or 0.0}
    report(stopwatch, steps, batches=figures.batches, rows=figures.rows)


def floor(pipeline_run: PipelineRun, address: str, topic: str, messages: int) -> None:
    """Consume messages and copy them into a table as they are."""
    stopwatch, read = Stopwatch(), 0
    consumer = Consumer({"bootstrap.servers": address, "group.id": "floor", "enable.auto.commit": False})
    with closing(psycopg2.connect(pipeline_run.operator.source_url)) as connection:
        with connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE floor (message text)")
        with stopwatch.step("loop"):
            consumer.assign([TopicPartition(topic, number, 0) for number in range(PARTITIONS)])
            while read < messages:
                found = [message.value() for message in consumer.consume(10_000, timeout=0.2)]
                read += len(found)
                with connection, connection.cursor() as cursor:
                    cursor.copy_expert(
                        "COPY floor FROM STDIN", io.BytesIO(b"\n".join([*filter(None, found), b""]))
                    )
        with connection, connection.cursor() as cursor:
            cursor.execute("DROP TABLE floor")
    consumer.close()
    report(stopwatch)


def main(command: str, *arguments: str) -> None:
    """Run a command."""
    if command == "feed":
        address, topic, messages, players = arguments
        feed(address, topic, int(messages), int(players))
        return
    described, address, topic, messages = arguments
    {"ours": ours, "floor": floor}[command](PipelineRun.from_json(described), address, topic, int(messages))


if __name__ == "__main__":
    main(*sys.argv[1:])
