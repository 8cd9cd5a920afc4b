"""What the stream reads: partitions, the messages of a batch, and the chunks that they become."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, order=True)
class Partition:
    """One partition of a topic."""

    topic: str
    number: int


@dataclass(frozen=True, kw_only=True, order=True)
class Position:
    """How far a partition was read."""

    next_offset: int
    """The first offset that is not in the live rows."""
    claimed_offset: int
    """The first offset that is not in the batch which is being read; the same if there is none."""


@dataclass(frozen=True, kw_only=True, order=True)
class Chunk:
    """The messages of a partition from one offset up to another, which is not among them."""

    partition: Partition
    first: int
    until: int

    @property
    def name(self) -> str:
        """Its name among captures: later chunks of a partition sort behind."""
        return f"kafka://{self.partition.topic}/{self.partition.number}/{self.first:020}-{self.until:020}"

    @classmethod
    def of_name(cls, name: str) -> Chunk:
        """The chunk that has this name."""
        topic, number, offsets = name.removeprefix("kafka://").split("/")
        first, until = offsets.split("-")
        return cls(partition=Partition(topic=topic, number=int(number)), first=int(first), until=int(until))


@dataclass(kw_only=True)
class Messages:
    """Messages of one topic, column by column, in the order in which they came."""

    partitions: list[int] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    written_ms: list[int] = field(default_factory=list)
    """The broker's time of each, in milliseconds since 1970."""
    values: list[bytes | None] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.offsets)


@dataclass(kw_only=True)
class Batch:
    """The messages that are read, captured and committed together."""

    by_topic: dict[str, Messages] = field(default_factory=dict)

    def add(self, topic: str, partition: int, offset: int, written_ms: int, value: bytes | None) -> None:
        """Add a message."""
        messages = self.by_topic.get(topic)
        if messages is None:
            messages = self.by_topic[topic] = Messages()
        messages.partitions.append(partition)
        messages.offsets.append(offset)
        messages.written_ms.append(written_ms)
        messages.values.append(value)

    def __len__(self) -> int:
        return sum(len(messages) for messages in self.by_topic.values())

    @property
    def oldest_ms(self) -> int:
        """When its oldest message was written, in milliseconds since 1970."""
        return min(min(messages.written_ms) for messages in self.by_topic.values())

    @property
    def newest_ms(self) -> int:
        """When its newest message was written, in milliseconds since 1970."""
        return max(max(messages.written_ms) for messages in self.by_topic.values())

    def chunks(self, positions: Mapping[Partition, Position]) -> list[Chunk]:
        """A chunk for each partition that has messages, from where it was read."""
        last: dict[Partition, int] = {}
        for topic, messages in self.by_topic.items():
            for number, offset in zip(messages.partitions, messages.offsets, strict=True):
                partition = Partition(topic=topic, number=number)
                last[partition] = max(offset, last.get(partition, offset))
        return [
            Chunk(partition=partition, first=positions[partition].next_offset, until=offset + 1)
            for partition, offset in sorted(last.items())
        ]


def of_topic(chunks: Iterable[Chunk], topic: str) -> list[Chunk]:
    """The chunks of one topic."""
    return [chunk for chunk in chunks if chunk.partition.topic == topic]
