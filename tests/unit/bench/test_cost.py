"""The arithmetic of what other sizes would cost."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import cost
from bench.cost import Fleet, Line, Prices, Step, estimate, most_bets_of_one_worker, workers_for
from local.workspace import PROJECT

pytestmark = pytest.mark.unit

FLEET = Fleet(threads=2, busy=0.5, task_seconds=0)
"""A worker that does a second of processor time in a second."""
PRICES = Prices(core_hour=1, thousand_writes=1, thousand_reads=0.1, gigabyte_month=1)
STEP = Step(cpu=Line(200, 800), writes=Line(30, 90), reads=Line(1000, 1000))
"""100 s and 10 writes for each million bets, beside 10 writes and 1,000 reads at any size."""
STEPS = {"clean": STEP}


@pytest.fixture(autouse=True)
def constants(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the worked examples, and not what was measured last."""
    monkeypatch.setattr(cost, "TIMES_IN_PARTS", 1.25)
    monkeypatch.setattr(cost, "ALONE_A_PLAYER", 0.01)


def test_line_goes_through_both_sizes() -> None:
    line = Line(30, 90)

    assert [line.at(2e6), line.at(8e6), line.at(100e6)] == pytest.approx([30, 90, 1010])
    assert line.at(2e6, times_fixed=5) == pytest.approx(10 * 5 + 20)


def test_line_that_falls_is_flat() -> None:
    assert Line(9, 8).at(1e9) == 9


def test_one_worker_does_all_without_parts() -> None:
    run = estimate(STEPS, 36e6, 1, FLEET, PRICES)

    assert run.hours == pytest.approx(1)
    assert run.cpu_hours == pytest.approx({"clean": 1})
    assert (run.writes, run.reads) == pytest.approx((370, 1000))
    assert run.euros == pytest.approx(2 + 0.37 + 0.1)


def test_several_workers_share_all_but_the_last_step() -> None:
    run = estimate(STEPS, 36e6, 9, FLEET, PRICES)

    # 1.25 hours of processor time: an eighth of an hour alone for 45,000 players, and the rest by nine workers.
    assert run.hours == pytest.approx(0.125 + 1.125 / 9)
    assert run.cpu_hours == pytest.approx({"clean": 1.25})
    # Nine parts and the step itself find out what is there.
    assert (run.writes, run.reads) == pytest.approx((360 + 10 * 10, 10 * 1000))


def test_time_that_tasks_take_to_begin_is_spent_once_for_each() -> None:
    slow = Fleet(threads=2, busy=0.5, task_seconds=300)

    assert estimate(STEPS, 36e6, 1, slow, PRICES).hours == pytest.approx(1 + 14 / 12)
    assert workers_for(STEPS, 36e6, 0.9, slow) is None


def test_workers_that_are_needed() -> None:
    assert workers_for(STEPS, 36e6, 1, FLEET) == 1
    assert workers_for(STEPS, 36e6, 0.25, FLEET) == 9
    assert workers_for(STEPS, 36e6, 0.125, FLEET) is None


def test_most_bets_of_one_worker() -> None:
    assert most_bets_of_one_worker(STEPS, 1, FLEET) == pytest.approx(36e6)
    assert most_bets_of_one_worker(STEPS, 1, Fleet(threads=2, busy=0.5, task_seconds=300)) == 0


@given(st.floats(1e5, 1e11), st.floats(0.01, 100))
def test_fewest_workers_that_are_in_time(bets: float, hours: float) -> None:
    workers = workers_for(STEPS, bets, hours, FLEET)

    if workers is None:
        assert estimate(STEPS, bets, 10**9, FLEET, PRICES).hours > hours * 0.999
        return
    assert estimate(STEPS, bets, workers, FLEET, PRICES).hours <= hours * 1.001
    if workers > 2:
        assert estimate(STEPS, bets, workers - 1, FLEET, PRICES).hours > hours * 0.999


def test_every_step_was_measured() -> None:
    from bench.steps import STEPS as MEASURED

    for steps in (cost.FIRST_RUN, cost.ONE_DAY):
        assert tuple(steps) == MEASURED
        assert all(step.cpu.slope >= 0 < step.cpu.small for step in steps.values())


def test_command_prints_sizes_and_assumptions() -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "bench.cost", "--millions", "100", "10000", "--core-hour", "0.07"],
        cwd=PROJECT,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout

    assert "an hour of a thread costs 0.07 euros" in printed
    assert "100,000,000 bets" in printed
    assert "10,000,000,000 bets" in printed
