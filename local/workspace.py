"""Where a checkout keeps the state of its embedded services, and how small private files get there."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Workspace:
    """The folder of one set of services. Two workspaces never share a process, a port, a key or a file."""

    state: Path
    project: Path = PROJECT

    @property
    def airflow_home(self) -> Path:
        """Airflow's configuration, logs and password file."""
        return self.state / "airflow"

    @property
    def env_file(self) -> Path:
        """What a shell sources to reach the services."""
        return self.state / "env.sh"

    def log(self, service: str) -> Path:
        """What a service has printed, over all its starts."""
        return self.state / "logs" / f"{service}.log"

    def record(self, name: str) -> Path:
        """A small JSON file about what runs here."""
        return self.state / "run" / f"{name}.json"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Wait for, then keep out, every other process that starts or stops services of this workspace."""
        self.state.mkdir(parents=True, exist_ok=True)
        with (self.state / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def default_workspace() -> Workspace:
    """The workspace of this checkout, `.local/`."""
    return Workspace(PROJECT / ".local")


def write_private(path: Path, text: str) -> None:
    """Replace a file in one step. Only its owner can read it at any moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(
        os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8"
    ) as file:
        file.write(text)
    draft.replace(path)


def write_record(path: Path, content: dict[str, Any]) -> None:
    """Replace a JSON record in one step."""
    write_private(path, json.dumps(content, indent=2) + "\n")


def read_record(path: Path) -> dict[str, Any]:
    """A JSON record; empty if it does not exist yet, or if a crash of the machine left it incomplete."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return content if isinstance(content, dict) else {}
