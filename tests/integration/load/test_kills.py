"""kill -9 of the task, PostgreSQL and S3 within backup and load, and a full disk: nothing is mixed, nothing stays.

`make chaos` walks every statement; each commit some of them.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from crmbet.load.load import Strategy
from local.workspace import Workspace
from tests.integration.load.load_process import (
    MODELS,
    PLAYERS,
    TEMPORARY,
    Line,
    Servers,
    kill,
    mount_small_disk,
    state,
)
from tests.integration.load.small_loads import DEFAULT_SERVER, POSTGRES_15

pytestmark = pytest.mark.integration

FEW = (0.3, 0.6, 0.9)
"""Where a short walk kills, in parts of a whole run's log."""
LEAST_POINTS = 40
PHASES = {
    "backup": ("CREATE TABLE", "COMMIT"),
    "staging": ("CREATE UNLOGGED", "COPY", "COMMIT"),
    "load": ("INSERT INTO", "COMMIT"),
    "clearing": ("DROP TABLE", "COMMIT"),
}
"""Of a run, in their order, and statements among which a walk through the phase must have killed."""
LAST_STATEMENTS = {"backup": "CREATE TABLE", "staging": "ANALYZE", "load": "model_parameters"}
"""With the commit after the last of these a phase ends."""
POSTGRES_STEPS = 20
"""How many kills of PostgreSQL are spread over a whole run."""
S3_STEPS = 10
"""How many kills of S3 there are until its rows are copied."""
SAFE = {"fsync": "off", "full_page_writes": "off"}
"""Processes are killed, not the machine."""
HISTORY_LOADS = 20
"""How many loads the history of a walk keeps at most."""

CountPoints = Callable[[str, int], None]


class Walk:
    """A table that goes from state to state, by tries that die and are repeated."""

    def __init__(self, servers: Servers) -> None:
        self.servers = servers
        self.number = 0
        self._logs: dict[str, list[Line]] = {}

    def log(self, strategy: Strategy) -> list[Line]:
        """What PostgreSQL logs of a whole run."""
        if strategy not in self._logs:
            # From the fourth on runs are alike: there is a backup to take, and one to sweep.
            while self.number < 4:
                self.advance("merge")
            # A retry before it may have left a backup that equals the table: the run would take none.
            self.advance("merge")
            self._logs[strategy] = self.advance(strategy)
        return self._logs[strategy]

    def advance(self, strategy: Strategy) -> list[Line]:
        """A whole run; what PostgreSQL logged of it."""
        attempt = self._next(strategy)
        run = self.servers.run(attempt)
        assert run.exit_code == 0
        self._see_whole()
        return run.lines

    def die_at(
        self,
        at: int,
        strategy: Strategy,
        act: Callable[[Any], None],
        recover: Callable[[], None],
        expected: int,
    ) -> list[Line]:
        """A try that meets `act` at a line of the log, and the retry; the log up to the try's death.

        Empty if it ended well in spite of `act`, or before it.
        """
        attempt = self._next(strategy)
        dead = self.servers.run(attempt, at, act)
        recover()
        self._see_old_or_new()
        retry = self.servers.run(replace(attempt, seconds=10))
        assert retry.exit_code == 0, f"the retry after line {at}, {dead.lines[-1]}, failed"
        self._see_whole()
        if dead.exit_code == 0:
            return []
        assert dead.acted
        assert dead.exit_code == expected
        return dead.lines

    def _next(self, strategy: Strategy) -> Any:
        self.number += 1
        if self.number % HISTORY_LOADS == 0:
            self.servers.forget_history()
        attempt = self.servers.attempt(self.number, strategy)
        self.servers.write_file(attempt)
        return attempt

    def _see_old_or_new(self) -> None:
        seen = self.servers.look()
        old, new = state(self.number - 1), state(self.number)
        assert seen.table in (old, new), f"the table is mixed: {seen}"
        is_new = seen.table == new
        assert seen.history.get(f"state {self.number}", 0) == (PLAYERS if is_new else 0)
        assert seen.models.get(f"run {self.number}", 0) == (MODELS if is_new else 0)
        assert seen.broken_backups == []

    def _see_whole(self) -> None:
        seen = self.servers.look()
        assert seen.table == state(self.number)
        assert seen.history[f"state {self.number}"] == PLAYERS
        assert set(seen.history.values()) == {PLAYERS}
        assert seen.models[f"run {self.number}"] == MODELS
        assert (seen.stagings, seen.locks, seen.broken_backups) == (0, 0, [])


# For the session: work that is stolen from another process brings one back to this file, and to the state that it left.
@pytest.fixture(scope="session")
def servers(session_folder: Path) -> Iterator[Servers]:
    if DEFAULT_SERVER == "15" and not POSTGRES_15.is_dir():
        pytest.skip(f"PostgreSQL 15 is not installed: there is no {POSTGRES_15}")
    own = Servers(Workspace(session_folder / "kills"), SAFE, POSTGRES_15 if DEFAULT_SERVER == "15" else None)
    own.start()
    yield own
    own.stop()


@pytest.fixture(scope="session")
def walk(servers: Servers) -> Walk:
    return Walk(servers)


