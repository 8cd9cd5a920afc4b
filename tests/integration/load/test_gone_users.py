"""Players whom the sources do not know any more: kept, marked or deleted, whatever the order of backfills."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from crmbet.failures import LoadRefused
from crmbet.load.load import LoadCounts
from crmbet.load.staging import Staging
from tests.integration.load.small_loads import load_rows

if TYPE_CHECKING:
    from crmbet.load.session import LoadSession

pytestmark = pytest.mark.integration

Query = Callable[..., list[tuple[Any, ...]]]
MakeRow = Callable[..., dict[str, Any]]
Stage = Callable[..., Staging]


def state(query: Query, session: LoadSession) -> dict[str, tuple[int, bool]]:
    """Player to the day of as_of and whether it is gone."""
    found = query(f"SELECT user_id, extract(day FROM as_of)::int, gone IS TRUE FROM {session.table}")
    return {user_id: (day, gone) for user_id, day, gone in found}


def test_they_are_kept_as_they_were(session: LoadSession, query: Query, row: MakeRow, stage: Stage) -> None:
    load_rows(session, stage(session, [row("a"), row("b")]))

    counts = load_rows(session, stage(session, [row("a", day=21)]))

    assert counts == LoadCounts(staged=1, updated=1, unchanged=0, recorded=1)
    assert state(query, session) == {"a": (21, False), "b": (20, False)}


def test_they_are_marked_once_and_their_mark_goes_when_they_come_back(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage
) -> None:
    load_rows(session, stage(session, [row("a"), row("b")]), gone_users="mark")

    counts = load_rows(session, stage(session, [row("a", day=21)]), gone_users="mark")
    assert counts == LoadCounts(staged=1, updated=1, unchanged=0, marked=1, recorded=1)
    assert state(query, session) == {"a": (21, False), "b": (20, True)}
    marked_at = query(f"SELECT updated_at FROM {session.table} WHERE user_id = 'b'")

    assert load_rows(session, stage(session, [row("a", day=22)]), gone_users="mark").marked == 0
    assert query(f"SELECT updated_at FROM {session.table} WHERE user_id = 'b'") == marked_at

    back = [row("a", day=23), row("b", day=23)]
    assert load_rows(session, stage(session, back), gone_users="mark").updated == 2
    assert state(query, session) == {"a": (23, False), "b": (23, False)}
    assert load_rows(session, stage(session, back), gone_users="mark").unchanged == 2


def test_one_who_comes_back_with_an_equal_row_is_not_gone(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage
) -> None:
    for present in (["a", "b"], ["a"], ["a", "b"]):
        load_rows(session, stage(session, [row(user) for user in present]), gone_users="mark")

    assert state(query, session) == {"a": (20, False), "b": (20, False)}


def test_they_are_deleted_and_stay_in_the_history(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage
) -> None:
    load_rows(session, stage(session, [row("a"), row("b")]), gone_users="delete")

    counts = load_rows(session, stage(session, [row("a", day=21)]), gone_users="delete")

    assert counts == LoadCounts(staged=1, updated=1, unchanged=0, removed=1, recorded=1)
    assert state(query, session) == {"a": (21, False)}
    assert query(f"SELECT user_id FROM {session.history} ORDER BY user_id, as_of") == [("a",), ("a",), ("b",)]


DAYS = {20: ("a", "b"), 21: ("a", "c"), 22: ("a", "d")}
"""Who is there on which day."""


@pytest.mark.parametrize(
    "order", [(20, 21, 22), (22, 21, 20), (21, 20, 22), (22, 20, 21), (21, 22, 20), (20, 22, 21)]
)
@pytest.mark.parametrize(
    ("gone_users", "expected"),
    [
        ("mark", {"a": (22, False), "b": (20, True), "c": (21, True), "d": (22, False)}),
        ("delete", {"a": (22, False), "d": (22, False)}),
        ("keep", {"a": (22, False), "b": (20, False), "c": (21, False), "d": (22, False)}),
    ],
)
def test_backfills_in_any_order_end_right(
    session: LoadSession,
    query: Query,
    row: MakeRow,
    stage: Stage,
    order: tuple[int, ...],
    gone_users: str,
    expected: dict[str, Any],
) -> None:
    for day in order:
        load_rows(session, stage(session, [row(user, day=day) for user in DAYS[day]]), gone_users=gone_users)

    assert state(query, session) == expected
    found = query(f"SELECT user_id, extract(day FROM as_of)::int FROM {session.history}")
    assert sorted(found) == sorted((user, day) for day, users in DAYS.items() for user in users)


@pytest.mark.parametrize("gone_users", ["mark", "delete"])
def test_too_many_at_once_are_refused_unless_told(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage, gone_users: str
) -> None:
    load_rows(session, stage(session, [row(f"u{n}") for n in range(10)]))
    fewer = stage(session, [row(f"u{n}", day=21) for n in range(8)])

    with pytest.raises(LoadRefused, match="merge would lose 2 of the table's 10 players"):
        load_rows(session, fewer, gone_users=gone_users, max_shrink=0.1)
    assert set(state(query, session).values()) == {(20, False)}

    counts = load_rows(session, fewer, gone_users=gone_users, max_shrink=0.1, accept_loss=True)
    assert counts.marked + counts.removed == 2
