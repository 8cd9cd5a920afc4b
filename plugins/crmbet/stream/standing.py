"""Where a stream stands: what it has still to read, and what it can never read any more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from crmbet.stream.consumer import StreamConsumer, retention_passed
from crmbet.stream.records import Partition, Position


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What the broker has beyond the live rows."""

    partitions: int
    unread: int
    """Messages that are still to be read."""


def find_standing(
    consumer: StreamConsumer, topics: Sequence[str], positions: Mapping[Partition, Position]
) -> Standing:
    """Compare the broker with how far each partition was read; `positions` has nothing of a new one.

    Raises `DataLost` if the broker has deleted messages that were never read, `SourceMissing` if a topic is not there,
    and `LostConnection`.
    """
    unread, lost = 0, {}
    found = consumer.partitions(topics)
    for partition in found:
        oldest, newest = consumer.bounds(partition)
        position = positions.get(partition)
        first = position.next_offset if position else oldest
        if first < oldest:
            lost[partition] = (first, oldest)
        unread += max(0, newest - first)
    if lost:
        raise retention_passed(lost)
    return Standing(partitions=len(found), unread=unread)
