"""Airflow connections as a deployment writes them: as JSON, as a URL of libpq, and wrongly."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from crmbet.databases.sessions import read_dsn
from crmbet.failures import BadSetting

FIELDS = frozenset({"conn_type", "description", "host", "login", "password", "schema", "port", "extra"})
"""What the JSON of a connection may have."""


def why_unreadable(connection_id: str, environ: Mapping[str, str]) -> str | None:
    """Why the variable of a connection is no connection; None if it is not set. It repeats no value.

    Airflow passes over a variable that it cannot read, and then says that the connection is not defined.
    """
    variable = f"AIRFLOW_CONN_{connection_id.upper()}"
    value = environ.get(variable, "").strip()
    if not value:
        return None
    if not value.startswith("{"):
        return f"{variable} is neither JSON nor a URL that Airflow can read"
    try:
        fields = json.loads(value)
    except json.JSONDecodeError as error:
        return f"{variable} is not valid JSON: {error.msg}, at line {error.lineno}, column {error.colno}"
    if unknown := sorted(fields.keys() - FIELDS):
        return f"{variable} has fields that no connection has: {', '.join(unknown)}"
    if not str(fields.get("port") or "0").isdecimal():
        return f"the port in {variable} is not a number"
    return f"{variable} holds no connection that Airflow can read"


def require_readable_extra(connection_id: str, extra: str | None) -> None:
    """Raise `BadSetting` if the extra of a connection is not a JSON object: Airflow would go on without its options."""
    if not extra:
        return
    try:
        options = json.loads(extra)
    except json.JSONDecodeError as error:
        options = None
        why = f"it is not valid JSON: {error.msg}, at line {error.lineno}, column {error.colno}"
    else:
        why = "it is JSON, but not an object with names and values"
    if not isinstance(options, dict):
        raise BadSetting(
            f"the extra of the Airflow connection {connection_id} cannot be read",
            where=f"Airflow connections, or the variable AIRFLOW_CONN_{connection_id.upper()}",
            why=why,
            next_step="correct the extra (docs/deployment.md) and clear the task",
        )


def require_readable_endpoint(connection_id: str, endpoint: Any) -> None:
    """Raise `BadSetting`, which does not repeat it, if an endpoint of S3 is no address. S3's client would quote it."""
    if endpoint is None:
        return
    if not _is_address(endpoint):
        raise BadSetting(
            f"the endpoint_url of the Airflow connection {connection_id} is no address",
            where=f"Airflow connections, or the variable AIRFLOW_CONN_{connection_id.upper()}",
            why="an address has http:// or https://, a host of letters, digits, '-' and '.', and perhaps a port",
            next_step="write it as http://minio:9000, with the keys in login and password, and clear the task",
        )


def _is_address(endpoint: Any) -> bool:
    from botocore.utils import is_valid_endpoint_url, is_valid_ipv6_endpoint_url

    if not isinstance(endpoint, str) or re.search(r"\s", endpoint):
        return False
    try:
        parts = urlsplit(endpoint)
        _ = parts.port  # it is read as a number only now
        known_host = is_valid_endpoint_url(endpoint) or is_valid_ipv6_endpoint_url(endpoint)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and known_host


@contextmanager
def failures_of_options_explained(connection_id: str) -> Iterator[None]:
    """Turn what S3's client says of options that it cannot take into `BadSetting`, which repeats no value."""
    try:
        yield
    except (TypeError, ValueError) as error:
        # An unknown option is a TypeError, which names it. The others quote values.
        raise BadSetting(
            f"S3's client cannot take the options of the Airflow connection {connection_id}",
            where=f"Airflow connections, or the variable AIRFLOW_CONN_{connection_id.upper()}",
            why=str(error) if type(error) is TypeError else type(error).__name__,
            next_step="correct the extra (docs/deployment.md) and clear the task",
        ) from None


def of_libpq_url(dsn: str) -> str:
    """A libpq URL as an Airflow connection in JSON, since Airflow's own URLs cannot name a socket.

    Raises `BadSetting`, which repeats nothing of it, if it is none.
    """
    options = read_dsn(dsn)
    names = {"host": "host", "dbname": "schema", "user": "login", "password": "password"}
    fields: dict[str, Any] = {field: options.pop(name) for name, field in names.items() if name in options}
    # A URL with several hosts has several ports: they stay in the extra, since Airflow's field holds one number.
    if options.get("port", "").isdecimal():
        fields["port"] = int(options.pop("port"))
    return json.dumps({"conn_type": "postgres", **fields, "extra": options})


def of_database_url(connection_id: str, url: str) -> Any:
    """The connection that DATABASE_URL stands for. A driver in it (`postgresql+psycopg2://`) is left out.

    Raises `BadSetting`, which does not repeat it, if it is no URL of PostgreSQL.
    """
    from airflow.sdk import Connection
    from airflow.sdk.log import mask_secret
    from psycopg2 import ProgrammingError
    from psycopg2.extensions import parse_dsn

    plain = re.sub(r"^(postgres(?:ql)?)\+\w+://", r"\1://", url.strip())
    try:
        ports = parse_dsn(plain).get("port", "").split(",")
    except ProgrammingError:
        ports = ["none"]
    # libpq itself looks at a port only when it connects.
    if not all(port.isdecimal() or not port for port in ports):
        raise BadSetting(
            "DATABASE_URL is not a URL of PostgreSQL",
            where="the environment of the Airflow worker",
            next_step=f"write postgresql://user:password@host:5432/database, or create the connection {connection_id}",
        )
    mask_secret(url)
    return Connection.from_json(of_libpq_url(plain), conn_id=connection_id)
