"""What each strategy writes, what it leaves alone, and that a load which goes wrong leaves no trace."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from psycopg2.extensions import TRANSACTION_STATUS_IDLE

from crmbet.databases.statements import identifier
from crmbet.failures import LoadRefused, TemporaryFailure
from crmbet.load.backup import list_backups, take_backup
from crmbet.load.load import LoadCounts, LoadRules, load
from crmbet.load.staging import Staging
from crmbet.run.params import RunParams
from tests.integration.load.small_loads import BOTH_SERVERS, NOON, load_rows
from tests.tiers import now

if TYPE_CHECKING:
    from crmbet.load.session import LoadSession

pytestmark = pytest.mark.integration

Query = Callable[..., list[tuple[Any, ...]]]
MakeRow = Callable[..., dict[str, Any]]
Stage = Callable[..., Staging]


def everything(query: Query, session: LoadSession) -> list[list[tuple[Any, ...]]]:
    """All rows of target and history, down to their system columns, and all relations of the schema."""
    tables = (session.table, session.history)
    rows = [query(f"SELECT ctid::text, xmin::text, * FROM {table} ORDER BY 3, as_of") for table in tables]
    relations = query(
        "SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace AND relname NOT LIKE '%%staging%%' "
        "ORDER BY 1",
        identifier(session.contract.schema_name),
    )
    return [*rows, relations]


def versions(query: Query, session: LoadSession) -> dict[str, tuple[Any, ...]]:
    """Player to what a write would change, down to the row's system columns."""
    found = query(
        f"SELECT user_id, as_of, row_hash, updated_at, xmin::text, xmax::text, ctid::text "
        f"FROM {session.table}"
    )
    return {values[0]: values[1:] for values in found}


def days(query: Query, session: LoadSession) -> dict[str, tuple[int, str]]:
    """Player to the day of as_of and the row's hash."""
    found = query(f"SELECT user_id, extract(day FROM as_of)::int, row_hash FROM {session.table}")
    return {user_id: (day, row_hash) for user_id, day, row_hash in found}


def test_a_first_load_inserts_every_row_with_every_cell(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage
) -> None:
    rows = [row("a"), row("b", bet_volatility=None, dias_semana_preferidos="0,5,6", balance_ratio=1000.0)]

    counts = load_rows(session, stage(session, rows), "merge")

    assert counts == LoadCounts(staged=2, inserted=2, unchanged=0, recorded=2)
    columns = list(session.contract.computed)
    listed = ", ".join(identifier(name) for name in columns)
    found = query(f"SELECT {listed} FROM {session.table} ORDER BY user_id")
    assert [dict(zip(columns, values, strict=True)) for values in found] == rows


@pytest.mark.parametrize("strategy", ["merge", "append", "replace"])
def test_the_same_rows_again_write_nothing(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage, strategy: Any
) -> None:
    rows = [row("a"), row("b", bet_volatility=None)]
    load_rows(session, stage(session, rows), "merge")
    before = versions(query, session)
    told_later = [
        {**each, "known_at": each["as_of"].replace(hour=9), "execution_id": "another run"} for each in rows
    ]

    counts = load_rows(session, stage(session, told_later), strategy)

    assert counts == LoadCounts(staged=2, unchanged=2)
    assert versions(query, session) == before


@BOTH_SERVERS
def test_a_merge_updates_inserts_and_leaves_alone_in_one_go(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage
) -> None:
    names = ("equal", "corrected", "next_day", "newer", "absent")
    load_rows(session, stage(session, [row(name, day=20) for name in names]), "merge")
    load_rows(session, stage(session, [row("newer", day=22, row_hash="h3")]), "merge")
    before = versions(query, session)

    counts = load_rows(
        session,
        stage(
            session,
            [
                row("equal", day=20),
                row("corrected", day=20, row_hash="h2"),
                row("next_day", day=21),
                row("newer", day=21, row_hash="h2"),
                row("new", day=21),
            ],
        ),
        "merge",
    )

    assert counts == LoadCounts(staged=5, inserted=1, updated=2, unchanged=2, recorded=5)
    assert days(query, session) == {
        "equal": (20, "h1"),
        "corrected": (20, "h2"),
        "next_day": (21, "h1"),
        "newer": (22, "h3"),
        "absent": (20, "h1"),
        "new": (21, "h1"),
    }
    after = versions(query, session)
    untouched = ("equal", "newer", "absent")
    assert {name: after[name] for name in untouched} == {name: before[name] for name in untouched}
    assert after["corrected"][2] == after["new"][2] > before["corrected"][2]


