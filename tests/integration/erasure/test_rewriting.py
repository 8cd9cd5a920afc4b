"""A pass takes players out of every object, and every run after it is as if they had never been there."""

from __future__ import annotations

import signal
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import date
from io import BytesIO
from itertools import count
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from crmbet.clean.records import CleanManifest
from crmbet.contracts.erased_players import ErasedPlayers, erased_of
from crmbet.databases.duckdb import open_engine
from crmbet.databases.work import Work
from crmbet.erasure.proof import Wanted, search_store
from crmbet.erasure.records import Searched
from crmbet.erasure.spellings import Spellings
from crmbet.run.records import read_manifest
from tests.integration.pipeline_process import (
    Attempt,
    ChangingOperator,
    cells,
    features,
    finish,
    start_erasure,
)

pytestmark = pytest.mark.integration

AS_OF = date(2018, 12, 5)
HEADER = "bet_id,user_id,placed_at,game_type,stake"
KEY = b"0123456789abcdef0123456789abcdef"
ERASED = erased_of(KEY, ["ana"])
ASKED = (" ANA",)
"""As somebody may spell it who asks."""


def bets(*rows: str) -> str:
    return "\n".join([HEADER, *rows]) + "\n"


def deliver(operator: ChangingOperator, *, without: Collection[str] = ()) -> None:
    """Bets as CSV, Parquet and JSON, good and bad ones, and transactions. `without` leaves players out."""

    def left(rows: list[str]) -> list[str]:
        return [row for row in rows if not any(player in row.lower() for player in without)]

    november = ["b1,ana,2018-11-02T12:00:00Z,slots,1", "b2,bia,2018-11-02T12:00:00Z,slots,2"]
    bad = [
        "b3,ana,2018-11-03T12:00:00Z,slots,much",
        "b4,ana,yesterday,slots,1",
        "b5,bia,2018-11-03T12:00:00Z,,1",
    ]
    operator.put("bets/a.csv", bets(*left(november)))
    operator.put("bets/b.csv", bets(*left([*bad, "b6,Ana ,2018-11-04T12:00:00Z,slots,3", *november[1:]])))
    lines = [
        '{"bet_id":"b7","user_id":"ana","placed_at":"2018-12-02T12:00:00Z","game_type":"slots","stake":4}',
        '{"bet_id":"b8","user_id":"caio","placed_at":"2018-12-02T12:00:00Z","game_type":"poker","stake":4}',
    ]
    operator.put("bets/c.json", "\n".join(left(lines)) + "\n")
    rows = [
        {
            "bet_id": f"b{n}",
            "user_id": player,
            "placed_at": "2018-12-03T12:00:00Z",
            "game_type": "slots",
            "stake": "5",
        }
        for n, player in enumerate(["ana", "bia", "caio"], 9)
        if player not in without
    ]
    content = BytesIO()
    parquet.write_table(pa.Table.from_pylist(rows), content)
    operator.site.store.write("raw/bets/d.parquet", content.getvalue())


@dataclass(frozen=True)
class Ran:
    operator: ChangingOperator
    first: Attempt
    second: Attempt


@pytest.fixture(scope="module")
def ran(open_changing_operator: Callable[[], ChangingOperator]) -> Ran:
    """An operator with two runs, between which an object was replaced."""
    operator = open_changing_operator()
    for player, day in (("ana", 1), ("bia", 1), ("ana", 2), ("caio", 30)):
        operator.sql(
            "INSERT INTO tbl_transactions VALUES (gen_random_uuid(), %s, 10, 'deposit', 'completed', %s)",
            player,
            f"2018-11-{day:02} 12:00",
        )
    deliver(operator)
    operator.put("bets/a.csv", bets("b0,ana,2018-11-02T11:00:00Z,slots,9"))
    first, second = operator.attempt(AS_OF, matrix=False), operator.attempt(AS_OF)
    finish(operator.site, first)
    deliver(operator)
    finish(operator.site, second)
    return Ran(operator, first, second)


@pytest.fixture
def operator(
    ran: Ran, copy_changing_operator: Callable[[ChangingOperator], ChangingOperator]
) -> ChangingOperator:
    return copy_changing_operator(ran.operator)


def erase(operator: ChangingOperator, *, kill_at: int | None = None) -> int | None:
    """Take ana out, until it is done or dies; returns the exit code of the first try."""
    attempt = operator.attempt(AS_OF, erased=ERASED, kill_at=kill_at)
    process = start_erasure(operator.site, attempt, ASKED)
    process.join()
    if process.exitcode == -signal.SIGKILL:
        again = start_erasure(operator.site, replace(attempt, kill_at=None), ASKED)
        again.join()
        assert again.exitcode == 0
    else:
        assert process.exitcode == 0
    return process.exitcode


