"""What is wrong with this deployment, in ten lines: `PYTHONPATH=plugins python -m crmbet.doctor`, or `make doctor`.

`--brand aurora` examines that brand of config/brands/ instead of the brand of the environment. The first line names all
of them, and why one is refused.

It needs the environment that Airflow needs, and belongs where the scheduler runs. It reads and changes nothing. The
exit status is 1 if a run would fail, and 0 otherwise.

It is a module and no command of its own: a plugins folder installs no scripts, and Airflow takes commands from
providers alone. Whatever runs Airflow can run it, and nothing has to be added to an image.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from crmbet.failures import BadSetting, CrmbetError, SourceMissing, SourceUnreadable
from crmbet.run.brand import Brand
from crmbet.run.brands import find_brand, read_brands
from crmbet.run.schemas import DEFAULT_SCHEMA, ROLES, role_of
from crmbet.run.settings import Settings, old_variable_names, variable_names

if TYPE_CHECKING:
    import duckdb

    from crmbet.contracts.source import SourceContract
    from crmbet.storage.object_store import ObjectStore, StoredObject

State = Literal["ok", "note", "bad"]

DAGS = ("user_features_daily", "user_features_weekly", "restore_backup")
LARGEST_LOOKED_AT = 64 * 2**20
"""Bytes of an object that is fetched to look at its columns."""
OLDEST_SERVER = 140_000
OTHERS_VARIABLES = frozenset({"CRMBET_UI_URL", "CRMBET_SOURCE_URL", "CRMBET_TARGET_URL"})
"""Variables of the embedded services: they are for people, and no settings."""
CONNECTION = "AIRFLOW_CONN_CRMBET_"
METADATA = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"


@dataclass(frozen=True)
class Finding:
    """One line."""

    state: State
    """`note` is for what a person may want to know and no run fails by."""
    text: str


@dataclass
class Deployment:
    """What is examined. Each part is opened once, when it is first asked for."""

    environ: Mapping[str, str]
    brand: Brand
    resources: ExitStack = field(default_factory=ExitStack)

    @cached_property
    def settings(self) -> Settings:
        """The settings of the brand. Raises `BadSetting`."""
        return Settings.from_environ(self.brand.environ, self.brand.file)

    @property
    def dags(self) -> tuple[str, ...]:
        """The DAGs that the brand has, whatever its settings say."""
        return tuple(self.brand.dag_id(dag) for dag in DAGS)

    @cached_property
    def lake(self) -> ObjectStore:
        """The lake's bucket. Raises `BadSetting`."""
        from crmbet.orchestration.context import open_lake

        return open_lake(self.settings)

    @cached_property
    def engine(self) -> duckdb.DuckDBPyConnection:
        """The data engine."""
        from crmbet.databases.duckdb import open_engine

        return self.resources.enter_context(open_engine(self.settings))

    def scratch(self) -> Path:
        """A folder that goes when the examination ends."""
        from crmbet.databases.scratch import scratch_folder

        return self.resources.enter_context(scratch_folder(self.settings))


def examine(environ: Mapping[str, str], name: str | None = None) -> Iterator[tuple[str, Finding]]:
    """All findings by name, in the order in which a person would mend them; `name` is that of a brand."""
    try:
        brand = find_brand(name, environ)
    except BadSetting as failure:
        yield "settings", Finding("bad", str(failure))
        return
    with ExitStack() as resources:
        deployment = Deployment(environ, brand, resources)
        for subject, check in CHECKS.items():
            try:
                yield subject, check(deployment)
            except CrmbetError as failure:
                yield subject, Finding("bad", str(failure))


def check_settings(deployment: Deployment) -> Finding:
    """Whether all variables make sense, none is a slip of the pen, and the audiences may be handed over."""
    found = read_brands(deployment.environ)
    if found.refused:
        return Finding("bad", " ".join(str(reason) for reason in found.refused.values()))
    given = deployment.settings.given()
    known = variable_names() | old_variable_names() | OTHERS_VARIABLES
    unknown = sorted(name for name in deployment.environ if name.startswith("CRMBET_") and name not in known)
    text = f"brand {deployment.settings.brand}, {len(given)} set, the others have their defaults"
    if others := [brand.name for brand in found.brands if brand.suffix != deployment.brand.suffix]:
        text += f"; other brands: {', '.join(others)}"
    if deployment.settings.audiences.audiences_folder:
        text += f"; audiences: {', '.join(_read_audiences(deployment.settings)) or 'none'}"
    if unknown:
        return Finding("note", f"{text}; nothing reads {', '.join(unknown)}")
    return Finding("ok", text)


