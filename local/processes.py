"""Server processes that outlive the command which starts them, and that are never mistaken for someone else's."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple, NoReturn

import psutil

from local.workspace import PROJECT, Workspace, read_record, write_record

START_TOLERANCE_SECONDS = 2.0
"""How far a process's start may seem to move. It is counted from the boot, whose time moves with the clock."""
LAST_LINES = 15


class Account(NamedTuple):
    """The account that a process runs as: user and group id, and further groups (None means our own)."""

    user: int
    group: int
    extra_groups: tuple[int, ...] | None = None


class ServiceFailed(Exception):
    """A service did not come up or did not go down. The message says which, and which log to read."""


@dataclass(frozen=True)
class Daemon:
    """One server process of a workspace, found again by its record: process id, instant of start, workspace.

    A process id alone is not enough: after a reboot it is reused within minutes, and a copied checkout has the record
    of the original's processes.
    """

    workspace: Workspace
    name: str

    def process(self) -> psutil.Process | None:
        """The running process, None if it is gone or was never ours."""
        record = read_record(self.workspace.record(self.name))
        if record.get("state") != str(self.workspace.state):
            return None
        try:
            process = psutil.Process(record["pid"])
            difference = abs(process.create_time() - record["started_at"])
        except psutil.NoSuchProcess:
            return None
        return process if difference <= START_TOLERANCE_SECONDS and is_alive(process) else None

    def start(
        self, command: Sequence[str], *, environ: Mapping[str, str], account: Account | None = None
    ) -> psutil.Process:
        """Start the process in a session of its own, so that it outlives the shell.

        `environ` is its whole environment. Output is appended to the log.
        """
        with _appended(self.workspace.log(self.name)) as output:
            child = subprocess.Popen(
                list(command),
                env=dict(environ),
                cwd=_folder_for(account),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                user=account.user if account else None,
                group=account.group if account else None,
                extra_groups=account.extra_groups if account else None,
            )
        process = psutil.Process(child.pid)
        self.adopt(process)
        return process

    def adopt(self, process: psutil.Process) -> None:
        """Record a process as this daemon."""
        write_record(
            self.workspace.record(self.name),
            {"pid": process.pid, "started_at": process.create_time(), "state": str(self.workspace.state)},
        )

    def stop(self, how: signal.Signals = signal.SIGTERM, *, patience_seconds: float = 20) -> bool:
        """Ask the process to end, wait, and kill what is left of it and its children. Returns False if none ran."""
        return self.await_end(self.ask_to_end(how), patience_seconds=patience_seconds)

    def ask_to_end(self, how: signal.Signals = signal.SIGTERM) -> list[psutil.Process]:
        """Signal the process. Returns it and its children, or an empty list if it does not run."""
        process = self.process()
        if process is None:
            return []
        try:
            family = [process, *process.children(recursive=True)]
            process.send_signal(how)
        except psutil.NoSuchProcess:
            return [process]
        return family

    def await_end(self, family: Sequence[psutil.Process], *, patience_seconds: float = 20) -> bool:
        """Wait for a process that was asked to end, and kill what is left of its family. False if it is empty."""
        if family:
            wait_gone(family[:1], patience_seconds)
            left = wait_gone(family, 2)
            for member in left:
                with suppress(psutil.NoSuchProcess):
                    member.kill()
            if wait_gone(left, 5):
                self.fail("does not end")
        self.workspace.record(self.name).unlink(missing_ok=True)
        return bool(family)

    def wait_ready(self, ready: Callable[[], bool], *, timeout_seconds: float) -> None:
        """Wait until `ready()`. Raises `ServiceFailed` if the process ends first, or after the time-out."""
        deadline = time.monotonic() + timeout_seconds
        while not ready():
            if self.process() is None:
                self.fail("ended while it started")
            if time.monotonic() > deadline:
                self.fail(f"was not ready within {timeout_seconds:.0f} s")
            time.sleep(0.05)

    def fail(self, what: str) -> NoReturn:
        """Raise `ServiceFailed` with the end of the log."""
        raise ServiceFailed(f"{self.name} {what}. {_end_of(self.workspace.log(self.name))}")


def run_logged(
    command: Sequence[str],
    *,
    log: Path,
    environ: Mapping[str, str],
    timeout_seconds: float,
    account: Account | None = None,
) -> None:
    """Run a command to its end, its output appended to the log.

    Raises `ServiceFailed` with the end of the log if it fails or takes too long.
    """
    name = Path(command[0]).name
    with _appended(log) as output:
        try:
            ended = subprocess.run(
                list(command),
                env=dict(environ),
                cwd=_folder_for(account),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                timeout=timeout_seconds,
                check=False,
                user=account.user if account else None,
                group=account.group if account else None,
                extra_groups=account.extra_groups if account else None,
            )
        except subprocess.TimeoutExpired:
            raise ServiceFailed(f"{name} took more than {timeout_seconds:.0f} s. {_end_of(log)}") from None
    if ended.returncode != 0:
        raise ServiceFailed(f"{name} ended with {ended.returncode}. {_end_of(log)}")


def is_alive(process: psutil.Process) -> bool:
    """Whether the process runs. A zombie does not: in many containers nobody waits for ended processes."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def wait_gone(processes: Sequence[psutil.Process], timeout_seconds: float) -> list[psutil.Process]:
    """Wait for processes to end. Returns those that are left after the time-out."""
    deadline = time.monotonic() + timeout_seconds
    while (left := [process for process in processes if is_alive(process)]) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left


def _appended(log: Path) -> BinaryIO:
    log.parent.mkdir(parents=True, exist_ok=True)
    return log.open("ab")


def _folder_for(account: Account | None) -> str:
    """Where a process starts: another account may not be able to enter our folders."""
    return "/" if account else str(PROJECT)


def _end_of(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()[-LAST_LINES:] if log.exists() else []
    return "\n".join([f"Its log, {log}, ends with:", *(f"    {line}" for line in lines)])