def test_an_older_as_of_never_overwrites_a_newer_one(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage
) -> None:
    for day in (22, 20, 23, 21):
        load_rows(session, stage(session, [row("a", day=day, row_hash=f"of day {day}")]), "merge")

    assert days(query, session) == {"a": (23, "of day 23")}


def test_values_become_null_and_null_becomes_a_value(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage
) -> None:
    load_rows(
        session, stage(session, [row("a", churn_risk_score=None), row("b", churn_risk_score=0.25)]), "merge"
    )

    changed = [row("a", row_hash="h2", churn_risk_score=0.75), row("b", row_hash="h2", churn_risk_score=None)]
    counts = load_rows(session, stage(session, changed), "merge")

    assert counts.updated == 2
    assert query(f"SELECT user_id, churn_risk_score FROM {session.table} ORDER BY 1") == [
        ("a", 0.75),
        ("b", None),
    ]


def test_append_adds_new_players_and_touches_no_other(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage
) -> None:
    load_rows(session, stage(session, [row("a", day=20)]), "merge")
    before = versions(query, session)

    counts = load_rows(session, stage(session, [row("a", day=21, row_hash="h2"), row("b", day=21)]), "append")

    assert counts == LoadCounts(staged=2, inserted=1, unchanged=1, recorded=2)
    assert versions(query, session)["a"] == before["a"]
    assert days(query, session)["b"] == (21, "h1")


@BOTH_SERVERS
def test_replace_leaves_exactly_what_was_staged(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage
) -> None:
    load_rows(session, stage(session, [row(name) for name in "abc"]), "merge")

    counts = load_rows(session, stage(session, [row("b", row_hash="h2"), row("d")]), "replace")

    assert counts == LoadCounts(staged=2, inserted=2, unchanged=0, removed=3, recorded=4)
    assert days(query, session) == {"b": (20, "h2"), "d": (20, "h1")}


@pytest.mark.parametrize("staged_days", [[21], [23, 21], []], ids=["older", "partly older", "empty"])
def test_replace_refuses_to_lose_a_later_state(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage, staged_days: list[int]
) -> None:
    load_rows(session, stage(session, [row("a", day=20), row("b", day=22)]))
    before = everything(query, session)

    with pytest.raises(LoadRefused, match=r"replace would (take the table back|leave an empty table)"):
        load_rows(session, stage(session, [row(f"u{day}", day=day) for day in staged_days]), "replace")

    assert everything(query, session) == before


def test_replace_goes_back_in_time_when_a_person_says_so(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage
) -> None:
    load_rows(session, stage(session, [row("a", day=22)]))

    load_rows(session, stage(session, [row("a", day=20)]), "replace", accept_loss=True)

    assert days(query, session) == {"a": (20, "h1")}
    with pytest.raises(LoadRefused, match="leave an empty table"):
        load_rows(session, stage(session, []), "replace", accept_loss=True)


def test_replace_refuses_to_shrink_the_table_beyond_the_setting_unless_told(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage
) -> None:
    load_rows(session, stage(session, [row(f"u{n}") for n in range(10)]))
    fewer = stage(session, [row(f"u{n}", day=21) for n in range(8)])
    before = everything(query, session)

    with pytest.raises(
        LoadRefused, match=r"lose 2 of the table's 10 players.*CRMBET_MAX_TABLE_SHRINK \(0\.1\)"
    ):
        load_rows(session, fewer, "replace", max_shrink=0.1)
    assert everything(query, session) == before

    assert load_rows(session, fewer, "replace", max_shrink=0.2).inserted == 8
    one = stage(session, [row("u0", day=22)])
    assert load_rows(session, one, "replace", max_shrink=0.1, accept_loss=True).inserted == 1


