"""Runs of the stream that are killed while messages come, at any moment: the real signal, in processes of their own."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Callable
from datetime import date
from random import Random
from typing import Any

import boto3
import pytest
from confluent_kafka import Producer

from crmbet.run.settings import Settings
from crmbet.storage.object_store import ObjectStore
from tests.integration.stream.conftest import Casino, run_until
from tests.integration.stream.test_streaming import bet

pytestmark = [pytest.mark.integration, pytest.mark.full]

KILLS = 12
TODAY = date(2026, 8, 12)


def stream_for_ever(broker: str, target_url: str, settings: dict[str, Any]) -> None:
    """What the child process does."""
    made = Settings.of(**settings)
    casino = Casino(
        broker=broker,
        store=ObjectStore(boto3.client("s3"), made.lake_bucket),
        target_url=target_url,
        settings=made,
        producer=Producer({"bootstrap.servers": broker}),
    )
    with casino.open_stream() as stream:
        stream.run(lambda: False)


def test_kill_dash_nine_at_any_moment(open_casino: Callable[..., Casino], record_property: Any) -> None:
    casino = open_casino(("bets",), partitions=3)
    random = Random(1)  # noqa: S311 - the same moments each time
    context = multiprocessing.get_context("spawn")
    settings = {name: value for name, value in casino.settings.given().items() if not isinstance(value, dict)}
    sent = 0
    for _ in range(KILLS):
        child = context.Process(target=stream_for_ever, args=(casino.broker, casino.target_url, settings))
        child.start()
        ends_at = time.monotonic() + 4 + random.random() * 3
        while time.monotonic() < ends_at:
            casino.produce("bets", *(bet(sent + each, f"u{each}") for each in range(5)), partition=sent % 3)
            sent += 5
            time.sleep(0.05)
        assert child.is_alive()
        child.kill()
        child.join()
        assert child.exitcode == -signal.SIGKILL
    record_property("kills of a stream", KILLS)

    with casino.open_stream() as stream:
        run_until(stream, lambda: sum(first for first, _ in casino.offsets().values()) == sent)

    rows = casino.live("bets")
    assert sum(bets for (bets,) in rows.values()) == sent
    assert casino.parity(TODAY).is_equal
