"""Work that hangs: whoever waits for it stops waiting, and nobody asks the same server at once again."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from crmbet.monitoring.alerts import budget
from crmbet.monitoring.alerts.budget import OutOfTime, within

pytestmark = pytest.mark.unit


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Work that waits for it hangs until the test has ended."""
    monkeypatch.setattr(budget, "_silent", {})
    end = threading.Event()
    yield end
    end.set()


def test_work_in_time_gives_its_result_or_its_error() -> None:
    assert within(5, "a server", lambda: 42) == 42
    with pytest.raises(ZeroDivisionError):
        within(5, "a server", lambda: 1 // 0)


def test_work_that_hangs_is_left(hanging: threading.Event) -> None:
    started = time.monotonic()

    with pytest.raises(OutOfTime, match=r"no answer in 0\.1 s"):
        within(0.1, "a server", hanging.wait)

    assert time.monotonic() - started < 5


def test_a_silent_server_is_not_asked_again_at_once_and_others_are(hanging: threading.Event) -> None:
    asked = []
    with pytest.raises(OutOfTime):
        within(0.01, "a server", hanging.wait)

    with pytest.raises(OutOfTime, match="did not answer a moment ago"):
        within(5, "a server", lambda: asked.append("again"))

    assert asked == []
    assert within(5, "another server", lambda: 1) == 1


def test_a_server_is_asked_again_later(hanging: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OutOfTime):
        within(0.01, "a server", hanging.wait)

    monkeypatch.setattr(budget, "RESPITE_SECONDS", 0)

    assert within(5, "a server", lambda: 1) == 1
