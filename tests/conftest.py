"""What tests share: private services that start when first asked for, and an Airflow that points at nothing else.

Each pytest process (each worker of pytest-xdist) has a folder, servers, ports and keys of its own. The folder lies in
`/dev/shm` if there is enough memory, and otherwise in `.local/test/`.
"""

from __future__ import annotations

import fcntl
import gc
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import IO, Any

import hypothesis
import psycopg2
import pytest
from botocore import loaders
from psycopg2.extensions import parse_dsn
from xdist.scheduler import LoadScopeScheduling

from local import airflow
from local.env import FOREIGN_PREFIXES, database_variables, lake_variables
from local.object_store import EmbeddedObjectStore
from local.postgres import EmbeddedPostgres
from local.services import stop as stop_services
from local.services import up as start_services
from local.workspace import PROJECT, Workspace
from tests.extensions import trust_extensions
from tests.tiers import FULL, NOW, leave_a_few

hypothesis.settings.load_profile(FULL)

# Imported modules are a million objects that stay. By default Python looks for cycles among them every few seconds of a
# test.
gc.set_threshold(10_000, 20, 1_000)

KINDS = ("unit", "sql", "processes", "integration", "dags")
GROUPS = {
    # What an Airflow needs to run a DAG in this process, and Great Expectations, take half a minute to import.
    "runs of DAGs": (
        "integration/test_daily_run.py",
        "integration/test_bad_input.py",
        "integration/test_canaries.py",
        "integration/test_dags_test.py",
        "integration/test_odd_files.py",
        "integration/test_weekly_run.py",
        "integration/test_restore_run.py",
        "integration/test_pipeline_from_python.py",
        "integration/test_previous_version.py",
        "integration/stream/test_dag.py",
    ),
    # They share one running Airflow: its API server, scheduler, DAG processor and triggerer.
    "one Airflow": (
        "integration/live/test_dags_test.py",
        "integration/live/test_on_call.py",
        "integration/live/test_page.py",
        "integration/live/test_slow_servers.py",
        "integration/live/test_ui.py",
    ),
    # Great Expectations takes eight seconds to import.
    "gates": (
        "integration/quality/test_frames.py",
        "integration/quality/test_gate.py",
        "integration/quality/test_mutations.py",
        "integration/quality/test_protecting_rows.py",
    ),
    # Each starts a PostgreSQL 15 beside the 18 that all tests share.
    "loads on both servers": (
        "integration/load/test_history.py",
        "integration/load/test_load.py",
        "integration/load/test_previous_target.py",
        "integration/load/test_restore.py",
        "integration/load/test_staging.py",
        "integration/load/test_target.py",
    ),
}
"""Files whose tests one process of pytest-xdist runs. Every other file is a group of its own."""
GROUP_OF = {file: group for group, files in GROUPS.items() for file in files}
MEASURED = (
    "unit/",
    "sql/",
    "integration/audiences/",
    "integration/erasure/test_rewriting.py",
    "integration/extract/",
    "integration/load/",
    "integration/stream/",
    "integration/test_doctor.py",
    "integration/test_monitoring_page.py",
    "integration/test_telling.py",
)
"""Tests in which coverage is measured. The tracer slows Python down by a third. In all other tests nearly every line
that it follows is one of Airflow or Great Expectations."""
LONGEST = (
    "integration/test_daily_run.py",
    "integration/live/test_on_call.py",
    "integration/quality/test_mutations.py",
    "integration/load/test_kills.py",
    "integration/test_equivalence.py",
    "integration/extract/test_bad_files.py",
    "integration/extract/test_json_records.py",
    "integration/extract/test_formats.py",
    "sql/test_pipeline.py",
    "sql/test_joined_captures.py",
)
"""What takes longest is handed out first, so that no process is left with it at the end."""
MEMORY, ENOUGH_MEMORY = Path("/dev/shm"), 8 << 30  # noqa: S108 - the owner of what we make there is checked
"""Linux's file system in memory, and the free bytes that it must have. Tests make many small files: quick there."""


def _roots() -> Path:
    """The folder of all test processes of this checkout and account."""
    if not (MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ENOUGH_MEMORY):
        return PROJECT / ".local" / "test"
    return MEMORY / f"crmbet-tests-{os.getuid()}-{sha256(bytes(PROJECT)).hexdigest()[:8]}"


ROOTS = _roots()
WORKSPACE = Workspace(ROOTS / f"{os.environ.get('PYTEST_XDIST_WORKER', 'main')}-{os.getpid()}")
MADE = PROJECT / ".local" / "test-made"
"""What takes long to make and is the same for all: made once, and copied."""
METADATA_URL, METADATA_FILE = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "airflow.db"
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
    # Every task of Airflow opens a session of boto3, which reads a megabyte of JSON: a seventh of a run's time.
    # Each session has a loader of its own, so all of them are given the same reader of files.
    reader = loaders.JSONFileLoader()
    reader.load_file = cache(reader.load_file)
    loaders.Loader.FILE_LOADER_CLASS = staticmethod(lambda: reader)
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
def new_database(services: Services) -> Callable[..., str]:
    """Makes a database that lasts as long as the session; the libpq URL. For what a module shares.

    It is empty, or a copy of that at the URL `template`, to which nobody may be connected.
    """

    def create(template: str | None = None) -> str:
        name = f"test_{next(_numbers)}"
        if template is None:
            services.postgres.create_database(name)
        else:
            copy_database(services.postgres, parse_dsn(template)["dbname"], name)
        return services.postgres.url(name)

    return create


