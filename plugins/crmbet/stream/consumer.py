"""Reads partitions of Kafka from offsets of our own. It joins no group: which messages are done, PostgreSQL says.

What is committed to Kafka is for tools that show the lag, and nothing reads it back.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from crmbet.failures import DataLost, LostConnection, SourceMissing
from crmbet.run.brand import DEFAULT
from crmbet.stream.records import Batch, Partition

if TYPE_CHECKING:
    from confluent_kafka import Consumer

log = logging.getLogger(__name__)
client_log = logging.getLogger(f"{__name__}.client")

GROUP = "crmbet"
"""The name under which lag tools see the brand of a deployment without brands."""
ANSWER_SECONDS = 15
POLL_SECONDS = 0.2
MESSAGES_AT_ONCE = 10_000
FEW_MESSAGES = 1_000
"""A batch whose time is over ends once the client has no more than this ready."""
WARNING_SECONDS = 60
"""A broker that stays away is named in the log so often."""

DEFAULTS: dict[str, Any] = {
    "group.id": GROUP,
    "isolation.level": "read_committed",
    # A fetch waits no longer than this for more messages: it is a part of every row's age.
    "fetch.wait.max.ms": 100,
    "reconnect.backoff.max.ms": 5_000,
    # What the client reads ahead. A message of 230 bytes takes three times as much of the client's memory.
    "queued.max.messages.kbytes": 4_096,
}
REQUIRED: dict[str, Any] = {
    "enable.auto.commit": False,
    # Without this the client would go on elsewhere if the broker has no such offset any more, and say nothing.
    "auto.offset.reset": "error",
}


def group_of(brand: str) -> str:
    """The name under which lag tools see a brand, unless its connection has another group.id."""
    return GROUP if brand == DEFAULT else f"{GROUP}_{brand}"


@contextmanager
def open_consumer(config: Mapping[str, Any]) -> Iterator[StreamConsumer]:
    """A consumer for the length of a task. `config` has the client's options, with `bootstrap.servers`."""
    from confluent_kafka import Consumer

    absence = _Absence(str(config.get("bootstrap.servers", "")))
    ours = {**REQUIRED, "error_cb": absence.warn}
    consumer = Consumer({**DEFAULTS, **config, **ours}, logger=client_log)
    try:
        yield StreamConsumer(consumer, absence)
    finally:
        consumer.close()


@dataclass
class _Absence:
    """Since when no broker answers. The client goes on trying by itself, and the log says so now and then."""

    brokers: str
    since: float | None = None
    warned_at: float = -WARNING_SECONDS

    def warn(self, error: Any) -> None:
        now = time.monotonic()
        self.since = self.since or now
        if now - self.warned_at >= WARNING_SECONDS:
            self.warned_at = now
            log.warning("Kafka at %s cannot be read now, and is tried again: %s", self.brokers, error)


