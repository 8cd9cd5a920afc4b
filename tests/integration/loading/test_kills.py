"""kill -9 of the task, PostgreSQL and S3 within backup and load, and a full disk: nothing is mixed, nothing stays.

`make chaos` walks every statement; each commit some of them.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from local.workspace import Workspace
from tests.integration.loading.load_process import (
    PLAYERS,
    TEMPORARY,
    Line,
    Seen,
    Servers,
    kill,
    mount_small_disk,
    state,
)
from tests.integration.loading.small_loads import DEFAULT_SERVER, POSTGRES_15

pytestmark = pytest.mark.integration

FEW = (0.3, 0.6, 0.9)
"""Where a short walk kills, in parts of a whole run's log."""
LEAST_POINTS = 40
PHASES = ("CREATE TABLE", "CREATE UNLOGGED", "COPY", "INSERT INTO", "DROP TABLE", "COMMIT")
"""Statements among which a walk must have killed."""
SAFE = {"fsync": "off", "full_page_writes": "off"}
"""Processes are killed, not the machine."""


class Walk:
    """A table that goes from state to state, by tries that die and are repeated."""

    def __init__(self, servers: Servers) -> None:
        self.servers = servers
        self.number = 0

    def advance(self, strategy: str) -> list[Line]:
        """A whole run; what PostgreSQL logged of it."""
        attempt = self._next(strategy)
        run = self.servers.run(attempt)
        assert run.exit_code == 0
        self._see_whole(self.number)
        return run.lines

    def die_at(
        self, at: int, strategy: str, act: Callable[[Any], None], recover: Callable[[], None], expected: int
    ) -> Line | None:
        """A try that meets `act` at a line of the log, and the retry; the line, None if the try ended before it."""
        attempt = self._next(strategy)
        dead = self.servers.run(attempt, at, act)
        recover()
        self._see_old_or_new(self.servers.look())
        retry = self.servers.run(replace(attempt, seconds=10))
        assert retry.exit_code == 0, f"the retry after line {at}, {dead.lines[-1]}, failed"
        self._see_whole(self.number)
        if not dead.acted or dead.exit_code == 0:
            return None
        assert dead.exit_code == expected
        return dead.lines[min(at, len(dead.lines)) - 1]

    def _next(self, strategy: str) -> Any:
        self.number += 1
        attempt = self.servers.attempt(self.number, strategy)
        self.servers.write_file(attempt)
        return attempt

    def _see_old_or_new(self, seen: Seen) -> None:
        new, old = state(self.number), state(self.number - 1)
        assert seen.table in (old, new), f"the table is mixed: {seen}"
        assert seen.history.get(f"state {self.number}", 0) == (PLAYERS if seen.table == new else 0)
        assert seen.broken_backups == []

    def _see_whole(self, number: int) -> None:
        seen = self.servers.look()
        assert seen.table == state(number)
        assert seen.history[f"state {number}"] == PLAYERS
        assert set(seen.history.values()) == {PLAYERS}
        assert (seen.stagings, seen.locks, seen.broken_backups) == (0, 0, [])


@pytest.fixture(scope="module")
def servers(session_folder: Path) -> Iterator[Servers]:
    if DEFAULT_SERVER == "15" and not POSTGRES_15.is_dir():
        pytest.skip(f"PostgreSQL 15 is not installed: there is no {POSTGRES_15}")
    own = Servers(Workspace(session_folder / "kills"), SAFE, POSTGRES_15 if DEFAULT_SERVER == "15" else None)
    own.start()
    yield own
    own.stop()


@pytest.fixture(scope="module")
def walk(servers: Servers) -> Walk:
    made = Walk(servers)
    # From the fourth on runs are alike: there is a backup to take, and one to sweep.
    for _ in range(4):
        made.advance("merge")
    return made


def nothing() -> None:
    pass


def test_a_killed_task_leaves_the_old_table_or_the_new_one(walk: Walk) -> None:
    lines = walk.advance("merge")
    assert len(lines) > 2 * LEAST_POINTS
    texts = " ".join(line.text for line in lines)
    assert all(phase in texts for phase in PHASES)

    hit = [walk.die_at(round(share * len(lines)), "merge", kill, nothing, -signal.SIGKILL) for share in FEW]

    assert any(hit)


@pytest.mark.full
@pytest.mark.parametrize("strategy", ["merge", "replace"])
def test_a_task_killed_at_every_statement(walk: Walk, strategy: str) -> None:
    lines = len(walk.advance(strategy))

    hit = [walk.die_at(at, strategy, kill, nothing, -signal.SIGKILL) for at in range(1, lines + 1)]

    reached = [line for line in hit if line is not None]
    assert len(reached) >= LEAST_POINTS
    assert {line.kind for line in reached} == {"statement", "duration"}
    texts = " ".join(line.text for line in reached)
    assert [phase for phase in PHASES if phase not in texts] == []


def short(share: float) -> Any:
    return pytest.param(share, id=f"at {share:.0%}")


@pytest.mark.parametrize(
    "share",
    [
        short(0.8),
        *(pytest.param(share / 20, marks=pytest.mark.full, id=f"full {share}") for share in range(1, 20)),
    ],
)
def test_postgres_is_killed(walk: Walk, servers: Servers, share: float) -> None:
    lines = len(walk.advance("merge"))

    def strike(_process: Any) -> None:
        servers.kill_postgres()

    walk.die_at(round(share * lines), "merge", strike, servers.postgres.start, TEMPORARY)


@pytest.mark.parametrize(
    "share",
    [
        short(0.3),
        *(pytest.param(share / 10, marks=pytest.mark.full, id=f"full {share}") for share in range(1, 10)),
    ],
)
def test_s3_is_killed(walk: Walk, servers: Servers, share: float) -> None:
    lines = len(walk.advance("merge"))

    def strike(_process: Any) -> None:
        servers.kill_store()

    walk.die_at(round(share * lines), "merge", strike, servers.store.start, TEMPORARY)


def may_mount(folder: str) -> None:
    mount_small_disk(folder, 1)


def test_a_full_disk_for_spill_fails_the_try_and_nothing_else(
    walk: Walk, servers: Servers, tmp_path: Path
) -> None:
    asked = multiprocessing.get_context("forkserver").Process(target=may_mount, args=(str(tmp_path),))
    asked.start()
    asked.join()
    if asked.exitcode != 0:
        pytest.skip("this account may not mount a small disk, and no other way fills one")
    many = {"players": 1_000_000, "memory_limit": "60MB"}
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
