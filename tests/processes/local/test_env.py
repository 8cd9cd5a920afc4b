"""`source .local/env.sh` gives exactly the promised variables, in every shell, from every folder."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sysconfig
from pathlib import Path

import pytest

from local import ports
from local.env import environment, process_environment, write_env_file
from local.postgres import EmbeddedPostgres
from local.processes import ServiceFailed
from local.workspace import PROJECT, Workspace

pytestmark = pytest.mark.processes

INTERFACE = {
    "AIRFLOW_CONN_CRMBET_AIRFLOW",
    "AIRFLOW_CONN_CRMBET_ERASURE",
    "AIRFLOW_CONN_CRMBET_LAKE",
    "AIRFLOW_CONN_CRMBET_PRIVACY",
    "AIRFLOW_CONN_CRMBET_SOURCE",
    "AIRFLOW_CONN_CRMBET_TARGET",
    "AIRFLOW_HOME",
    "AWS_ACCESS_KEY_ID",
    "AWS_ENDPOINT_URL",
    "AWS_REGION",
    "AWS_REQUEST_CHECKSUM_CALCULATION",
    "AWS_RESPONSE_CHECKSUM_VALIDATION",
    "AWS_SECRET_ACCESS_KEY",
    "CRMBET_LAKE_BUCKET",
    "CRMBET_PRIVACY_OFFICERS",
    "CRMBET_SOURCE_URL",
    "CRMBET_TARGET_URL",
    "PYTHONWARNINGS",
}
AIRFLOW_CONFIGURATION = {
    "AIRFLOW__API_AUTH__JWT_SECRET",
    "AIRFLOW__API__SECRET_KEY",
    "AIRFLOW__CORE__DAGS_FOLDER",
    "AIRFLOW__CORE__EXECUTOR",
    "AIRFLOW__CORE__FERNET_KEY",
    "AIRFLOW__CORE__LOAD_EXAMPLES",
    "AIRFLOW__CORE__PARALLELISM",
    "AIRFLOW__CORE__PLUGINS_FOLDER",
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE",
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS",
    "AIRFLOW__DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL",
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
    "AIRFLOW__LOGGING__BASE_LOG_FOLDER",
}
OF_THE_UI = {
    "AIRFLOW__API__BASE_URL",
    "AIRFLOW__API__HOST",
    "AIRFLOW__API__PORT",
    "AIRFLOW__CORE__EXECUTION_API_SERVER_URL",
    "CRMBET_UI_URL",
}
SHELLS = [path for name in ("sh", "bash", "zsh", "dash") if (path := shutil.which(name))]


@pytest.fixture(params=["state", 'it\'s $HOME; `id` "quoted" * maçã'])
def workspace(request: pytest.FixtureRequest, tmp_path: Path) -> Workspace:
    """A workspace whose S3 server was started once, in a folder with a plain name and one with a nasty one."""
    found = Workspace(tmp_path / request.param)
    ports.remember(found, "s3", 9000)
    return found


def sourced(shell: str, workspace: Workspace, *, times: int = 1, **outer: str) -> dict[str, str]:
    """What a shell exports after it has sourced env.sh. Strict, so that nothing unset is read and nothing fails."""
    script = "set -eu\n" + '. "$ENV_FILE"\n' * times + "env -0"
    environ = {"PATH": "/usr/bin:/bin", "ENV_FILE": str(workspace.env_file), **outer}
    ended = subprocess.run([shell, "-c", script], env=environ, capture_output=True, check=True)
    assert ended.stderr == b""
    return dict(line.split("=", 1) for line in ended.stdout.decode().split("\0") if line)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_gets_what_python_gets(shell: str, workspace: Workspace) -> None:
    write_env_file(workspace)

    exported = sourced(shell, workspace)
    expected = environment(workspace)
    assert {name: exported[name] for name in expected} == expected
    shell_own = {"ENV_FILE", "PWD", "OLDPWD", "SHLVL", "_", "PATH", "NO_PROXY", "no_proxy"}
    assert exported.keys() - shell_own == INTERFACE | AIRFLOW_CONFIGURATION


def test_the_ui_is_named_while_it_runs(workspace: Workspace) -> None:
    write_env_file(workspace, ui_port=8081)

    exported = sourced("sh", workspace)
    assert exported["CRMBET_UI_URL"] == "http://127.0.0.1:8081"
    assert exported.keys() >= OF_THE_UI
    assert not environment(workspace).keys() & OF_THE_UI


def test_our_commands_come_first_and_once_however_often_it_is_sourced(workspace: Workspace) -> None:
    write_env_file(workspace)

    exported = sourced("sh", workspace, times=3, NO_PROXY="intranet")
    ours, servers, *rest = exported["PATH"].split(":")
    assert ours == sysconfig.get_path("scripts")
    assert (Path(servers) / "psql").exists()
    assert rest == ["/usr/bin", "/bin"]
    assert exported["NO_PROXY"] == "127.0.0.1,intranet"
    assert exported["no_proxy"] == "127.0.0.1"


def test_keys_of_another_account_do_not_get_in_between(workspace: Workspace) -> None:
    write_env_file(workspace)

    exported = sourced("sh", workspace, AWS_PROFILE="work", AWS_SESSION_TOKEN="token")  # noqa: S106
    assert exported.keys().isdisjoint({"AWS_PROFILE", "AWS_SESSION_TOKEN"})


def test_the_file_with_the_keys_is_private(workspace: Workspace) -> None:
    write_env_file(workspace)
    assert stat.S_IMODE(workspace.env_file.stat().st_mode) == 0o600


def test_a_process_sees_nothing_of_another_airflow_or_account(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AIRFLOW__CORE__EXECUTOR", "AIRFLOW_CONN_OTHER", "AWS_PROFILE", "PGHOST"):
        monkeypatch.setenv(name, "other")
    monkeypatch.setenv("CRMBET_BRAND", "kept")

    environ = process_environment(workspace)
    assert "other" not in environ.values()
    assert environ["CRMBET_BRAND"] == "kept"
    assert environ["PATH"].split(":")[0] == sysconfig.get_path("scripts")
    assert environ["PATH"].endswith(os.environ["PATH"].rsplit(":", 1)[-1])


def test_connections_are_what_airflow_reads(workspace: Workspace) -> None:
    from airflow.models.connection import Connection

    variables = environment(workspace)
    lake, source = (
        Connection.from_json(variables[f"AIRFLOW_CONN_CRMBET_{name}"]) for name in ("LAKE", "SOURCE")
    )
    assert (lake.conn_type, lake.login) == ("aws", variables["AWS_ACCESS_KEY_ID"])
    assert json.loads(lake.extra)["endpoint_url"] == variables["AWS_ENDPOINT_URL"]
    assert (source.conn_type, source.schema) == ("postgres", "crmbet_source")
    assert source.host == str(EmbeddedPostgres(workspace).socket_folder)


def test_airflow_reads_the_code_of_this_checkout(workspace: Workspace) -> None:
    variables = environment(workspace)
    assert variables["AIRFLOW__CORE__DAGS_FOLDER"] == str(PROJECT / "dags")
    assert variables["AIRFLOW__CORE__PLUGINS_FOLDER"] == str(PROJECT / "plugins")


def test_services_that_were_never_started_have_no_environment(tmp_path: Path) -> None:
    with pytest.raises(ServiceFailed, match="run make services"):
        environment(Workspace(tmp_path))
