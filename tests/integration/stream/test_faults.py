"""What may go wrong between a message and its row: every message counts once all the same, or the stream stops."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import Producer

from crmbet.failures import DataLost, LockHeld, SourceMissing
from crmbet.stream import capturing, streaming
from crmbet.stream.standing import Standing, find_standing
from crmbet.stream.streaming import Stream
from crmbet.stream.target import StreamTables
from local.broker import EmbeddedBroker
from tests.integration.stream.conftest import Casino, run_until
from tests.integration.stream.test_parity import TODAY
from tests.integration.stream.test_streaming import bet, paid_in

pytestmark = pytest.mark.integration


class Killed(BaseException):
    """Stands for the death of the process: nothing handles it."""


STEPS = (
    ("before the claim", StreamTables, "claim", False),
    ("after the claim", StreamTables, "claim", True),
    ("before the file", capturing, "keep_file", False),
    ("after the file", capturing, "keep_file", True),
    ("after the done-file", capturing, "write_record", True),
    ("before the commit", StreamTables, "commit", False),
    ("after the commit", StreamTables, "commit", True),
)


def die_at(patch: pytest.MonkeyPatch, owner: Any, name: str, *, after: bool) -> None:
    original = getattr(owner, name)

    def dying(*arguments: Any, **named: Any) -> None:
        if after:
            original(*arguments, **named)
        raise Killed

    patch.setattr(owner, name, dying)


def test_a_run_that_dies_anywhere_loses_nothing_and_counts_nothing_twice(
    open_casino: Callable[..., Casino],
) -> None:
    casino = open_casino(("bets",), partitions=2)
    for number, (_, owner, name, after) in enumerate(STEPS):
        # The dying run sees fewer messages than the next one, which would make another batch of them.
        casino.produce("bets", bet(10 * number), bet(10 * number + 1, "bia"))
        casino.produce("bets", bet(10 * number + 2), partition=1)
        with pytest.MonkeyPatch.context() as patch:
            die_at(patch, owner, name, after=after)
            with pytest.raises(Killed):
                casino.stream()
        casino.produce("bets", bet(10 * number + 3))
    casino.produce("bets", bet(1000))

    with casino.open_stream() as stream:
        run_until(stream, lambda: casino.offsets() == {("bets", 0): (22, 22), ("bets", 1): (7, 7)})

    assert casino.live("bets") == {("ana", "2026-08-12"): (22,), ("bia", "2026-08-12"): (7,)}
    assert casino.parity(TODAY).is_equal
    captured = streaming.committed_captures(stream.work, {"bets": ""}, stream._positions)["bets"]
    assert sum(capture.extracted for capture in captured) == 29


def test_of_two_that_read_one_stream_one_stops(open_casino: Callable[..., Casino]) -> None:
    casino = open_casino(("bets",))

    def somebody_else_reads() -> bool:
        if casino.produced:
            casino.stream()
            casino.produce("bets", bet(2))
            casino.produced = 0
        return False

    with casino.open_stream() as stream:
        casino.stream(0)
        casino.produce("bets", bet(1))
        with pytest.raises(LockHeld, match="somebody else reads the stream"):
            stream.run(somebody_else_reads)

    casino.stream(1)
    assert casino.live("bets") == {("ana", "2026-08-12"): (2,)}


def test_a_message_that_breaks_its_contract_is_named_by_its_place(open_casino: Callable[..., Casino]) -> None:
    casino = open_casino(("bets", "limits"), partitions=2)
    casino.produce("bets", bet(1), b"\xff\xfe", None, b"[1, 2]", bet(2, stake="much"), b'{"bet_id": "b3"}')
    casino.produce("bets", bet(4), b"{", partition=1)
    exclusion = {
        "user_id": "ana",
        "changed_at": "2026-08-12T14:30:00Z",
        "kind": "self_exclusion",
        "new_value": "soon",
    }
    casino.produce("limits", exclusion)

    casino.stream()

    bets, limits = casino.settings.stream.topics["bets"], casino.settings.stream.topics["limits"]
    found = casino.query(
        'SELECT topic, partition, "offset", source, reason FROM ml_features.stream_quarantine ORDER BY 1, 2, 3'
    )
    assert found == [
        (bets, 0, 1, "bets", "record: malformed record: bytes that are no text"),
        (bets, 0, 2, "bets", "record: no value"),
        (bets, 0, 3, "bets", "record: not a JSON object"),
        (bets, 0, 4, "bets", "stake: unreadable"),
        (bets, 0, 5, "bets", "user_id: missing"),
        (bets, 1, 1, "bets", "record: not a JSON object"),
        (limits, 0, 0, "limits", "new_value: unreadable"),
    ]
    # What may be a self-exclusion and cannot be read protects at once.
    assert casino.live("bets", "marketing_allowed", "rg_live_markers") == {
        ("ana", "2026-08-12"): (2, False, ["unreadable_exclusion"])
    }


def test_a_self_exclusion_ends_marketing_at_once(casino: Casino) -> None:
    casino.produce("bets", bet(1))
    casino.stream()
    assert casino.live("marketing_allowed")["ana", "2026-08-12"] == (True,)
    exclusion = {
        "user_id": "ana",
        "changed_at": "2026-08-12T14:30:00Z",
        "kind": "self_exclusion",
        "new_value": 30,
    }
    casino.produce("limits", exclusion)

    casino.stream()

    rows = casino.live("marketing_allowed", "rg_live_markers")
    assert rows["ana", "2026-08-12"] == (False, ["self_exclusion"])


def test_a_long_session_with_deposits_is_marked(casino: Casino) -> None:
    for number in range(8):
        casino.produce("bets", bet(number, at=f"2026-08-12T{10 + number // 2}:{30 * (number % 2):02}:00Z"))
    casino.produce(
        "transactions", *(paid_in(number, at=f"2026-08-12T11:0{number}:00Z") for number in range(3))
    )

    casino.stream()

    assert casino.live("rg_live_markers", "session_bets")["ana", "2026-08-12"] == (
        ["deposits_in_session", "long_session"], 8,
    )  # fmt: skip


def test_messages_that_the_broker_has_deleted_stop_the_stream(open_casino: Callable[..., Casino]) -> None:
    # The mock of Kafka's own client drops the oldest messages of a partition beyond 5 MB, as retention does.
    mock = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "mock"})
    casino = open_casino(("bets",))
    topic = casino.settings.stream.topics["bets"]
    (node,) = mock.list_topics(topic, timeout=10).brokers.values()
    casino.broker, casino.producer = f"{node.host}:{node.port}", mock
    casino.produce("bets", bet(1))
    casino.stream()
    casino.produce("bets", *(b"x" * 500_000 for _ in range(20)))

    lost = rf"{topic}/0: offsets 1 to \d+, \d+ messages"
    with pytest.raises(DataLost, match=lost):
        casino.stream()
    with casino.open_stream() as stream, pytest.raises(DataLost, match=lost):
        find_standing(stream.consumer, [topic], stream.tables.positions())

    assert casino.offsets()["bets", 0] == (1, 1)


def test_the_standing_says_what_is_to_be_read(open_casino: Callable[..., Casino]) -> None:
    casino = open_casino(("bets",), partitions=2)
    topics = [*casino.settings.stream.topics.values()]

    def standing() -> Standing:
        with casino.open_stream() as stream:
            return find_standing(stream.consumer, topics, stream.tables.positions())

    # Nothing was read yet, and there are no tables.
    assert standing() == Standing(partitions=2, unread=0)
    casino.produce("bets", bet(1), bet(2))
    casino.stream()
    casino.produce("bets", bet(3), partition=1)
    assert standing() == Standing(partitions=2, unread=1)


def test_a_topic_that_is_not_there_is_named(open_casino: Callable[..., Casino]) -> None:
    casino = open_casino(("bets",), stream_topics="bets=nowhere")

    with pytest.raises(SourceMissing, match="the broker has no topic nowhere"):
        casino.stream(1)


def test_a_broker_that_was_away_is_read_again(
    services: Any, session_folder: Any, open_casino: Callable[..., Casino]
) -> None:
    services.object_store.create_bucket("broker")
    lasting = EmbeddedBroker(services.workspace, "broker", name="lasting-broker")
    lasting.start()
    try:
        casino = open_casino(("bets",), broker=lasting)
        casino.produce("bets", bet(1))
        with casino.open_stream() as stream:
            thread = threading.Thread(target=come_back, args=(casino, stream, lasting))
            thread.start()
            run_until(stream, lambda: stream.figures.messages == 2)
            thread.join()
    finally:
        lasting.stop()
        shutil.rmtree(services.object_store.folder / "broker")

    assert casino.live("bets") == {("ana", "2026-08-12"): (2,)}


def come_back(casino: Casino, stream: Stream, broker: EmbeddedBroker) -> None:
    """Once the first message is committed, the broker dies. It comes back, and has another one."""
    while stream.figures.messages < 1:
        time.sleep(0.05)
    broker.stop()
    time.sleep(1)
    broker.start()
    casino.produce("bets", bet(2))
