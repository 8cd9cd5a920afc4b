"""roles.sql takes over nothing that a stranger has made in ml_features: it names it, and changes nothing."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg2
import pytest

from crmbet.contracts.files import load_table_contract
from crmbet.databases.statements import STATEMENTS
from crmbet.load.session import LoadSession
from crmbet.load.target import ensure_target
from crmbet.load.training_set import ensure_training_set
from crmbet.monitoring.tables import ensure_tables, open_monitoring
from crmbet.run.schemas import DEFAULT_SCHEMA
from local.postgres import programs
from tests.integration.load.small_loads import BOTH_SERVERS
from tests.integration.roles import GROUPS, as_login

pytestmark = [pytest.mark.integration, BOTH_SERVERS]

OF_ADMIN = "CREATE SCHEMA ml_features; CREATE TABLE ml_features.user_features (user_id text)"
MAY_CREATE = f"{OF_ADMIN}; GRANT USAGE, CREATE ON SCHEMA ml_features TO mallory"
ALL_OF_HERS = (
    "SET ROLE mallory; CREATE SCHEMA ml_features; GRANT CREATE ON SCHEMA ml_features TO friend; "
    "CREATE TABLE ml_features.user_features (user_id text); CREATE FUNCTION {}; CREATE FUNCTION {}; {}"
)
RUNS_ANYTHING = (
    "ml_features.training_set(stmt text) RETURNS text LANGUAGE plpgsql SECURITY DEFINER "
    "AS $$ BEGIN EXECUTE stmt; RETURN current_user; END $$"
)
TRAP = "{}.trap() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$"
FIRES = (
    "CREATE TRIGGER trap BEFORE INSERT ON ml_features.user_features FOR EACH ROW EXECUTE FUNCTION {}.trap()"
)
CALLED = "elsewhere.called(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1'"
ELSEWHERE = (
    f"{OF_ADMIN}; CREATE SCHEMA elsewhere AUTHORIZATION mallory; SET ROLE mallory; CREATE FUNCTION {CALLED}; "
    "RESET ROLE"
)
EARLIER = "training_set(regclass, text, interval, timestamptz) RETURNS int LANGUAGE sql"


@pytest.fixture
def admin_url(postgres_url: str, request: Any, services: Any) -> Iterator[str]:
    """A database of its own, with two strangers."""
    server = services.postgres if "postgres15" not in postgres_url else request.getfixturevalue("server_15")
    server.create_database("planted")
    url = server.url("planted")
    run(
        url,
        "CREATE ROLE mallory LOGIN; CREATE ROLE friend LOGIN; GRANT CREATE ON DATABASE planted TO mallory",
    )
    yield url
    roles = run(
        url, "SELECT rolname FROM pg_roles WHERE rolname = ANY (%s)", [*GROUPS, "mallory", "friend", "etl"]
    )
    names = ", ".join(name for (name,) in roles)
    run(url, f"DROP OWNED BY {names} CASCADE; DROP ROLE {names}")
    server.drop_database("planted")


def run(url: str, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(sql, values or None)
        return cursor.fetchall() if cursor.description else []


def run_roles(url: str, *options: str) -> str:
    """Run roles.sql as its administrator; what psql says if it fails, and otherwise an empty text."""
    command = [str(programs() / "psql"), "-X", "-q", url, *options, "-f", str(STATEMENTS / "roles.sql")]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.stderr if done.returncode else ""


def state(url: str) -> list[tuple[Any, ...]]:
    """All that roles.sql might change."""
    return run(
        url,
        "SELECT oid::text, rolname::text, '' FROM pg_roles "
        "UNION ALL SELECT nspname, pg_get_userbyid(nspowner), nspacl::text FROM pg_namespace "
        "UNION ALL SELECT relname, pg_get_userbyid(relowner), relacl::text FROM pg_class WHERE relkind IN ('r', 'v') "
        "UNION ALL SELECT oid::text, pg_get_userbyid(proowner), proacl::text FROM pg_proc "
        "UNION ALL SELECT attrelid::text, attname::text, attacl::text FROM pg_attribute WHERE attacl IS NOT NULL "
        "ORDER BY 1, 2, 3",
    )


@pytest.mark.few(10)
@pytest.mark.parametrize(
    ("planted", "named"),
    [
        # The whole schema.
        ("SET ROLE mallory; CREATE SCHEMA ml_features", ["schema ml_features belongs to mallory"]),
        (
            ALL_OF_HERS.format(RUNS_ANYTHING, TRAP.format("ml_features"), FIRES.format("ml_features")),
            [
                "schema ml_features belongs to mallory", "schema ml_features grants rights to friend",
                "function ml_features.training_set(text) belongs to mallory",
                "function ml_features.training_set(text) is not the pipeline's",
                "table ml_features.user_features belongs to mallory",
                "trigger trap on table ml_features.user_features is not the pipeline's",
            ],
        ),
        # In the administrator's own schema.
        (f"{MAY_CREATE}; SET ROLE mallory; CREATE FUNCTION {RUNS_ANYTHING}", ["training_set(text) belongs to mallory"]),
        (f"{MAY_CREATE}; SET ROLE mallory; CREATE TABLE ml_features.alerts (a int)", ["ml_features.alerts belongs to"]),
        (f"{MAY_CREATE}; SET ROLE mallory; CREATE VIEW ml_features.v AS SELECT 1", ["view ml_features.v belongs to"]),
        (f"{MAY_CREATE}; SET ROLE mallory; CREATE DOMAIN ml_features.d AS text", ["type ml_features.d belongs to"]),
        (MAY_CREATE, ["schema ml_features grants rights to mallory"]),
        (f"{OF_ADMIN}; GRANT SELECT ON ml_features.user_features TO friend", ["user_features grants rights to friend"]),
        (f"{OF_ADMIN}; GRANT UPDATE (user_id) ON ml_features.user_features TO friend", ["grants rights to friend"]),
        (f"{OF_ADMIN}; GRANT SELECT ON ml_features.user_features TO PUBLIC", ["user_features grants rights to PUBLIC"]),
        (f"{OF_ADMIN}; GRANT SELECT (user_id) ON ml_features.user_features TO PUBLIC", ["grants rights to PUBLIC"]),
        # What had been handed over by hand, with a trap in it.
        (f"{OF_ADMIN}; CREATE FUNCTION {RUNS_ANYTHING}", ["training_set(text) is not the pipeline's"]),
        (
            f"{OF_ADMIN}; CREATE FUNCTION ml_features.{EARLIER} SECURITY DEFINER AS 'SELECT 1'",
            ["ml_features.training_set(regclass,text,interval,timestamp with time zone) is not the pipeline's"],
        ),
        (f"{OF_ADMIN}; CREATE FUNCTION {TRAP.format('public')}; {FIRES.format('public')}", ["trigger trap on table"]),
        (
            f"{OF_ADMIN}; CREATE RULE spill AS ON INSERT TO ml_features.user_features DO ALSO NOTIFY spilled",
            ["rule spill on table ml_features.user_features is not the pipeline's"],
        ),
        (
            f"{OF_ADMIN}; CREATE POLICY hole ON ml_features.user_features USING (true)",
            ["policy hole on table ml_features.user_features is not the pipeline's"],
        ),
        (
            f"{ELSEWHERE}; ALTER TABLE ml_features.user_features ALTER user_id SET DEFAULT elsewhere.called('a')",
            ["default value for column user_id of table ml_features.user_features calls elsewhere.called(text)"],
        ),
        (
            f"{ELSEWHERE}; ALTER TABLE ml_features.user_features ADD CHECK (elsewhere.called(user_id) <> '')",
            ["constraint user_features_user_id_check on table ml_features.user_features calls elsewhere.called(text)"],
        ),
        (
            f"{ELSEWHERE}; CREATE INDEX sly ON ml_features.user_features (elsewhere.called(user_id))",
            ["index ml_features.sly calls elsewhere.called(text)"],
        ),
    ],
)  # fmt: skip
def test_what_a_stranger_has_made_is_refused_before_anything_changes(
    admin_url: str, planted: str, named: list[str]
) -> None:
    run(admin_url, planted)
    before = state(admin_url)

    said = run_roles(admin_url)

    assert "nothing was changed" in said
    for each in named:
        assert each in said
    assert "HINT" in said
    assert "former_login" in said
    assert state(admin_url) == before


def make_target(url: str) -> None:
    """All that runs make in the target, and a function of the release that took fewer arguments."""
    with open_monitoring(url, DEFAULT_SCHEMA) as monitoring:
        ensure_tables(monitoring)
    with closing(psycopg2.connect(url)) as connection:
        session = LoadSession(
            connection=connection, contract=load_table_contract(), run_id="run", lock_timeout_seconds=5
        )
        ensure_target(session)
        ensure_training_set(session, "UTC")
    run(url, f"CREATE FUNCTION ml_features.{EARLIER} AS 'SELECT 1'")


def test_an_administrator_who_is_no_superuser_runs_it_too(admin_url: str) -> None:
    run(
        admin_url,
        "CREATE ROLE etl LOGIN CREATEROLE; GRANT CREATE ON DATABASE planted TO etl WITH GRANT OPTION",
    )
    for _ in range(2):
        assert run_roles(as_login(admin_url, "etl")) == ""
    run(admin_url, "GRANT CREATE ON SCHEMA ml_features TO mallory")
    run(as_login(admin_url, "mallory"), f"CREATE FUNCTION {RUNS_ANYTHING}")

    said = run_roles(as_login(admin_url, "etl"))

    assert "training_set(text) belongs to mallory" in said
    assert "schema ml_features grants rights to mallory" in said


def owners(url: str) -> list[tuple[Any, ...]]:
    return run(
        url,
        "SELECT DISTINCT pg_get_userbyid(relowner)::text FROM pg_class WHERE relkind IN ('r', 'p') "
        "AND relnamespace = 'ml_features'::regnamespace "
        "UNION SELECT pg_get_userbyid(proowner) FROM pg_proc WHERE pronamespace = 'ml_features'::regnamespace",
    )


def test_what_runs_have_made_is_taken_over_again_and_again(admin_url: str) -> None:
    make_target(admin_url)
    run(admin_url, "CREATE VIEW ml_features.players AS SELECT user_id FROM ml_features.user_features")
    for _ in range(3):
        assert run_roles(admin_url) == ""
    assert owners(admin_url) == [("crmbet_loader",)]

    # A login in the loader's role may make what the loader may, under its own name.
    run(admin_url, "CREATE ROLE etl LOGIN IN ROLE crmbet_loader")
    run(as_login(admin_url, "etl"), "CREATE TABLE ml_features.user_features_backup_1 (user_id text)")
    assert run_roles(admin_url) == ""
    assert owners(admin_url) == [("crmbet_loader",)]


def test_what_runs_have_made_under_another_login_is_taken_over_if_the_administrator_names_it(
    admin_url: str,
) -> None:
    run(admin_url, "CREATE ROLE etl LOGIN; GRANT CREATE ON DATABASE planted TO etl")
    make_target(as_login(admin_url, "etl"))

    assert "schema ml_features belongs to etl" in run_roles(admin_url)
    assert "schema ml_features belongs to etl" in run_roles(admin_url, "--set", "former_login=friend")
    assert run_roles(admin_url, "--set", "former_login=etl") == ""

    assert owners(admin_url) == [("crmbet_loader",)]
