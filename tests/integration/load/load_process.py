"""Backup and load in processes of their own, which can be killed, on servers that can be killed too.

A server process imports everything once and opens nothing, so a try starts in milliseconds. PostgreSQL logs every
statement before it begins and after it has ended; a watcher reads that log from outside and kills the try, or a server,
when the n-th line comes.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import re
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, BinaryIO

import duckdb
import psutil
import psycopg2
import psycopg2.extensions

from crmbet.contracts.files import load_table_contract
from crmbet.contracts.table import ENGINE_TYPES
from crmbet.databases.duckdb import LakeAccess, open_engine
from crmbet.databases.postgres import single_row
from crmbet.failures import TemporaryFailure
from crmbet.learning.records import ModelRun, ServedModel
from crmbet.load.backup import list_backups, measure, sweep_backups, take_backup
from crmbet.load.load import LoadRules, Strategy, load
from crmbet.load.model_parameters import Origin, record_models
from crmbet.load.session import LoadSession, history_name
from crmbet.load.staging import staged
from crmbet.load.target import ensure_target, read_columns
from crmbet.load.training_set import ensure_training_set
from crmbet.run.settings import Settings
from local.credentials import credentials
from local.object_store import REGION, EmbeddedObjectStore
from local.postgres import EmbeddedPostgres
from local.workspace import Workspace

CONTRACT = load_table_contract()
"""Read once, by the server process too."""
PLAYERS = 1000
DATABASE = "chaos"
BUCKET = "chaos"
LOGGING = {"log_statement": "all", "log_duration": "on", "log_checkpoints": "off"}
LINE = re.compile(rb"LOG:  (statement|duration): ?(.*)")
TEMPORARY = 75
"""Exit code of a try that failed so that Airflow would try again."""
KEPT_BACKUPS = 3
NO_MODEL = ServedModel(cohort=0, fit=None, problem="0 players")
MODELS = 4
"""Rows of model_parameters that a load writes."""
NEW_MOUNTS, PRIVATE, RECURSIVE = 0x20000, 1 << 18, 1 << 14

_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload([__name__, "duckdb", "psycopg2"])


@dataclass(frozen=True, kw_only=True)
class Try:
    """One try of one run: it brings the table from one state to the next."""

    dsn: str
    lake: LakeAccess
    number: int
    """Of the state that it loads. State n holds players n to n + players - 1."""
    strategy: Strategy
    seconds: int = 0
    """How much later than the first try of its run it began."""
    players: int = PLAYERS
    memory_limit: str = "256MB"
    spill: str = ""
    spill_mib: int | None = None
    """If set, the spill folder is a disk of that size."""

    @property
    def file(self) -> str:
        return f"s3://{BUCKET}/{self.number}.parquet"

    @property
    def run_id(self) -> str:
        return f"run {self.number}"

    @property
    def as_of(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=self.number)


@dataclass
class Line:
    """One line of PostgreSQL's log: a statement that begins, or the end of one."""

    kind: str
    text: str


@dataclass(frozen=True)
class Seen:
    """What a reader finds, and what a dead run left behind."""

    table: tuple[Any, ...]
    """Rows, players, least and largest hash."""
    history: dict[str, int]
    """Rows by hash."""
    models: dict[str, int]
    """Rows of model_parameters by run."""
    stagings: int
    locks: int
    broken_backups: list[str]


