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


def marketing(query: Query, session: LoadSession) -> dict[str, tuple[bool, str | None]]:
    """Player to whether a campaign may write to them, and why the load forbids it."""
    found = query(f"SELECT user_id, marketing_allowed, marketing_reason FROM {session.table}")
    return {user_id: (allowed, reason) for user_id, allowed, reason in found}


def latest(query: Query, session: LoadSession) -> dict[str, tuple[int, bool, str | None]]:
    """Player to the day, marketing and reason of the newest row of the history."""
    found = query(
        "SELECT DISTINCT ON (user_id) user_id, extract(day FROM as_of)::int, marketing_allowed, marketing_reason "
        f"FROM {session.history} ORDER BY user_id, as_of DESC"
    )
    return {user_id: (day, allowed, reason) for user_id, day, allowed, reason in found}


def state(query: Query, session: LoadSession) -> dict[str, tuple[int, bool]]:
    """Player to the day of as_of and whether it is gone."""
    found = query(f"SELECT user_id, extract(day FROM as_of)::int, gone IS TRUE FROM {session.table}")
    return {user_id: (day, gone) for user_id, day, gone in found}


def test_they_are_kept_as_they_were_but_for_marketing(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage
) -> None:
    load_rows(session, stage(session, [row("a"), row("b")]))

    counts = load_rows(session, stage(session, [row("a", day=21)]))

    assert counts == LoadCounts(staged=1, updated=1, unchanged=0, marked=1, recorded=2)
    assert state(query, session) == {"a": (21, False), "b": (20, False)}
    assert marketing(query, session) == {"a": (True, None), "b": (False, "gone")}


@pytest.mark.parametrize("gone_users", ["keep", "mark", "delete"])
@pytest.mark.parametrize("strategy", ["merge", "replace"])
def test_whoever_is_gone_gets_no_marketing_in_table_and_history(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage, gone_users: str, strategy: Any
) -> None:
    load_rows(session, stage(session, [row("a"), row("b", churn_risk_score=0.75)]), gone_users=gone_users)

    load_rows(session, stage(session, [row("a", day=21)]), strategy, gone_users=gone_users)

    kept = strategy == "merge" and gone_users != "delete"
    assert marketing(query, session) == {"a": (True, None)} | ({"b": (False, "gone")} if kept else {})
    assert latest(query, session) == {"a": (21, True, None), "b": (21, False, "gone")}
    # It has the last features, and the row of the day on which the player was there stays as it was.
    found = query(
        "SELECT extract(day FROM as_of)::int, marketing_allowed, churn_risk_score, execution_id "
        f"FROM {session.history} WHERE user_id = 'b' ORDER BY as_of"
    )
    assert found == [(20, True, 0.75, "prospect"), (21, False, 0.75, session.run_id)]

    again = load_rows(session, stage(session, [row("a", day=21)]), strategy, gone_users=gone_users)
    assert again == LoadCounts(staged=1, unchanged=1)


def test_one_who_comes_back_may_be_written_to_again(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage
) -> None:
    for gone_users in ("keep", "mark"):
        load_rows(session, stage(session, [row("a"), row("b")]), "replace", accept_loss=True)
        load_rows(session, stage(session, [row("a")]), gone_users=gone_users)
        assert marketing(query, session)["b"] == (False, "gone")

        # The same day, computed again: now it finds the player.
        load_rows(session, stage(session, [row("a"), row("b")]), gone_users=gone_users)

        assert marketing(query, session) == {"a": (True, None), "b": (True, None)}
        assert latest(query, session) == {"a": (20, True, None), "b": (20, True, None)}


def test_an_older_day_allows_no_marketing_to_one_who_is_gone_by_now(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage
) -> None:
    load_rows(session, stage(session, [row("a"), row("b")]), gone_users="mark")
    load_rows(session, stage(session, [row("a", day=23)]), gone_users="mark")

    # A day between, on which b was still there, and one on which c was.
    counts = load_rows(
        session, stage(session, [row("a", day=22), row("b", day=22), row("c", day=22)]), gone_users="mark"
    )

    assert (counts.updated, counts.inserted) == (1, 1)
    assert state(query, session) == {"a": (23, False), "b": (22, True), "c": (22, True)}
    assert marketing(query, session) == {"a": (True, None), "b": (False, "gone"), "c": (False, "gone")}
    assert latest(query, session) == {
        "a": (23, True, None), "b": (23, False, "gone"), "c": (23, False, "gone"),
    }  # fmt: skip


def test_gone_players_of_an_earlier_release_lose_their_marketing_and_are_no_edits(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage
) -> None:
    load_rows(session, stage(session, [row("a"), row("b")]))
    query(f"UPDATE {session.table} SET gone = true WHERE user_id = 'b'")

    counts = load_rows(session, stage(session, [row("a", day=21)]), gone_users="mark", max_shrink=0.0)

    assert (counts.marked, counts.edited) == (1, 0)
    assert marketing(query, session)["b"] == (False, "gone")
    assert latest(query, session)["b"] == (21, False, "gone")


def test_players_whom_keep_had_left_before_are_not_lost_again(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage
) -> None:
    """As an earlier release left them: it said of nobody that he is gone."""
    load_rows(session, stage(session, [row(f"u{n}") for n in range(10)]))
    load_rows(session, stage(session, [row(f"u{n}", day=21) for n in range(7)]))
    query(f"UPDATE {session.table} SET marketing_allowed = true, marketing_reason = NULL")
    query(f"DELETE FROM {session.history} WHERE marketing_reason = 'gone'")

    counts = load_rows(session, stage(session, [row(f"u{n}", day=22) for n in range(7)]), max_shrink=0.1)

    assert counts.marked == 3
    with pytest.raises(
        LoadRefused, match=r"merge would lose 3 of the table's 7 players \(without 3 who are gone\)"
    ):
        load_rows(session, stage(session, [row(f"u{n}", day=23) for n in range(4)]), max_shrink=0.1)


