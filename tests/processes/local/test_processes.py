"""A daemon is found again, ended whole, and never mistaken for a process of someone else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from local.processes import Daemon, ServiceFailed, is_alive, run_logged, wait_gone
from local.workspace import Workspace, read_record, write_record

pytestmark = pytest.mark.processes

STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen(["sleep", "600"])
print(child.pid, flush=True)
time.sleep(600)
"""

NEGLIGENT = """
import subprocess, time
print(subprocess.Popen(["sleep", "600"]).pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def daemon(workspace: Workspace) -> Iterator[Daemon]:
    server = Daemon(workspace, "server")
    yield server
    server.stop(signal.SIGKILL)


def test_a_daemon_is_found_again_and_stopped(daemon: Daemon) -> None:
    started = daemon.start(["sleep", "600"], environ={})

    assert Daemon(daemon.workspace, daemon.name).process() == started
    assert daemon.stop() is True
    assert not is_alive(started)
    assert daemon.process() is None
    assert daemon.stop() is False


def test_a_daemon_leads_a_session_of_its_own(daemon: Daemon) -> None:
    started = daemon.start(["sleep", "600"], environ={})
    assert os.getsid(started.pid) == started.pid


def test_a_daemon_sees_only_the_environment_it_was_given(daemon: Daemon) -> None:
    assert not wait_gone([daemon.start(["env"], environ={"ONLY": "this"})], 10)
    assert daemon.workspace.log(daemon.name).read_text() == "ONLY=this\n"


def test_a_reused_process_id_is_left_alone(daemon: Daemon, bystander: Callable[[], psutil.Process]) -> None:
    other = bystander()
    daemon.adopt(other)
    record = daemon.workspace.record(daemon.name)
    write_record(record, {**read_record(record), "started_at": other.create_time() - 3600})

    assert daemon.process() is None
    assert daemon.stop() is False
    assert is_alive(other)


def test_the_record_of_a_copied_checkout_names_nobody(
    daemon: Daemon, workspace: Workspace, bystander: Callable[[], psutil.Process]
) -> None:
    daemon.adopt(bystander())
    copy = Workspace(workspace.state.with_name("copy"))
    write_record(copy.record(daemon.name), read_record(workspace.record(daemon.name)))

    assert Daemon(copy, daemon.name).stop() is False
    assert daemon.process() is not None


def test_what_ignores_the_signal_is_killed_with_its_children(daemon: Daemon) -> None:
    parent = daemon.start([sys.executable, "-c", STUBBORN], environ={})
    log = daemon.workspace.log(daemon.name)
    daemon.wait_ready(lambda: bool(log.read_text().strip()), timeout_seconds=20)
    child = psutil.Process(int(log.read_text()))

    assert daemon.stop(patience_seconds=0.2) is True
    assert not is_alive(parent)
    assert not is_alive(child)


def test_a_process_that_ended_is_no_daemon_although_nobody_waited_for_it(daemon: Daemon) -> None:
    started = daemon.start(["true"], environ={})

    assert not wait_gone([started], 10)
    assert daemon.process() is None


def test_a_daemon_that_nobody_waits_for_is_stopped_at_once(daemon: Daemon) -> None:
    """As in a container whose first process waits for no orphans."""
    negligent = subprocess.Popen([sys.executable, "-c", NEGLIGENT], stdout=subprocess.PIPE, text=True)
    assert negligent.stdout is not None
    try:
        child = psutil.Process(int(negligent.stdout.readline()))
        daemon.adopt(child)
        began = time.monotonic()
        assert daemon.stop(patience_seconds=20) is True
        assert time.monotonic() - began < 10
        assert child.status() == psutil.STATUS_ZOMBIE
    finally:
        negligent.kill()
        negligent.communicate()


def test_a_daemon_that_dies_while_it_starts_is_reported_with_its_last_words(daemon: Daemon) -> None:
    daemon.start(["sh", "-c", "echo no room left; exit 3"], environ={})

    with pytest.raises(ServiceFailed, match="server ended while it started") as failure:
        daemon.wait_ready(lambda: False, timeout_seconds=20)
    assert "no room left" in str(failure.value)
    assert str(daemon.workspace.log("server")) in str(failure.value)


def test_a_daemon_that_is_never_ready_is_reported_in_time(daemon: Daemon) -> None:
    daemon.start(["sleep", "600"], environ={})

    with pytest.raises(ServiceFailed, match="was not ready within 0 s"):
        daemon.wait_ready(lambda: False, timeout_seconds=0.1)


def test_the_log_is_kept_over_starts(daemon: Daemon) -> None:
    for word in ("first", "second"):
        assert not wait_gone([daemon.start(["echo", word], environ={})], 10)

    assert daemon.workspace.log("server").read_text() == "first\nsecond\n"


def test_a_failed_command_is_reported_with_its_last_words(workspace: Workspace) -> None:
    with pytest.raises(ServiceFailed, match=r"^sh ended with 4\.[^§]*out of paper"):
        run_logged(
            ["/bin/sh", "-c", "echo out of paper >&2; exit 4"],
            log=workspace.log("printer"),
            environ={},
            timeout_seconds=20,
        )


def test_a_command_that_hangs_is_ended(workspace: Workspace) -> None:
    with pytest.raises(ServiceFailed, match="took more than 0 s"):
        run_logged(["/bin/sleep", "600"], log=workspace.log("sleep"), environ={}, timeout_seconds=0.1)