@pytest.fixture
def count_points(record_property: Callable[[str, object], None]) -> CountPoints:
    """Has the end of the test run say how many points there were; the same words are added up."""

    def count(where: str, points: int) -> None:
        record_property(f"{where}, PostgreSQL {DEFAULT_SERVER}", points)

    return count


@contextmanager
def held(process: BaseProcess) -> Iterator[None]:
    """Keep a try where it is: killing a server with all its processes takes longer than most statements."""
    assert process.pid is not None
    os.kill(process.pid, signal.SIGSTOP)
    yield
    os.kill(process.pid, signal.SIGCONT)


def nothing() -> None:
    pass


def test_a_killed_task_leaves_the_old_table_or_the_new_one(walk: Walk) -> None:
    lines = walk.log("merge")
    assert len(lines) > 2 * LEAST_POINTS
    texts = " ".join(line.text for line in lines)
    assert all(statement in texts for statements in PHASES.values() for statement in statements)
    assert len(lines_of("load", lines)) > LEAST_POINTS

    hit = [walk.die_at(round(share * len(lines)), "merge", kill, nothing, -signal.SIGKILL) for share in FEW]

    assert any(hit)


def lines_of(phase: str, log: list[Line]) -> range:
    """The lines of a phase, counted from 1."""
    starts = [1]
    for statement in LAST_STATEMENTS.values():
        last = max(at for at, line in enumerate(log) if statement in line.text)
        commit = next(at for at, line in enumerate(log) if at > last and line.text == "COMMIT")
        # The line after it says how long it took.
        starts.append(commit + 3)
    starts.append(len(log) + 1)
    number = list(PHASES).index(phase)
    return range(starts[number], starts[number + 1])


@pytest.mark.full
@pytest.mark.parametrize(
    ("strategy", "phase"),
    # Only the load depends on the strategy.
    [*(("merge", phase) for phase in PHASES), ("replace", "load")],
)
def test_a_task_killed_at_every_statement(
    walk: Walk, strategy: Strategy, phase: str, count_points: CountPoints
) -> None:
    places = lines_of(phase, walk.log(strategy))

    deaths = [walk.die_at(at, strategy, kill, nothing, -signal.SIGKILL) for at in places]

    # A try goes on while the signal is on its way: what counts is how far it came.
    reached = {len(log): log[-1] for log in deaths if log}
    count_points(f"kill -9 of the task, {strategy}, {phase}", len(reached))
    assert len(reached) >= len(places) / 3
    kinds = {line.kind for line in reached.values()}
    # What clears up is over before a kill that its first line has called for: such a try dies after it.
    assert kinds == {"statement", "duration"} or (phase, kinds) == ("clearing", {"duration"})
    texts = " ".join(line.text for log in deaths for line in log[-3:])
    assert [statement for statement in PHASES[phase] if statement not in texts] == []


@pytest.mark.full
@pytest.mark.parametrize("step", range(1, POSTGRES_STEPS + 1))
def test_postgres_is_killed(walk: Walk, servers: Servers, step: int, count_points: CountPoints) -> None:
    at = round(step / (POSTGRES_STEPS + 1) * len(walk.log("merge")))

    def strike(process: BaseProcess) -> None:
        with held(process):
            servers.kill_postgres()

    # On a busy machine the last statements may be over before the blow: such a try proves nothing.
    assert any(walk.die_at(at, "merge", strike, servers.postgres.start, TEMPORARY) for _ in range(5))
    count_points("kill -9 of PostgreSQL", 1)


@pytest.mark.full
@pytest.mark.parametrize("step", range(1, S3_STEPS + 3))
def test_s3_is_killed(walk: Walk, servers: Servers, step: int, count_points: CountPoints) -> None:
    copying = next(at for at, line in enumerate(walk.log("merge"), start=1) if line.text.startswith("COPY"))
    at = round(step / S3_STEPS * copying)

    def strike(process: BaseProcess) -> None:
        with held(process):
            servers.kill_store()

    died = bool(walk.die_at(at, "merge", strike, servers.store.start, TEMPORARY))

    if at != copying:
        assert died == (at < copying), "S3 is needed until the rows are copied, and not after that"
    count_points("kill -9 of the S3 server", 1)


def may_mount(folder: str) -> None:
    mount_small_disk(folder, 1)


@pytest.mark.full
def test_a_full_disk_for_spill_fails_the_try_and_nothing_else(
    walk: Walk, servers: Servers, tmp_path: Path
) -> None:
    asked = multiprocessing.get_context("forkserver").Process(target=may_mount, args=(str(tmp_path),))
    asked.start()
    asked.join()
    if asked.exitcode != 0:
        pytest.skip("this account may not mount a small disk, and no other way fills one")
    many = {"players": 400_000, "memory_limit": "40MB"}
    walk.number += 1
    attempt = servers.attempt(walk.number, "merge", **many, spill=str(tmp_path), spill_mib=1)
    servers.write_file(attempt)
    before = servers.look()

    failed = servers.run(attempt)

    assert failed.exit_code == TEMPORARY
    seen = servers.look()
    assert (seen.table, seen.history) == (before.table, before.history)
    assert (seen.stagings, seen.locks, seen.broken_backups) == (0, 0, [])
    walk.advance("merge")
