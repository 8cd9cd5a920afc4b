"""A sweep removes what nothing needs, and every run after it finds what it wants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from crmbet.run.settings import Settings
from crmbet.storage.layout import DONE, Layout
from crmbet.storage.object_store import ObjectStore
from crmbet.sweep import SweepPlan, plan_sweep, sweep
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

LAYOUT = Layout(brand="increments")
AS_OF = date(2018, 11, 5)
HEADER = "bet_id,user_id,placed_at,game_type,stake"

# S3 dates objects by the real clock and captures are dated by their run's known_at, which these tests choose.
PAST_THE_GRACE = timedelta(days=30)
PAST_THE_RETENTION = timedelta(days=500)


def bets(*keys: str) -> str:
    return "\n".join([HEADER, *(f"{key},ana,2018-11-02T12:00:00Z,slots,1" for key in keys)]) + "\n"


@dataclass(frozen=True)
class Ran:
    """An operator whose bets were rewritten and then run again."""

    operator: ChangingOperator
    first: Attempt
    before: Cells
    """What the first run made."""
    after: Cells
    """What the second run made."""


@pytest.fixture(scope="module")
def ran(open_changing_operator: Callable[[], ChangingOperator]) -> Ran:
    operator = open_changing_operator()
    operator.sql(
        "INSERT INTO tbl_transactions VALUES (gen_random_uuid(), 'ana', 10, 'deposit', 'completed', '2018-11-01 12:00')"
    )
    operator.put("bets/a.csv", bets("b1"))
    # Another delimiter: objects of one shape would share a captured file, and a sweep keeps a file or removes it.
    other = f"{HEADER}\nb9,bia,2018-11-03T12:00:00Z,slots,1\n".replace(",", ";")
    operator.put("bets/b.csv", other)
    # The second run writes a matrix, and so one of every kind of object.
    first, second = operator.attempt(AS_OF, matrix=False), operator.attempt(AS_OF)
    finish(operator.site, first)
    operator.put("bets/a.csv", bets("b1", "b2"))
    finish(operator.site, second)
    before, after = cells(operator.site, first), cells(operator.site, second)
    assert before["ana"] != after["ana"]
    return Ran(operator, first, before, after)


@pytest.fixture
def operator(
    ran: Ran, copy_changing_operator: Callable[[ChangingOperator], ChangingOperator]
) -> ChangingOperator:
    """A copy of that operator for one test."""
    return copy_changing_operator(ran.operator)


def plan(operator: ChangingOperator, after: timedelta, **settings: Any) -> SweepPlan:
    """The plan of a sweep so much later than now."""
    chosen = Settings.of(lake_bucket=operator.site.bucket, brand=LAYOUT.brand, **settings)
    return plan_sweep(operator.site.store, LAYOUT, chosen, datetime.now(UTC) + after)


def sweep_by(operator: ChangingOperator, doomed: SweepPlan, **settings: Any) -> int:
    """Sweep by a plan; returns how many objects went."""
    chosen = Settings.of(lake_bucket=operator.site.bucket, brand=LAYOUT.brand, **settings)
    return sweep(operator.site.store, LAYOUT, chosen, doomed)


def keys(operator: ChangingOperator, prefix: str = LAYOUT.root) -> set[str]:
    return {entry.key for entry in operator.site.store.list(prefix)}


def named(swept: SweepPlan) -> set[str]:
    return {*swept.done_files, *swept.objects}


def kinds(swept: SweepPlan) -> set[str]:
    return {key.removeprefix(LAYOUT.root).partition("/")[0] for key in named(swept)}


@pytest.mark.full
def test_within_the_grace_nothing_goes(operator: ChangingOperator) -> None:
    doomed = plan(operator, timedelta(days=6))

    assert named(doomed) == set()
    assert doomed.unknown == [], "the layout knows every key that a run writes"


@pytest.mark.full
def test_past_the_grace_a_run_that_is_tried_again_makes_what_newer_days_have_replaced(
    operator: ChangingOperator, ran: Ran
) -> None:
    doomed = plan(operator, PAST_THE_GRACE)
    sweep_by(operator, doomed)

    # A segment with the newest rows of another day stays.
    assert kinds(doomed) == {"sessions", "feature_tables"}
    params = {"known_at": ran.first.known_at.isoformat()}
    finish(operator.site, replace(ran.first, params=params))
    assert cells(operator.site, ran.first) == ran.before


@pytest.mark.full
def test_what_killed_tries_left_goes_after_the_grace_and_nothing_misses_it(
    operator: ChangingOperator,
) -> None:
    before = keys(operator)
    killed = start(operator.site, operator.attempt(AS_OF, kill_at=6, params={"full_refresh": True}))
    killed.join()
    # Captures of a full refresh are finished one by one, and each is as good as the one before: its marker counts.
    left = {key for key in keys(operator) - before if not key.endswith(DONE)}
    assert left
    abandoned = f"{LAYOUT.root}state/day=2018-11-02/set=0123/abandoned.parquet"
    operator.site.store.write(abandoned, b"half a file")

    assert named(plan(operator, timedelta())) == set(), "a run may be writing it"
    doomed = plan(operator, PAST_THE_GRACE)

    assert abandoned in doomed.objects
    assert sweep_by(operator, doomed) == len(named(doomed))
    assert keys(operator) & named(doomed) == set()
    assert named(plan(operator, PAST_THE_GRACE)) == set()


@pytest.mark.full
def test_past_the_retention_the_newest_of_everything_stays_and_a_run_makes_nothing_anew(
    operator: ChangingOperator, ran: Ran
) -> None:
    again = operator.attempt(AS_OF)
    before = keys(operator)

    doomed = plan(operator, PAST_THE_RETENTION)
    sweep_by(operator, doomed)

    assert kinds(doomed) == {
        "captures",
        "sessions",
        "feature_tables",
        "runs",
    }
    assert sum("source=bets/chunk=" in key for key in doomed.done_files) == 1, "the capture that was replaced"
    assert keys(operator) == before - named(doomed)
    finish(operator.site, again)
    assert {name: of.new for name, of in extracts(operator.site, again).sources.items()} == {
        "bets": 0,
        "transactions": 0,
    }
    assert (features(operator.site, again).days_built, cells(operator.site, again)) == (0, ran.after)


@pytest.mark.full
def test_what_was_known_within_the_retention_can_still_be_asked_for(
    operator: ChangingOperator, ran: Ran
) -> None:
    params = {"known_at": ran.first.known_at.isoformat()}
    asked = replace(ran.first, run_id="asked", params=params)
    # The runs are from the beginning of the year, by their own account, and this sweep is not far from it.
    swept = plan(operator, PAST_THE_GRACE, run_retention_days=10_000)
    sweep_by(operator, swept, run_retention_days=10_000)
    finish(operator.site, asked)

    assert cells(operator.site, asked) == ran.before


@pytest.mark.full
def test_a_sweep_that_dies_leaves_no_marker_without_its_files(
    operator: ChangingOperator, ran: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    doomed = plan(operator, PAST_THE_RETENTION)
    delete_all = ObjectStore.delete_all

    def die_after_markers(store: ObjectStore, wanted: Any) -> None:
        if wanted == doomed.objects:
            raise KeyboardInterrupt
        delete_all(store, wanted)

    with monkeypatch.context() as patch:
        patch.setattr(ObjectStore, "delete_all", die_after_markers)
        with pytest.raises(KeyboardInterrupt):
            sweep_by(operator, doomed)

    again = operator.attempt(AS_OF)
    finish(operator.site, again)
    assert cells(operator.site, again) == ran.after
    sweep_by(operator, plan(operator, PAST_THE_RETENTION))
    assert not named(doomed) & keys(operator)


@pytest.mark.full
def test_the_source_and_what_is_not_ours_are_never_touched(operator: ChangingOperator) -> None:
    foreign = f"{LAYOUT.root}somebody/notes.txt"
    operator.site.store.write(foreign, b"mine")
    raw = keys(operator, "raw/")

    doomed = plan(operator, PAST_THE_RETENTION)
    sweep_by(operator, doomed)

    assert doomed.unknown == [f"{LAYOUT.root}somebody"]
    assert foreign in keys(operator)
    assert keys(operator, "raw/") == raw
