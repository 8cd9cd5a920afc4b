"""Two brands in one database, with one player id in both: no role of one reads or changes the other."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest

from crmbet.contracts.files import load_table_contract
from crmbet.failures import LoadRefused
from crmbet.load.backup import take_backup
from crmbet.load.movements import ensure_movements
from crmbet.load.session import LoadSession
from crmbet.load.staging import staged
from crmbet.load.target import ensure_target
from crmbet.load.training_set import ensure_training_set
from crmbet.monitoring.tables import ensure_tables, open_monitoring
from crmbet.run.schemas import ROLES, checked_schema, role_of
from tests.integration.load.small_loads import load_rows, next_second
from tests.integration.roles import as_login, create_roles, drop_roles, run_script

if TYPE_CHECKING:
    from tests.conftest import Services

pytestmark = pytest.mark.integration

SCHEMAS = {"default": "ml_features", "aurora": "ml_features_aurora"}
GROUPS = [role_of(role, schema) for schema in SCHEMAS.values() for role in ROLES]
HEAD_OFFICE = ["crmbet_all_brands", "crmbet_all_brands_reader"]
"""The roles of all_brands.sql: the owner of the view, and who may read it."""

RIGHTS = """
SELECT rolname, thing FROM pg_roles CROSS JOIN LATERAL (
    SELECT 'schema' AS thing WHERE has_schema_privilege(oid, %(schema)s, 'USAGE, CREATE')
    UNION ALL
    SELECT class.oid::regclass::text FROM pg_class AS class
    WHERE relnamespace = %(schema)s::regnamespace AND relkind IN ('r', 'p', 'v')
      AND (has_any_column_privilege(pg_roles.oid, class.oid, 'SELECT, INSERT, UPDATE, REFERENCES')
           OR has_table_privilege(pg_roles.oid, class.oid, 'DELETE, TRUNCATE, TRIGGER'))
) AS rights
WHERE rolname = ANY (%(roles)s)
"""
"""What some roles may do in a schema, by whatever way: grants, membership, ownership, or PUBLIC."""


@pytest.fixture(scope="module")
def admin_url(services: Services, new_database: Callable[[], str]) -> Iterator[str]:
    url = new_database()
    for schema in SCHEMAS.values():
        create_roles(url, "--set", f"schema={schema}")
    with closing(psycopg2.connect(url)) as admin, admin, admin.cursor() as cursor:
        for role in GROUPS:
            cursor.execute(f"ALTER ROLE {role} LOGIN")
    yield url
    drop_roles([url], groups=[*GROUPS, *HEAD_OFFICE])


def session_of(connection: Any, brand: str, schema: str) -> LoadSession:
    return LoadSession(
        connection=connection,
        contract=load_table_contract().in_schema(schema),
        run_id="run",
        lock_timeout_seconds=5,
        brand=brand,
    )


def test_no_role_of_a_brand_has_a_right_in_the_other_ones_schema(
    admin_url: str, engine: Any, row: Callable[..., dict[str, Any]], write_parquet: Callable[..., list[str]]
) -> None:
    for tenure, (brand, schema) in enumerate(SCHEMAS.items(), start=1):
        loader = as_login(admin_url, role_of("crmbet_loader", schema))
        with closing(psycopg2.connect(loader)) as connection:
            session = session_of(connection, brand, schema)
            ensure_target(session)
            ensure_training_set(session, "America/Sao_Paulo")
            ensure_movements(session, "America/Sao_Paulo")
            for day in (20, 21):
                backup = take_backup(session, next_second())
                files = write_parquet([row("ana", day=day, tenure_days=tenure)])
                with staged(session, engine, loader, files, 1) as staging:
                    load_rows(session, staging)
            assert backup is not None
        with open_monitoring(loader, schema) as tables:
            ensure_tables(tables)
        create_roles(admin_url, "--set", f"schema={schema}")

    with closing(psycopg2.connect(admin_url)) as admin, admin.cursor() as cursor:
        for schema in SCHEMAS.values():
            own = [role_of(role, schema) for role in ROLES]
            cursor.execute(RIGHTS, {"schema": schema, "roles": GROUPS})
            found = cursor.fetchall()
            assert {role for role, _ in found} == {*own}, f"only the roles of {schema} have rights in it"

    for tenure, schema in enumerate(SCHEMAS.values(), start=1):
        with closing(psycopg2.connect(as_login(admin_url, role_of("crmbet_reader", schema)))) as reader:
            cursor = reader.cursor()
            for table in ("user_features", "user_features_history"):
                cursor.execute(f"SELECT DISTINCT user_id, tenure_days FROM {schema}.{table}")
                assert cursor.fetchall() == [("ana", tenure)]

    is_seen_by_those_who_may_see_all_brands_and_by_nobody_else(admin_url)

    refused = pytest.raises(
        LoadRefused, match="belongs to the brand default, and this run is of the brand aurora"
    )
    with closing(psycopg2.connect(admin_url)) as connection, refused:
        ensure_target(session_of(connection, "aurora", "ml_features"))


ALL_BRANDS = "crmbet_all_brands.user_features"


def is_seen_by_those_who_may_see_all_brands_and_by_nobody_else(admin_url: str) -> None:
    """The view of all_brands.sql, which may be made again."""
    for _ in range(2):
        run_script(admin_url, "all_brands.sql", "--set", f"schemas={' '.join(SCHEMAS.values())}")
    with closing(psycopg2.connect(admin_url)) as admin, admin, admin.cursor() as cursor:
        cursor.execute(f"ALTER ROLE {HEAD_OFFICE[1]} LOGIN")
        cursor.execute(
            "SELECT rolname FROM pg_roles "
            "WHERE rolname = ANY (%s) AND has_any_column_privilege(oid, %s::regclass, 'SELECT')",
            ([*GROUPS, *HEAD_OFFICE], ALL_BRANDS),
        )
        assert {role for (role,) in cursor.fetchall()} == {*HEAD_OFFICE}
        for schema in SCHEMAS.values():
            cursor.execute(RIGHTS, {"schema": schema, "roles": HEAD_OFFICE[1:]})
            assert cursor.fetchall() == [], "it sees the view and no table"
    with closing(psycopg2.connect(as_login(admin_url, HEAD_OFFICE[1]))) as reader, reader.cursor() as cursor:
        cursor.execute(f"SELECT brand, user_id, tenure_days FROM {ALL_BRANDS} ORDER BY brand")
        assert cursor.fetchall() == [("aurora", "ana", 2), ("default", "ana", 1)]
        cursor.execute(f"SELECT * FROM {ALL_BRANDS} LIMIT 0")
        columns = [column.name for column in cursor.description or ()]
    assert [name for name in columns if name.startswith("rg_")] == []
    public = {name for name in load_table_contract().columns if not name.startswith("rg_")}
    assert public == {*columns} - {"brand"}
    with pytest.raises(subprocess.CalledProcessError):
        run_script(admin_url, "all_brands.sql", "--set", "schemas=ml_features nowhere")


@pytest.mark.parametrize("schema", ["ml_features_" + "x" * 35, "crm"])
def test_roles_are_named_in_sql_as_in_python(new_database: Callable[[], str], schema: str) -> None:
    url = new_database()
    roles = [role_of(role, checked_schema(schema)) for role in ROLES]

    create_roles(url, "--set", f"schema={schema}")

    with closing(psycopg2.connect(url)) as admin, admin.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_roles WHERE rolname = ANY (%s)", (roles,))
        assert cursor.fetchall() == [(len(ROLES),)]
    drop_roles([url], groups=roles)
