"""Turns Airflow's context into the core's values: the run, the store, the engine's access to the lake, PostgreSQL.

Only this module reads the environment, Airflow's dates and Airflow's connections.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from crmbet.databases import postgres
from crmbet.databases.duckdb import attach_postgres, open_engine
from crmbet.databases.duckdb_failures import failures_explained
from crmbet.databases.sessions import open_session
from crmbet.databases.work import Work
from crmbet.extract.relation import SOURCE
from crmbet.failures import (
    AccessRefused,
    BadAudience,
    BadParam,
    BadSetting,
    CrmbetError,
    LoadRefused,
    LostConnection,
    SourceMissing,
)
from crmbet.load.store_lock import keep_store
from crmbet.orchestration import dags_test
from crmbet.redaction import remember, secrets_in
from crmbet.run.brands import brand_of, read_brands
from crmbet.run.logs import bind
from crmbet.run.params import RunParams
from crmbet.run.records import RunRecord, manifest_key
from crmbet.run.run import Run
from crmbet.run.schedule import CONNECTIONS, connection_of, operator_texts, target_schema
from crmbet.run.settings import CostSettings, Settings
from crmbet.run.window import Start, Window, midnight, resolve_known_at, resolve_window
from crmbet.storage import object_store
from crmbet.storage.layout import Layout
from crmbet.storage.object_store import KEPT_CONNECTIONS, ObjectStore
from crmbet.storage.verified import read_record, write_record
from crmbet.texts import ENGLISH, Texts

if TYPE_CHECKING:
    import duckdb
    from airflow.sdk.definitions.context import Context
    from botocore.config import Config

    from crmbet.audiences.notifying import Receiver
    from crmbet.contracts.erased_players import ErasedPlayers
    from crmbet.erasure.asking import RequestTable
    from crmbet.load.session import LoadSession
    from crmbet.monitoring.tables import MonitoringTables
    from crmbet.monitoring.trail import StoreReader

ERASURE_CONNECTION = "crmbet_erasure"
"""Its password is the key by which the erasure ledger knows players. Needed once somebody is to be erased."""
AIRFLOW_CONNECTION = "crmbet_airflow"
"""Airflow's own database, by a login that may read it. Optional; only the proof of an erasure uses it."""
DATABASE_URL = "DATABASE_URL"
"""Variable of the original specification: one database for the source and the target."""

PAGE_MEMORY = "512MB"
"""Memory of the engine by which the monitoring page reads rows. It spills what is more."""

PAGE = "crmbet"
"""Where the monitoring page is mounted below the API server (crmbet_monitoring_plugin)."""
FORM = "crmbet-erasure"
"""Where the form for erasures is mounted."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class AirflowRun:
    """A run together with its access to S3."""

    run: Run
    store: ObjectStore
    _keeping: list[ExitStack] = field(default_factory=list, repr=False)
    """What holds the lock of the store, if a piece of work is under way."""

    @contextmanager
    def work(self) -> Iterator[Work]:
        """The run with a connection of the data engine, for the length of a task. No erasure runs meanwhile.

        The engine has no keys of S3: it reads local copies, which were compared with their checksums.
        """
        with (
            self.kept_store(),
            failures_explained(self.store.url("")),
            open_engine(self.run.settings) as connection,
        ):
            yield Work(run=self.run, store=self.store, connection=connection)

    @contextmanager
    def kept_store(self, *, alone: bool = False) -> Iterator[None]:
        """Keep an erasure off the store, or everybody else if `alone`. Within such a block it asks for nothing more.

        A target that cannot be reached stops nobody but an erasure, which needs it itself.
        """
        if self._keeping:
            yield
            return
        with ExitStack() as stack:
            try:
                session = stack.enter_context(load_session(self.run.run_id, self.run.settings))
                keep_store(session, alone=alone)
            except (LostConnection, AccessRefused, SourceMissing, BadSetting) as failure:
                if alone:
                    raise
                log.warning("nothing keeps an erasure off the store: %s", failure)
            self._keeping.append(stack)
            try:
                yield
            finally:
                self._keeping.remove(stack)


def open_run(context: Context) -> AirflowRun:
    """Resolve the run of this task, before anything else is read or written.

    The first task of a run writes as_of and known_at to the run's `run.json`. Later tasks, retries and cleared tasks
    use them. Raises `BadParam`, `BadSetting` or `AccessRefused`, all of them permanent.
    """
    from airflow.sdk import timezone

    params = RunParams.read(context["params"])
    dag_run: Any = context["dag_run"]
    settings = settings_of(dag_run.dag_id).with_thresholds(params.thresholds)
    _refuse_unasked(params, settings, context)
    started_at = dags_test.started_at(dag_run, timezone.utcnow())
    start = Start(
        run_type=str(getattr(dag_run.run_type, "value", dag_run.run_type)),
        started_at=started_at,
        logical_date=dag_run.logical_date,
        data_interval_end=dag_run.data_interval_end,
        as_of=params.as_of,
    )
    window = resolve_window(start, settings.zone)
    known_at = resolve_known_at(params.known_at, started_at)
    store = open_lake(settings)
    run = Run(run_id=dag_run.run_id, window=window, known_at=known_at, params=params, settings=settings)
    run = _obey_first_try(store, run)
    bind(as_of=run.as_of_date.isoformat(), execution_id=run.run_id)
    log.info("as_of %s, known_at %s, run %s", run.as_of_date, run.known_at.isoformat(), run.run_id)
    return AirflowRun(run=run, store=store)


def _refuse_unasked(params: RunParams, settings: Settings, context: Context) -> None:
    """Raise `BadParam` for a param about asking a person that would do nothing, or answer in a person's place."""
    if params.ask_on and not settings.approval.questions:
        raise BadParam(
            "the param ask_on is set, and this deployment has no task that asks",
            where="the configuration that the run was triggered with",
            next_step="set CRMBET_ASK_ON (docs/loading.md), or trigger again without ask_on",
        )
    if params.answer and not dags_test.is_of_dags_test(context):
        raise BadParam(
            "the param answer is for `airflow dags test` alone: a person answers in the form of the run, or by REST",
            where="the configuration that the run was triggered with",
            next_step="trigger again without answer",
        )


