"""The data engine: one DuckDB connection with access to S3 and PostgreSQL, limited memory, and UTC as time zone.

Its extensions are installed as wheels and loaded by path. Nothing is downloaded at run time (docs/adr/0001). Each is
loaded by what needs it: the engine checks its signature every time, which takes up to a quarter of a second.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from crmbet.databases.duckdb_failures import explain_attach
from crmbet.databases.scratch import scratch_folder
from crmbet.databases.sessions import hosts, session_options, silence_limit
from crmbet.databases.silence import limit_server
from crmbet.databases.statements import identifier, literal, statement
from crmbet.redaction import remember, secrets_in, without_secrets
from crmbet.run.settings import Settings, TimeoutSettings

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True, kw_only=True)
class LakeAccess:
    """Address and keys of S3. The representation does not show the keys."""

    region: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    endpoint_url: str | None = None


@contextmanager
def open_engine(settings: Settings, lake: LakeAccess | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection for the length of one task.

    Data beyond `settings.engine.memory_limit` spills to a folder that is removed afterwards. All sessions use UTC, so
    that no result depends on the time zone of a machine.
    """
    import duckdb

    with scratch_folder(settings) as spill:
        connection = duckdb.connect(
            config={
                "memory_limit": settings.engine.memory_limit,
                "threads": settings.engine.threads,
                "temp_directory": str(spill),
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
                "preserve_insertion_order": "false",
            }
        )
        try:
            # Global, because several cursors work at the same time, and each is a session of its own.
            connection.execute("SET GLOBAL TimeZone = 'UTC'")
            connection.execute(statement("create_parsers"))
            if lake is not None:
                _add_lake_secret(connection, lake, settings.timeouts)
            yield connection
        finally:
            connection.close()


def attach_postgres(
    connection: duckdb.DuckDBPyConnection,
    dsn: str,
    alias: str,
    *,
    read_only: bool,
    timeouts: TimeoutSettings | None = None,
) -> None:
    """Make a PostgreSQL database visible as `alias`. Its sessions begin as crmbet.databases.sessions says.

    Raises `LostConnection` if the server cannot be reached, `AccessRefused` if it refuses the login, and
    `SourceMissing` if the database does not exist. The options of `dsn`, its password among them, are a secret of the
    engine in memory: an error about any later connection quotes what ATTACH was given, which is nothing.
    """
    import duckdb

    _load_extension(connection, "postgres_scanner")
    timeouts = timeouts or TimeoutSettings()
    options = session_options(dsn, timeouts)
    limit_server(hosts(options), silence_limit(options["options"], timeouts))
    secret = identifier(f"crmbet_{alias}")
    clauses = "".join(f", {identifier(name)} {literal(value)}" for name, value in options.items())
    mode = "READ_ONLY" if read_only else "READ_WRITE"
    try:
        connection.execute(f"CREATE OR REPLACE TEMPORARY SECRET {secret} (TYPE postgres{clauses})")
        connection.execute(f"ATTACH '' AS {identifier(alias)} (TYPE postgres, SECRET {secret}, {mode})")
    except duckdb.Error as error:
        raise explain_attach(error, f"Airflow connection crmbet_{alias}") from None


def _add_lake_secret(
    connection: duckdb.DuckDBPyConnection, lake: LakeAccess, timeouts: TimeoutSettings
) -> None:
    import duckdb

    _load_extension(connection, "httpfs")
    remember(lake.access_key, lake.secret_key, lake.session_token, *secrets_in(lake.endpoint_url))
    connection.execute(f"SET GLOBAL http_timeout = {timeouts.answer_timeout_seconds}")
    options = {
        "KEY_ID": lake.access_key,
        "SECRET": lake.secret_key,
        "REGION": lake.region,
        "URL_STYLE": "path" if lake.endpoint_url else "vhost",
    }
    if lake.session_token:
        options["SESSION_TOKEN"] = lake.session_token
    if lake.endpoint_url:
        url = urlsplit(lake.endpoint_url)
        options["ENDPOINT"] = url.netloc
        options["USE_SSL"] = "true" if url.scheme == "https" else "false"
    clauses = ", ".join(f"{name} {literal(value)}" for name, value in options.items())
    try:
        connection.execute(f"CREATE OR REPLACE TEMPORARY SECRET crmbet_lake (TYPE s3, {clauses})")
    except duckdb.Error as error:
        # It quotes the statement.
        raise without_secrets(error) from None


def _load_extension(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    """Load an extension. Nothing happens if it is loaded already."""
    import duckdb

    folder = Path(str(files(f"duckdb_extension_{name}"))) / "extensions" / f"v{duckdb.__version__}"
    connection.load_extension(str(folder / f"{name}.duckdb_extension"))