def _read_audiences(settings: Settings) -> list[str]:
    from crmbet.audiences.definitions import read_audiences
    from crmbet.contracts.files import load_reasons_contract, load_table_contract

    found = read_audiences(settings.audiences.folder, load_table_contract(), load_reasons_contract())
    return [audience.name for audience in found]


def check_airflow(deployment: Deployment) -> Finding:
    """Whether a scheduler lives, and has parsed our DAGs."""
    from crmbet.orchestration.metadata import read_state

    try:
        state = read_state(deployment.dags)
    except Exception as error:  # noqa: BLE001 - whatever SQLAlchemy and the driver raise
        return Finding(
            "bad", f"Airflow's database cannot be asked: {type(error).__name__}. Next: airflow db migrate"
        )
    if state.import_errors:
        return Finding("bad", f"DAG files cannot be imported: {'; '.join(state.import_errors)}")
    if state.scheduler is None:
        return Finding("note", "no scheduler is running. Next: make ui, or start its service")
    missing = [dag for dag in deployment.dags if dag not in state.paused]
    if missing:
        return Finding("bad", f"the scheduler on {state.scheduler} does not know {', '.join(missing)}")
    paused = [dag for dag in deployment.dags[:2] if state.paused[dag]]
    text = f"a scheduler lives on {state.scheduler}"
    return Finding("note", f"{text}; paused: {', '.join(paused)}") if paused else Finding("ok", text)


def check_scheduler(deployment: Deployment) -> Finding:
    """Whether the scheduler's processes on this machine have the settings of this shell."""
    schedulers = list(_schedulers(deployment.environ))
    if not schedulers:
        return Finding("note", "none of this deployment runs on this machine: run this where it does")
    different = {name for theirs in schedulers for name in compare_environments(deployment.environ, theirs)}
    if different:
        return Finding(
            "bad",
            f"this shell and the scheduler differ in {', '.join(sorted(different))}. Next: restart the scheduler, or "
            "source the environment that it has",
        )
    return Finding("ok", "has the settings and connections of this shell")


def check_lake(deployment: Deployment) -> Finding:
    """Whether the bucket answers, and what lies in it."""
    store, prefix = deployment.lake, deployment.settings.source.raw_prefix
    next(iter(store.list(prefix)), None)
    return Finding("ok", f"{store.url(prefix)} answers")


def check_feeds(deployment: Deployment) -> Finding:
    """Whether the newest object of each feed has the columns of its contract."""
    newest, absent, faults, unread = [], [], [], []
    for contract in _contracts("lake", deployment.settings):
        try:
            found = _look_at_feed(deployment, contract)
        except CrmbetError as failure:
            faults.append(str(failure))
            continue
        if found is None:
            absent.append(contract.name)
            continue
        entry, columns = found
        newest.append(entry.last_modified)
        unread += [f"{contract.name}.{column}" for column in columns]
    if faults:
        return Finding("bad", " ".join(faults))
    text = f"{len(newest)} fit their contracts"
    text += f", the newest of {max(newest):%Y-%m-%d %H:%M} UTC" if newest else ""
    text += f"; not delivered: {', '.join(absent)}" if absent else ""
    text += f"; nothing reads {', '.join(unread)}" if unread else ""
    return Finding("note" if absent or unread else "ok", text)


def check_source(deployment: Deployment) -> Finding:
    """Whether the operator's database has the tables and columns of the contracts."""
    from crmbet.databases.duckdb_failures import failures_explained
    from crmbet.databases.statements import statement
    from crmbet.extract.relation import WHERE, ask_postgres, describe_relation
    from crmbet.orchestration.context import attach_source

    with failures_explained(WHERE):
        attach_source(deployment.engine, deployment.settings)
        [(version,)] = ask_postgres(deployment.engine, statement("doctor/read_server_version"))
        relations = [
            describe_relation(deployment.engine, contract)
            for contract in _contracts("postgres", deployment.settings)
        ]
    if version < OLDEST_SERVER:
        return Finding("bad", f"PostgreSQL {version // 10_000} is too old: it must be 14 or newer")
    described = ", ".join(f"{relation.name} (about {relation.rows:,} rows)" for relation in relations)
    return Finding("ok", f"PostgreSQL {version // 10_000}: {described} as in the contracts")