def settings_of(dag_id: str) -> Settings:
    """The settings of the brand that a DAG belongs to. Raises `BadSetting`."""
    brand = brand_of(dag_id, os.environ)
    return Settings.from_environ(brand.environ, brand.file)


def daily_dags() -> dict[str, str]:
    """The daily DAG of each brand, by the folder of its monitoring page below the API server's address."""
    brands = read_brands(os.environ).brands
    return {page_of(brand.suffix): brand.dag_id("user_features_daily") for brand in brands}


def brand_pages() -> dict[str, str]:
    """The folder of each brand's monitoring page, by the brand's name."""
    return {brand.name: page_of(brand.suffix) for brand in read_brands(os.environ).brands}


def erasure_dags() -> dict[str, str]:
    """The erasure DAG of each brand, by the folder of its form for erasures below the API server's address."""
    brands = read_brands(os.environ).brands
    return {f"{FORM}{brand.suffix}": brand.dag_id("user_features_erasure") for brand in brands}


def form_pages() -> dict[str, str]:
    """The folder of each brand's form for erasures, by the brand's name."""
    return {brand.name: f"{FORM}{brand.suffix}" for brand in read_brands(os.environ).brands}


def privacy_officers(dag_id: str) -> frozenset[str]:
    """The users of Airflow who may ask for erasures of the DAG's brand."""
    return settings_of(dag_id).erasure.officers


@contextmanager
def open_erasure_requests(dag_id: str) -> Iterator[RequestTable]:
    """The table of requests of the DAG's brand, by the login of the privacy office. No other login will do."""
    from crmbet.erasure.asking import open_requests

    environ = brand_of(dag_id, os.environ).environ
    with open_requests(dsn_of(connection_of(environ, "privacy")), target_schema(environ)) as requests:
        yield requests


def page_of(suffix: str) -> str:
    """The folder of a brand's monitoring page; `suffix` is the end of the names of its DAGs."""
    return f"{PAGE}{suffix}"


def spoken_texts(dag_id: str) -> Texts:
    """The texts of the brand's language. English if the setting is bad, since an alert must go out."""
    try:
        return operator_texts(brand_of(dag_id, os.environ).environ)
    except BadSetting as error:
        log.warning("alerts and the monitoring page are in English: %s", error)
        return ENGLISH


def prices_of(dag_id: str) -> CostSettings:
    """The prices of the DAG's brand. The defaults if a setting is bad, since the page must show what has happened."""
    try:
        return settings_of(dag_id).costs
    except BadSetting as error:
        log.warning("costs are shown at the default prices: %s", error)
        return CostSettings()


