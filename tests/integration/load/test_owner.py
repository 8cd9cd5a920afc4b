"""A table belongs to one brand: any other is refused before it reads a row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from crmbet.failures import LoadRefused
from crmbet.load.backup import sweep_backups, take_backup
from crmbet.load.restore import restore
from crmbet.load.staging import Staging
from crmbet.load.target import ensure_target
from crmbet.load.training_set import ensure_training_set
from tests.integration.load.small_loads import BOTH_SERVERS, load_rows, next_second

if TYPE_CHECKING:
    from crmbet.load.session import LoadSession

pytestmark = pytest.mark.integration

Query = Callable[..., list[tuple[Any, ...]]]
MakeRow = Callable[..., dict[str, Any]]
Stage = Callable[..., Staging]


def comments(query: Query, session: LoadSession) -> list[str]:
    found = query(
        "SELECT obj_description(%s::regclass, 'pg_class'), obj_description(%s::regclass, 'pg_class')",
        session.table,
        session.history,
    )
    return [comment or "" for comment in found[0]]


def hold(session: LoadSession) -> None:
    with session.transaction() as cursor:
        session.refuse_other_brand(cursor)


STEPS: dict[str, Callable[[LoadSession, Any], Any]] = {
    "the first task": lambda session, _: hold(session),
    "make": lambda session, _: ensure_target(session),
    "function": lambda session, _: ensure_training_set(session, "UTC"),
    "backup": lambda session, _: take_backup(session, next_second()),
    "merge": load_rows,
    "replace": lambda session, staging: load_rows(session, staging, "replace", accept_loss=True),
    "append": lambda session, staging: load_rows(session, staging, "append"),
    "restore": lambda session, _: restore(session, "newest", next_second()),
    "sweep": lambda session, _: sweep_backups(session, next_second(), days=1, count=1),
}


@pytest.mark.few(5)
@BOTH_SERVERS
@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_another_brand_is_refused_at_every_step(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage, step: Callable[[LoadSession, Any], Any]
) -> None:
    ensure_target(session)
    load_rows(session, stage(session, [row("a")]))
    staging = stage(session, [row("b", day=21)])
    before = query(f"SELECT ctid::text, xmin::text, * FROM {session.table}")
    stranger = replace(session, brand="other")

    with pytest.raises(LoadRefused) as refusal:
        step(stranger, staging)

    assert "belongs to the brand default, and this run is of the brand other" in refusal.value.what
    assert query(f"SELECT ctid::text, xmin::text, * FROM {session.table}") == before
    if step is not STEPS["restore"]:
        step(session, staging)


def test_the_table_that_is_made_says_whose_it_is(
    open_session: Callable[..., LoadSession], query: Query
) -> None:
    session = replace(open_session(), brand="bet-7_x")

    ensure_target(session)

    assert [comment.endswith("Brand: bet-7_x.") for comment in comments(query, session)] == [True, True]
    assert comments(query, session)[0].startswith("What is known of every player")


@pytest.mark.parametrize(
    "comment", [None, "", "Ana's table. Do not touch!", "What is known. Grain: one row per player."]
)
def test_a_table_that_names_no_brand_is_taken_over_by_the_first(
    session: LoadSession, query: Query, comment: str | None
) -> None:
    for table in (session.table, session.history):
        query(f"COMMENT ON TABLE {table} IS %s", comment)
    first, second = replace(session, brand="first"), replace(session, brand="second")

    hold(second)
    assert ensure_target(first) == []

    assert comments(query, session) == [f"{comment or ''} Brand: first.".strip()] * 2
    with pytest.raises(LoadRefused, match="belongs to the brand first"):
        ensure_target(second)


def test_a_history_that_outlived_its_table_still_belongs_to_its_brand(
    session: LoadSession, query: Query
) -> None:
    query(f"DROP TABLE {session.table}")

    with pytest.raises(LoadRefused, match="user_features_history belongs to the brand default"):
        ensure_target(replace(session, brand="other"))


def test_the_advice_of_a_refusal_hands_the_table_over(session: LoadSession, query: Query) -> None:
    other = replace(session, brand="other")
    for _ in range(2):
        with pytest.raises(LoadRefused) as refusal:
            ensure_target(other)
        query(refusal.value.next_step.partition(", run: ")[2])

    assert ensure_target(other) == []
    assert all("Brand: other." in comment for comment in comments(query, session))
