"""A target of the previous version, on the oldest server at hand too: its dump, its shape and its backup."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import psycopg2
import pytest

from crmbet.contracts.files import load_table_contract
from crmbet.load.backup import list_backups
from crmbet.load.restore import NEWEST, restore
from crmbet.load.session import LoadSession
from crmbet.load.target import ensure_target
from local.postgres import EmbeddedPostgres
from tests.integration.previous_version.files import restore_database, run_sql
from tests.integration.roles import create_roles, drop_roles, make_login_of_loader

pytestmark = pytest.mark.integration

DATABASE = "previous_version"


@pytest.fixture(params=["18", "15"])
def session(request: pytest.FixtureRequest) -> Iterator[LoadSession]:
    """The loader's access to the restored target."""
    server: EmbeddedPostgres
    if request.param == "15":
        server = request.getfixturevalue("server_15")
    else:
        server = request.getfixturevalue("services").postgres
    server.create_database(DATABASE)
    admin_url = server.url(DATABASE)
    create_roles(admin_url)
    run_sql(admin_url, "DROP SCHEMA ml_features")
    restore_database(admin_url, "target.sql.xz")
    create_roles(admin_url)
    with closing(psycopg2.connect(make_login_of_loader(admin_url))) as connection:
        yield LoadSession(
            connection=connection,
            contract=load_table_contract(),
            run_id="after the upgrade",
            lock_timeout_seconds=5,
        )
    drop_roles([admin_url])
    server.drop_database(DATABASE)


def query(session: LoadSession, sql: str) -> list[tuple[Any, ...]]:
    with session.connection, session.connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


def test_the_target_is_taken_over_as_it_is(session: LoadSession) -> None:
    shape = """
        SELECT relation.relname, attname, format_type(atttypid, atttypmod), attnotnull
        FROM pg_attribute JOIN pg_class AS relation ON relation.oid = attrelid
        WHERE relnamespace = 'ml_features'::regnamespace AND attnum > 0 ORDER BY 1, 2
    """
    before = query(session, shape)

    added = ensure_target(session)

    assert [column for column in query(session, shape) if column[1] not in added] == before


def test_its_backup_can_be_put_back(session: LoadSession) -> None:
    rows = "SELECT user_id, row_hash, updated_at FROM ml_features.user_features ORDER BY 1"
    with session.transaction() as cursor:
        [backup] = list_backups(cursor, session)
    backed_up = query(session, rows.replace("user_features", backup.name))
    assert query(session, rows) != backed_up

    restored = restore(session, NEWEST, datetime.now(UTC))

    assert (restored.backup, restored.changed) == (backup.name, True)
    assert query(session, rows) == backed_up
    with session.transaction() as cursor:
        assert {kept.name for kept in list_backups(cursor, session)} == {backup.name, restored.kept}
