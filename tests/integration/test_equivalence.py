"""However the days came in, the table is what one rebuild from nothing makes of what the sources hold now.

Random histories of a small operator: days added in any order, late files, files rewritten or deleted, transactions
inserted, changed and deleted, runs for any as_of, each of them perhaps killed at some object and tried again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.integration.pipeline_process import (
    Attempt,
    Cells,
    ChangingOperator,
    cells,
    extracts,
    features,
    finish,
    start,
)

pytestmark = pytest.mark.integration

REPEATABLE = settings(
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    print_blob=False,
    suppress_health_check=list(HealthCheck),
)
"""The same histories everywhere, not shrunk: one takes seconds."""

FIRST_DAY = date(2018, 10, 30)
"""The days go over 2018-11-04, which has no midnight in Sao Paulo."""
DAYS = 8


# What can happen to the sources ----------------------------------------------------------------------------------

USERS = st.sampled_from(("ana", "bia", "caio"))
PLACES = st.tuples(
    st.integers(0, DAYS - 1), st.sampled_from((0, 2, 3, 12, 23)), st.sampled_from((0, 29, 31, 59))
)
"""Day, hour and minute, in UTC: the operator's midnight is at 02:00 or 03:00."""


def instant(place: tuple[int, int, int]) -> datetime:
    day, hour, minute = place
    return datetime(*(FIRST_DAY + timedelta(days=day)).timetuple()[:3], hour, minute, tzinfo=UTC)


@st.composite
def bet_files(draw: st.DrawFn) -> str:
    """A few bets of any days: most deliveries hold a day, some hold many, and keys repeat across files."""
    lines = ["bet_id,user_id,placed_at,game_type,stake"]
    day = draw(st.integers(0, DAYS - 1))
    for _ in range(draw(st.integers(1, 8))):
        place = draw(PLACES)
        if draw(st.integers(0, 3)):
            place = (day, *place[1:])
        key = draw(st.integers(0, 40))
        game, stake = draw(st.sampled_from(("slots", "crash", "poker"))), draw(st.integers(0, 90))
        lines.append(f"b{key},{draw(USERS)},{instant(place).isoformat()},{game},{stake}.25")
    if draw(st.integers(0, 4)) == 0:
        lines.insert(1, 'broken,"quote,2018')
    return "\n".join(lines) + "\n"


@st.composite
def changes(draw: st.DrawFn) -> tuple[str, tuple[Any, ...]]:
    """One change of the sources: what, and its arguments."""
    kind = draw(
        st.sampled_from(("bets", "bets", "bets", "unbets", "players", "insert", "insert", "update", "delete"))
    )
    name = draw(st.integers(0, 5))
    match kind:
        case "bets":
            return kind, (f"bets/part-{name}.csv", draw(bet_files()))
        case "unbets":
            return kind, (f"bets/part-{name}.csv",)
        case "players":
            zone = draw(st.sampled_from(("America/Noronha", "Asia/Kolkata", "")))
            day = FIRST_DAY + timedelta(days=draw(st.integers(0, DAYS)))
            return kind, (f"players/dt={day}/all.csv", f"user_id,timezone\nana,{zone}\ndavi,{zone}\n")
        case "insert":
            status = draw(st.sampled_from(("completed", "pending")))
            return kind, (name + 6 * draw(st.integers(0, 3)), draw(USERS), status, instant(draw(PLACES)))
        case "update":
            return kind, (draw(st.sampled_from(("completed", "failed"))), name)
        case _:
            return kind, (name,)


@st.composite
def steps(draw: st.DrawFn, parts: Sequence[int]) -> tuple[list[Any], int, int | None, int]:
    """Some changes, then a run: its as_of in days after the first, the object before which it is killed, its parts."""
    changed = draw(st.lists(changes(), min_size=1, max_size=5))
    kill_at = draw(st.none() | st.integers(1, 40))
    return changed, draw(st.integers(1, DAYS + 1)), kill_at, draw(st.sampled_from(parts))