def check_target(deployment: Deployment) -> Finding:
    """Whether the table is ours and matches its contract, or can be made."""
    from crmbet.databases.postgres import single_row
    from crmbet.databases.statements import statement
    from crmbet.load.target import history_shape, read_tables, target_shape
    from crmbet.orchestration.context import load_session

    with load_session("doctor", deployment.settings) as session, session.transaction() as cursor:
        session.refuse_other_brand(cursor)
        tables = read_tables(
            cursor, session, (target_shape(session.contract), history_shape(session.contract))
        )
        cursor.execute(statement("doctor/describe_login"), {"table": session.table})
        login, is_superuser, _ = single_row(cursor)
    missing = [name for name, columns in tables.items() if not columns]
    text = f"login {login}; " + (
        f"the first run makes {' and '.join(missing)}" if missing else "table and history match the contract"
    )
    if is_superuser:
        loader = role_of("crmbet_loader", deployment.settings.target_schema)
        return Finding(
            "note", f"{text}; the login is a superuser, and {loader} would do (docs/deployment.md)"
        )
    return Finding("ok", text)


def check_roles(deployment: Deployment) -> Finding:
    """Whether the roles that keep players from readers exist, and the page's login can read none."""
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    from crmbet.databases.postgres import single_row
    from crmbet.databases.statements import identifier, statement
    from crmbet.monitoring.tables import open_monitoring
    from crmbet.orchestration.context import load_session, monitoring_dsn

    schema = deployment.settings.target_schema
    roles = [role_of(role, schema) for role in ROLES]
    command = "psql --file include/sql/roles.sql"
    if schema != DEFAULT_SCHEMA:
        command = f"psql --set schema={schema} --file include/sql/roles.sql"
    with load_session("doctor", deployment.settings) as session, session.transaction() as cursor:
        cursor.execute(statement("load/list_roles"), {"roles": roles})
        found = {role for (role,) in cursor.fetchall()}
    if missing := [role for role in roles if role not in found]:
        return Finding("note", f"not there: {', '.join(missing)}. Next: {command}")
    page = deployment.settings.connections.monitoring_connection
    try:
        BaseHook.get_connection(page)
    except AirflowNotFoundException:
        text = f"all there; without {page} the page uses the loader's login"
        return Finding("note", text)
    with (
        open_monitoring(monitoring_dsn(deployment.brand.environ), schema) as tables,
        tables.transaction() as cursor,
    ):
        cursor.execute(statement("doctor/describe_login"), {"table": identifier(schema, "user_features")})
        login, _, reads_players = single_row(cursor)
    if reads_players:
        monitor = role_of("crmbet_monitor", schema)
        text = f"the page's login {login} may read players. Next: let it be a member of {monitor} alone"
        return Finding("bad", text)
    return Finding("ok", f"all there; the page's login {login} reads no player")


def check_alerts(_: Deployment) -> Finding:
    """Which channels would carry a message."""
    from crmbet.orchestration.incidents import configured_channels

    found = configured_channels()
    if broken := [f"{name}: {why}" for name, why in found.items() if isinstance(why, str)]:
        return Finding("bad", "; ".join(broken))
    if not found:
        return Finding("note", "no channel: a failed run is told in the log alone (docs/deployment.md)")
    return Finding("ok", f"told by {', '.join(found)}")


def check_stream(deployment: Deployment) -> Finding:
    """Whether the topics can be read from where the stream stopped."""
    topics = deployment.settings.stream.topics
    if not topics:
        return Finding("ok", "none: CRMBET_STREAM_TOPICS names no topic")
    from crmbet.orchestration.context import load_session, stream_config
    from crmbet.stream.consumer import open_consumer
    from crmbet.stream.standing import find_standing
    from crmbet.stream.target import StreamTables

    with open_consumer(stream_config(deployment.settings)) as consumer:
        with load_session("doctor", deployment.settings) as session:
            positions = StreamTables(session).positions()
        standing = find_standing(consumer, [*topics.values()], positions)
    text = f"{', '.join(topics.values())} at {consumer.brokers}: {standing.partitions} partitions"
    if not positions:
        dag_id = deployment.brand.dag_id("user_features_stream")
        return Finding("note", f"{text}; no run of {dag_id} has read them yet")
    return Finding("ok", f"{text}, {standing.unread} messages to read")


