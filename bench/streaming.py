"""`python -m bench.streaming ours|floor|feed ...`: a consumer or a producer of messages, in a process of its own."""

from __future__ import annotations

import io
import sys
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import psycopg2
from confluent_kafka import Consumer, TopicPartition

from bench.apart import Stopwatch, memory_mib, report
from bench.stream import PARTITIONS, feed
from bench.workbench import PipelineRun
from crmbet.contracts.files import load_source_contracts, load_table_contract
from crmbet.databases.sessions import open_session
from crmbet.load.session import LoadSession
from crmbet.run.settings import StreamSettings
from crmbet.stream.consumer import open_consumer
from crmbet.stream.streaming import Stream, run_at
from crmbet.stream.target import StreamTables

PATIENCE_SECONDS = 3_600


@dataclass(kw_only=True)
class Course:
    """Processor time and memory in the course of a stream."""

    stream: Stream
    messages: int
    """How many there are."""
    points: list[tuple[int, float, float]] = field(default_factory=list)
    """After each batch: messages, processor seconds and MiB."""

    def is_over(self) -> bool:
        """Whether all messages are committed. It is asked after each batch."""
        read = self.stream.figures.messages
        if not self.points or self.points[-1][0] < read:
            self.points.append((read, time.process_time(), memory_mib()))
        return read >= self.messages

    def growth(self) -> dict[str, float]:
        """The last quarter against the second one, which has no tables that grow from nothing."""
        quarter = self.messages / 4
        second, last = (
            [point for point in self.points if place * quarter <= point[0] <= (place + 1) * quarter]
            for place in (1, 3)
        )
        costs = [
            (part[-1][1] - part[0][1]) / max(1, part[-1][0] - part[0][0]) if part else float("nan")
            for part in (second, last)
        ]
        peaks = [max((point[2] for point in part), default=float("nan")) for part in (second, last)]
        return {"cost_growth": costs[1] / costs[0] if costs[0] else 0.0, "memory_growth": peaks[1] - peaks[0]}


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
        course, ends_at = Course(stream=stream, messages=messages), time.monotonic() + PATIENCE_SECONDS
        with stopwatch.step("stream"):
            stream.run(lambda: course.is_over() or time.monotonic() > ends_at)
    figures = stream.figures.manifest()
    if figures.messages != messages:
        raise RuntimeError(f"{figures.messages} of {messages} messages were read")
    steps = {
        "age_p50": figures.age_p50 or 0.0,
        "age_p95": figures.age_p95 or 0.0,
        **course.growth(),
        **{f"cpu of {name}": spent.cpu_seconds for name, spent in figures.stages.items()},
    }
    report(stopwatch, steps, batches=figures.batches, rows=figures.rows)


def floor(pipeline_run: PipelineRun, address: str, topic: str, messages: int) -> None:
    """Consume messages and copy them into a table as they are."""
    stopwatch, processor, read = Stopwatch(), Stopwatch(clock=time.process_time), 0
    consumer = Consumer({"bootstrap.servers": address, "group.id": "floor", "enable.auto.commit": False})
    with closing(psycopg2.connect(pipeline_run.operator.source_url)) as connection:
        with connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE floor (message text)")
        with stopwatch.step("loop"):
            consumer.assign([TopicPartition(topic, number, 0) for number in range(PARTITIONS)])
            while read < messages:
                with processor.step("cpu of consume"):
                    found = [message.value() for message in consumer.consume(10_000, timeout=0.2)]
                read += len(found)
                with processor.step("cpu of commit"), connection, connection.cursor() as cursor:
                    cursor.copy_expert(
                        "COPY floor FROM STDIN", io.BytesIO(b"\n".join([*filter(None, found), b""]))
                    )
        with connection, connection.cursor() as cursor:
            cursor.execute("DROP TABLE floor")
    consumer.close()
    report(stopwatch, processor.seconds)


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
