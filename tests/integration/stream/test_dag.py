"""The DAG of the stream and the daily comparison, as Airflow runs them."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import psycopg2
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from crmbet.contracts.files import CONTRACTS, load_source_contracts
from crmbet.run.tasks import TASKS
from crmbet.stream.parity import Parity
from local.broker import EmbeddedBroker
from local.simulator import DirtRates, World, deliver, simulate
from tests.integration.stream.test_streaming import bet

pytestmark = pytest.mark.integration


def configure(
    broker: EmbeddedBroker, operator: Any, topic: str, monkeypatch: pytest.MonkeyPatch, *, messages: int
) -> None:
    """Have the stream read bets from a topic until it has committed so many messages: its time is over then."""
    host, port = broker.address.split(":")
    monkeypatch.setenv(
        "AIRFLOW_CONN_CRMBET_STREAM", json.dumps({"conn_type": "kafka", "host": host, "port": int(port)})
    )
    monkeypatch.setenv("CRMBET_STREAM_TOPICS", f"bets={topic}")
    monkeypatch.setenv("CRMBET_STREAM_TIMEOUT_MINUTES", "3")

    def monotonic() -> float:
        with suppress(psycopg2.errors.UndefinedTable, psycopg2.errors.InvalidSchemaName):
            ((committed,),) = operator.query("SELECT sum(next_offset) FROM ml_features.stream_offsets")
            if committed == messages:
                return time.monotonic() + 3600
        return time.monotonic()

    monkeypatch.setattr("crmbet.operators.stream.time", SimpleNamespace(monotonic=monotonic))


def test_a_run_leaves_live_rows_and_figures_and_the_night_compares_them(
    broker: EmbeddedBroker, open_operator: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = open_operator()
    configure(broker, operator, "dag-bets", monkeypatch, messages=3)
    admin = AdminClient({"bootstrap.servers": broker.address})
    admin.create_topics([NewTopic("dag-bets", 1, 1)])["dag-bets"].result()
    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    producer = Producer({"bootstrap.servers": broker.address})
    for message in (bet(1, at=yesterday), bet(2, "bia", at=yesterday)):
        producer.produce("dag-bets", json.dumps(message).encode())
    producer.produce("dag-bets", b"no json")
    assert producer.flush(10) == 0

    run = operator.run("user_features_stream")

    assert (run.state, run.states) == ("success", {"stream": "success"})
    assert operator.query("SELECT user_id, bets FROM ml_features.user_features_live ORDER BY 1") == [
        ("ana", 1),
        ("bia", 1),
    ]
    ((figures, read),) = operator.query(
        "SELECT tasks -> 'stream' -> 'figures', records_extracted FROM ml_features.pipeline_runs"
    )
    assert (figures["messages"], figures["quarantined"], figures["lag"], read) == (3, 1, 0, 3)
    assert 0 <= figures["age_p50"] <= figures["age_max"]

    equal = operator.execute(["compare_stream"], run_id="equal").manifest("compare_stream", Parity)
    with psycopg2.connect(operator.target_url) as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE ml_features.user_features_live SET bets = 7 WHERE user_id = 'bia'")
    edited = operator.execute(["compare_stream"], run_id="edited").manifest("compare_stream", Parity)

    assert (equal.rows, equal.differing) == (2, {})
    assert (edited.differing, edited.examples) == ({"bets": 1}, ["bia"])


@pytest.mark.full
def test_bets_from_kafka_alone_make_the_same_table_as_bets_from_the_lake(
    broker: EmbeddedBroker,
    open_operator: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    today = datetime.now(ZoneInfo("America/Sao_Paulo")).date()
    world = World(seed=11, players=800, start_day=today - timedelta(days=5), end_day=today)
    clean = replace(DirtRates(), **{each.name: 0.0 for each in fields(DirtRates) if each.name != "ceiling"})
    tables = []
    for is_streamed in (False, True):
        operator = open_operator()
        deliver(world, bucket=operator.bucket, source_url=operator.source_url, rates=clean)
        if is_streamed:
            operator.store.delete_all([entry.key for entry in operator.store.list("raw/bets/")])
            _stream_bets(broker, operator, world, monkeypatch)
            shutil.copytree(CONTRACTS / "sources", tmp_path / "sources")
            bets = tmp_path / "sources" / "bets.yaml"
            bets.write_text(bets.read_text().replace("kind: lake", "kind: stream"))
            monkeypatch.setattr(load_source_contracts, "__defaults__", (tmp_path / "sources", ""))
        run = operator.run("user_features_daily")
        assert run.states | {"compare_stream": "success"} == dict.fromkeys(
            [*TASKS, "compare_stream"], "success"
        )
        tables.append(operator.query("SELECT user_id, row_hash FROM ml_features.user_features ORDER BY 1"))

    from_lake, from_kafka = tables
    assert len(from_lake) > 500
    assert from_kafka == from_lake


def _stream_bets(
    broker: EmbeddedBroker, operator: Any, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Produce a world's bets, and run the stream until it has captured them."""
    admin = AdminClient({"bootstrap.servers": broker.address})
    admin.create_topics([NewTopic("world-bets", 2, 1)])["world-bets"].result()
    producer = Producer({"bootstrap.servers": broker.address})
    bets = [row for batch in simulate(world) for row in batch.tables["bets"].to_pylist()]
    for number, row in enumerate(bets):
        producer.produce("world-bets", json.dumps(row, default=str).encode(), partition=number % 2)
    assert producer.flush(30) == 0
    configure(broker, operator, "world-bets", monkeypatch, messages=len(bets))
    assert operator.run("user_features_stream").states == {"stream": "success"}
    rows = operator.query("SELECT sum(next_offset) FROM ml_features.stream_offsets")
    assert rows == [(len(bets),)]
