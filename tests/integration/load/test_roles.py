"""The roles of include/sql/roles.sql: what each may do, and that a login with the loader's alone runs every step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest
from psycopg2.errors import InsufficientPrivilege

from crmbet.contracts.files import load_table_contract
from crmbet.contracts.table import FeatureColumn, TableContract
from crmbet.failures import LoadRefused
from crmbet.load.backup import sweep_backups, take_backup
from crmbet.load.feature_drift import write_drift
from crmbet.load.model_parameters import Origin, record_models
from crmbet.load.movements import count_movements, ensure_movements
from crmbet.load.quality_results import write_results
from crmbet.load.restore import restore
from crmbet.load.session import LoadSession
from crmbet.load.staging import staged
from crmbet.load.target import ensure_target
from crmbet.load.training_set import create_training_set, ensure_training_set
from crmbet.monitoring.tables import ensure_tables, open_monitoring, read_alerts, read_drift, read_runs
from crmbet.quality.checks import Check
from crmbet.quality.report import Outcome, Report, Subject
from crmbet.run.schemas import DEFAULT_SCHEMA
from tests.integration.load.load_process import learn_nothing
from tests.integration.load.small_loads import load_rows, next_second
from tests.integration.roles import as_login, create_roles, drop_roles

if TYPE_CHECKING:
    from tests.conftest import Services

pytestmark = pytest.mark.integration

MakeRow = Callable[..., dict[str, Any]]
Url = Callable[[str], str]

LOGINS = {
    "airflow": "crmbet_loader",
    "ana": "crmbet_reader",
    "page": "crmbet_monitor",
    "rui": "crmbet_responsible_gambling",
}
FIGURES = ("pipeline_runs", "alerts", "quality_results", "feature_drift")

RG = {
    "rg_score": FeatureColumn(type="r01", meaning="Risk"),
    "rg_markers": FeatureColumn(type="text[]", meaning="Markers"),
}

MIDNIGHT = datetime(2026, 11, 21, 3, tzinfo=UTC)
NOTHING_LEARNED = learn_nothing(date(2026, 11, 21))

PAIR = "CREATE TEMP TABLE pairs AS SELECT 'a' AS user_id, '2026-11-20 03:00+00'::timestamptz AS instant"
TRAINING_SET = "ml_features.training_set('pairs', '{}', '1 day')"
CELLS = "(features).user_id, (features).active_days_30d, (features).rg_score"


@pytest.fixture(scope="module")
def admin_url(services: Services, new_database: Callable[[], str]) -> Iterator[str]:
    """A database with the roles, and a login in each of them."""
    url = new_database()
    create_roles(url)
    with closing(psycopg2.connect(url)) as admin, admin, admin.cursor() as cursor:
        for login, group in LOGINS.items():
            cursor.execute(f"CREATE ROLE {login} LOGIN NOINHERIT IN ROLE {group}")
            # Each is in its group and nothing more: what it makes belongs to the group.
            cursor.execute(f"ALTER ROLE {login} SET role TO {group}")
    yield url
    drop_roles([url], list(LOGINS))


@pytest.fixture
def url(admin_url: str) -> Url:
    """The URL of the database for a login."""
    return lambda login: as_login(admin_url, login)


@pytest.fixture
def contract() -> TableContract:
    """The real contract with columns about responsible gambling: roles.sql names its schema."""
    own = load_table_contract()
    columns = {**RG, **own.columns}
    return own.model_copy(update={"columns": {name: columns[name] for name in [*own.columns, *RG]}})


def ask(url: str, sql: str) -> list[tuple[Any, ...]]:
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else []


def test_the_loader_alone_runs_every_step_and_readers_read_what_is_theirs(
    url: Url, engine: Any, contract: TableContract, row: MakeRow, write_parquet: Callable[..., list[str]]
) -> None:
    with closing(psycopg2.connect(url("airflow"))) as connection:
        session = LoadSession(connection=connection, contract=contract, run_id="run", lock_timeout_seconds=5)
        ensure_target(session)
        for day in (20, 21):
            files = write_parquet([row("a", day=day, rg_score=0.5)])
            backup = take_backup(session, next_second())
            with staged(session, engine, url("airflow"), files, 1) as staging:
                assert load_rows(session, staging).recorded == 1
        assert backup is not None
        assert restore(session, backup.name, next_second()).changed
        assert len(sweep_backups(session, next_second(), days=1, count=1)) == 1
        wider = {
            **contract.columns,
            "rg_later": RG["rg_score"],
            "later": FeatureColumn(type="text", meaning="New"),
        }
        session = LoadSession(
            connection=connection,
            contract=contract.model_copy(update={"columns": wider}),
            run_id="run",
            lock_timeout_seconds=5,
        )
        assert ensure_target(session) == ["rg_later", "later"]
        ensure_training_set(session, "America/Sao_Paulo")
        ensure_movements(session, "America/Sao_Paulo")
        assert count_movements(session, datetime(2026, 11, 21, 3, tzinfo=UTC)) == []
        with session.exclusive_transaction() as cursor:
            origin = Origin(as_of=MIDNIGHT, known_at=MIDNIGHT, run_id="run", written_at=MIDNIGHT)
            assert record_models(cursor, contract.schema_name, NOTHING_LEARNED, origin) == 4

    # Twice, since it may be run at any time.
    for _ in range(2):
        for table in ("user_features", "user_features_history"):
            assert ask(url("ana"), f"SELECT user_id, later FROM ml_features.{table}")[0] == ("a", None)
            assert ask(url("rui"), f"SELECT rg_score, rg_markers, rg_later, later FROM ml_features.{table}")
            for column in ("rg_score", "rg_markers", "rg_later", "*"):
                with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                    ask(url("ana"), f"SELECT {column} FROM ml_features.{table}")
        for login, score in (("ana", None), ("rui", 0.5)):
            assert ask(url(login), "SELECT count(*) FROM ml_features.model_parameters") == [(4,)]
            found = ask(
                url(login),
                f"{PAIR}; SELECT label_value, {CELLS} FROM {TRAINING_SET.format('active_days_30d')}",
            )
            assert found == [(7, "a", 7, score)]
        for view, readers in (("segment_movements", ("ana", "rui")), ("rg_segment_movements", ("rui",))):
            for login in ("ana", "rui", "page"):
                with nullcontext() if login in readers else pytest.raises(InsufficientPrivilege):
                    ask(url(login), f"SELECT user_id FROM ml_features.{view}")
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            ask(url("ana"), f"{PAIR}; SELECT * FROM {TRAINING_SET.format('rg_score')}")
        assert ask(url("rui"), f"{PAIR}; SELECT label_value FROM {TRAINING_SET.format('rg_score')}") == [
            (0.5,)
        ]
        create_roles(url("postgres"))

    for login in ("ana", "rui"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            ask(url(login), "DELETE FROM ml_features.user_features")
        for (name,) in ask(
            url("postgres"), "SELECT relname FROM pg_class WHERE relname LIKE '%\\_backup\\_%'"
        ):
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                ask(url(login), f"SELECT user_id FROM ml_features.{name}")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        ask(url("airflow"), "CREATE SCHEMA elsewhere")


def test_the_page_reads_figures_and_no_feature_whoever_comes_first(url: Url, contract: TableContract) -> None:
    """The loader grants them when it makes the tables, and roles.sql if they are there already."""
    ask(url("postgres"), "DROP SCHEMA ml_features CASCADE")
    create_roles(url("postgres"))
    subject = Subject(run_id="run", as_of=MIDNIGHT, known_at=MIDNIGHT)
    outcome = Outcome(view="v", check=Check.COMPLETENESS, expectation="e", title="filled", passed=True)
    for as_before_the_role in (False, True):
        with open_monitoring(url("airflow"), DEFAULT_SCHEMA) as monitoring:
            ensure_tables(monitoring)
        with closing(psycopg2.connect(url("airflow"))) as connection:
            session = LoadSession(
                connection=connection, contract=contract, run_id="run", lock_timeout_seconds=5
            )
            write_results(session, Report("features", subject, (outcome,)), MIDNIGHT)
            write_drift(session, [], as_of=MIDNIGHT, baseline=MIDNIGHT.date(), written_at=MIDNIGHT)
            ensure_target(session)
        if as_before_the_role:
            for table in FIGURES:
                ask(url("postgres"), f"REVOKE ALL ON ml_features.{table} FROM crmbet_monitor")
            create_roles(url("postgres"))
        with open_monitoring(url("page"), DEFAULT_SCHEMA) as page:
            assert read_runs(page, "user_features_daily", 1) == []
            assert read_alerts(page, 1) == []
            assert read_drift(page) == []
        assert ask(url("page"), "SELECT count(*) FROM ml_features.quality_results") == [(1,)]
        for statement in (
            "SELECT user_id FROM ml_features.user_features",
            "SELECT user_id FROM ml_features.user_features_history",
            "DELETE FROM ml_features.alerts",
            "CREATE TABLE ml_features.mine (n integer)",
        ):
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                ask(url("page"), statement)


def test_what_another_login_had_made_becomes_the_loaders(url: Url) -> None:
    with closing(psycopg2.connect(url("postgres"))) as admin, admin, admin.cursor() as cursor:
        cursor.execute("DROP SCHEMA ml_features CASCADE; CREATE SCHEMA ml_features")
        for table in ("user_features", "user_features_history", "model_parameters"):
            cursor.execute(f"CREATE TABLE ml_features.{table} (user_id text, rg_score real)")
        create_training_set(cursor, "ml_features", "UTC")

    create_roles(url("postgres"))

    owners = ask(
        url("postgres"),
        "SELECT DISTINCT relowner::regrole::text FROM pg_class WHERE relname ~ '^(user_f|model_p)' "
        "UNION SELECT proowner::regrole::text FROM pg_proc WHERE proname = 'training_set'",
    )
    assert owners == [("crmbet_loader",)]
    assert ask(url("ana"), "SELECT * FROM ml_features.model_parameters") == []
    assert ask(url("ana"), "SELECT user_id FROM ml_features.user_features") == []
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        ask(url("ana"), "SELECT rg_score FROM ml_features.user_features")
    with closing(psycopg2.connect(url("airflow"))) as connection:
        session = LoadSession(
            connection=connection, contract=load_table_contract(), run_id="run", lock_timeout_seconds=5
        )
        with pytest.raises(LoadRefused, match="a load needs a partitioned table"):
            ensure_target(session)