def read_report(dag_id: str, address: str) -> bytes:
    """Read a quality report of the DAG's brand by its s3:// address, for alerts and the monitoring page. Gives up soon.

    Raises `SourceMissing` if the report does not exist (any more).
    """
    settings = settings_of(dag_id)
    store = open_lake(settings, _impatience())
    key = address.removeprefix(store.url(""))
    content = store.read(key) if key.startswith(Layout(brand=settings.brand).reports) else None
    if content is None:
        raise SourceMissing(
            "the quality report does not exist",
            where=address,
            why=f"reports are kept for {settings.retention.run_retention_days} days (CRMBET_RUN_RETENTION_DAYS)",
            next_step="run the day again to get a new report",
        )
    return content


@contextmanager
def open_store_reader(dag_id: str) -> Iterator[StoreReader]:
    """The store of the DAG's brand with a small engine, for the page: it reads rows that runs have set aside."""
    from crmbet.contracts.files import load_source_contracts
    from crmbet.databases.scratch import scratch_folder
    from crmbet.datasets.prefetch import LocalCopies
    from crmbet.monitoring.trail import StoreReader

    settings = settings_of(dag_id)
    small = settings.engine.model_copy(update={"memory_limit": PAGE_MEMORY, "threads": 1})
    settings = settings.model_copy(update={"engine": small})
    with (
        scratch_folder(settings) as folder,
        failures_explained(f"s3://{settings.lake_bucket}"),
        open_engine(settings) as connection,
    ):
        store = open_lake(settings, _impatience())
        yield StoreReader(
            store=store,
            layout=Layout(brand=settings.brand),
            files=LocalCopies(store, folder),
            connection=connection,
            contracts=load_source_contracts(over=settings.source.contracts_directory),
        )


def column_readers(dag_id: str) -> Mapping[str, Sequence[str]]:
    """The audiences that read a column, by column. None if no folder is set, or if one of its files is wrong."""
    from crmbet.audiences.readers import readers_in

    settings = settings_of(dag_id).audiences
    if not settings.audiences_folder:
        return {}
    try:
        return readers_in(settings.folder)
    except BadAudience as error:
        log.warning("the catalogue names no audience: %s", error)
        return {}


def store_address(dag_id: str) -> str:
    """The address of the store of the DAG's brand; a key follows it."""
    return f"s3://{settings_of(dag_id).lake_bucket}/"


def _impatience() -> Config:
    """Time-outs of those who wait in front of a page, or who have little time to tell of a failure."""
    from botocore.config import Config

    return Config(connect_timeout=3, read_timeout=10, retries={"total_max_attempts": 1})


