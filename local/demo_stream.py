"""`python -m local.demo_stream`: streams a simulated hour into live rows, and compares them with a rebuild.

It starts a broker beside the embedded services, runs the DAG `user_features_stream`, sends the events of a simulated
day at 200 a second as if they were those of the last hour, and shows the live rows as they change.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import boto3
import psycopg2
from botocore.config import Config
from confluent_kafka import Producer

from crmbet.contracts.files import load_source_contracts, load_table_contract
from crmbet.databases.duckdb import open_engine
from crmbet.databases.sessions import open_session
from crmbet.databases.work import Work
from crmbet.load.session import LoadSession
from crmbet.run.params import RunParams
from crmbet.run.run import Run
from crmbet.run.schedule import DEFAULT_TIMEZONE, TOPICS_VARIABLE, checked_topics
from crmbet.run.settings import Settings
from crmbet.run.window import Window, midnight
from crmbet.storage.object_store import PARALLEL_REQUESTS, ObjectStore
from crmbet.stream.parity import compare_live
from crmbet.stream.streaming import run_at
from crmbet.stream.target import StreamTables
from local import airflow
from local.broker import EmbeddedBroker, create_topics
from local.env import process_environment, stream_variables
from local.processes import ServiceFailed
from local.services import up
from local.simulator.simulation import simulate
from local.simulator.world import World
from local.workspace import Workspace, default_workspace

DAG = "user_features_stream"
ZONE = ZoneInfo(DEFAULT_TIMEZONE)
SEED, PLAYERS = 7, 10_000
RATE = 200
"""Events a second."""
MINUTES = 2
"""How long the run of the stream may take: it ends itself a little before."""
SHOWN_SECONDS = 10
EVENT_TIMES = {"bets": "placed_at", "transactions": "created_at", "limits": "changed_at"}
LIVE = """
SELECT count(*), coalesce(sum(bets), 0), coalesce(sum(stake_sum), 0)::numeric(18, 2), coalesce(sum(deposits), 0),
    count(*) FILTER (WHERE NOT marketing_allowed), count(*) FILTER (WHERE rg_live_markers <> '{}')
