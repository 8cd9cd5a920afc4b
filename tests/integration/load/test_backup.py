"""Backups: like the table, proven, only when something changed, and swept by age and number."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from psycopg2.extensions import TRANSACTION_STATUS_IDLE

from crmbet.failures import LoadRefused, TemporaryFailure
from crmbet.load.backup import list_backups, sweep_backups, take_backup
from crmbet.load.staging import Staging
from crmbet.load.target import ensure_target
from tests.integration.load.small_loads import load_rows

if TYPE_CHECKING:
    from crmbet.load.session import LoadSession

pytestmark = pytest.mark.integration

Query = Callable[..., list[tuple[Any, ...]]]
MakeRow = Callable[..., dict[str, Any]]
Stage = Callable[..., Staging]

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def loaded(session: LoadSession, row: MakeRow, stage: Stage) -> LoadSession:
    """A run whose target holds two players."""
    load_rows(session, stage(session, [row("a"), row("b", churn_risk_score=None)]))
    return session


def change(session: LoadSession, query: Query) -> None:
    query(f"UPDATE {session.table} SET row_hash = row_hash || 'x', updated_at = clock_timestamp()")


def backup_tables(query: Query) -> list[str]:
    return [
        name
        for (name,) in query(r"SELECT relname FROM pg_class WHERE relname LIKE '%\_backup\_%' ORDER BY 1")
    ]


def test_there_is_nothing_to_back_up_before_the_first_load(
    open_session: Callable[..., LoadSession], query: Query
) -> None:
    session = open_session()
    assert take_backup(session, NOON) is None

    ensure_target(session)
    assert take_backup(session, NOON) is None
    assert backup_tables(query) == []


def test_a_backup_holds_the_same_rows_and_says_what_it_is(loaded: LoadSession, query: Query) -> None:
    sao_paulo = NOON.astimezone(ZoneInfo("America/Sao_Paulo"))

    backup = take_backup(loaded, sao_paulo)

    assert backup is not None
    assert backup.name == "user_features_backup_20261120t120000z_0f6ca17b"
    copy = loaded.in_schema(backup.name)
    assert query(f"SELECT * FROM {copy} ORDER BY 1") == query(f"SELECT * FROM {loaded.table} ORDER BY 1")
    assert backup.proof.run_id == loaded.run_id
    assert backup.proof.as_of == datetime(2026, 11, 20, 3, tzinfo=UTC)
    assert backup.proof.rows == 2
    with loaded.transaction() as cursor:
        assert list_backups(cursor, loaded) == [backup]
    assert loaded.connection.get_transaction_status() == TRANSACTION_STATUS_IDLE


def test_an_unchanged_table_is_not_backed_up_again(loaded: LoadSession, query: Query) -> None:
    take_backup(loaded, NOON)

    assert take_backup(loaded, NOON + timedelta(days=1)) is None

    change(loaded, query)
    assert take_backup(loaded, NOON + timedelta(days=2)) is not None
    assert len(backup_tables(query)) == 2


@pytest.mark.parametrize(
    "difference",
    [
        "UPDATE {} SET churn_risk_score = 0.123 WHERE user_id = 'a'",
        "UPDATE {} SET churn_risk_score = 0 WHERE user_id = 'b'",
        "UPDATE {} SET user_id = CASE user_id WHEN 'a' THEN 'b2' ELSE 'a' END",
        "DELETE FROM {} WHERE user_id = 'b'",
    ],
    ids=["value", "null", "swapped keys", "row"],
)
def test_any_difference_makes_a_new_backup(loaded: LoadSession, query: Query, difference: str) -> None:
    first = take_backup(loaded, NOON)
    query(difference.format(loaded.table))

    second = take_backup(loaded, NOON + timedelta(hours=1))

    assert first is not None
    assert second is not None
    assert second.proof.checksum != first.proof.checksum


def test_two_different_states_within_one_second_are_kept_apart_by_waiting(
    loaded: LoadSession, query: Query
) -> None:
    take_backup(loaded, NOON)
    change(loaded, query)

    with pytest.raises(TemporaryFailure, match="within the same second"):
        take_backup(loaded, NOON)


def test_a_table_that_drifted_is_refused(loaded: LoadSession, query: Query) -> None:
    query(f"ALTER TABLE {loaded.table} ADD COLUMN surprise json")

    with pytest.raises(LoadRefused, match="surprise"):
        take_backup(loaded, NOON)

    assert backup_tables(query) == []


def test_a_copy_that_is_not_like_the_table_leaves_nothing(loaded: LoadSession, query: Query) -> None:
    query(
        """
        CREATE FUNCTION lose_a_row() RETURNS event_trigger LANGUAGE plpgsql AS $$
        DECLARE made text;
        BEGIN
            SELECT object_identity INTO made FROM pg_event_trigger_ddl_commands();
            EXECUTE 'DELETE FROM ' || made || ' WHERE user_id = ''a''';
        END $$
        """
    )
    query(
        "CREATE EVENT TRIGGER lose_a_row ON ddl_command_end WHEN TAG IN ('CREATE TABLE AS') "
        "EXECUTE FUNCTION lose_a_row()"
    )

    try:
        with pytest.raises(LoadRefused, match="1 rows instead of 2"):
            take_backup(loaded, NOON)
    finally:
        query("DROP EVENT TRIGGER lose_a_row")
        query("DROP FUNCTION lose_a_row()")

    assert backup_tables(query) == []
    assert take_backup(loaded, NOON) is not None


def take_backups(session: LoadSession, query: Query, instants: list[datetime]) -> list[str]:
    names = []
    for instant in instants:
        change(session, query)
        backup = take_backup(session, instant)
        assert backup is not None
        names.append(backup.name)
    return names


def test_backups_are_kept_by_age(loaded: LoadSession, query: Query) -> None:
    names = take_backups(loaded, query, [NOON - timedelta(days=age) for age in (31, 30, 29)])

    assert sweep_backups(loaded, NOON, days=30, count=35) == names[:1]

    assert backup_tables(query) == names[1:]


def test_backups_are_kept_by_number(loaded: LoadSession, query: Query) -> None:
    names = take_backups(loaded, query, [NOON - timedelta(hours=age) for age in (4, 3, 2, 1)])

    assert sweep_backups(loaded, NOON, days=30, count=2) == [names[1], names[0]]

    assert backup_tables(query) == names[2:]


def test_the_newest_backup_stays_however_old_it_is(loaded: LoadSession, query: Query) -> None:
    names = take_backups(loaded, query, [NOON - timedelta(days=400), NOON - timedelta(days=399)])

    assert sweep_backups(loaded, NOON, days=30, count=35) == names[:1]

    assert backup_tables(query) == names[1:]


def test_tables_of_other_people_are_neither_swept_nor_taken_for_backups(
    loaded: LoadSession, query: Query
) -> None:
    theirs = ["user_features_backup_20200101t000000z_0f6ca17b", "user_features_backup_before_migration"]
    for name in theirs:
        query(f"CREATE TABLE {loaded.in_schema(name)} AS SELECT 1 AS one")
    query(f"COMMENT ON TABLE {loaded.in_schema(theirs[0])} IS 'Ana keeps this'")

    assert sweep_backups(loaded, NOON, days=1, count=1) == []

    assert backup_tables(query) == theirs