def apply(operator: ChangingOperator, kind: str, arguments: tuple[Any, ...]) -> None:
    match kind:
        case "bets" | "players":
            operator.put(*arguments)
        case "unbets":
            operator.delete(*arguments)
        case "insert":
            number, user, status, at = arguments
            operator.sql(
                "INSERT INTO tbl_transactions VALUES (lpad(%s::text, 32, '0')::uuid, %s, 10.5, 'deposit', %s, %s) "
                "ON CONFLICT (transaction_id) DO UPDATE SET created_at = excluded.created_at",
                *(number, user, status, at.replace(tzinfo=None)),
            )
        case "update":
            operator.sql(
                "UPDATE tbl_transactions SET status = %s WHERE transaction_id = lpad(%s::text, 32, '0')::uuid",
                *arguments,
            )
        case "delete":
            operator.sql(
                "DELETE FROM tbl_transactions WHERE transaction_id = lpad(%s::text, 32, '0')::uuid",
                *arguments,
            )


def start_with(operator: ChangingOperator) -> None:
    """What is never deleted, so that the required sources are there."""
    operator.put(
        "bets/first.csv", f"bet_id,user_id,placed_at,game_type,stake\nb0,ana,{FIRST_DAY}T12:00:00Z,slots,1\n"
    )
    apply(operator, "insert", (99, "ana", "completed", instant((0, 12, 0))))


def check_history(operator: ChangingOperator, history: list[Any]) -> None:
    """Each run gives what a rebuild gives, and still does when it is asked for after all that came later."""
    start_with(operator)
    made: list[tuple[Attempt, Cells]] = []
    for changed, days, kill_at, shards in history:
        for change in changed:
            apply(operator, *change)
        attempt = operator.attempt(FIRST_DAY + timedelta(days=days), kill_at=kill_at, shards=shards)
        finish(operator.site, attempt)

        found = cells(operator.site, attempt)
        assert found == operator.rebuild(attempt.as_of_date)
        made.append((attempt, found))

    for attempt, found in made[:-1]:
        repeated = replace(
            attempt,
            run_id=f"again-{attempt.run_id}",
            params={"known_at": attempt.known_at.isoformat()},
            kill_at=None,
            matrix=False,
        )
        finish(operator.site, repeated)

        assert cells(operator.site, repeated) == found


def is_eventful(history: list[Any]) -> bool:
    """Whether a run was killed, another made in parts, and sources and as_of changed back and forth in many ways.

    The first example that Hypothesis tries has none of it.
    """
    days = [days for _, days, *_ in history]
    return (
        any(kill_at and shards > 1 for *_, kill_at, shards in history)
        and any(not kill_at and shards > 1 for *_, kill_at, shards in history)
        and days not in (sorted(days), sorted(days, reverse=True))
        and all(len({kind for kind, _ in changed}) > 2 for changed, *_ in history[1:])
    )


@settings(REPEATABLE, max_examples=1)
@given(history=st.lists(steps((1, 2, 3)), min_size=3, max_size=3).filter(is_eventful))
def test_any_history_gives_what_a_rebuild_gives_and_moves_no_cell_that_was_known(
    open_changing_operator: Callable[[], ChangingOperator], history: list[Any]
) -> None:
    check_history(open_changing_operator(), history)


@pytest.mark.full
@settings(REPEATABLE, max_examples=40)
@given(history=st.lists(steps((1, 2, 3, 8)), min_size=3, max_size=8))
def test_many_histories_give_what_rebuilds_give_and_move_no_cell_that_was_known(
    open_changing_operator: Callable[[], ChangingOperator], history: list[Any]
) -> None:
    check_history(open_changing_operator(), history)


def test_a_table_is_made_from_the_parts_of_its_players(
    open_changing_operator: Callable[[], ChangingOperator],
) -> None:
    operator = open_changing_operator()
    start_with(operator)
    attempt = operator.attempt(FIRST_DAY + timedelta(days=2), shards=3)
    finish(operator.site, attempt)

    assert features(operator.site, attempt).player_parts == 3
    assert cells(operator.site, attempt) == operator.rebuild(attempt.as_of_date)
    prefix = attempt.run(operator.site.bucket).layout.players(attempt.run_id)
    assert not [*operator.site.store.list(prefix)]


# What a change costs ---------------------------------------------------------------------------------------------


def bets_of(days: Mapping[int, int]) -> str:
    """So many bets on each of some days, at noon UTC."""
    lines = [
        f"d{day}n{number},ana,{FIRST_DAY + timedelta(days=day)}T12:00:00Z,slots,1"
        for day, bets in days.items()
        for number in range(bets)
    ]
    return "\n".join(["bet_id,user_id,placed_at,game_type,stake", *lines]) + "\n"


