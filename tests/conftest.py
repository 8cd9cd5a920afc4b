"""What tests share: private services that start when first asked for, and an Airflow that points at nothing else.

Each pytest process (each worker of pytest-xdist) has a folder, servers, ports and keys of its own in `.local/test/`.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import IO

import hypothesis
import pytest

from local import airflow
from local.env import FOREIGN_PREFIXES, database_variables, lake_variables
from local.object_store import EmbeddedObjectStore
from local.postgres import EmbeddedPostgres
from local.services import stop as stop_services
from local.workspace import PROJECT, Workspace

# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile("no clock", deadline=None)
hypothesis.settings.load_profile("no clock")

KINDS = ("unit", "sql", "integration", "dags")
ROOTS = PROJECT / ".local" / "test"
WORKSPACE = Workspace(ROOTS / f"{os.environ.get('PYTEST_XDIST_WORKER', 'main')}-{os.getpid()}")
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""The data of a test need not survive the machine."""

_numbers = count(1)


@dataclass(frozen=True)
class Services:
    """The servers of this pytest process."""

    workspace: Workspace
    postgres: EmbeddedPostgres
    object_store: EmbeddedObjectStore


@dataclass(frozen=True)
class AirflowEnvironment:
    """What a run of a DAG finds: an empty bucket and two empty databases, behind the connections crmbet_*."""

    bucket: str
    source_url: str
    target_url: str


@pytest.fixture(scope="session")
def services() -> Iterator[Services]:
    """PostgreSQL and S3, running."""
    started = Services(WORKSPACE, EmbeddedPostgres(WORKSPACE, NOT_DURABLE), EmbeddedObjectStore(WORKSPACE))
    try:
        started.postgres.start()
        started.object_store.start()
        yield started
    finally:
        stop_services(WORKSPACE)


@pytest.fixture(scope="session")
def session_folder() -> Path:
    """A folder of this pytest process that other accounts may pass through: a place for servers of a test's own."""
    return WORKSPACE.state


@pytest.fixture(scope="session")
def new_database(services: Services) -> Callable[[], str]:
    """Makes an empty database that lasts as long as the session; the libpq URL. For what a module shares."""

    def create() -> str:
        name = f"test_{next(_numbers)}"
        services.postgres.create_database(name)
        return services.postgres.url(name)

    return create


@pytest.fixture
def postgres_url(services: Services) -> Iterator[str]:
    """The libpq URL of an empty database of this test's own."""
    name = f"test_{next(_numbers)}"
    services.postgres.create_database(name)
    yield services.postgres.url(name)
    services.postgres.drop_database(name)


@pytest.fixture
def bucket(services: Services, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of an empty bucket of this test's own; boto3 and Airflow reach it by the environment."""
    name = f"test-{next(_numbers)}"
    services.object_store.create_bucket(name)
    for variable, value in lake_variables(services.workspace, name).items():
        monkeypatch.setenv(variable, value)
    yield name
    shutil.rmtree(services.object_store.folder / name)


@pytest.fixture(scope="session")
def airflow_database() -> None:
    """Airflow's own database, at the installed version. `dag.test()` needs it; parsing and `execute` do not."""
    airflow.migrate(WORKSPACE, dict(os.environ))


@pytest.fixture
def airflow_env(
    airflow_database: None, services: Services, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[AirflowEnvironment]:
    """All that `dag.test()` of a DAG of ours needs, in the environment and empty."""
    source, target = f"source_{next(_numbers)}", f"target_{next(_numbers)}"
    for database in (source, target):
        services.postgres.create_database(database)
    for variable, value in database_variables(services.postgres, source=source, target=target).items():
        monkeypatch.setenv(variable, value)
    yield AirflowEnvironment(bucket, services.postgres.url(source), services.postgres.url(target))
    for database in (source, target):
        services.postgres.drop_database(database)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """A test carries the marker of its folder, and a unit test starts no server; anything else is an error."""
    report = yield
    faults = [
        f"{item.name} {fault}"
        for item in report.result
        if isinstance(item, pytest.Item) and (fault := _misplaced(item))
    ]
    if faults:
        report.outcome, report.longrepr = "failed", "\n".join([f"in {collector.path}:", *faults])
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what tests have counted with `record_property`: each number, added up over the tests that passed."""
    counts: Counter[str] = Counter()
    for report in terminalreporter.getreports("passed"):
        counts.update({name: count for name, count in report.user_properties if isinstance(count, int)})
    if counts:
        terminalreporter.section("points")
        for name, count in sorted(counts.items()):
            terminalreporter.write_line(f"{count:6} {name}")


def _misplaced(item: pytest.Item) -> str | None:
    folder = item.path.relative_to(PROJECT / "tests").parts[0]
    if folder not in KINDS:
        return f"lies outside of tests/{{{','.join(KINDS)}}}/"
    marked = sorted({mark.name for mark in item.iter_markers() if mark.name in KINDS})
    if marked != [folder]:
        return f"is marked {marked}, but its folder wants `pytestmark = pytest.mark.{folder}`"
    if folder == "unit" and "services" in getattr(item, "fixturenames", ()):
        return "asks for services: move it to tests/integration/"
    return None


def pytest_unconfigure() -> None:
    """Remove this process's folder."""
    shutil.rmtree(WORKSPACE.state, ignore_errors=True)
    _lock.close()


def _claim_workspace() -> IO[str]:
    """Make this process's folder, and clear away those of processes that were killed, with their servers.

    A living process holds the lock in its folder; a dead one holds none.
    """
    ROOTS.mkdir(parents=True, exist_ok=True)
    with (ROOTS / "lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        for claim in ROOTS.glob("*/claim"):
            # One that lives keeps its lock; one that ends meanwhile removes its folder itself.
            with suppress(BlockingIOError, FileNotFoundError), claim.open("r+") as tried:
                fcntl.flock(tried, fcntl.LOCK_EX | fcntl.LOCK_NB)
                for run in (claim.parent / "run", *claim.parent.glob("*/run")):
                    stop_services(Workspace(run.parent))
                shutil.rmtree(claim.parent)
        WORKSPACE.state.mkdir()
        held = (WORKSPACE.state / "claim").open("w")
        fcntl.flock(held, fcntl.LOCK_EX)
    return held


def _point_airflow_at_workspace() -> None:
    """Airflow reads its configuration when it is first imported; this module is imported before any test."""
    if "airflow" in sys.modules:
        raise pytest.UsageError("airflow was imported before tests/conftest.py could configure it")
    for name in [name for name in os.environ if name.startswith((*FOREIGN_PREFIXES, "CRMBET_"))]:
        del os.environ[name]
    home = WORKSPACE.airflow_home
    home.mkdir()
    database = f"sqlite:///{home / 'airflow.db'}"
    os.environ.update(airflow.configuration(project=PROJECT, home=home, metadata_url=database))


_lock = _claim_workspace()
_point_airflow_at_workspace()