@pytest.mark.few(4)
@BOTH_SERVERS
@pytest.mark.parametrize(
    ("strategy", "rules"),
    [
        ("replace", {}),
        ("merge", {"gone_users": "mark"}),
        ("merge", {"gone_users": "delete"}),
        ("merge", {"gone_users": "keep"}),
    ],
    ids=["replace", "mark", "delete", "keep"],
)
@pytest.mark.parametrize("others", now(0, 15, full=[0, 3, 10, 15, 40]))
def test_players_who_would_be_absent_are_lost_however_many_others_come(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage, strategy: Any, rules: Any, others: int
) -> None:
    load_rows(session, stage(session, [row(f"a{n}") for n in range(10)]))
    staged = [row(f"a{n}", day=21) for n in range(8)] + [row(f"z{n}", day=21) for n in range(others)]
    before = everything(query, session)

    with pytest.raises(LoadRefused, match=rf"{strategy} would lose 2 of the table's 10 players"):
        load_rows(session, stage(session, staged), strategy, max_shrink=0.1, **rules)

    assert everything(query, session) == before
    assert load_rows(session, stage(session, staged), strategy, max_shrink=0.2, **rules).staged == 8 + others


def test_append_deletes_nobody_and_silences_no_more_than_the_setting(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage
) -> None:
    load_rows(session, stage(session, [row("a")]))
    without_a = stage(session, [row("z", day=21)])

    with pytest.raises(LoadRefused, match="append would lose 1 of the table's 1 players"):
        load_rows(session, without_a, "append", max_shrink=0.0)

    assert load_rows(session, without_a, "append", max_shrink=0.0, accept_loss=True).inserted == 1
    assert set(days(query, session)) == {"a", "z"}


@pytest.mark.parametrize(
    ("strategy", "staged", "params"),
    [
        ("merge", ["z"], {}),
        ("replace", ["z"], {"load_strategy": "replace"}),
        ("replace", ["older"], {"load_strategy": "replace"}),
    ],
)
def test_a_refusal_names_the_run_that_would_be_accepted(
    session: LoadSession, row: MakeRow, stage: Stage, strategy: Any, staged: list[str], params: dict[str, Any]
) -> None:
    """Literally: the params of the command that it names are those of a run that loads."""
    load_rows(session, stage(session, [row("a")]))
    day = 19 if staged == ["older"] else 21
    rows = stage(session, [row(staged[0], day=day)])

    with pytest.raises(LoadRefused) as refusal:
        load_rows(session, rows, strategy, gone_users="mark", max_shrink=0.1, as_of_date=date(2026, 11, day))

    command = "airflow dags trigger user_features_daily --conf '"
    conf = refusal.value.next_step.partition(command)[2].partition("'")[0]
    assert json.loads(conf) == {"as_of": f"2026-11-{day}", **params, "accept_loss": True}
    advised = RunParams.read(json.loads(conf))
    accepted = load_rows(
        session,
        rows,
        advised.load_strategy,
        gone_users="mark",
        max_shrink=0.1,
        accept_loss=advised.accept_loss,
    )
    assert accepted.inserted == 1


def test_replace_keeps_the_table_itself(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage
) -> None:
    identity = (
        "SELECT oid, relfilenode, relacl::text, "
        "(SELECT array_agg(indexrelid ORDER BY indexrelid) FROM pg_index WHERE indrelid = pg_class.oid) "
        f"FROM pg_class WHERE oid = '{session.table}'::regclass"
    )
    load_rows(session, stage(session, [row("a")]))
    query(f"GRANT SELECT ON {session.table} TO PUBLIC")
    query(f"CREATE VIEW {session.in_schema('campaign')} AS SELECT user_id, rfm_segment FROM {session.table}")
    before = query(identity)

    load_rows(session, stage(session, [row("b", day=21)]), "replace")

    assert query(identity) == before
    assert query(f"SELECT user_id FROM {session.in_schema('campaign')}") == [("b",)]


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("strategy", "event", "act", "complaint"),
    [
        (
            "merge",
            "UPDATE",
            "NEW.churn_risk_score := 0; RETURN NEW;",
            "1 rows were written with other values than those staged",
        ),
        ("merge", "UPDATE", "RETURN NULL;", "1 rows are older than staged"),
        ("merge", "INSERT", "RETURN NULL;", "1 staged players are not in the table"),
        (
            "merge",
            "INSERT",
            "NEW.updated_at := 'epoch'; RETURN NEW;",
            "1 rows carry the load's instant instead of 2",
        ),
        (
            "append",
            "INSERT",
            "NEW.user_id := 'someone else'; RETURN NEW;",
            "1 staged players are not in the table",
        ),
        (
            "replace",
            "DELETE",
            "RETURN CASE WHEN OLD.user_id = 'z' THEN NULL ELSE OLD END;",
            "3 rows instead of 2",
        ),
    ],
)
def test_a_load_that_does_not_become_what_was_staged_is_rolled_back(
    session: LoadSession,
    query: Query,
    row: MakeRow,
    stage: Stage,
    strategy: Any,
    event: str,
    act: str,
    complaint: str,
) -> None:
    load_rows(session, stage(session, [row("a"), row("z")]), "merge")
    schema = identifier(session.contract.schema_name)
    query(f"CREATE FUNCTION {schema}.meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {act} END $$")
    query(
        f"CREATE TRIGGER meddle BEFORE {event} ON {session.table} "
        f"FOR EACH ROW EXECUTE FUNCTION {schema}.meddle()"
    )
    before = everything(query, session)

    with pytest.raises(LoadRefused, match="rolled back") as refusal:
        load_rows(session, stage(session, [row("a", row_hash="h2"), row("b")]), strategy)

    assert complaint in str(refusal.value)
    assert everything(query, session) == before
    assert session.connection.get_transaction_status() == TRANSACTION_STATUS_IDLE