def run_again(operator: ChangingOperator) -> tuple[Attempt, dict[str, int], dict[str, list[str]], int]:
    """One more run: chunks captured, days touched, days of state made."""
    attempt = operator.attempt(FIRST_DAY + timedelta(days=6), matrix=False)
    finish(operator.site, attempt)
    sources = extracts(operator.site, attempt).sources
    new = {name: of.new for name, of in sources.items() if of.new}
    touched = {name: of.touched_days for name, of in sources.items() if of.touched_days}
    return attempt, new, touched, features(operator.site, attempt).days_built


@pytest.mark.full
def test_only_the_days_that_differ_are_made_anew(
    open_changing_operator: Callable[[], ChangingOperator],
) -> None:
    operator = open_changing_operator()

    for day in range(5):
        operator.put(f"bets/dt={FIRST_DAY + timedelta(days=day)}/a.csv", bets_of({day: 3}))
        apply(operator, "insert", (day, "ana", "pending", instant((day, 12, 0))))
    operator.put("bets/many.csv", bets_of(dict.fromkeys(range(5), 4)))
    run_again(operator)

    _, *repeated = run_again(operator)

    assert repeated == [{}, {}, 0]

    operator.put("bets/late.csv", bets_of({1: 5}))
    operator.put("bets/many.csv", bets_of({day: 5 if day == 2 else 4 for day in range(5)}))
    apply(operator, "update", ("completed", 3))
    attempt, *changed = run_again(operator)

    assert changed == [
        {"bets": 2, "transactions": 1},
        {"bets": ["2018-10-31", "2018-11-01"], "transactions": ["2018-11-02"]},
        3,
    ]
    assert cells(operator.site, attempt) == operator.rebuild(attempt.as_of_date)


# Side by side ----------------------------------------------------------------------------------------------------


@pytest.mark.full
def test_four_runs_at_once_on_an_empty_prefix_end_as_rebuilds_do(
    open_changing_operator: Callable[[], ChangingOperator],
) -> None:
    operator = open_changing_operator()
    start_with(operator)
    for day in range(DAYS):
        operator.put(
            f"bets/dt={FIRST_DAY + timedelta(days=day)}/a.csv", bets_of({day: 30, max(0, day - 2): 5})
        )
        apply(operator, "insert", (day, "bia", "completed", instant((day, 23, 59))))
    attempts = [
        operator.attempt(FIRST_DAY + timedelta(days=days), brand="parallel", matrix=False)
        for days in (DAYS - 1, DAYS, DAYS - 1, DAYS)
    ]

    processes = [start(operator.site, attempt) for attempt in attempts]
    # One of them dies from outside, wherever it is by then.
    processes[1].join(timeout=1.0)
    processes[1].kill()
    for process in processes:
        process.join()
    finish(operator.site, attempts[1])

    assert [process.exitcode for process in (processes[0], *processes[2:])] == [0, 0, 0]
    rebuilt = {attempt.as_of_date: operator.rebuild(attempt.as_of_date) for attempt in attempts[:2]}
    for attempt in attempts:
        assert cells(operator.site, attempt) == rebuilt[attempt.as_of_date]


# What was known --------------------------------------------------------------------------------------------------


@pytest.mark.full
def test_rows_that_were_ingested_after_known_at_are_not_known(
    open_changing_operator: Callable[[], ChangingOperator],
) -> None:
    operator = open_changing_operator()
    start_with(operator)
    early, late = (
        operator.attempt(FIRST_DAY + timedelta(days=2), matrix=False),
        operator.attempt(FIRST_DAY + timedelta(days=2), matrix=False),
    )
    between = early.known_at + timedelta(minutes=1)
    header = "bet_id,user_id,placed_at,game_type,stake,ingested_at"
    operator.put(
        "bets/stamped.csv",
        f"{header}\nx1,bia,{FIRST_DAY}T12:00:00Z,slots,1,{between.isoformat()}\nx2,caio,{FIRST_DAY}T12:00:00Z,slots,1,\n",
    )

    for attempt in (early, late):
        finish(operator.site, attempt)

    assert set(cells(operator.site, early)) == {"ana", "caio"}
    assert set(cells(operator.site, late)) == {"ana", "bia", "caio"}