def check_table(deployment: Deployment) -> Finding:
    """What the table shows, and how the last run ended."""
    from crmbet.monitoring.tables import open_monitoring, read_runs, read_table_run
    from crmbet.orchestration.context import target_of

    with open_monitoring(*target_of(deployment.dags[0])) as tables:
        loaded = read_table_run(tables, deployment.dags[0])
        last = next(iter(read_runs(tables, deployment.dags[0], 1)), None)
    if loaded is None:
        return Finding("note", "no run has loaded it yet")
    hours = (datetime.now(UTC) - loaded["ended_at"]).total_seconds() / 3600
    text = f"as of {loaded['as_of_date']}, loaded {hours:.0f} h ago"
    if last and last["state"] == "failed":
        return Finding(
            "note", f"{text}; the last run failed at {last['failed_task'] or 'its start'}: {last['failure']}"
        )
    return Finding("ok", text)


CHECKS: Mapping[str, Callable[[Deployment], Finding]] = {
    "settings": check_settings,
    "airflow": check_airflow,
    "scheduler": check_scheduler,
    "lake": check_lake,
    "feeds": check_feeds,
    "source": check_source,
    "target": check_target,
    "roles": check_roles,
    "stream": check_stream,
    "alerts": check_alerts,
    "table": check_table,
}


def compare_environments(ours: Mapping[str, str], theirs: Mapping[str, str]) -> set[str]:
    """The variables of settings and connections that differ. Their values may be secret, and are not returned."""
    names = variable_names() | old_variable_names()
    names |= {name for name in (*ours, *theirs) if name.startswith(CONNECTION)}
    return {name for name in names if ours.get(name, "").strip() != theirs.get(name, "").strip()}


def _schedulers(environ: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """The environments of the schedulers and Celery workers of this deployment that run on this machine."""
    import psutil

    for process in psutil.process_iter():
        try:
            command = process.cmdline()
            if not any(Path(part).name == "airflow" for part in command[:2]):
                continue
            if "scheduler" not in command and "worker" not in command:
                continue
            theirs = process.environ()
        except psutil.Error:
            continue
        if theirs.get(METADATA) == environ.get(METADATA):
            yield theirs


def _contracts(kind: str, settings: Settings) -> list[SourceContract]:
    from crmbet.contracts.files import load_source_contracts

    contracts = load_source_contracts(over=settings.source.contracts_directory)
    return [contract for contract in contracts.values() if contract.kind == kind]


def _look_at_feed(
    deployment: Deployment, contract: SourceContract
) -> tuple[StoredObject, tuple[str, ...]] | None:
    """The newest object that can be looked at, and its columns that nobody reads. None if there is no object.

    Raises `SourceMissing` if a required feed has none, and `SourceUnreadable` if it cannot be read by its contract.
    """
    from crmbet.extract.decoding import UnpackLimits
    from crmbet.extract.formats import readings
    from crmbet.extract.listing import sort_listing
    from crmbet.extract.unreadable import UnreadableObject

    store = deployment.lake
    folder = f"{deployment.settings.source.raw_prefix}{contract.relation}/"
    listing = sort_listing(folder, store.list(folder))
    if listing.table:
        raise SourceUnreadable(f"{contract.name} is {listing.table.description}", where=store.url(folder))
    if not listing.read:
        if contract.required:
            raise SourceMissing(
                f"the feed {contract.name} has no object",
                where=store.url(folder),
                next_step=f"deliver it, or correct relation in include/contracts/sources/{contract.name}.yaml",
            )
        return None
    newest = max(
        (entry for entry in listing.read if entry.size <= LARGEST_LOOKED_AT),
        key=lambda entry: entry.last_modified,
        default=None,
    )
    if newest is None:
        return max(listing.read, key=lambda entry: entry.last_modified), ()
    path = deployment.scratch() / "newest"
    store.download(newest, path)
    try:
        limits = UnpackLimits.of(deployment.settings.engine)
        reading = next(readings(deployment.engine, path, newest.key, contract, limits))
    except UnreadableObject as error:
        raise SourceUnreadable(
            f"the newest object of {contract.name} does not fit its contract",
            where=store.url(newest.key),
            why=str(error),
            next_step=f"have it delivered again, or correct include/contracts/sources/{contract.name}.yaml",
        ) from None
    return newest, reading.unknown_columns


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the findings. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="doctor", description="What is wrong with this deployment.")
    parser.add_argument("--brand", help="a brand of config/brands/; without it, that of the environment")
    options = parser.parse_args(arguments)
    # What the parts log is in the findings. Airflow sets its loggers up when it is imported.
    os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "CRITICAL"
    states = set()
    for name, finding in examine(os.environ, options.brand):
        sys.stdout.write(f"{finding.state:<5} {name:<10} {finding.text}\n")
        sys.stdout.flush()
        states.add(finding.state)
    return 1 if "bad" in states else 0


if __name__ == "__main__":
    sys.exit(main())