FROM ml_features.user_features_live
"""


def main() -> int:
    """Run the demo; the exit status says whether no cell differs."""
    workspace = default_workspace()
    # Another than that of `make broker`, which may be in use.
    broker = EmbeddedBroker(workspace, name="demo-broker")
    try:
        up(workspace)
        broker.start()
        return _run(workspace, broker)
    except ServiceFailed as failure:
        print(failure, file=sys.stderr)
        return 1
    finally:
        broker.stop()


def _run(workspace: Workspace, broker: EmbeddedBroker) -> int:
    # Topics in memory are new with each broker, so their names are, too.
    stamp = f"{datetime.now(UTC):%Y%m%d-%H%M%S}"
    topics = {source: f"demo-{source}-{stamp}" for source in EVENT_TIMES}
    create_topics(broker.address, topics.values(), partitions=2)
    environ = {
        **process_environment(workspace),
        **stream_variables(broker, topics),
        "CRMBET_STREAM_TIMEOUT_MINUTES": str(MINUTES),
    }
    events = _events_of_an_hour(datetime.now(UTC))
    log = workspace.log("demo-stream")
    print(f"\nairflow dags test {DAG}   (log: {log})", flush=True)
    with log.open("w", encoding="utf-8") as file:
        run = subprocess.Popen(
            [airflow.executable("airflow"), "dags", "test", DAG, f"{datetime.now(ZONE):%Y-%m-%d}"],
            env=environ, cwd=workspace.project, stdout=file, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            _wait_for_stream(run, environ, [*topics.values()])
            _replay(broker, topics, events, environ)
            print("waiting for the run to end itself ...", flush=True)
            status = run.wait()
        finally:
            run.kill()
    if status:
        print(f"The stream failed: see the end of {log}", file=sys.stderr)
        return 1
    _show(environ)
    return _compare(environ)


def _events_of_an_hour(now: datetime) -> list[tuple[str, dict[str, Any]]]:
    """Source and message of each event of a simulated day, spread over the hour before now."""
    day = now.astimezone(ZONE).date()
    world = World(SEED, PLAYERS, day - timedelta(days=3), day)
    last = [batch for batch in simulate(world) if batch.is_last_day]
    events = [
        # Those of the cashier have no zone: they are UTC.
        (row[EVENT_TIMES[source]].replace(tzinfo=UTC), source, row)
        for batch in last
        for source in EVENT_TIMES
        for row in batch.tables[source].to_pylist()
    ]
    events.sort(key=lambda event: event[0])
    begins = now - timedelta(hours=1)
    return [
        (
            source,
            {
                **row,
                EVENT_TIMES[source]: begins + timedelta(hours=1) * place / len(events),
                "ingested_at": None,
            },
        )
        for place, (_, source, row) in enumerate(events)
    ]


def _wait_for_stream(run: subprocess.Popen[bytes], environ: Mapping[str, str], topics: Sequence[str]) -> None:
    """Wait until the stream has found its partitions. Raises `ServiceFailed` if its run ends before."""
    while run.poll() is None:
        time.sleep(0.5)
        try:
            known = _query(environ, "SELECT topic FROM ml_features.stream_offsets")
        except psycopg2.errors.UndefinedTable:
            continue
        if {topic for (topic,) in known}.issuperset(topics):
            return
    raise ServiceFailed("the run of the stream ended before it read anything: see its log")


def _replay(
    broker: EmbeddedBroker,
    topics: Mapping[str, str],
    events: Sequence[tuple[str, dict[str, Any]]],
    environ: Mapping[str, str],
) -> None:
    print(f"{len(events):,} events of a simulated hour at {RATE} a second\n")
    producer = Producer({"bootstrap.servers": broker.address, "linger.ms": 5})
    began = shown = time.monotonic()
    for number, (source, message) in enumerate(events):
        time.sleep(max(0.0, began + number / RATE - time.monotonic()))
        value = json.dumps(message, default=str).encode()
        producer.produce(topics[source], value, partition=hash(message["user_id"]) % 2)
        if time.monotonic() - shown > SHOWN_SECONDS:
            shown = time.monotonic()
            producer.flush(10)
            _show(environ)
    if left := producer.flush(30):
        raise ServiceFailed(f"{left} events could not be sent")


def _show(environ: Mapping[str, str]) -> None:
    ((players, bets, stakes, deposits, stopped, marked),) = _query(environ, LIVE)
    print(
        f"live rows {players:6,}  bets {bets:7,}  staked {stakes:12,}  deposits {deposits:5,}  "
        f"without marketing {stopped:3,}  marked {marked:3,}",
        flush=True,
    )


def _query(environ: Mapping[str, str], sql: str) -> list[tuple[Any, ...]]:
    with closing(psycopg2.connect(environ["CRMBET_TARGET_URL"])) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


def _compare(environ: Mapping[str, str]) -> int:
    settings = Settings.from_environ(environ)
    now = datetime.now(UTC)
    today = now.astimezone(settings.zone).date()
    run = Run(
        run_id="demo",
        window=Window(as_of_date=today, as_of=midnight(today, settings.zone)),
        known_at=now,
        params=RunParams(),
        settings=settings,
    )
    client = boto3.client(
        "s3",
        endpoint_url=environ["AWS_ENDPOINT_URL"],
        region_name=environ["AWS_REGION"],
        aws_access_key_id=environ["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environ["AWS_SECRET_ACCESS_KEY"],
        config=Config(s3={"addressing_style": "path"}, proxies={}, max_pool_connections=PARALLEL_REQUESTS),
    )
    session = LoadSession(
        connection=open_session(environ["CRMBET_TARGET_URL"], settings.timeouts),
        contract=load_table_contract(),
        run_id=run.run_id,
        lock_timeout_seconds=60,
    )
    topics = checked_topics(environ[TOPICS_VARIABLE])
    differing = 0
    for day in _days(today, now):
        with open_engine(settings) as connection:
            work = Work(
                run=run_at(run, now), store=ObjectStore(client, settings.lake_bucket), connection=connection
            )
            parity = compare_live(work, StreamTables(session), topics, load_source_contracts(), day)
        print(
            f"{day}: {parity.rows:,} live rows compared with a rebuild from their chunks, cell by cell: "
            f"{'none differs' if parity.is_equal else parity.differing}"
        )
        differing += len(parity.differing)
    session.connection.close()
    return 1 if differing else 0


def _days(today: date, now: datetime) -> list[date]:
    """Today, and yesterday if the hour began there."""
    began = (now - timedelta(hours=2)).astimezone(ZONE).date()
    return sorted({began, today})


if __name__ == "__main__":
    os.environ.setdefault("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
    os.environ.setdefault("AWS_RESPONSE_CHECKSUM_VALIDATION", "when_required")
    sys.exit(main())
