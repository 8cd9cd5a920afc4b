"""Functions, operators and tables that somebody has planted in `public` run in no session and no script of ours.

Who may create in `public` may write a better match for a call than PostgreSQL's own function. Where the database's
search_path has `public` before the catalogue, the same name is enough. Here everything planted fails when it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest

from crmbet.contracts.files import load_source_contracts, load_table_contract
from crmbet.databases.duckdb import attach_postgres
from crmbet.databases.sessions import open_session
from crmbet.databases.statements import render
from crmbet.extract.relation import ask_postgres, describe_relation
from crmbet.failures import LockHeld
from crmbet.load.backup import sweep_backups, take_backup
from crmbet.load.model_parameters import Origin, record_models
from crmbet.load.restore import restore
from crmbet.load.session import LoadSession
from crmbet.load.staging import staged
from crmbet.load.target import ensure_target
from crmbet.load.training_set import ensure_training_set
from crmbet.monitoring.tables import ensure_tables, open_monitoring, read_alerts, read_runs
from crmbet.run.schemas import DEFAULT_SCHEMA
from crmbet.run.settings import TimeoutSettings
from tests.integration.load.load_process import learn_nothing
from tests.integration.load.small_loads import BOTH_SERVERS, load_rows, next_second
from tests.integration.roles import LOADER, as_login, create_roles, drop_roles

if TYPE_CHECKING:
    import duckdb

pytestmark = [pytest.mark.integration, BOTH_SERVERS]

MIDNIGHT = datetime(2026, 11, 21, 3, tzinfo=UTC)

COPIES = """
DO $plant$
DECLARE
    found record;
BEGIN
    FOR found IN
        SELECT proname, pg_get_function_identity_arguments(oid) AS arguments, pg_get_function_result(oid) AS result
        FROM pg_proc
        WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind = 'f' AND NOT proretset
          AND proname IN (
              'starts_with', 'hashtextextended', 'hash_record_extended', 'uuid_hash_extended', 'hash_numeric_extended',
              'timestamp_hash_extended', 'hashtext', 'set_config', 'current_setting', 'clock_timestamp', 'now',
              'obj_description', 'format_type', 'to_regclass', 'pg_advisory_lock_shared', 'pg_advisory_unlock_shared',
              'pg_advisory_xact_lock', 'pg_try_advisory_xact_lock', 'current_database', 'has_column_privilege',
              'pg_export_snapshot', 'pg_is_in_recovery', 'version', 'quote_ident', 'array_to_string', 'lower', 'md5'
          )
    LOOP
        BEGIN
            EXECUTE format(
                'CREATE FUNCTION public.%I(%s) RETURNS %s LANGUAGE plpgsql AS '
                '$body$ BEGIN RAISE EXCEPTION ''planted''; END $body$',
                found.proname, found.arguments, found.result
            );
        EXCEPTION WHEN OTHERS THEN
            NULL;  -- PL/pgSQL takes no argument of some pseudo-types
        END;
    END LOOP;
END
$plant$
"""
BETTER_MATCHES = (
    "starts_with(name, text)", "starts_with(text, unknown_text)", "hashtextextended(text, integer)",
    "hash_record_extended(record, integer)", "uuid_hash_extended(uuid, integer)",
    "hash_numeric_extended(numeric, integer)", "timestamp_hash_extended(timestamp, integer)",
    "format(text, name)", "format(text, name, name)", "format(text, text)",
    "format(text, text, text)", "obj_description(oid, text)", "set_config(text, text, integer)", "to_regclass(name)",
    "has_column_privilege(oid, smallint, name)", "pg_advisory_xact_lock(integer)", "format_type(oid, bigint)",
)  # fmt: skip
FAILS = "LANGUAGE plpgsql AS $body$ BEGIN RAISE EXCEPTION 'planted'; END $body$"
OPERATORS = (("=", "name", "text"), ("=", "text", "name"), ("<>", "oid", "regrole"), ("=", "oid", "regnamespace"),
             ("~", "name", "text"), ("<", "bigint", "integer"), ("=", "bigint", "integer"))  # fmt: skip
TABLES = (
    "pg_class",
    "pg_namespace",
    "pg_attribute",
    "pg_roles",
    "pg_locks",
    "pg_proc",
    "pg_index",
    "pg_type",
    "pairs2",
)


@pytest.fixture
def hostile(postgres_url: str, request: Any, services: Any) -> Iterator[str]:
    """The URL of a database where anybody may create in `public`, and somebody has."""
    server = services.postgres if "postgres15" not in postgres_url else request.getfixturevalue("server_15")
    server.create_database("hostile")
    url = server.url("hostile")
    with closing(psycopg2.connect(url)) as admin, admin, admin.cursor() as cursor:
        cursor.execute("GRANT ALL ON SCHEMA public TO PUBLIC")
        cursor.execute("CREATE ROLE mallory; SET ROLE mallory; CREATE DOMAIN public.unknown_text AS text")
        cursor.execute(COPIES)
        for signature in BETTER_MATCHES:
            cursor.execute(f"CREATE FUNCTION public.{signature} RETURNS boolean {FAILS}")
        for operator, left, right in OPERATORS:
            name = f"public.planted_{left}_{right}_{OPERATORS.index((operator, left, right))}"
            cursor.execute(f"CREATE FUNCTION {name}({left}, {right}) RETURNS boolean {FAILS}")
            cursor.execute(
                f"CREATE OPERATOR public.{operator} (LEFTARG = {left}, RIGHTARG = {right}, FUNCTION = {name})"
            )
        for table in TABLES:
            cursor.execute(f"CREATE TABLE public.{table} (planted integer)")
        cursor.execute("RESET ROLE; ALTER DATABASE hostile SET search_path = public, pg_catalog")
    yield url
    with closing(psycopg2.connect(url)) as admin:
        admin.autocommit = True
        admin.cursor().execute(
            "SET search_path = pg_catalog; DROP OWNED BY mallory CASCADE; DROP ROLE mallory"
        )
    server.drop_database("hostile")


@pytest.fixture
def loader_url(hostile: str) -> Iterator[str]:
    """After roles.sql, which the administrator runs by psql; the loader's URL."""
    create_roles(hostile)
    create_roles(hostile)
    with closing(psycopg2.connect(hostile)) as admin, admin, admin.cursor() as cursor:
        cursor.execute(f"SET search_path = pg_catalog; ALTER ROLE {LOADER} LOGIN")
        cursor.execute("CREATE TABLE public.tbl_transactions (transaction_id uuid, user_id text, amount numeric(14,2), "
                       "transaction_type text, status text, created_at timestamp)")  # fmt: skip
        cursor.execute(
            "INSERT INTO public.tbl_transactions VALUES (gen_random_uuid(), 'a', 1, 'bet', 'completed', now())"
        )
        cursor.execute(f"GRANT SELECT ON public.tbl_transactions TO {LOADER}")
    yield as_login(hostile, LOADER)
    with closing(psycopg2.connect(hostile)) as admin, admin, admin.cursor() as cursor:
        cursor.execute("SET search_path = pg_catalog; DROP TABLE public.tbl_transactions")
    _drop_roles(hostile)