def copy_database(postgres: EmbeddedPostgres, original: str, name: str) -> None:
    """Create a database with all that another one holds. Fails while anybody is connected to that one."""
    with closing(psycopg2.connect(postgres.url("postgres"))) as connection:
        connection.autocommit = True
        connection.cursor().execute(f'CREATE DATABASE "{name}" TEMPLATE "{original}"')


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

    def migrate(folder: Path) -> None:
        environ = dict(os.environ) | {METADATA_URL: f"sqlite:///{folder / METADATA_FILE}"}
        airflow.migrate(WORKSPACE, environ)

    made = _made_once("airflow", migrate)
    shutil.copy(made / METADATA_FILE, WORKSPACE.airflow_home)


@pytest.fixture(scope="session")
def make_services_ready() -> Callable[[Workspace], None]:
    """Gives a new workspace the databases that `make services` has made in another one, Airflow's among them."""

    def migrate(folder: Path) -> None:
        workspace = Workspace(folder)
        try:
            start_services(workspace)
        finally:
            stop_services(workspace)

    def copy(workspace: Workspace) -> None:
        made = _made_once("services", migrate)
        workspace.state.mkdir()
        # The server's files belong to another account if this one is root.
        subprocess.run(["cp", "-a", made / "postgres", made / "logs", workspace.state], check=True)

    return copy


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
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """Leave a test and its fixtures out of the measure of coverage where the tracer would take most of the time."""
    cov = item.config.pluginmanager.getplugin("_cov")
    measuring = getattr(cov, "cov_controller", None)
    # A property test runs the same lines of ours hundreds of times.
    is_repeated = getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
    costly = is_repeated or not item.nodeid.removeprefix("tests/").startswith(MEASURED)
    if measuring is None or not costly:
        return (yield)
    measuring.pause()
    try:
        return (yield)
    finally:
        measuring.resume()


def pytest_configure(config: pytest.Config) -> None:
    """Give properties fewer examples in `make test`."""
    if config.option.markexpr == "not full":
        hypothesis.settings.load_profile(NOW)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave most values of tests with a few of them to `make test-full`, and put the groups that take longest first."""
    leave_a_few(items)
    places: dict[str, int] = {}
    for place, file in enumerate(LONGEST):
        places.setdefault(GROUP_OF.get(file, file), place)
    items.sort(key=lambda item: places.get(group_of(item.nodeid), len(LONGEST)))


def group_of(nodeid: str) -> str:
    """The group of a test: tests of a group run in one process."""
    file = nodeid.partition("::")[0].removeprefix("tests/")
    return GROUP_OF.get(file, file)


class GroupScheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Hands out groups of files, where `--dist loadfile` hands out files."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling | None:
    """Our scheduling for `--dist loadfile`, and the plugin's own for all others."""
    return GroupScheduling(config, log) if config.getoption("dist") == "loadfile" else None


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
    if ROOTS.stat().st_uid != os.getuid():
        raise pytest.UsageError(f"{ROOTS} belongs to another account")
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


def _made_once(name: str, make: Callable[[Path], None]) -> Path:
    """The folder that `make` fills, once for all test processes of this checkout until what makes it changes."""
    makers = [PROJECT / ".venv" / "installed.json", *sorted((PROJECT / "local").glob("*.py"))]
    version = sha256(b"".join(maker.read_bytes() for maker in makers)).hexdigest()[:12]
    MADE.mkdir(parents=True, exist_ok=True)
    folder = MADE / f"{name}-{version}"
    with (MADE / f"{name}.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not folder.exists():
            for old in MADE.glob(f"{name}-*"):
                shutil.rmtree(old)
            draft = MADE / f"{name}-draft"
            draft.mkdir()
            make(draft)
            draft.rename(folder)
    return folder


def _point_airflow_at_workspace() -> None:
    """Airflow reads its configuration when it is first imported; this module is imported before any test."""
    if "airflow" in sys.modules:
        raise pytest.UsageError("airflow was imported before tests/conftest.py could configure it")
    for name in [name for name in os.environ if name.startswith((*FOREIGN_PREFIXES, "CRMBET_"))]:
        del os.environ[name]
    home = WORKSPACE.airflow_home
    home.mkdir()
    database = f"sqlite:///{home / METADATA_FILE}"
    os.environ.update(airflow.configuration(project=PROJECT, home=home, metadata_url=database))


_lock = _claim_workspace()
_point_airflow_at_workspace()
trust_extensions()
