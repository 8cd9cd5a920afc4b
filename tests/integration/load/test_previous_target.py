"""A target of the previous version, on the oldest server at hand too: its dump, its shape and its backup."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import psycopg2
import pytest

from crmbet.contracts.files import load_table_contract
from crmbet.failures import LoadRefused
from crmbet.load.backup import list_backups
from crmbet.load.load import LoadCounts, LoadRules, load
from crmbet.load.restore import NEWEST, restore
from crmbet.load.session import LoadSession
from crmbet.load.staging import Staging
from crmbet.load.target import column_list, ensure_target
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


@pytest.mark.few(1)
def test_the_target_is_taken_over_as_it_is(session: LoadSession) -> None:
    shape = """
        SELECT relation.relname, attname, format_type(atttypid, atttypmod), attnotnull
        FROM pg_attribute JOIN pg_class AS relation ON relation.oid = attrelid
        WHERE relnamespace = 'ml_features'::regnamespace AND attnum > 0 AND relname !~ '^score_reasons' ORDER BY 1, 2
    """
    before = query(session, shape)

    added = ensure_target(session)

    assert [column for column in query(session, shape) if column[1] not in added] == before


@pytest.mark.few(1)
def test_a_load_of_its_own_rows_writes_nothing_but_what_is_new(session: LoadSession) -> None:
    """The rows of its newest day again: nothing says that they were edited, and nobody is lost."""
    rows = "SELECT user_id, row_hash, updated_at, marketing_allowed FROM ml_features.user_features ORDER BY 1"
    history = rows.replace("user_features", "user_features_history").replace("1", "1, 2")
    ensure_target(session)
    before, history_before = query(session, rows), query(session, history)
    columns = column_list(session.contract.computed)
    with session.transaction() as cursor:
        cursor.execute(
            f"CREATE TABLE ml_features.staged AS SELECT {columns} FROM {session.history} "
            f"WHERE as_of = (SELECT max(as_of) FROM {session.table})"
        )
        (staged,) = (cursor.rowcount,)
    rules = LoadRules(strategy="merge", gone_users="mark", max_shrink=0.0)

    counts = load(session, Staging(table="staged", rows=staged), rules, datetime.now(UTC))

    assert counts == LoadCounts(staged=staged, unchanged=staged)
    assert (query(session, rows), query(session, history)) == (before, history_before)


@pytest.mark.full
def test_an_edit_of_it_is_found(session: LoadSession) -> None:
    ensure_target(session)
    columns = column_list(session.contract.computed)
    with session.transaction() as cursor:
        cursor.execute(
            f"CREATE TABLE ml_features.staged AS SELECT {columns} FROM {session.history} "
            f"WHERE as_of = (SELECT max(as_of) FROM {session.table})"
        )
        staged = cursor.rowcount
        cursor.execute(f"UPDATE {session.table} SET marketing_allowed = NOT marketing_allowed")
        edited = cursor.rowcount
    rules = LoadRules(strategy="merge", gone_users="mark", max_shrink=0.0)

    assert load(session, Staging(table="staged", rows=staged), rules, datetime.now(UTC)).edited == edited


@pytest.mark.full
def test_it_is_taken_over_by_the_first_brand(session: LoadSession) -> None:
    ensure_target(replace(session, brand="first"))

    with pytest.raises(LoadRefused, match="belongs to the brand first"):
        ensure_target(replace(session, brand="second"))


@pytest.mark.full
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
