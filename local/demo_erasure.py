"""`python -m local.demo_erasure`: erases a player of the demo's data, and proves that nothing names the player.

It runs the demo first if there is no player yet. It searches before and after: objects as they are stored and decoded,
tables, logs and Airflow's own database.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import boto3
import psycopg2
from botocore.config import Config
from psycopg2.errors import UndefinedTable

from crmbet.contracts.erased_players import erased_of
from crmbet.contracts.files import load_table_contract
from crmbet.databases.duckdb import open_engine
from crmbet.databases.sessions import open_session
from crmbet.databases.work import Work
from crmbet.erasure.ledger import ensure_tables
from crmbet.erasure.proof import Wanted, search_database, search_logs, search_store, search_tables
from crmbet.erasure.records import Searched
from crmbet.erasure.spellings import Spellings
from crmbet.load.session import LoadSession
from crmbet.run.params import RunParams
from crmbet.run.run import Run
from crmbet.run.schedule import DEFAULT_TIMEZONE
from crmbet.run.settings import Settings
from crmbet.run.window import Window, midnight
from crmbet.storage.object_store import PARALLEL_REQUESTS, ObjectStore
from local import airflow, demo
from local.env import process_environment
from local.postgres import EmbeddedPostgres
from local.processes import ServiceFailed
from local.services import up
from local.workspace import Workspace, default_workspace

DAG = "user_features_erasure"
ZONE = ZoneInfo(DEFAULT_TIMEZONE)
CHOOSE = """
SELECT user_id FROM ml_features.user_features
WHERE NOT gone
ORDER BY days_since_last_activity NULLS LAST, user_id
LIMIT 1
"""


def main() -> int:
    """Run the demo; the exit status says whether nothing is left."""
    workspace = default_workspace()
    try:
        up(workspace)
        return _run(workspace)
    except ServiceFailed as failure:
        print(failure, file=sys.stderr)
        return 1


def _run(workspace: Workspace) -> int:
    environ = process_environment(workspace)
    user_id = _choose(environ)
    if user_id is None:
        if status := demo.main([]):
            return status
        user_id = _choose(environ)
    if user_id is None:
        raise ServiceFailed("the demo has loaded no player")
    with _session(environ) as session:
        ensure_tables(session)
    print(f"\n{user_id} asks to be forgotten. Before that, these name the player:\n", flush=True)
    _search(workspace, environ, user_id)
    with closing(psycopg2.connect(environ["CRMBET_TARGET_URL"])) as connection, connection:
        connection.cursor().execute(
            "INSERT INTO ml_features.erasure_requests (user_id) VALUES (%s)", (user_id,)
        )
    log = workspace.log("demo-erasure")
    print(f"\nairflow dags test {DAG}   (log: {log})\n", flush=True)
    with log.open("w", encoding="utf-8") as file:
        status = subprocess.run(
            [airflow.executable("airflow"), "dags", "test", DAG, f"{datetime.now(ZONE):%Y-%m-%d}"],
            env=environ, cwd=workspace.project, stdout=file, stderr=subprocess.STDOUT, check=False,
        ).returncode  # fmt: skip
    if status:
        print(f"The erasure failed: see the end of {log}", file=sys.stderr)
        return 1
    found = _search(workspace, environ, user_id)
    ((document, sha256),) = _query(
        environ,
        "SELECT document, sha256 FROM ml_features.erasure_certificates ORDER BY issued_at DESC LIMIT 1",
    )
    print(f"\nThe certificate, of SHA-256 {sha256}:\n\n{json.dumps(document, indent=1)}")
    return 1 if found else 0


def _search(workspace: Workspace, environ: Mapping[str, str], user_id: str) -> int:
    """Search everything for a player, and show how much was found. Returns the number of places."""
    places = 0
    for searched in _searched(workspace, environ, user_id):
        places += len(searched.found)
        unread = f", {len(searched.unread)} cannot be read" if searched.unread else ""
        print(f"  {len(searched.found):>5} of {searched.items:>6,}  {searched.place}{unread}", flush=True)
    return places


def _searched(workspace: Workspace, environ: Mapping[str, str], user_id: str) -> Iterator[Searched]:
    settings = Settings.from_environ(environ)
    wanted = Wanted(erased_of(b"any key, for this search alone", [user_id]), Spellings.of([user_id]))
    store, now = _store(environ, settings), datetime.now(UTC)
    today = now.astimezone(settings.zone).date()
    run = Run(
        run_id="demo",
        window=Window(as_of_date=today, as_of=midnight(today, settings.zone)),
        known_at=now,
        params=RunParams(),
        settings=settings,
    )
    with open_engine(settings) as connection:
        work = Work(run=run, store=store, connection=connection)
        decoded = search_store(work, wanted)
        named = sum(user_id.encode() in (content or b"") for content in store.read_all(_keys(work)).values())
        print(f"  {named:>5} of {decoded.items:>6,}  objects by their bytes, as grep would find them")
        yield decoded
    with _session(environ) as session:
        yield search_tables(session, wanted)
    yield search_logs(Path(workspace.airflow_home) / "logs", wanted)
    url = EmbeddedPostgres(workspace).url(airflow.DATABASE)
    yield search_database(url, settings.timeouts, wanted, place="Airflow's database")


def _keys(work: Work) -> Sequence[str]:
    return [entry.key for entry in work.store.list(work.run.layout.root)]


def _store(environ: Mapping[str, str], settings: Settings) -> ObjectStore:
    config = Config(
        s3={"addressing_style": "path"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        max_pool_connections=PARALLEL_REQUESTS,
    )
    client = boto3.client(
        "s3",
        endpoint_url=environ["AWS_ENDPOINT_URL"],
        region_name=environ["AWS_REGION"],
        aws_access_key_id=environ["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environ["AWS_SECRET_ACCESS_KEY"],
        config=config,
    )
    return ObjectStore(client, settings.lake_bucket)


@contextmanager
def _session(environ: Mapping[str, str]) -> Iterator[LoadSession]:
    settings = Settings.from_environ(environ)
    with closing(open_session(environ["CRMBET_TARGET_URL"], settings.timeouts)) as connection:
        yield LoadSession(
            connection=connection, contract=load_table_contract(), run_id="demo", lock_timeout_seconds=60
        )


def _choose(environ: Mapping[str, str]) -> str | None:
    """The id of the player who was active last; None if there is no table or no player."""
    try:
        found = _query(environ, CHOOSE)
    except UndefinedTable:
        return None
    return str(found[0][0]) if found else None


def _query(environ: Mapping[str, str], sql: str) -> list[tuple[Any, ...]]:
    with closing(psycopg2.connect(environ["CRMBET_TARGET_URL"])) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


if __name__ == "__main__":
    sys.exit(main())