@dataclass
class Servers:
    """PostgreSQL and S3 of a test's own."""

    workspace: Workspace
    settings: dict[str, str]
    programs: Path | None = None
    """Of PostgreSQL; None: the embedded one's."""
    postgres: EmbeddedPostgres = field(init=False)
    store: EmbeddedObjectStore = field(init=False)
    engine: duckdb.DuckDBPyConnection = field(init=False)
    _stack: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        self.postgres = EmbeddedPostgres(self.workspace, self.settings | LOGGING, self.programs)
        self.store = EmbeddedObjectStore(self.workspace)

    def start(self) -> None:
        self.postgres.start()
        self.store.start()
        self.store.create_bucket(BUCKET)
        self.postgres.create_database(DATABASE)

        self.engine = self._stack.enter_context(open_engine(Settings(lake_bucket=BUCKET), self.lake))

    def stop(self) -> None:
        self._stack.close()
        self.store.stop()
        self.postgres.stop()

    @property
    def dsn(self) -> str:
        return self.postgres.url(DATABASE)

    @property
    def lake(self) -> LakeAccess:
        keys = credentials(self.workspace)
        return LakeAccess(
            region=REGION,
            access_key=keys.access_key_id,
            secret_key=keys.secret_access_key,
            endpoint_url=self.store.endpoint,
        )

    def attempt(self, number: int, strategy: Strategy, **options: Any) -> Try:
        return Try(dsn=self.dsn, lake=self.lake, number=number, strategy=strategy, **options)

    def kill_postgres(self) -> None:
        _kill_family(self.postgres.daemon.process())

    def kill_store(self) -> None:
        _kill_family(self.store.daemon.process())

    def write_file(self, attempt: Try) -> None:
        """What engineer_features would have left."""
        self.engine.execute(
            f"COPY ({_rows(attempt)}) TO '{attempt.file}' (FORMAT parquet, ROW_GROUP_SIZE 20480)"
        )

    def forget_history(self) -> None:
        """Empty what grows from load to load, so that the last of many takes no longer than the first."""
        with closing(psycopg2.connect(self.dsn)) as connection, connection, connection.cursor() as cursor:
            cursor.execute(f"TRUNCATE {CONTRACT.schema_name}.{history_name(CONTRACT)}")

    def run(
        self, attempt: Try, at: int | None = None, act: Callable[[BaseProcess], None] | None = None
    ) -> Run:
        """Run a try to its end; `act` when the log has `at` lines of it."""
        lines: list[Line] = []
        acted = False
        with self.workspace.log("postgres").open("rb") as log:
            log.seek(0, os.SEEK_END)
            process = _server.Process(target=_load, args=(attempt,))
            process.start()
            while process.is_alive():
                _read_lines(log, lines)
                if at is not None and act is not None and not acted and len(lines) >= at:
                    act(process)
                    acted = True
                time.sleep(0.001)
            process.join()
            _read_lines(log, lines)
        return Run(exit_code=process.exitcode, acted=acted, lines=lines)

    def look(self) -> Seen:
        """What a reader sees now, and what lies about."""
        with closing(psycopg2.connect(self.dsn)) as connection:
            session = LoadSession(
                connection=connection, contract=CONTRACT, run_id="a look", lock_timeout_seconds=10
            )
            connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
            with connection, connection.cursor() as cursor:
                cursor.execute(
                    f"SELECT count(*), count(DISTINCT user_id), min(row_hash), max(row_hash) FROM {session.table}"
                )
                table = single_row(cursor)
                cursor.execute(
                    f"SELECT row_hash, count(*) FROM {session.history} WHERE marketing_reason IS NULL GROUP BY 1"
                )
                history = dict(cursor.fetchall())
                models = session.in_schema("model_parameters")
                cursor.execute(f"SELECT execution_id, count(*) FROM {models} GROUP BY 1")
                models_by_run = dict(cursor.fetchall())
                cursor.execute(r"SELECT count(*) FROM pg_class WHERE relname ~ '_staging_[0-9a-f]{16}$'")
                (stagings,) = single_row(cursor)
                cursor.execute(
                    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
                )
                (locks,) = single_row(cursor)
                cursor.execute(r"SELECT relname FROM pg_class WHERE relname ~ '_backup_\d{8}t'")
                found = {name for (name,) in cursor.fetchall()}
                whole = {
                    backup.name
                    for backup in list_backups(cursor, session)
                    if measure(
                        cursor,
                        session.in_schema(backup.name),
                        read_columns(cursor, session, backup.name),
                    )
                    == backup.proof.content
                }
        return Seen(table, history, models_by_run, stagings, locks, sorted(found - whole))


@dataclass(frozen=True)
class Run:
    """How a try ended."""

    exit_code: int | None
    acted: bool
    lines: list[Line]


def state(number: int, players: int = PLAYERS) -> tuple[Any, ...]:
    """What `Seen.table` is in a state."""
    return (players, players, f"state {number}", f"state {number}")


def kill(process: BaseProcess) -> None:
    """As the kernel does when memory runs out."""
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)


def _rows(attempt: Try) -> str:
    values = {
        "text": "'x'",
        "varchar(50)": "'x'",
        "timestamptz": "now()",
        "text[]": "['x']",
        "boolean": "true",
    }
    columns = {
        name: f"{values.get(column.type, '1')}::{ENGINE_TYPES[column.type]}"
        for name, column in CONTRACT.computed.items()
    }
    columns |= {
        "user_id": f"'u' || lpad(({attempt.number} + i)::VARCHAR, 45, '0')",
        "as_of": f"'{attempt.as_of.isoformat()}'::TIMESTAMPTZ",
        "row_hash": f"'state {attempt.number}'",
    }
    listed = ", ".join(f"{expression} AS {name}" for name, expression in columns.items())
    return f"SELECT {listed} FROM range({attempt.players}) AS players(i)"


