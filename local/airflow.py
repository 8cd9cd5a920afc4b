"""Airflow on the embedded services: its configuration, which is all in environment variables, and its database."""

from __future__ import annotations

import json
import sysconfig
from collections.abc import Mapping
from pathlib import Path

from local import ports
from local.credentials import Credentials
from local.processes import run_logged
from local.workspace import Workspace, write_private

DATABASE = "airflow"
ADMIN = "admin"
PASSWORD_FILE = "passwords.json"  # noqa: S105 - the name of the file, not a password
MIGRATION_TIMEOUT_SECONDS = 300


def executable(name: str) -> str:
    """The path of a command of our own virtual environment."""
    return str(Path(sysconfig.get_path("scripts")) / name)


def configuration(*, project: Path, home: Path, metadata_url: str) -> dict[str, str]:
    """The variables that every Airflow process of this project needs, whoever runs it."""
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(project / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(project / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": metadata_url,
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
    }


def server_configuration(*, home: Path, keys: Credentials) -> dict[str, str]:
    """Further variables of the long-running processes, on which they must agree."""
    return {
        "AIRFLOW__CORE__FERNET_KEY": keys.fernet_key,
        "AIRFLOW__CORE__PARALLELISM": "8",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{ADMIN}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / PASSWORD_FILE),
        "AIRFLOW__API__SECRET_KEY": keys.api_secret_key,
        "AIRFLOW__API_AUTH__JWT_SECRET": keys.jwt_secret,
        # The callbacks of runs that fail together share this time (docs/adr/0013).
        "AIRFLOW__DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT": "180",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "5",
    }


def api_configuration(port: int) -> dict[str, str]:
    """Where the API server is, for itself, for the tasks and for the links in the UI."""
    url = f"http://{ports.HOST}:{port}"
    return {
        "AIRFLOW__API__HOST": ports.HOST,
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
    }


def write_password_file(workspace: Workspace, keys: Credentials) -> Path:
    """Give the UI's administrator our password, before Airflow makes one up and prints it into a log."""
    path = workspace.airflow_home / PASSWORD_FILE
    write_private(path, json.dumps({ADMIN: keys.admin_password}))
    return path


def link_config(workspace: Workspace) -> None:
    """Let Airflow find our `config/` in its home, where the image has it too."""
    link = workspace.airflow_home / "config"
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(workspace.project / "config")


def migrate(workspace: Workspace, environ: Mapping[str, str]) -> None:
    """Bring the database that `environ` names to the version of the installed Airflow.

    Raises `ServiceFailed` with the end of the log.
    """
    run_logged(
        [executable("airflow"), "db", "migrate"],
        log=workspace.log("airflow-db-migrate"),
        environ=environ,
        timeout_seconds=MIGRATION_TIMEOUT_SECONDS,
    )
