"""Work in threads: its results, its failures, and a task whose time is over."""

from __future__ import annotations

import threading
import time
from contextvars import ContextVar

import pytest

from crmbet.storage.threads import in_parallel, threads

pytestmark = pytest.mark.unit


def test_results_are_in_the_order_of_the_arguments() -> None:
    def slow_if_early(number: int) -> int:
        time.sleep(0.02 if number < 3 else 0)
        return number * 2

    assert in_parallel(slow_if_early, range(10), 4) == [number * 2 for number in range(10)]
    assert in_parallel(slow_if_early, [], 4) == []


def test_threads_have_the_context_of_their_caller() -> None:
    variable: ContextVar[str] = ContextVar("run", default="none")
    variable.set("a run")

    assert in_parallel(lambda _: variable.get(), range(4), 2) == ["a run"] * 4


def test_a_failure_ends_what_has_not_begun_and_waits_for_what_has() -> None:
    begun: list[int] = []
    ended: list[int] = []

    def work(number: int) -> None:
        begun.append(number)
        if number == 1:
            raise ValueError("one")
        time.sleep(0.2)
        ended.append(number)

    with pytest.raises(ValueError, match="one"):
        in_parallel(work, range(100), 2)

    assert len(begun) < 10
    assert sorted([*ended, 1]) == sorted(begun)


def test_a_time_out_of_the_task_waits_for_nobody() -> None:
    release = threading.Event()

    def fail() -> None:
        with threads(2) as pool:
            for _ in range(5):
                pool.submit(release.wait, 60)
            raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        fail()

    assert time.monotonic() - started < 5
    release.set()


def test_a_failure_in_the_task_itself_waits_for_what_has_begun() -> None:
    release = threading.Event()
    ended: list[bool] = []

    def fail() -> None:
        with threads(1) as pool:
            for _ in range(5):
                pool.submit(lambda: ended.append(release.wait(60)))
            threading.Timer(0.1, release.set).start()
            raise ValueError("of the task")

    with pytest.raises(ValueError, match="of the task"):
        fail()

    assert ended == [True]
