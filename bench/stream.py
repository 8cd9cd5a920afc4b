"""Live rows from Kafka: messages a second, and the age of a row, beside a loop that only consumes and writes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta

import psycopg2
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from bench.apart import Apart, run_apart
from bench.figures import Figure
from bench.workbench import Operator, PipelineRun, Workbench
from local.broker import EmbeddedBroker
from local.workspace import PROJECT, Workspace

PARTITIONS = 4
RATE = 2_000
"""Messages a second of the second measurement."""
LEAST_RATE = 10_000
MOST_AGE = 5.0
MOST_MIB = 600.0
MOST_GROWTH_MIB = 60.0
MOST_COST_GROWTH = 1.25
GAMES = ("slots", "crash", "cassino", "esportes")


def measure(workbench: Workbench, messages: int, players: int, seconds: int) -> list[Figure]:
    """Read waiting messages both ways, then messages that come while the stream runs."""
    broker = EmbeddedBroker(Workspace(workbench.folder))
    broker.start()
    try:
        # Each has a store of its own: a run begins by holding the rows of the last days again.
        with workbench.operator("stream_coming") as operator:
            coming = _coming(operator, broker, players, seconds)
        with workbench.operator("stream_waiting") as operator:
            return [*_waiting(operator, broker, messages, players), *coming]
    finally:
        broker.stop()


def _waiting(operator: Operator, broker: EmbeddedBroker, messages: int, players: int) -> list[Figure]:
    _create(broker, "waiting")
    now = datetime.now(UTC)
    with_broker = Producer({"bootstrap.servers": broker.address, "linger.ms": 50})
    for number in range(messages):
        # Of the last twelve hours: of today and yesterday.
        _send(with_broker, "waiting", number, players, now - timedelta(seconds=number * 43_200 / messages))
    _flush(with_broker)
    floor = run_apart("bench.streaming", "floor", _run(operator), broker.address, "waiting", str(messages))
    ours = run_apart("bench.streaming", "ours", _run(operator), broker.address, "waiting", str(messages))
    note = f"{messages:,} messages of {players:,} players, {ours.counts['batches']} batches"
    rate = messages / ours.stopwatch.total
    return [
        Figure(
            name="loop that consumes and writes",
            value=messages / floor.stopwatch.total,
            unit="/s",
            note="messages",
        ),
        Figure(name="stream to live rows", value=rate, unit="/s", note=note),
        Figure(
            name="... by second of processor time",
            value=messages / ours.cpu_seconds,
            unit="/s",
            least=LEAST_RATE,
            note=f"the loop: {messages / floor.cpu_seconds:,.0f}",
        ),
        Figure(
            name="... over the loop",
            value=floor.stopwatch.total and ours.stopwatch.total / floor.stopwatch.total,
            unit="x",
        ),
        Figure(name="... peak memory", value=ours.peak_mib, unit="MiB", limit=MOST_MIB),
        Figure(
            name="... memory, last quarter less second",
            value=ours.steps["memory_growth"],
            unit="MiB",
            limit=MOST_GROWTH_MIB,
        ),
        Figure(
            name="... cost of a message, last quarter over second",
            value=ours.steps["cost_growth"],
            unit="x",
            limit=MOST_COST_GROWTH,
        ),
        *_stages(floor, ours, messages),
        Figure(
            name="... live rows written",
            value=ours.counts["rows"],
            unit="",
            note=f"{_count(operator)} players and days",
        ),
    ]


def _stages(floor: Apart, ours: Apart, messages: int) -> list[Figure]:
    """Processor time of each stage. The loop has two of them, and no message needs less in these."""
    found = []
    for name, seconds in ours.steps.items():
        if name.startswith("cpu of "):
            least = floor.steps.get(name)
            note = f"the loop: {least / messages * 1e6:.1f}" if least is not None else ""
            found.append(Figure(name=f"... {name}", value=seconds / messages * 1e6, unit="us", note=note))
    return found


def _coming(operator: Operator, broker: EmbeddedBroker, players: int, seconds: int) -> list[Figure]:
    _create(broker, "coming")
    messages = RATE * seconds
    feeder = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "bench.streaming",
            "feed",
            broker.address,
            "coming",
            str(messages),
            str(players),
        ],
        cwd=PROJECT,
    )
    try:
        ours = run_apart("bench.streaming", "ours", _run(operator), broker.address, "coming", str(messages))
    finally:
        feeder.wait()
    note = f"{RATE:,} messages a second for {seconds} s, {ours.counts['batches']} batches"
    return [
        Figure(name="age of a live row, median", value=ours.steps["age_p50"], unit="s", note=note),
        Figure(name="... 95th percentile", value=ours.steps["age_p95"], unit="s", limit=MOST_AGE),
    ]


def feed(address: str, topic: str, messages: int, players: int) -> None:
    """Send messages at `RATE`, each placed when it is sent."""
    producer = Producer({"bootstrap.servers": address, "linger.ms": 5})
    began = time.monotonic()
    for number in range(messages):
        if number % 100 == 0:
            time.sleep(max(0.0, began + number / RATE - time.monotonic()))
        _send(producer, topic, number, players, datetime.now(UTC))
    _flush(producer)


def _create(broker: EmbeddedBroker, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": broker.address})
    admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result()


def _send(producer: Producer, topic: str, number: int, players: int, at: datetime) -> None:
    user = f"u{number * 2_654_435_761 % players:07}"
    bet = {
        "bet_id": f"{topic}-{number:09}", "user_id": user, "placed_at": at.isoformat(), "game_type": GAMES[number % 4],
        "stake": f"{number % 50 + 1}.50", "payout": "0.00" if number % 3 else f"{number % 90}.25",
        "game_id": f"g{number % 200}", "device_type": "phone", "rtp": "0.96",
    }  # fmt: skip
    while True:
        try:
            producer.produce(topic, json.dumps(bet).encode(), partition=hash(user) % PARTITIONS)
        except BufferError:
            producer.poll(0.1)
        else:
            return


def _flush(producer: Producer) -> None:
    if left := producer.flush(120):
        raise RuntimeError(f"{left} messages could not be sent")


def _run(operator: Operator) -> str:
    return PipelineRun(
        operator=operator, as_of=datetime.now(UTC).date().isoformat(), memory_limit="300MB"
    ).to_json()


def _count(operator: Operator) -> int:
    with closing(psycopg2.connect(operator.source_url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM ml_features.user_features_live")
        (rows,) = cursor.fetchone() or (0,)
        return int(rows)
