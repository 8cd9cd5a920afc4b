"""Putting a backup back: exactly it, only if it is what it says, and with a way back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from crmbet.databases.statements import identifier
from crmbet.failures import BadParam, LoadRefused
from crmbet.load.backup import list_backups, take_backup
from crmbet.load.restore import restore
from crmbet.load.staging import Staging
from crmbet.load.target import ensure_target
from tests.integration.load.small_loads import BOTH_SERVERS, load_rows, next_second

if TYPE_CHECKING:
    from crmbet.load.session import LoadSession

pytestmark = pytest.mark.integration

Query = Callable[..., list[tuple[Any, ...]]]
MakeRow = Callable[..., dict[str, Any]]
Stage = Callable[..., Staging]


@pytest.fixture
def backup(session: LoadSession, row: MakeRow, stage: Stage) -> str:
    """The name of a backup of two players, whom the table has left behind."""
    load_rows(session, stage(session, [row("a"), row("b", churn_risk_score=None)]))
    taken = take_backup(session, next_second())
    today = [row("a", day=21, row_hash="bad"), row("b", day=21), row("c", day=21)]
    load_rows(session, stage(session, today))
    assert taken is not None
    return taken.name


def rows_of(query: Query, table: str) -> list[tuple[Any, ...]]:
    return query(f"SELECT * FROM {table} ORDER BY user_id, as_of")


@BOTH_SERVERS
def test_the_table_holds_what_the_backup_holds_and_what_it_held_is_kept(
    session: LoadSession, query: Query, backup: str
) -> None:
    bad, history = rows_of(query, session.table), rows_of(query, session.history)

    restored = restore(session, backup, next_second())

    assert rows_of(query, session.table) == rows_of(query, session.in_schema(backup))
    assert (restored.backup, restored.rows, restored.changed) == (backup, 2, True)
    assert restored.kept is not None
    assert rows_of(query, session.in_schema(restored.kept)) == bad
    assert rows_of(query, session.history) == history


def test_a_retry_finds_it_done_and_takes_no_other_backup(
    session: LoadSession, query: Query, backup: str
) -> None:
    restore(session, backup, next_second())
    before = query(f"SELECT ctid::text, xmin::text FROM {session.table}")

    again = restore(session, backup, next_second())

    assert (again.changed, again.kept) == (False, None)
    assert query(f"SELECT ctid::text, xmin::text FROM {session.table}") == before
    with session.transaction() as cursor:
        assert len(list_backups(cursor, session)) == 2


def test_a_restore_can_be_undone(session: LoadSession, query: Query, backup: str) -> None:
    before = rows_of(query, session.table)
    kept = restore(session, backup, next_second()).kept

    restore(session, str(kept), next_second())

    assert rows_of(query, session.table) == before


def test_the_newest_is_known_by_that_word(session: LoadSession, query: Query, backup: str) -> None:
    assert restore(session, "newest", next_second()).backup == backup


@pytest.mark.parametrize(
    "damage", ["DELETE FROM {} WHERE user_id = 'a'", "UPDATE {} SET churn_risk_score = 0.1"]
)
def test_a_backup_that_was_changed_is_refused(
    session: LoadSession, query: Query, backup: str, damage: str
) -> None:
    before = rows_of(query, session.table)
    query(damage.format(session.in_schema(backup)))

    with pytest.raises(LoadRefused, match="no longer holds what was backed up"):
        restore(session, backup, next_second())

    assert rows_of(query, session.table) == before


@pytest.mark.few(3)
@pytest.mark.parametrize(
    "name", ["user_features", "user_features_history", "pg_class", "", "x'; DROP TABLE y; --", "NEWEST"]
)
def test_what_is_no_backup_is_refused(session: LoadSession, query: Query, backup: str, name: str) -> None:
    before = rows_of(query, session.table)

    with pytest.raises(BadParam, match=f"the newest is {backup}"):
        restore(session, name, next_second())

    assert rows_of(query, session.table) == before


def test_columns_that_are_newer_than_the_backup_become_null(
    session: LoadSession, query: Query, backup: str
) -> None:
    query(f"ALTER TABLE {session.table} DROP COLUMN churn_risk_score")
    query(f"ALTER TABLE {session.history} DROP COLUMN churn_risk_score")
    columns = {
        name: column for name, column in session.contract.columns.items() if name != "churn_risk_score"
    }
    old = replace(session, contract=session.contract.model_copy(update={"columns": columns}))
    taken = take_backup(old, next_second())
    ensure_target(session)
    query(f"UPDATE {session.table} SET churn_risk_score = 0.5, row_hash = 'changed'")

    restored = restore(session, taken.name if taken else "", next_second())

    assert restored.changed
    assert query(f"SELECT DISTINCT churn_risk_score FROM {session.table}") == [(None,)]


def test_a_restore_that_goes_wrong_leaves_the_table_as_it_was(
    session: LoadSession, query: Query, backup: str
) -> None:
    schema = identifier(session.contract.schema_name)
    query(f"CREATE FUNCTION {schema}.lose() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$")
    query(
        f"CREATE TRIGGER lose BEFORE INSERT ON {session.table} FOR EACH ROW EXECUTE FUNCTION {schema}.lose()"
    )
    before = rows_of(query, session.table)

    with pytest.raises(LoadRefused, match="the restore was rolled back: the table has 0 rows instead of 2"):
        restore(session, backup, next_second())

    assert rows_of(query, session.table) == before
    with session.transaction() as cursor:
        assert [each.name for each in list_backups(cursor, session)] == [backup]


@pytest.mark.few(1)
@pytest.mark.parametrize("gone_users", ["keep", "mark", "delete"])
def test_marketing_of_one_who_is_gone_since_does_not_come_back(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage, gone_users: str
) -> None:
    load_rows(session, stage(session, [row("a"), row("b")]), gone_users=gone_users)
    taken = take_backup(session, next_second())
    load_rows(session, stage(session, [row("a", day=21)]), gone_users=gone_users)
    assert taken is not None

    restored = restore(session, taken.name, next_second())

    held = f"SELECT user_id, marketing_allowed, marketing_reason FROM {session.table} ORDER BY 1"
    assert (restored.changed, restored.silenced) == (True, 1)
    assert query(held) == [("a", True, None), ("b", False, "gone")]
    again = restore(session, taken.name, next_second())
    assert (again.changed, again.kept, again.silenced) == (False, None, 1)
    # An older day does not bring it back either, and that it is gone is no edit.
    counts = load_rows(session, stage(session, [row("a", day=19), row("b", day=19)]), gone_users=gone_users)
    assert (counts.edited, counts.deleted, query(held)[1]) == (0, 0, ("b", False, "gone"))
    counts = load_rows(session, stage(session, [row("a", day=20), row("b", day=20)]), gone_users=gone_users)
    assert (counts.edited, counts.deleted, query(held)[1]) == (0, 0, ("b", False, "gone"))
    # A newer day that has the player does.
    load_rows(session, stage(session, [row("a", day=22), row("b", day=22)]), gone_users=gone_users)
    assert query(held) == [("a", True, None), ("b", True, None)]


def test_a_replace_that_goes_back_brings_no_marketing_back(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage
) -> None:
    load_rows(session, stage(session, [row("a"), row("b")]))
    load_rows(session, stage(session, [row("a", day=21)]))

    load_rows(session, stage(session, [row("a"), row("b")]), "replace", accept_loss=True)

    held = f"SELECT user_id, marketing_allowed, marketing_reason FROM {session.table} ORDER BY 1"
    assert query(held) == [("a", True, None), ("b", False, "gone")]
    assert load_rows(session, stage(session, [row("a", day=19)])).edited == 0