def search(operator: ChangingOperator, erased: ErasedPlayers = ERASED) -> Searched:
    run = operator.attempt(AS_OF).run(operator.site.bucket)
    with open_engine(run.settings) as connection:
        work = Work(run=run, store=operator.site.store, connection=connection)
        return search_store(work, Wanted(erased, Spellings.of(ASKED)))


def run_again(operator: ChangingOperator, **options: Any) -> Attempt:
    attempt = operator.attempt(AS_OF, erased=ERASED, **options)
    finish(operator.site, attempt)
    return attempt


def cleaned(operator: ChangingOperator, attempt: Attempt) -> CleanManifest:
    return read_manifest(
        operator.site.store, attempt.run(operator.site.bucket).prefix, "clean", CleanManifest
    )


def kinds(keys: Collection[str]) -> set[str]:
    return {key.split("/")[2] for key in keys}


def test_after_a_pass_no_object_holds_the_player_and_the_next_run_makes_no_day_again(
    operator: ChangingOperator,
) -> None:
    before = search(operator)
    assert kinds(before.found) >= {
        *("captures", "cleaned", "quarantine", "state", "sessions", "runs"),
    }, "the search finds what is there"

    erase(operator)

    after = search(operator)
    assert after.found == []
    assert after.unread == []
    attempt = run_again(operator)
    made = features(operator.site, attempt)
    assert (made.days_built, made.sessions_built) == (0, 0)
    of_bets = cleaned(operator, attempt).sources["bets"]
    # Six rows of the newest contents: five with a time, and one in quarantine without.
    assert (of_bets.made, of_bets.erased, of_bets.delivered_again) == ([], 6, 0)
    assert cells(operator.site, attempt) == operator.rebuild(AS_OF, erased=ERASED)
    deliver(operator, without=["ana"])
    operator.sql("DELETE FROM tbl_transactions WHERE user_id = 'ana'")
    assert cells(operator.site, attempt) == operator.rebuild(AS_OF), "a source that never knew the player"


def test_a_run_of_the_past_finds_what_was_known_then_without_the_player(
    operator: ChangingOperator, ran: Ran
) -> None:
    known_at = ran.first.known_at
    params = {"known_at": known_at.isoformat()}
    again = replace(ran.first, run_id="the past", params=params)
    finish(operator.site, again)
    before = cells(operator.site, again)
    erase(operator)

    past = replace(again, run_id="the past, erased", erased=ERASED)
    finish(operator.site, past)

    assert before.keys() - cells(operator.site, past).keys() == {"ana", "Ana"}
    assert (
        cleaned(operator, past).sources["bets"].extracted
        == cleaned(operator, again).sources["bets"].extracted
    )


def test_what_a_source_delivers_again_is_left_out_and_counted(operator: ChangingOperator) -> None:
    erase(operator)
    operator.put(
        "bets/e.csv", bets("b20,ana,2018-12-04T12:00:00Z,slots,1", "b21,bia,2018-12-04T12:00:00Z,slots,1")
    )

    attempt = run_again(operator)

    of_bets = cleaned(operator, attempt).sources["bets"]
    assert of_bets.delivered_again == 1
    assert "ana" not in cells(operator.site, attempt)
    assert cells(operator.site, attempt) == operator.rebuild(AS_OF, erased=ERASED)
    assert kinds(search(operator).found) == {"captures"}, "a later pass takes it out of the capture"
    erase(operator)
    assert search(operator).found == []


def test_a_second_pass_changes_nothing(operator: ChangingOperator) -> None:
    erase(operator)
    keys = {entry.key for entry in operator.site.store.list("crmbet/")}

    erase(operator)

    assert {entry.key for entry in operator.site.store.list("crmbet/")} == keys


@pytest.mark.parametrize("kill_at", [1, 16, 32])
def test_a_pass_that_is_killed_is_done_when_it_is_run_again(operator: ChangingOperator, kill_at: int) -> None:
    assert erase(operator, kill_at=kill_at) == -signal.SIGKILL

    is_as_if_never_killed(operator)


@pytest.mark.full
def test_a_pass_may_be_killed_before_any_of_its_writes(
    ran: Ran, copy_changing_operator: Callable[[ChangingOperator], ChangingOperator]
) -> None:
    """Objects that are written, and requests that delete some: until a pass has no more of them."""
    for kill_at in count(1):
        operator = copy_changing_operator(ran.operator)
        if erase(operator, kill_at=kill_at) == 0:
            break
        is_as_if_never_killed(operator)
    assert kill_at > 32, "the quick test above kills at a write that there is"


def is_as_if_never_killed(operator: ChangingOperator) -> None:
    assert search(operator).found == []
    attempt = run_again(operator, matrix=False)
    assert cells(operator.site, attempt) == operator.rebuild(AS_OF, erased=ERASED)