def test_staging_that_changed_since_it_was_checked_is_not_loaded(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage
) -> None:
    staging = stage(session, [row("a"), row("b")])
    query(f"DELETE FROM {session.in_schema(staging.table)} WHERE user_id = 'b'")

    with pytest.raises(TemporaryFailure, match="holds 1 rows where 2 were checked"):
        load_rows(session, staging, "merge")

    assert versions(query, session) == {}


@BOTH_SERVERS
def test_the_target_is_backed_up_inside_the_load_if_it_has_changed_since(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage
) -> None:
    rules = LoadRules(strategy="merge", gone_users="keep", max_shrink=0.1)
    first = stage(session, [row("a"), row("b")])
    assert load(session, first, rules, NOON).backup is None, "there was nothing yet"
    backed_up = take_backup(session, NOON)
    assert backed_up is not None
    changed = stage(session, [row("a", row_hash="h2"), row("b", row_hash="h2")])
    assert load(session, changed, rules, NOON + timedelta(minutes=1)).backup == backed_up.name
    assert load(session, changed, rules, NOON + timedelta(minutes=2)).backup is None, "nothing is written"
    query(f"UPDATE {session.table} SET known_at = 'epoch'")

    again = stage(session, [row("a", row_hash="h3"), row("b", row_hash="h3")])
    counts = load(session, again, rules, NOON + timedelta(minutes=3))

    with session.transaction() as cursor:
        newest, older = list_backups(cursor, session)
    assert (newest.name, older) == (counts.backup, backed_up)
    assert query(f"SELECT DISTINCT known_at = 'epoch', row_hash FROM {session.in_schema(newest.name)}") == [
        (True, "h2")
    ]


def test_a_load_without_a_backup_does_not_happen(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage
) -> None:
    load_rows(session, stage(session, [row("a")]))
    staging = stage(session, [row("a", row_hash="h2")])
    before = everything(query, session)
    query(
        "CREATE FUNCTION refuse_copies() RETURNS event_trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the disk is full' USING ERRCODE = '53100'; END $$"
    )
    query(
        "CREATE EVENT TRIGGER refuse_copies ON ddl_command_end WHEN TAG IN ('CREATE TABLE AS') "
        "EXECUTE FUNCTION refuse_copies()"
    )
    try:
        with pytest.raises(TemporaryFailure, match="short of resources"):
            load_rows(session, staging)
    finally:
        query("DROP EVENT TRIGGER refuse_copies")
        query("DROP FUNCTION refuse_copies()")

    assert everything(query, session) == before


def test_a_load_leaves_its_connection_outside_a_transaction_and_without_its_name(
    session: LoadSession, row: MakeRow, stage: Stage
) -> None:
    load_rows(session, stage(session, [row("a")]), "merge")

    assert session.connection.get_transaction_status() == TRANSACTION_STATUS_IDLE
    with session.connection, session.connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('application_name'), current_setting('lock_timeout')")
        assert cursor.fetchone() == ("", "0")
