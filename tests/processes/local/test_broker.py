"""`make broker`: a broker for the stream, whose topics and messages outlive it as the stream's offsets do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from crmbet.run.schedule import STREAMED
from local import services
from local.broker import EmbeddedBroker
from local.env import environment
from local.workspace import Workspace

pytestmark = pytest.mark.processes


def test_topics_and_messages_are_there_after_a_restart(
    session_folder: Path, make_services_ready: Callable[[Workspace], None]
) -> None:
    workspace = Workspace(session_folder / "broker")
    make_services_ready(workspace)
    try:
        services.serve_broker(workspace)
        producer = Producer({"bootstrap.servers": EmbeddedBroker(workspace).address})
        producer.produce("bets", b"{}")
        assert producer.flush(10) == 0
        services.stop(workspace)
        assert "CRMBET_STREAM_TOPICS" not in environment(workspace)

        services.serve_broker(workspace)

        consumer = Consumer({"bootstrap.servers": EmbeddedBroker(workspace).address, "group.id": "test"})
        consumer.assign([TopicPartition("bets", 0, 0)])
        message = consumer.poll(20)
        consumer.close()
        assert message is not None
        assert message.value() == b"{}"
        assert environment(workspace)["CRMBET_STREAM_TOPICS"].split() == [
            f"{each}={each}" for each in STREAMED
        ]
    finally:
        services.stop(workspace)