PAUSE_SECONDS = 0.004
"""As long as a kill takes to come: most statements are over sooner, so that a try waits before each."""


class _UnhurriedCursor(psycopg2.extensions.cursor):
    def execute(self, query: Any, values: Any = None) -> None:
        time.sleep(PAUSE_SECONDS)
        super().execute(query, values)


class _UnhurriedConnection(psycopg2.extensions.connection):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.cursor_factory = _UnhurriedCursor

    def commit(self) -> None:
        time.sleep(PAUSE_SECONDS)
        super().commit()


def _load(attempt: Try) -> None:
    """What the tasks backup_table and load_merge do, but for Airflow."""
    if attempt.spill_mib is not None:
        mount_small_disk(attempt.spill, attempt.spill_mib)
    settings = Settings.of(
        lake_bucket=BUCKET, memory_limit=attempt.memory_limit, spill_directory=attempt.spill, threads=1
    )
    rules = LoadRules(strategy=attempt.strategy, gone_users="delete", max_shrink=1.0)
    now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=attempt.number, seconds=attempt.seconds)
    try:
        with closing(psycopg2.connect(attempt.dsn, connection_factory=_UnhurriedConnection)) as connection:
            session = LoadSession(
                connection=connection,
                contract=CONTRACT,
                run_id=attempt.run_id,
                lock_timeout_seconds=20,
            )
            ensure_target(session)
            ensure_training_set(session, "America/Sao_Paulo")
            take_backup(session, now)
            with (
                open_engine(settings, attempt.lake) as engine,
                staged(session, engine, attempt.dsn, [attempt.file], attempt.players) as staging,
            ):
                load(session, staging, rules, now + timedelta(seconds=1), partial(_record_models, attempt))
            sweep_backups(session, now, days=30, count=KEPT_BACKUPS)
    except (TemporaryFailure, psycopg2.OperationalError) as failure:
        sys.stderr.write(f"{failure}\n")
        sys.exit(TEMPORARY)


def learn_nothing(as_of: date) -> ModelRun:
    """What a run learns of too few players."""
    return ModelRun(
        as_of=as_of,
        deposit_days=NO_MODEL,
        activity_days=NO_MODEL,
        deposit_values=NO_MODEL,
        value_correlation=None,
        value_depends_on_frequency=False,
        holdout=None,
        holdout_problem="0 players",
        calibration=None,
        calibration_problem="there is no holdout",
        clv_margin=0.1,
        clv_monthly_discount_rate=0.01,
    )


def _record_models(attempt: Try, cursor: Any, written_at: datetime) -> None:
    learned = learn_nothing(attempt.as_of.date())
    origin = Origin(as_of=attempt.as_of, known_at=attempt.as_of, run_id=attempt.run_id, written_at=written_at)
    record_models(cursor, CONTRACT.schema_name, learned, origin)


def mount_small_disk(folder: str, mib: int) -> None:
    """Put a disk of that size at a folder, for this process alone. Raises `OSError` where that is not allowed."""
    libc = ctypes.CDLL(None, use_errno=True)
    steps: list[Callable[[], int]] = [
        lambda: libc.unshare(NEW_MOUNTS),
        lambda: libc.mount(b"none", b"/", None, PRIVATE | RECURSIVE, None),
        lambda: libc.mount(b"tmpfs", folder.encode(), b"tmpfs", 0, f"size={mib}m".encode()),
    ]
    for step in steps:
        if step():
            raise OSError(ctypes.get_errno(), "this process may not mount a disk of its own")


def _read_lines(log: BinaryIO, lines: list[Line]) -> None:
    """Add what has been logged since the last look. A line that is not whole yet is left for the next."""
    while line := log.readline():
        if not line.endswith(b"\n"):
            log.seek(-len(line), os.SEEK_CUR)
            break
        if match := LINE.search(line):
            lines.append(Line(match[1].decode(), match[2].decode(errors="replace")))
        elif line.startswith(b"\t") and lines:
            # Statements go over several lines, and ours begin with a comment.
            lines[-1].text += " " + line.decode(errors="replace").strip()


def _kill_family(process: psutil.Process | None) -> None:
    assert process is not None
    family = [process, *process.children(recursive=True)]
    for member in family:
        with suppress(psutil.NoSuchProcess):
            member.kill()
    psutil.wait_procs(family, timeout=10)
