"""Which baseline a run is compared with, and what it adds to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from crmbet.quality.measures.baselines import ANY_DAY, find_baselines, freeze
from crmbet.quality.measures.profile import Profile
from crmbet.run.params import RunParams
from crmbet.run.run import Run
from crmbet.run.settings import Settings
from crmbet.run.window import Window, midnight

pytestmark = pytest.mark.unit

SETTINGS = Settings(lake_bucket="lake")
MONDAY = date(2026, 11, 23)


class MemoryStore:
    """A bucket in memory."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def url(self, key: str) -> str:
        return key

    def list(self, prefix: str) -> Iterator[Any]:
        return (SimpleNamespace(key=key) for key in sorted(self.objects) if key.startswith(prefix))

    def read_all(self, keys: Iterable[str]) -> dict[str, bytes]:
        return {key: self.objects[key] for key in keys}

    def write(self, key: str, content: bytes) -> None:
        assert SETTINGS.brand in key
        self.objects[key] = content


def run_of(as_of: date, *, refresh: bool = False) -> Run:
    return Run(
        run_id=f"manual__{as_of}",
        window=Window(as_of_date=as_of, as_of=midnight(as_of, SETTINGS.zone)),
        known_at=datetime(2027, 1, 1, tzinfo=UTC),
        params=RunParams(refresh_baseline=refresh),
        settings=SETTINGS,
    )


def profile(units: int) -> dict[str, Profile]:
    return {"user_features": Profile(units=units, columns={})}


@pytest.fixture
def store() -> Any:
    return MemoryStore()


def pass_run(store: Any, as_of: date, units: int, *, refresh: bool = False) -> int | None:
    """A run of the features stage that passes; the units of what it was compared with."""
    run = run_of(as_of, refresh=refresh)
    found = find_baselines(store, run, "features")
    if found.grows:
        weekday = str(run.window.last_day.weekday())
        freeze(
            store, run, "features", found,
            {weekday: profile(units), **({} if found.frozen else {ANY_DAY: profile(units)})},
        )  # fmt: skip
    return found.profiles["user_features"].units if found.profiles else None


def test_the_first_run_begins_a_baseline_which_the_week_completes_and_nobody_changes(store: Any) -> None:
    assert pass_run(store, MONDAY, 1) is None
    assert [pass_run(store, MONDAY + timedelta(days=day), 1 + day) for day in range(1, 7)] == [1] * 6
    assert len(store.objects) == 7
    # From then on each weekday has its own, for ever.
    for week in (1, 2, 30):
        days = [MONDAY + timedelta(weeks=week, days=day) for day in range(7)]
        assert [pass_run(store, day, 99) for day in days] == [1, 2, 3, 4, 5, 6, 7]
    assert len(store.objects) == 7


def test_a_run_again_is_compared_with_the_same(store: Any) -> None:
    pass_run(store, MONDAY, 1)
    assert pass_run(store, MONDAY, 2) == 1
    assert len(store.objects) == 1


def test_a_refresh_begins_a_new_baseline_for_later_runs_and_not_for_earlier_ones(store: Any) -> None:
    pass_run(store, MONDAY, 1)
    later = MONDAY + timedelta(days=40)
    assert pass_run(store, later, 2, refresh=True) is None
    assert pass_run(store, later + timedelta(days=1), 3) == 2
    assert pass_run(store, MONDAY + timedelta(days=39), 3) == 1


def test_a_backfill_from_before_the_first_baseline_is_compared_with_none_and_begins_none(store: Any) -> None:
    pass_run(store, MONDAY, 1)
    for earlier in (MONDAY - timedelta(days=100), MONDAY - timedelta(days=99), MONDAY - timedelta(days=1)):
        assert pass_run(store, earlier, 2) is None
    assert len(store.objects) == 1
    found = find_baselines(store, run_of(MONDAY - timedelta(days=1)), "features")
    assert found.note() == "Baseline: none is as old as this run, which freezes none."
    assert found.why_none == "no baseline is as old as this run: nothing compared"
    # A person may want one.
    assert pass_run(store, MONDAY - timedelta(days=100), 3, refresh=True) is None
    assert pass_run(store, MONDAY - timedelta(days=99), 4) == 3
    # Runs after the first baseline are compared with it as before.
    assert pass_run(store, MONDAY, 50) == 1


def test_stages_have_baselines_of_their_own(store: Any) -> None:
    pass_run(store, MONDAY, 1)
    assert find_baselines(store, run_of(MONDAY), "raw").frozen is None


def test_the_report_says_which_baseline_a_run_was_compared_with(store: Any) -> None:
    first = find_baselines(store, run_of(MONDAY), "features")
    assert first.note() == "Baseline: none yet. The figures of this run are frozen if it passes."
    assert first.why_none == "no baseline yet: nothing compared"
    pass_run(store, MONDAY, 1)
    second = find_baselines(store, run_of(MONDAY), "features")
    assert second.note() == "Baseline: frozen as of 2026-11-23."
    assert second.why_none is None
    renewed = find_baselines(store, run_of(MONDAY, refresh=True), "features")
    assert renewed.why_none == "a new baseline begins: nothing compared"
