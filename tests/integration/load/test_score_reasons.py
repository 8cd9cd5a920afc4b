"""Reasons of scores in PostgreSQL: written with the load or not at all, of the newest day alone, rg_ apart."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest
from psycopg2.errors import InsufficientPrivilege

from crmbet.contracts.files import load_reasons_contract
from crmbet.contracts.table import ENGINE_TYPES
from crmbet.load.load import LoadRules, load
from crmbet.load.score_reasons import staged_reasons, write_reasons
from crmbet.load.session import LoadSession
from crmbet.load.target import ensure_target
from tests.integration.load.small_loads import next_second
from tests.integration.roles import as_login, create_roles, drop_roles

if TYPE_CHECKING:
    import duckdb

pytestmark = pytest.mark.integration

Row = dict[str, Any]
Why = Callable[..., Row]
CONTRACT = load_reasons_contract()


def why(user_id: str, day: int = 20, row_hash: str = "h1", **reasons: Any) -> Row:
    """A row of reasons; those that are not named are empty."""
    empty = dict.fromkeys(CONTRACT.columns)
    as_of = datetime(2026, 11, day, 3, tzinfo=UTC)
    return {**empty, "user_id": user_id, "as_of": as_of, "row_hash": row_hash, **reasons}


@pytest.fixture
def write_why(engine: duckdb.DuckDBPyConnection, tmp_path: Path) -> Callable[[Sequence[Row]], list[str]]:
    """Writes reasons as a run's file."""

    def write(rows: Sequence[Row]) -> list[str]:
        path = tmp_path / f"{uuid.uuid4().hex}.parquet"
        listed = ", ".join(f"{name} {ENGINE_TYPES[column.type]}" for name, column in CONTRACT.columns.items())
        engine.execute(f"CREATE OR REPLACE TEMP TABLE why ({listed})")
        marks = ", ".join("?" for _ in CONTRACT.columns)
        if rows:
            engine.executemany(f"INSERT INTO why VALUES ({marks})", [list(row.values()) for row in rows])
        engine.execute(f"COPY why TO '{path}' (FORMAT parquet)")
        return [str(path)]

    return write


@pytest.fixture
def play(postgres_url: str, engine: Any, stage: Any, row: Any, write_why: Any) -> Callable[..., int]:
    """Loads features and reasons of a day in one transaction; returns the rows of reasons that were written."""

    def run(session: LoadSession, rows: Sequence[Row], *, day: int = 20, fails: bool = False) -> int:
        written: list[int] = []

        def alongside(cursor: Any, _: datetime) -> None:
            assert reasons is not None
            written.append(write_reasons(cursor, session, reasons))
            if fails:
                raise RuntimeError("the load fails")

        features = stage(session, [row(each, day=day) for each in ("a", "b", "c")])
        rules = LoadRules(strategy="merge", gone_users="keep", max_shrink=1.0)
        with staged_reasons(session, engine, postgres_url, write_why(rows), len(rows)) as reasons:
            load(session, features, rules, next_second(), alongside)
        return written[0]

    return run


@pytest.fixture
def told(query: Any, session: LoadSession) -> Callable[[], list[tuple[Any, ...]]]:
    table = session.in_schema("score_reasons")
    return lambda: query(f"SELECT user_id, churn_reason_1, churn_move_1 FROM {table} ORDER BY user_id")


def test_reasons_are_those_of_the_newest_load(session: LoadSession, play: Any, told: Any) -> None:
    first = [why("a", churn_reason_1="idle_days", churn_move_1=0.5), why("b"), why("c")]
    assert play(session, first) == 3
    assert play(session, first) == 0  # the same again writes nothing
    second = [
        why("a", day=21, row_hash="h2", churn_reason_1="active_days", churn_move_1=-0.1),
        why("b", day=21),
    ]
    assert play(session, second, day=21) == 3  # one is new, one is of another day, one has no reason any more
    assert told() == [("a", "active_days", -0.1), ("b", None, None)]


def test_an_older_day_changes_no_reason(session: LoadSession, play: Any, told: Any) -> None:
    play(session, [why("a", day=21)], day=21)
    assert play(session, [why("a", day=19, churn_reason_1="idle_days")], day=19) == 0
    assert told() == [("a", None, None)]


def test_a_load_that_fails_leaves_the_old_reasons(
    session: LoadSession, play: Any, told: Any, query: Any
) -> None:
    play(session, [why("a", churn_reason_1="idle_days", churn_move_1=0.5)])
    with pytest.raises(RuntimeError):
        play(session, [why("a", day=21, churn_reason_1="active_days")], day=21, fails=True)
    assert told() == [("a", "idle_days", 0.5)]
    assert query(f"SELECT max(as_of) FROM {session.table}") == [(datetime(2026, 11, 20, 3, tzinfo=UTC),)]
    leftovers = "SELECT count(*) FROM pg_class WHERE relname LIKE 'score_reasons_staging%'"
    assert query(leftovers) == [(0,)]


def test_readers_do_not_see_why_a_player_is_at_risk(contract: Any, new_database: Callable[[], str]) -> None:
    url = new_database()
    create_roles(url)
    with closing(psycopg2.connect(url)) as admin, admin, admin.cursor() as cursor:
        for login, group in {"leitora": "crmbet_reader", "protetor": "crmbet_responsible_gambling"}.items():
            cursor.execute(f"CREATE ROLE {login} LOGIN IN ROLE {group}")
        cursor.execute("CREATE ROLE carga LOGIN NOINHERIT IN ROLE crmbet_loader")
        cursor.execute("ALTER ROLE carga SET role TO crmbet_loader")
    try:
        with closing(psycopg2.connect(as_login(url, "carga"))) as connection:
            own = contract.model_copy(update={"schema_name": "ml_features"})
            ensure_target(
                LoadSession(connection=connection, contract=own, run_id="run", lock_timeout_seconds=5)
            )
        create_roles(url)  # again, as an administrator may at any time
        asked = "SELECT user_id, {} FROM ml_features.score_reasons"
        for login, column, may in (
            ("leitora", "churn_reason_1", True), ("leitora", "rg_reason_1", False),
            ("protetor", "churn_reason_1", True), ("protetor", "rg_move_3", True),
        ):  # fmt: skip
            with closing(psycopg2.connect(as_login(url, login))) as connection, connection.cursor() as cursor:
                if may:
                    cursor.execute(asked.format(column))
                else:
                    with pytest.raises(InsufficientPrivilege):
                        cursor.execute(asked.format(column))
    finally:
        drop_roles([url], ["leitora", "protetor", "carga"])