def test_they_are_marked_once_and_their_mark_goes_when_they_come_back(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage
) -> None:
    load_rows(session, stage(session, [row("a"), row("b")]), gone_users="mark")

    counts = load_rows(session, stage(session, [row("a", day=21)]), gone_users="mark")
    assert counts == LoadCounts(staged=1, updated=1, unchanged=0, marked=1, recorded=2)
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

    assert counts == LoadCounts(staged=1, updated=1, unchanged=0, removed=1, recorded=2)
    assert state(query, session) == {"a": (21, False)}
    assert query(f"SELECT user_id FROM {session.history} ORDER BY user_id, as_of") == [
        ("a",), ("a",), ("b",), ("b",),
    ]  # fmt: skip


DAYS = {20: ("a", "b"), 21: ("a", "c"), 22: ("a", "d")}
"""Who is there on which day."""


@pytest.mark.few(4)
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
    gone = {user for user, (day, _) in expected.items() if day < 22} if gone_users != "delete" else set()
    assert {user for user, (allowed, _) in marketing(query, session).items() if not allowed} == gone
    found = query(
        f"SELECT user_id, extract(day FROM as_of)::int FROM {session.history} WHERE marketing_reason IS NULL"
    )
    assert sorted(found) == sorted((user, day) for day, users in DAYS.items() for user in users)
    newest = latest(query, session)
    assert {user: newest[user][1:] for user in "abcd"} == {
        "a": (True, None), "b": (False, "gone"), "c": (False, "gone"), "d": (True, None),
    }  # fmt: skip


@pytest.mark.parametrize("gone_users", ["keep", "mark", "delete"])
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


@pytest.mark.parametrize("gone_users", ["keep", "mark"])
def test_those_who_are_gone_do_not_hide_how_many_of_the_others_are_lost(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage, gone_users: str
) -> None:
    names = [f"live{n}" for n in range(10)] + [f"gone{n}" for n in range(100)]
    for day, present in ((20, names), (21, names[:10])):
        load_rows(session, stage(session, [row(name, day=day) for name in present]), gone_users=gone_users)

    with pytest.raises(LoadRefused, match=r"lose 9 of the table's 10 players \(without 100 who are gone\)"):
        load_rows(session, stage(session, [row("live0", day=22)]), gone_users=gone_users, max_shrink=0.1)

    assert sum(allowed for allowed, _ in marketing(query, session).values()) == 10


@pytest.mark.parametrize("gone_users", ["keep", "mark"])
def test_an_append_between_two_merges_hides_nobody(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage, gone_users: str
) -> None:
    names = [f"u{n}" for n in range(11)]
    load_rows(session, stage(session, [row(name, day=20) for name in names[:10]]), gone_users=gone_users)
    everybody = stage(session, [row(name, day=21) for name in names])
    load_rows(session, everybody, "append", gone_users=gone_users)

    with pytest.raises(LoadRefused, match="merge would lose 10 of the table's 11 players"):
        load_rows(session, stage(session, [row("u10", day=22)]), gone_users=gone_users, max_shrink=0.1)

    assert sum(allowed for allowed, _ in marketing(query, session).values()) == 11


@pytest.mark.parametrize("gone_users", ["keep", "mark", "delete"])
def test_an_append_of_the_newest_day_ends_the_marketing_of_whoever_it_lacks(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage, gone_users: str
) -> None:
    load_rows(session, stage(session, [row("a"), row("b")]), gone_users=gone_users)

    counts = load_rows(
        session, stage(session, [row("b", day=21), row("c", day=21)]), "append", gone_users=gone_users
    )

    assert (counts.inserted, counts.marked, counts.removed) == (1, 1, 0)
    assert state(query, session) == {"a": (20, gone_users == "mark"), "b": (20, False), "c": (21, False)}
    assert marketing(query, session) == {"a": (False, "gone"), "b": (True, None), "c": (True, None)}
    assert latest(query, session)["a"] == (21, False, "gone")
    again = load_rows(
        session, stage(session, [row("b", day=21), row("c", day=21)]), "append", gone_users=gone_users
    )
    assert again == LoadCounts(staged=2, unchanged=2)
    # An older day knows nothing of who is gone.
    older = load_rows(session, stage(session, [row("d", day=19)]), "append", gone_users=gone_users)
    assert (older.marked, older.edited) == (0, 0)
    assert marketing(query, session)["b"] == (True, None)


@pytest.mark.parametrize("hours", [(9, 5), (5, 9)])
def test_who_is_gone_or_back_on_the_same_day_is_so_in_table_and_history(
    session: LoadSession, query: Query, row: MakeRow, stage: Stage, hours: tuple[int, int]
) -> None:
    """Whatever was known first: the load that came last says who is there."""
    for hour, names in zip((*hours, hours[0]), ("ab", "a", "ab"), strict=True):
        rows = [{**row(name), "known_at": row(name)["as_of"].replace(hour=hour)} for name in names]

        assert load_rows(session, stage(session, rows)).edited == 0

        is_there = "b" in names
        assert marketing(query, session)["b"] == ((True, None) if is_there else (False, "gone"))
        assert latest(query, session)["b"] == ((20, True, None) if is_there else (20, False, "gone"))
