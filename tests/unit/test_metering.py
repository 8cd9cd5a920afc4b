"""The meter of a process, and how readings are added."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from crmbet import metering
from crmbet.metering import Usage

pytestmark = pytest.mark.unit


def test_a_reading_less_an_earlier_one_is_what_happened_between() -> None:
    before = metering.read()
    metering.count_request("get", 0)
    metering.count_request("put", 1_000)
    metering.count_received(70)
    metering.count_rows(read=3, written=2)
    with pytest.raises(ConnectionError), metering.in_postgres():
        break_off(after=0.002)
    with metering.in_theme("games"):
        while time.process_time() == time.process_time():
            pass

    used = metering.read().minus(before)

    assert used.requests == {"get": 1, "put": 1}
    assert (used.bytes_sent, used.bytes_received, used.rows_read, used.rows_written) == (1_000, 70, 3, 2)
    assert used.postgres_seconds >= 0.002, "a statement that fails has taken its time, too"
    assert used.themes.keys() <= {"games"}
    assert used.cpu_seconds >= 0
    assert used.tries == 1


def break_off(after: float) -> None:
    time.sleep(after)
    raise ConnectionError


def test_no_count_of_a_thread_is_lost() -> None:
    before = metering.read()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: metering.count_request("get", 1), range(4_000)))

    used = metering.read().minus(before)
    assert (used.requests, used.bytes_sent) == ({"get": 4_000}, 4_000)


def test_tries_are_added_up() -> None:
    first = Usage(cpu_seconds=0.1, requests={"get": 2}, themes={"rfm": 0.5}, tries=2)
    second = Usage(cpu_seconds=0.2, requests={"get": 1, "put": 4}, rows_read=7)

    assert first.plus(second) == Usage(
        cpu_seconds=0.3, requests={"get": 3, "put": 4}, rows_read=7, themes={"rfm": 0.5}, tries=3
    )