def _drop_roles(url: str) -> None:
    with closing(psycopg2.connect(url)) as admin, admin, admin.cursor() as cursor:
        cursor.execute("ALTER DATABASE hostile RESET search_path")
    drop_roles([url])


def test_what_is_planted_is_really_used_by_a_session_that_does_not_care(hostile: str) -> None:
    with closing(psycopg2.connect(hostile)) as careless, careless.cursor() as cursor:
        for query in ("SELECT starts_with('a'::name, 'a')", "SELECT hashtextextended('a', 0)", "SELECT 1::bigint < 2",
                      "SELECT obj_description(0::oid, 'pg_class')"):  # fmt: skip
            with pytest.raises(psycopg2.errors.RaiseException, match="planted"):
                cursor.execute(query)
            careless.rollback()


@pytest.mark.few(1)
def test_a_load_with_all_its_steps(
    loader_url: str,
    hostile: str,
    engine: duckdb.DuckDBPyConnection,
    row: Callable[..., dict[str, Any]],
    write_parquet: Callable[..., list[str]],
) -> None:
    contract = load_table_contract()
    timeouts = TimeoutSettings()
    with (
        closing(open_session(loader_url, timeouts)) as connection,
        closing(open_session(loader_url, timeouts)) as other,
    ):
        session = LoadSession(connection=connection, contract=contract, run_id="run", lock_timeout_seconds=1)
        waiting = LoadSession(connection=other, contract=contract, run_id="other", lock_timeout_seconds=1)
        ensure_target(session)
        for day in (20, 21):
            backup = take_backup(session, next_second())
            with staged(session, engine, loader_url, write_parquet([row("a", day=day)]), 1) as staging:
                assert load_rows(session, staging).recorded == 1
        assert backup is not None
        assert restore(session, backup.name, next_second()).changed
        assert len(sweep_backups(session, next_second(), days=1, count=1)) == 1
        ensure_training_set(session, "America/Sao_Paulo")
        with session.exclusive_transaction() as cursor:
            origin = Origin(as_of=MIDNIGHT, known_at=MIDNIGHT, run_id="run", written_at=MIDNIGHT)
            assert record_models(cursor, contract.schema_name, learn_nothing(date(2026, 11, 21)), origin) == 4
            with pytest.raises(LockHeld, match="crmbet run run"), waiting.exclusive_transaction():
                pass
    with open_monitoring(loader_url, DEFAULT_SCHEMA) as monitoring:
        ensure_tables(monitoring)
        assert read_runs(monitoring, "user_features_daily", 5) == []
        assert read_alerts(monitoring, 5) == []

    # The function looks names up by itself, whatever its caller's search_path is.
    create_roles(hostile)
    with closing(psycopg2.connect(hostile)) as analyst, analyst.cursor() as cursor:
        cursor.execute(
            "CREATE TEMP TABLE pairs AS SELECT 'a' AS user_id, '2026-11-20 03:00+00'::timestamptz AS instant"
        )
        cursor.execute(
            "SELECT user_id, label_value FROM ml_features.training_set('pairs', 'active_days_30d', '1 day')"
        )
        assert cursor.fetchall() == [("a", 7)]


def test_the_source_through_the_engine(loader_url: str, engine: duckdb.DuckDBPyConnection) -> None:
    contract = load_source_contracts()["transactions"]
    attach_postgres(engine, loader_url, "source", read_only=True)
    try:
        relation = describe_relation(engine, contract)
        fingerprint = render(
            "extract/fingerprint_days",
            dated=relation.dated,
            event_time=relation.event.value,
            row_hash=relation.row_hash,
            has_nan=relation.has_nan,
            relation=relation.table,
            within=relation.dated,
        )
        [(_, count, _, _)] = ask_postgres(engine, fingerprint)
        assert count == 1
        assert engine.execute("SELECT user_id FROM source.public.tbl_transactions").fetchall() == [("a",)]
    finally:
        engine.execute("DETACH source")
