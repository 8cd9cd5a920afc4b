"""The environment for using a workspace's services: a dict for Python, and `.local/env.sh` for a shell."""

from __future__ import annotations

import json
import os
import shlex
import sysconfig
from collections.abc import Mapping

from crmbet.run.schedule import STREAMED, TOPICS_VARIABLE
from local import airflow, ports
from local.broker import EmbeddedBroker
from local.credentials import credentials
from local.object_store import REGION, EmbeddedObjectStore
from local.postgres import SUPERUSER, EmbeddedPostgres, programs
from local.workspace import Workspace, write_private

LAKE_BUCKET = "crmbet-lake"
SOURCE_DATABASE = "crmbet_source"
TARGET_DATABASE = "crmbet_target"
FOREIGN_PREFIXES = ("AIRFLOW_", "AWS_", "RCLONE_", "PG")
"""Variables of the calling shell that would point Airflow, boto3 or libpq at something that is not ours."""
UNSET = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")
"""Variables that boto3 would prefer to our keys, or use together with them."""


def environment(workspace: Workspace, *, ui_port: int | None = None) -> dict[str, str]:
    """The variables of a workspace whose services have been started, with those of the UI if it runs on `ui_port`.

    Raises `ServiceFailed` if the services have never been started.
    """
    postgres = EmbeddedPostgres(workspace)
    variables = {
        **airflow.configuration(
            project=workspace.project,
            home=workspace.airflow_home,
            metadata_url=postgres.url(airflow.DATABASE, "postgresql+psycopg2"),
        ),
        **airflow.server_configuration(home=workspace.airflow_home, keys=credentials(workspace)),
        **lake_variables(workspace, LAKE_BUCKET),
        **database_variables(postgres, source=SOURCE_DATABASE, target=TARGET_DATABASE),
        **erasure_variables(workspace, postgres),
    }
    broker = EmbeddedBroker(workspace)
    if broker.daemon.process():
        variables |= stream_variables(broker, {source: source for source in STREAMED})
    if ui_port is not None:
        variables |= airflow.api_configuration(ui_port)
        variables["CRMBET_UI_URL"] = variables["AIRFLOW__API__BASE_URL"]
    return variables


def lake_variables(workspace: Workspace, bucket: str) -> dict[str, str]:
    """How Airflow and boto3 reach a bucket of the workspace's S3 server."""
    keys = credentials(workspace)
    endpoint = EmbeddedObjectStore(workspace).endpoint
    connection = {
        "conn_type": "aws",
        "login": keys.access_key_id,
        "password": keys.secret_access_key,
        "extra": {
            "region_name": REGION,
            "endpoint_url": endpoint,
            "config_kwargs": {"s3": {"addressing_style": "path"}},
        },
    }
    return {
        "AIRFLOW_CONN_CRMBET_LAKE": json.dumps(connection),
        "CRMBET_LAKE_BUCKET": bucket,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": keys.access_key_id,
        "AWS_SECRET_ACCESS_KEY": keys.secret_access_key,
        "AWS_REGION": REGION,
        # rclone refuses uploads whose checksum comes after the body.
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
        "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
    }


def database_variables(postgres: EmbeddedPostgres, *, source: str, target: str) -> dict[str, str]:
    """How Airflow and libpq reach the source's and the target's database."""
    return {
        "AIRFLOW_CONN_CRMBET_SOURCE": _connection(postgres, source),
        "AIRFLOW_CONN_CRMBET_TARGET": _connection(postgres, target),
        "CRMBET_SOURCE_URL": postgres.url(source),
        "CRMBET_TARGET_URL": postgres.url(target),
    }


def erasure_variables(workspace: Workspace, postgres: EmbeddedPostgres) -> dict[str, str]:
    """The key of the erasure ledger, how the proof reaches Airflow's own database, and who may use the form."""
    key = {"conn_type": "generic", "password": credentials(workspace).erasure_key}
    return {
        "AIRFLOW_CONN_CRMBET_ERASURE": json.dumps(key),
        "AIRFLOW_CONN_CRMBET_AIRFLOW": _connection(postgres, airflow.DATABASE),
        "AIRFLOW_CONN_CRMBET_PRIVACY": _connection(postgres, TARGET_DATABASE),
        "CRMBET_PRIVACY_OFFICERS": airflow.ADMIN,
    }


def stream_variables(broker: EmbeddedBroker, topics: Mapping[str, str]) -> dict[str, str]:
    """How the stream reads topics (source to topic) from a broker."""
    host, _, port = broker.address.partition(":")
    return {
        "AIRFLOW_CONN_CRMBET_STREAM": json.dumps({"conn_type": "kafka", "host": host, "port": int(port)}),
        TOPICS_VARIABLE: " ".join(f"{source}={topic}" for source, topic in topics.items()),
    }


def _connection(postgres: EmbeddedPostgres, database: str) -> str:
    connection = {
        "conn_type": "postgres",
        "login": SUPERUSER,
        "host": str(postgres.socket_folder),
        "schema": database,
    }
    return json.dumps(connection)


def write_env_file(workspace: Workspace, *, ui_port: int | None = None) -> None:
    """Write what `source .local/env.sh` exports, for sh, bash and zsh."""
    lines = [
        "# Written by `make services` and `make ui`: it changes with them. Holds keys: readable by you alone."
    ]
    lines += [f"unset {' '.join(UNSET)}"]
    lines += [
        f"export {name}={shlex.quote(value)}"
        for name, value in sorted(environment(workspace, ui_port=ui_port).items())
    ]
    for name, value, separator in _list_variables():
        quoted = shlex.quote(value)
        lines += [
            f'case "{separator}${{{name}:-}}{separator}" in',
            f"  *{shlex.quote(separator + value + separator)}*) ;;",
            f'  *) export {name}={quoted}"${{{name}:+{separator}${name}}}" ;;',
            "esac",
        ]
    write_private(workspace.env_file, "\n".join(lines) + "\n")


def process_environment(workspace: Workspace, *, ui_port: int | None = None) -> dict[str, str]:
    """The whole environment of a process: the calling shell's variables without foreign ones, and ours."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN_PREFIXES)}
    for name, value, separator in _list_variables():
        parts = [
            value,
            *(part for part in variables.get(name, "").split(separator) if part not in {"", value}),
        ]
        variables[name] = separator.join(parts)
    return variables | environment(workspace, ui_port=ui_port)


def _list_variables() -> list[tuple[str, str, str]]:
    """Variables that hold lists, to which we add an entry in front: name, entry and separator.

    psql and pg_dump come with the server. The proxy of the machine cannot reach our services. Every command of Airflow
    would warn that it cannot draw DAGs, and of a name of pathspec that Airflow itself still uses.
    """
    return [
        ("PYTHONWARNINGS", "ignore:Could not import graphviz", ","),
        ("PYTHONWARNINGS", "ignore:GitWildMatchPattern", ","),
        ("PATH", str(programs()), ":"),
        ("PATH", sysconfig.get_path("scripts"), ":"),
        ("NO_PROXY", ports.HOST, ","),
        ("no_proxy", ports.HOST, ","),
    ]
