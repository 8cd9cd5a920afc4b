"""What runs cost, against amounts that were computed by hand, and when a cost is told."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from crmbet.metering import Usage
from crmbet.monitoring.costs import describe_cost, price_month, price_run, price_usage, usual_cost
from crmbet.monitoring.page.costs import summarise_costs
from crmbet.run.settings import CostSettings

pytestmark = pytest.mark.unit

PRICES = CostSettings(
    price_currency="BRL",
    price_vcpu_hour=Decimal("0.36"),
    price_gb_month=Decimal("0.10"),
    price_1000_reads=Decimal("0.5"),
    price_1000_writes=Decimal(5),
)
"""A second costs 0.0001, a read 0.0005 and a write 0.005."""
FIRST = date(2026, 8, 1)


def row(number: int, seconds: float, **changes: Any) -> dict[str, Any]:
    """The run of a day whose one task has computed so long."""
    usage = Usage(cpu_seconds=seconds).model_dump()
    made = {
        "execution_id": f"run {number}",
        "run_type": "scheduled",
        "as_of_date": FIRST + timedelta(number),
        "ended_at": datetime(2026, 8, 1, 6, tzinfo=UTC) + timedelta(number),
        "state": "success",
        "params": {},
        "records_transformed": 2_000,
        "store_bytes": 2**31,
        "tasks": {"clean": {"state": "success", "usage": usage}},
    }
    return made | changes


def test_a_task_costs_its_seconds_and_its_requests() -> None:
    used = Usage(cpu_seconds=90, requests={"get": 3, "head": 1, "list": 2, "put": 4, "part": 3, "delete": 9})

    assert price_usage(used, PRICES) == Decimal("0.009") + 4 * Decimal("0.0005") + 9 * Decimal("0.005")


def test_a_run_costs_its_tasks_and_says_what_part_of_it_a_theme_is() -> None:
    cost = price_run(
        {
            "clean": {"usage": {"cpu_seconds": 10}},
            "engineer_features": {"usage": {"cpu_seconds": 40, "themes": {"rfm": 10, "games": 5}}},
            "load_merge": {"state": "skipped"},
        },
        PRICES,
    )

    assert cost is not None
    assert cost.total == Decimal("0.005")
    assert cost.themes == {"rfm": Decimal("0.001"), "games": Decimal("0.0005")}


def test_a_month_is_thirty_runs_and_what_is_kept() -> None:
    assert price_month(Decimal("0.02"), 3 * 2**30, PRICES) == Decimal("0.9")
    assert price_month(Decimal("0.02"), None, PRICES) == Decimal("0.6")


def test_a_row_of_an_earlier_release_has_no_cost() -> None:
    assert price_run({"clean": {"state": "success"}}, PRICES) is None


@pytest.mark.parametrize(("seconds", "is_told"), [(199, False), (200, True)])
def test_twice_the_usual_is_told(seconds: float, is_told: bool) -> None:
    run = row(9, seconds)
    usual = usual_cost(run, [row(number, took) for number, took in enumerate([1, 90, 100, 110, 900])], PRICES)
    cost = price_run(run["tasks"], PRICES)

    assert cost is not None
    assert usual is not None
    assert usual.total == Decimal("0.01"), (
        "the usual cost is a median, so one expensive run does not change it"
    )
    told = describe_cost(cost, usual, PRICES)
    assert (told is not None) == is_told
    if told:
        tasks, failure = told
        assert tasks == ["clean"]
        assert failure.kind == "CostJump"
        assert failure.what == "the run has cost 0.020 BRL, 2.0 times its usual 0.010 BRL"
        assert failure.why == "clean 0.020 BRL, usually 0.010 BRL"


def test_with_few_runs_nothing_is_usual() -> None:
    run = row(9, 1_000)
    four = [row(number, 1) for number in range(4)]

    assert usual_cost(run, [*four, run], PRICES) is None
    assert usual_cost(run, [*four, row(4, 1)], PRICES) is not None


def test_only_earlier_runs_of_the_same_kind_count_and_of_a_day_the_first() -> None:
    run = row(9, 100)
    others = [row(number, 100) for number in range(5)]
    # The same days again, later and with nothing left to do.
    unlike = [
        row(number, 1, execution_id=f"again {number}", ended_at=run["ended_at"] - timedelta(hours=1))
        for number in range(5)
    ]
    unlike += [
        row(5, 1, state="failed"),
        row(6, 1, params={"full_refresh": True}),
        row(7, 1, run_type="backfill"),
        row(8, 1, tasks={"clean": {"state": "success"}}),
        row(10, 1),
    ]

    usual = usual_cost(run, [*unlike, *others], PRICES)

    assert usual is not None
    assert usual.total == Decimal("0.01")


def test_the_page_has_the_good_run_of_the_newest_day() -> None:
    rows = [row(9, 7, state="failed"), row(8, 7, params={"dry_run": True}), row(7, 100)]
    rows += [row(number, 50) for number in reversed(range(6))]
    # An old day that was run again after all of them.
    rows.insert(0, row(3, 1, execution_id="an old day again"))

    shown = summarise_costs(rows, PRICES)

    assert (shown["run"], shown["total"], shown["usual"]) == ("run 7", 0.01, 0.005)
    assert shown["month"] == pytest.approx(30 * 0.005 + 0.2)
    assert shown["thousand_players"] == pytest.approx(shown["month"] / 2)
    assert shown["tasks"]["clean"]["cpu_seconds"] == 100
    assert summarise_costs([], PRICES).keys() == {"currency", "prices"}