@dataclass
class StreamConsumer:
    """A consumer of some partitions."""

    client: Consumer = field(repr=False)
    _absence: _Absence

    @property
    def brokers(self) -> str:
        """Where the brokers are, as the connection has it."""
        return self._absence.brokers

    @property
    def silent_seconds(self) -> float:
        """Since when the client complains that no broker answers; 0 if it does not. It asks nobody."""
        return 0.0 if self._absence.since is None else time.monotonic() - self._absence.since

    def away_seconds(self, topic: str) -> float:
        """For how long no broker has answered; 0 if one answers now. It asks only if the client has complained."""
        if self._absence.since is None:
            return 0.0
        try:
            self.partitions([topic])
        except LostConnection:
            return time.monotonic() - self._absence.since
        self._absence.since = None
        return 0.0

    def partitions(self, topics: Sequence[str]) -> list[Partition]:
        """All partitions of some topics. Raises `SourceMissing` and `LostConnection`."""
        found = []
        for topic in topics:
            with self._explained():
                described = self.client.list_topics(topic, timeout=ANSWER_SECONDS).topics[topic]
            if described.error is not None or not described.partitions:
                raise SourceMissing(
                    f"the broker has no topic {topic}",
                    where=f"Kafka at {self.brokers}",
                    why=str(described.error or "it has no partition"),
                    next_step="correct CRMBET_STREAM_TOPICS, or the rights of the connection crmbet_stream",
                )
            found += [Partition(topic=topic, number=number) for number in sorted(described.partitions)]
        return found

    def oldest_offset(self, partition: Partition) -> int:
        """The first offset that the broker still has. Raises `LostConnection`."""
        return self.bounds(partition)[0]

    def bounds(self, partition: Partition) -> tuple[int, int]:
        """The first offset that the broker still has, and the one after its last. Raises `LostConnection`."""
        with self._explained():
            low, high = self.client.get_watermark_offsets(_place(partition), timeout=ANSWER_SECONDS)
        return int(low), int(high)

    def assign(self, offsets: Mapping[Partition, int]) -> None:
        """Read some partitions from these offsets on.

        Raises `DataLost` if the broker has deleted messages that were never read, and `LostConnection`.
        """
        lost = {
            partition: oldest
            for partition, offset in offsets.items()
            if (oldest := self.oldest_offset(partition)) > offset
        }
        if lost:
            raise retention_passed({each: (offsets[each], oldest) for each, oldest in lost.items()})
        self.client.assign([_place(partition, offset) for partition, offset in sorted(offsets.items())])

    def gather(
        self, *, most: int, seconds: float, clock: Callable[[], datetime], stop: Callable[[], bool]
    ) -> Batch:
        """Messages until the oldest of them is `seconds` old; none if nothing came for a while, or if `stop()`.

        What is older when it comes does not wait: then the batch is what the broker has ready.
        """
        batch = Batch()
        self._poll(batch, min(most, MESSAGES_AT_ONCE), POLL_SECONDS)
        if not batch:
            return batch
        age = clock().timestamp() - batch.oldest_ms / 1000
        ends_at = time.monotonic() + min(max(seconds - age, 0.0), seconds)
        while len(batch) < most and not stop():
            left, before = ends_at - time.monotonic(), len(batch)
            self._poll(batch, min(most - before, MESSAGES_AT_ONCE), min(max(left, 0.0), POLL_SECONDS))
            if left <= 0 and len(batch) - before < FEW_MESSAGES:
                break
        return batch

    def read_again(self, until: Mapping[Partition, int], *, stop: Callable[[], bool]) -> Batch | None:
        """All messages of the assigned partitions before these offsets, however long that takes; None if `stop()`."""
        batch = Batch()
        reached: dict[Partition, int] = {}
        while any(reached.get(partition, 0) < offset for partition, offset in until.items()):
            if stop():
                return None
            found = Batch()
            self._poll(found, MESSAGES_AT_ONCE, POLL_SECONDS)
            for topic, messages in found.by_topic.items():
                rows = zip(
                    messages.partitions, messages.offsets, messages.written_ms, messages.values, strict=True
                )
                for number, offset, written_ms, value in rows:
                    partition = Partition(topic=topic, number=number)
                    reached[partition] = max(offset + 1, reached.get(partition, 0))
                    if offset < until[partition]:
                        batch.add(topic, number, offset, written_ms, value)
        return batch

    def lag(self, next_offsets: Mapping[Partition, int]) -> int:
        """Messages that the broker has beyond these offsets, as far as it said so with its last answer."""
        behind = 0
        for partition, offset in next_offsets.items():
            _, high = self.client.get_watermark_offsets(_place(partition), cached=True)
            behind += max(0, high - offset)
        return behind

    def show_offsets(self, next_offsets: Mapping[Partition, int]) -> None:
        """Commit offsets to Kafka for tools that show the lag. Nobody waits for it, and it may fail."""
        from confluent_kafka import KafkaException

        try:
            self.client.commit(offsets=[_place(*item) for item in next_offsets.items()], asynchronous=True)
        except KafkaException as error:
            log.info("offsets could not be shown to Kafka: %s", error)

    def _poll(self, batch: Batch, most: int, seconds: float) -> None:
        found: list[Any] = self.client.consume(most, timeout=seconds)
        for message in found:
            if message.error() is None:
                self._absence.since = None
                batch.add(
                    message.topic(),
                    message.partition(),
                    message.offset(),
                    message.timestamp()[1],
                    message.value(),
                )
            else:
                self._judge(message)

    def _judge(self, message: Any) -> None:
        """What to do about an error of the client: it mends most of them itself."""
        from confluent_kafka import KafkaError

        error = message.error()
        # The client's own codes have such names.
        if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):  # noqa: SLF001
            partition = Partition(topic=message.topic(), number=message.partition())
            raise retention_passed({partition: (message.offset(), self.oldest_offset(partition))})
        if error.fatal() or error.code() in (
            KafkaError.TOPIC_AUTHORIZATION_FAILED,
            KafkaError.UNKNOWN_TOPIC_OR_PART,
        ):
            raise SourceMissing(
                "Kafka refuses a topic",
                where=f"Kafka at {self.brokers}, topic {message.topic()}",
                why=str(error),
                next_step="correct CRMBET_STREAM_TOPICS, or the rights of the connection crmbet_stream",
            )
        log.warning("a partition cannot be read now, and is tried again: %s", error)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        from confluent_kafka import KafkaException

        try:
            yield
        except KafkaException as error:
            self._absence.since = self._absence.since or time.monotonic()
            raise LostConnection(
                "Kafka cannot be reached",
                where=f"Kafka at {self.brokers}",
                why=str(error.args[0]),
                next_step="the task retries by itself; if it goes on, test the connection crmbet_stream",
            ) from None


def _place(partition: Partition, offset: int | None = None) -> Any:
    from confluent_kafka import TopicPartition

    if offset is None:
        return TopicPartition(partition.topic, partition.number)
    return TopicPartition(partition.topic, partition.number, offset)


def retention_passed(lost: Mapping[Partition, tuple[int, int]]) -> DataLost:
    """The failure that names messages which are gone: by partition the offset to read and the oldest that is there."""

    def named(partition: Partition, wanted: int, oldest: int) -> str:
        what = f"{partition.topic}/{partition.number}"
        if oldest <= wanted:
            return f"{what}: offset {wanted} is not there; the oldest message is {oldest}"
        return f"{what}: offsets {wanted} to {oldest - 1}, {oldest - wanted} messages"

    missing = "; ".join(named(partition, *offsets) for partition, offsets in sorted(lost.items()))
    return DataLost(
        f"the broker does not have messages any more that the stream has not read: {missing}",
        where="Kafka, as the connection crmbet_stream reaches it",
        why="the topic keeps messages for a shorter time than the stream stood still, or the topic was made anew",
        next_step="have the messages produced again if the source can; to go on without them, see docs/streaming.md, "
        "'Messages that are gone'",
    )
