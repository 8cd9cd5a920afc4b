"""`make services` and `make stop`: what is there stays, what died comes back, and nobody else is touched."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
import psutil
import psycopg2
import pytest
from botocore.exceptions import ClientError

from local import ports
from local import services as embedded
from local.credentials import credentials
from local.env import LAKE_BUCKET, environment
from local.object_store import EmbeddedObjectStore
from local.postgres import EmbeddedPostgres
from local.processes import Daemon, ServiceFailed, is_alive, wait_gone
from local.workspace import PROJECT, Workspace

pytestmark = pytest.mark.integration

SERVERS = ("postgres", "s3")


@pytest.fixture(autouse=True)
def running(workspace: Workspace) -> None:
    embedded.up(workspace)


@pytest.fixture
def bystander(workspace: Workspace) -> Iterator[psutil.Process]:
    """A process that has nothing to do with us, of the account that PostgreSQL runs as."""
    account = (workspace.state / "postgres" / "data").stat().st_uid
    process = subprocess.Popen(["sleep", "600"], user=account, cwd="/")
    yield psutil.Process(process.pid)
    process.kill()
    process.wait()


def processes(workspace: Workspace) -> dict[str, psutil.Process]:
    found = {name: Daemon(workspace, name).process() for name in SERVERS}
    return {name: process for name, process in found.items() if process}


def query(url: str, statement: str) -> list[tuple[Any, ...]]:
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall()) if cursor.description else []


def s3(workspace: Workspace, **changed: str) -> Any:
    variables = environment(workspace)
    keys = {
        "endpoint_url": variables["AWS_ENDPOINT_URL"],
        "aws_access_key_id": variables["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": variables["AWS_SECRET_ACCESS_KEY"],
    }
    return boto3.client("s3", region_name=variables["AWS_REGION"], **{**keys, **changed})


def kill(process: psutil.Process) -> None:
    process.kill()
    assert not wait_gone([process], 10)


def test_a_second_start_changes_nothing(workspace: Workspace) -> None:
    before = processes(workspace), workspace.env_file.read_bytes(), workspace.record("ports").read_bytes()
    migrations = workspace.log("airflow-db-migrate").read_bytes()

    embedded.up(workspace)
    assert before[0].keys() == set(SERVERS)
    assert before == (
        processes(workspace),
        workspace.env_file.read_bytes(),
        workspace.record("ports").read_bytes(),
    )
    assert workspace.log("airflow-db-migrate").read_bytes() == migrations


def test_airflows_database_is_migrated_and_the_other_two_are_empty(workspace: Workspace) -> None:
    postgres = EmbeddedPostgres(workspace)
    tables = {
        name: query(
            postgres.url(name), "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'"
        )
        for name in ("airflow", "crmbet_source", "crmbet_target")
    }
    assert tables["airflow"][0][0] > 30
    assert tables["crmbet_source"] == tables["crmbet_target"] == [(0,)]
    assert query(postgres.url("airflow"), "SHOW server_version_num")[0][0].startswith("18")


def test_servers_outlive_the_shell_and_postgres_is_not_run_by_root(workspace: Workspace) -> None:
    found = processes(workspace)
    assert {name: os.getsid(process.pid) for name, process in found.items()} == {
        name: process.pid for name, process in found.items()
    }
    assert found["postgres"].uids().real != 0


def test_stop_ends_what_this_workspace_started_and_nothing_else(
    workspace: Workspace, services: Any, bystander: psutil.Process
) -> None:
    ours, others = processes(workspace), processes(services.workspace)
    assert ours.keys() == others.keys() == set(SERVERS)
    family = [*ours.values(), *ours["postgres"].children(recursive=True)]

    assert embedded.stop(workspace) == ["s3", "postgres"]
    assert not [process for process in family if is_alive(process)]
    assert processes(workspace) == {}
    assert processes(services.workspace) == others
    assert bystander.is_running()
    assert embedded.stop(workspace) == []


def test_a_dead_s3_server_comes_back_at_its_port_with_its_objects(workspace: Workspace) -> None:
    s3(workspace).put_object(Bucket=LAKE_BUCKET, Key="kept", Body=b"content")
    before = processes(workspace)
    kill(before["s3"])

    embedded.up(workspace)
    after = processes(workspace)
    assert after["s3"] != before["s3"]
    assert after["postgres"] == before["postgres"]
    assert s3(workspace).get_object(Bucket=LAKE_BUCKET, Key="kept")["Body"].read() == b"content"


def test_a_dead_postgres_comes_back_with_its_rows(workspace: Workspace) -> None:
    url = environment(workspace)["CRMBET_SOURCE_URL"]
    query(url, "CREATE TABLE IF NOT EXISTS kept (n integer)")
    query(url, "INSERT INTO kept VALUES (1)")
    postmaster = processes(workspace)["postgres"]
    children = postmaster.children(recursive=True)
    kill(postmaster)
    assert not wait_gone(children, 10)

    embedded.up(workspace)
    assert query(url, "SELECT n FROM kept") == [(1,)]
    query(url, "DROP TABLE kept")


def test_a_port_that_someone_took_is_replaced(workspace: Workspace) -> None:
    before = environment(workspace)["AWS_ENDPOINT_URL"]
    EmbeddedObjectStore(workspace).stop()
    with socket.create_server((ports.HOST, int(before.rpartition(":")[2]))):
        embedded.up(workspace)

        after = environment(workspace)["AWS_ENDPOINT_URL"]
        assert after != before
        assert after in workspace.env_file.read_text()
        assert before not in workspace.env_file.read_text()
        assert [bucket["Name"] for bucket in s3(workspace).list_buckets()["Buckets"]] == [LAKE_BUCKET]


@pytest.mark.parametrize("lock", ["postmaster.pid", ".s.PGSQL.5432.lock"])
def test_lock_files_that_name_a_strangers_process_do_not_stop_postgres(
    workspace: Workspace, bystander: psutil.Process, lock: str
) -> None:
    """As after a reboot, or in a copy of a checkout whose original runs."""
    postgres = EmbeddedPostgres(workspace)
    path = (postgres.data if lock == "postmaster.pid" else postgres.socket_folder) / lock
    text = path.read_text().splitlines()
    owner = path.stat()
    postgres.stop()
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join([str(bystander.pid), *text[1:], ""]))
    os.chown(path, owner.st_uid, owner.st_gid)
    path.chmod(0o600)

    postgres.start()
    assert query(postgres.url("postgres"), "SELECT 1") == [(1,)]
    assert bystander.is_running()


def test_a_server_whose_record_was_lost_is_found_again(workspace: Workspace) -> None:
    before = processes(workspace)["postgres"]
    workspace.record("postgres").unlink()

    embedded.up(workspace)
    assert processes(workspace)["postgres"] == before


def test_a_copied_checkout_has_servers_of_its_own(workspace: Workspace, session_folder: Path) -> None:
    copy = Workspace(session_folder / "copy")
    postgres = EmbeddedPostgres(workspace)
    embedded.stop(workspace)  # data that are copied while they are written may not be whole
    copy_with_owners(workspace.state, copy.state)
    embedded.up(workspace)
    copy_with_owners(workspace.state / "run", copy.state / "run")
    copy_with_owners(postgres.data / "postmaster.pid", copy.state / "postgres" / "data" / "postmaster.pid")
    before = processes(workspace)
    try:
        embedded.up(copy)
        assert processes(copy).keys() == before.keys()
        assert set(processes(copy).values()).isdisjoint(before.values())
        assert environment(copy)["AWS_ENDPOINT_URL"] != environment(workspace)["AWS_ENDPOINT_URL"]
    finally:
        embedded.stop(copy)
    assert processes(workspace) == before


def copy_with_owners(source: Path, target: Path) -> None:
    subprocess.run(["cp", "-a", *([f"{source}/."] if source.is_dir() else [source]), target], check=True)


def test_two_commands_at_once_start_one_of_each(workspace: Workspace) -> None:
    embedded.stop(workspace)
    code = (
        "import pathlib, sys; from local import services, workspace;"
        "services.up(workspace.Workspace(pathlib.Path(sys.argv[1])))"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", code, workspace.state], cwd=PROJECT, stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=120)[0] for process in both]

    assert [process.returncode for process in both] == [0, 0]
    assert said[0] == said[1]
    running = [process for process in psutil.process_iter() if str(workspace.state) in _arguments(process)]
    assert sorted(process.name() for process in running) == ["postgres", "rclone"]


def _arguments(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def test_s3_takes_our_key_and_no_other(workspace: Workspace) -> None:
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        s3(workspace, aws_secret_access_key="not-the-secret").list_buckets()  # noqa: S106
    with pytest.raises(ClientError, match=r"InvalidAccessKeyId|AccessDenied"):
        s3(workspace, aws_access_key_id="NOTTHEKEY").list_buckets()


def test_no_key_can_be_read_off_the_list_of_processes(workspace: Workspace) -> None:
    keys = credentials(workspace)
    shown = _arguments(processes(workspace)["s3"])
    assert "rclone" in shown
    assert keys.access_key_id not in shown
    assert keys.secret_access_key not in shown


def test_nothing_listens_beyond_the_machine(workspace: Workspace) -> None:
    found = processes(workspace)
    listening = {
        name: [
            each.laddr.ip
            for each in process.net_connections(kind="inet")
            if each.status == psutil.CONN_LISTEN
        ]
        for name, process in found.items()
    }
    assert listening == {"postgres": [], "s3": [ports.HOST]}


@pytest.mark.full
def test_a_shell_that_sourced_env_sh_can_do_everything(workspace: Workspace) -> None:
    script = f"""
        set -eu
        . '{workspace.env_file}'
        psql --no-psqlrc --tuples-only --no-align --command 'SELECT current_database()' "$CRMBET_SOURCE_URL"
        psql --no-psqlrc --tuples-only --no-align --command 'SELECT current_database()' "$CRMBET_TARGET_URL"
        python -c 'import boto3, os; boto3.client("s3").head_bucket(Bucket=os.environ["CRMBET_LAKE_BUCKET"])'
        airflow db check
    """
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(workspace.state)}
    ended = subprocess.run(["sh", "-c", script], env=environ, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[:2] == ["crmbet_source", "crmbet_target"]


def test_a_deep_workspace_works(session_folder: Path) -> None:
    deep = Workspace(session_folder / "a deep folder, with spaces" / ("x" * 60) / ("y" * 60))
    postgres = EmbeddedPostgres(deep)
    try:
        postgres.start()
        assert not postgres.socket_folder.is_relative_to(deep.state)
        assert query(postgres.url("postgres"), "SELECT 1") == [(1,)]
    finally:
        assert postgres.stop()
    assert not postgres.socket_folder.exists()


def test_a_server_that_cannot_start_says_why_and_where_to_read_on(session_folder: Path) -> None:
    broken = Workspace(session_folder / "broken")
    with pytest.raises(ServiceFailed, match="no_such_setting") as failure:
        EmbeddedPostgres(broken, {"no_such_setting": "on"}).start()
    assert str(broken.log("postgres")) in str(failure.value)


def test_a_cluster_that_was_half_made_is_made_again(session_folder: Path) -> None:
    fresh = Workspace(session_folder / "fresh")
    postgres = EmbeddedPostgres(fresh)
    (postgres.folder / "draft").mkdir(parents=True)
    (postgres.folder / "draft" / "PG_VERSION").write_text("18\n")
    try:
        postgres.start()
        assert query(postgres.url("postgres"), "SELECT 1") == [(1,)]
    finally:
        postgres.stop()