def attach_source(connection: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """Make the source database visible to the engine."""
    dsn = dsn_of(settings.connections.source_connection)
    attach_postgres(connection, dsn, SOURCE, read_only=True, timeouts=settings.timeouts)


def target_of(dag_id: str) -> tuple[str, str]:
    """The libpq connection string of the target of the DAG's brand, and its schema. Never log the former.

    It needs no other setting: a run whose settings are bad is recorded and told, too.
    """
    environ = brand_of(dag_id, os.environ).environ
    return dsn_of(connection_of(environ, "target")), target_schema(environ)


def stream_config(settings: Settings) -> dict[str, Any]:
    """The options of Kafka's client: the extra of the connection, with its host and its login where the extra has none.

    They hold a password: never log them.
    """
    from crmbet.stream.consumer import group_of

    connection_id = settings.connections.stream_connection
    connection = require_connection(connection_id)
    address = (
        f"{connection.host}:{connection.port}" if connection.host and connection.port else connection.host
    )
    fields = {
        "bootstrap.servers": address,
        "sasl.username": connection.login,
        "sasl.password": connection.password,
    }
    given: dict[str, Any] = connection.extra_dejson
    own = {"group.id": group_of(settings.brand)}
    config = own | {name: value for name, value in fields.items() if value} | given
    if not config.get("bootstrap.servers"):
        raise BadSetting(
            f"the Airflow connection {connection_id} names no broker",
            where=f"Airflow connection {connection_id}",
            next_step="give it a host and a port, or bootstrap.servers in its extra (docs/streaming.md)",
        )
    return config


def audience_receiver(settings: Settings) -> Receiver | None:
    """Who is told of audiences; None if no connection says so. Raises `BadSetting` if it cannot be read."""
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    from crmbet.audiences.notifying import WEBHOOK_CONNECTION, Receiver
    from crmbet.orchestration.connections import why_unreadable

    try:
        BaseHook.get_connection(WEBHOOK_CONNECTION)
    except AirflowNotFoundException:
        if why_unreadable(WEBHOOK_CONNECTION, os.environ) is None:
            return None
    connection = require_connection(WEBHOOK_CONNECTION)
    return Receiver.of(connection, settings.timeouts.answer_timeout_seconds)


def erasure_key() -> bytes:
    """The key by which the erasure ledger knows players. Raises `BadSetting` if it is missing or too short."""
    from crmbet.erasure.ledger import checked_key

    return checked_key(require_connection(ERASURE_CONNECTION).password)


def erased_players(run: Run) -> ErasedPlayers:
    """The players who were erased, as the target's ledger has them. Without any, nothing else is needed."""
    from crmbet.erasure.ledger import read_erased

    with load_session(run.run_id, run.settings) as session:
        return read_erased(session, erasure_key)


def airflow_dsn() -> str | None:
    """That of Airflow's own database, if a connection says it. Holds a password: never log it."""
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        BaseHook.get_connection(AIRFLOW_CONNECTION)
    except AirflowNotFoundException:
        return None
    return dsn_of(AIRFLOW_CONNECTION)


def monitoring_dsn(environ: Mapping[str, str]) -> str:
    """That of the monitoring page's own login, or else that of the target. Holds a password: never log it."""
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    connection_id = connection_of(environ, "monitoring")
    try:
        BaseHook.get_connection(connection_id)
    except AirflowNotFoundException:
        return dsn_of(connection_of(environ, "target"))
    return dsn_of(connection_id)


@contextmanager
def open_tables(dag_id: str) -> Iterator[MonitoringTables]:
    """The tables of monitoring of the DAG's brand, as the monitoring page reads them."""
    from crmbet.monitoring.tables import open_monitoring

    environ = brand_of(dag_id, os.environ).environ
    with open_monitoring(monitoring_dsn(environ), target_schema(environ)) as tables:
        yield tables


@contextmanager
def load_session(run_id: str, settings: Settings) -> Iterator[LoadSession]:
    """A run's access to the target table, for the length of a task.

    It does not use PostgresHook, whose driver depends on what else is installed.
    """
    from crmbet.contracts.files import load_table_contract
    from crmbet.load.session import LoadSession

    connection_id = settings.connections.target_connection
    with postgres.failures_explained(f"Airflow connection {connection_id}"):
        connection = open_session(dsn_of(connection_id), settings.timeouts)
    with closing(connection):
        yield LoadSession(
            connection=connection,
            contract=load_table_contract().in_schema(settings.target_schema),
            run_id=run_id,
            lock_timeout_seconds=settings.load.lock_timeout_seconds,
            brand=settings.brand,
            timeouts=settings.timeouts,
        )


def refuse_other_brand(airflow_run: AirflowRun) -> None:
    """Raise `LoadRefused` if the target belongs to another brand, before anything of this one is read.

    The load looks again. So a target that cannot be asked now does not stop a run that may not need it for an hour.
    """
    run = airflow_run.run
    try:
        with load_session(run.run_id, run.settings) as session, session.transaction() as cursor:
            session.refuse_other_brand(cursor)
    except LoadRefused:
        raise
    except CrmbetError as failure:
        log.warning("the target cannot be asked yet whose it is; the load asks again. %s", failure)


def _obey_first_try(store: ObjectStore, run: Run) -> Run:
    """The run with the dates of its first try. Two first tasks may run in parallel: both write the same bytes."""
    key = manifest_key(run.prefix, "run")
    record = read_record(store, key, RunRecord)
    if record is None:
        record = RunRecord(run_id=run.run_id, as_of_date=run.as_of_date, known_at=run.known_at)
        write_record(store, key, record, indent=1)
        return run
    window = Window(as_of_date=record.as_of_date, as_of=midnight(record.as_of_date, run.settings.zone))
    return Run(
        run_id=run.run_id, window=window, known_at=record.known_at, params=run.params, settings=run.settings
    )


def open_lake(settings: Settings, firm: Config | None = None) -> ObjectStore:
    """The lake, with the time-outs of the settings unless the connection's `config_kwargs` or `firm` has others.

    Raises `BadSetting` if the connection makes no sense to S3's client, and otherwise what reading the lake raises.
    """
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook
    from botocore.config import Config

    from crmbet.orchestration.connections import failures_of_options_explained, require_readable_endpoint

    ours = Config(
        max_pool_connections=KEPT_CONNECTIONS,
        connect_timeout=settings.timeouts.connect_timeout_seconds,
        read_timeout=settings.timeouts.answer_timeout_seconds,
    )
    # Without the connection the hook would use any credentials that the machine has.
    connection_id = settings.connections.lake_connection
    require_connection(connection_id)
    hook = S3Hook(aws_conn_id=connection_id)
    with (
        object_store.failures_explained(settings.lake_bucket),
        failures_of_options_explained(connection_id),
    ):
        endpoint = hook.conn_config.get_service_endpoint_url("s3")
        require_readable_endpoint(connection_id, endpoint)
        # The hook's own clients say in every request which operator made them. To find out, it looks up the source of
        # every frame in every loaded module: half of the processor time of a small task.
        client = hook.get_session().client(
            "s3",
            endpoint_url=endpoint,
            config=ours.merge(hook.config).merge(firm or Config()),
            verify=hook.verify,
        )
        credentials = hook.get_credentials(region_name=hook.region_name)
    _keep_secret(credentials.access_key, credentials.secret_key, credentials.token)
    return ObjectStore(client, settings.lake_bucket)


def dsn_of(connection_id: str) -> str:
    """A connection for libpq. It holds a password: never log it.

    Options in its extra are passed on; extras that only Airflow knows are left out.
    """
    from psycopg2.extensions import make_dsn

    connection = require_connection(connection_id)
    options = {name: value for name, value in connection.extra_dejson.items() if _is_libpq_option(name)}
    fields = {
        "host": connection.host,
        "port": connection.port,
        "dbname": connection.schema,
        "user": connection.login,
        "password": connection.password,
    }
    given = options | {name: value for name, value in fields.items() if value}
    # libpq takes 1 and 0 for a switch such as keepalives, and no words.
    spelled: dict[str, Any] = {
        name: int(value) if isinstance(value, bool) else value for name, value in given.items()
    }
    return str(make_dsn(**{name: value for name, value in spelled.items() if value not in (None, "")}))


def _is_libpq_option(name: str) -> bool:
    """Whether the installed libpq knows an option of this name: it rejects all others."""
    from psycopg2 import ProgrammingError
    from psycopg2.extensions import parse_dsn

    try:
        return name in parse_dsn(f"{name}=x")
    except ProgrammingError:
        return False


def require_connection(connection_id: str) -> Any:
    """An Airflow connection.

    If neither the source's nor the target's exists, DATABASE_URL of the original specification stands for it. Raises
    `BadSetting` if there is none of this id, or if it cannot be read.
    """
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    from crmbet.orchestration.connections import of_database_url, require_readable_extra, why_unreadable

    try:
        connection = BaseHook.get_connection(connection_id)
    except AirflowNotFoundException:
        # Airflow says the same of a variable that it cannot read.
        if why := why_unreadable(connection_id, os.environ):
            raise BadSetting(
                f"the Airflow connection {connection_id} cannot be read",
                where="the environment of the Airflow worker",
                why=why,
                next_step="correct the variable (docs/deployment.md) and clear the task",
            ) from None
        if (
            connection_id in (CONNECTIONS["source"], CONNECTIONS["target"])
            and os.environ.get(DATABASE_URL, "").strip()
        ):
            connection = of_database_url(connection_id, os.environ[DATABASE_URL])
            keep_secrets_of(connection)
            return connection
        raise BadSetting(
            f"the Airflow connection {connection_id} does not exist",
            where=f"Airflow connections, or the variable AIRFLOW_CONN_{connection_id.upper()}",
            next_step="create the connection (docs/deployment.md) and clear the task",
        ) from None
    require_readable_extra(connection_id, connection.extra)
    keep_secrets_of(connection)
    return connection


def keep_secrets_of(connection: Any) -> None:
    """From now on no text and no log shows the secrets of a connection of Airflow, however they are spelled."""
    _keep_secret(connection.password, *secrets_in({"host": connection.host, **connection.extra_dejson}))


def _keep_secret(*secrets: str | None) -> None:
    from airflow.sdk.log import mask_secret

    # Airflow takes a password out of its logs itself, but only as it is spelled in the connection.
    for spelling in remember(*secrets):
        mask_secret(spelling)
