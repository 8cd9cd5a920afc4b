"""What runs cost: what their tasks have used, at the prices of the settings. Everything is computed in decimals.

A run's row holds what was used and no amount. So all runs are compared at the prices of today, and a price that changes
is no jump.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from statistics import median
from typing import Any

from crmbet.metering import Usage
from crmbet.monitoring.outcome import Failure
from crmbet.run.settings import CostSettings
from crmbet.texts import ENGLISH, Texts

READS = frozenset({"get", "head"})
"""Kinds of requests that are charged as reads."""
FREE = frozenset({"delete"})
"""Kinds that S3 does not charge. All others are charged as writes; a listing is one."""
DAYS_A_MONTH = 30
BYTES_A_GB = 2**30
"""S3 charges by this unit."""
USUAL_RUNS, LEAST_RUNS = 30, 5
"""What is usual is the median of so many runs at most, and unknown with fewer than the least."""
TIMES_USUAL = 2
"""A run that costs so many times what is usual leaves a warning."""
TOLD = 3
"""Tasks that the warning names."""
KINDS_OF_RUN = ("dry_run", "validate_only", "full_refresh", "verify_all")
"""Params that change what a run costs. A run is compared only with runs that have the same values of them."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a run costs, in the currency of the prices, without what is kept in the store."""

    tasks: Mapping[str, Decimal]
    """By task. One that reported nothing is left out."""
    themes: Mapping[str, Decimal]
    """Processor time of each theme's statement. It is part of the tasks'."""

    @property
    def total(self) -> Decimal:
        """Of all tasks."""
        return sum(self.tasks.values(), Decimal(0))


def price_usage(usage: Usage, prices: CostSettings) -> Decimal:
    """What one task costs: its processor time, and its requests to S3."""
    reads = sum(count for kind, count in usage.requests.items() if kind in READS)
    writes = sum(count for kind, count in usage.requests.items() if kind not in READS | FREE)
    requests = reads * prices.price_1000_reads + writes * prices.price_1000_writes
    return _price_seconds(usage.cpu_seconds, prices) + requests / 1000


def price_run(tasks: Mapping[str, Mapping[str, Any]], prices: CostSettings) -> Cost | None:
    """What a run costs, from the tasks of its row. None if no task has told what it used, as in rows of old."""
    used = usage_of(tasks)
    if not used:
        return None
    themes: dict[str, Decimal] = defaultdict(Decimal)
    for usage in used.values():
        for theme, seconds in usage.themes.items():
            themes[theme] += _price_seconds(seconds, prices)
    return Cost(tasks={name: price_usage(usage, prices) for name, usage in used.items()}, themes=dict(themes))


def usage_of(tasks: Mapping[str, Mapping[str, Any]]) -> dict[str, Usage]:
    """What each task of a run's row has used, if it told."""
    return {
        name: Usage.model_validate(outcome["usage"])
        for name, outcome in tasks.items()
        if outcome.get("usage") is not None
    }


def price_month(run: Decimal, store_bytes: int | None, prices: CostSettings) -> Decimal:
    """What a month of such daily runs costs, with what is kept in the store if that is known."""
    return DAYS_A_MONTH * run + price_storage(store_bytes or 0, prices)


def price_storage(size: int, prices: CostSettings) -> Decimal:
    """What keeping so many bytes for a month costs."""
    return Decimal(size) / BYTES_A_GB * prices.price_gb_month


@dataclass(frozen=True, kw_only=True)
class Usual:
    """What runs have cost: medians. Those of tasks do not add up to that of whole runs."""

    total: Decimal
    tasks: Mapping[str, Decimal]


def usual_cost(
    run: Mapping[str, Any], others: Iterable[Mapping[str, Any]], prices: CostSettings
) -> Usual | None:
    """What runs like this one have cost before it; None if there are too few. All are rows of runs.

    Of each as_of the first good run counts, because a later one finds nearly everything made.
    """
    firsts: dict[Any, Mapping[str, Any]] = {}
    for other in sorted(others, key=lambda row: row["ended_at"]):
        is_earlier = other["ended_at"] < run["ended_at"] and other["execution_id"] != run["execution_id"]
        if is_earlier and _kind(other) == _kind(run) and is_priced(other):
            firsts.setdefault(other["as_of_date"], other)
    newest = list(firsts.values())[-USUAL_RUNS:]
    costs = [cost for row in newest if (cost := price_run(row["tasks"], prices))]
    if len(costs) < LEAST_RUNS:
        return None
    by_task = defaultdict(list)
    for cost in costs:
        for task, amount in cost.tasks.items():
            by_task[task].append(amount)
    return Usual(
        total=median(cost.total for cost in costs),
        tasks={task: median(amounts) for task, amounts in by_task.items()},
    )


def describe_cost(
    cost: Cost, usual: Usual | None, prices: CostSettings, say: Texts = ENGLISH
) -> tuple[list[str], Failure] | None:
    """What is to be told of a run that costs twice its usual, and its tasks, the one that has grown most first.

    None if it does not, or if nobody knows what is usual.
    """
    if usual is None or not usual.total or cost.total < TIMES_USUAL * usual.total:
        return None

    def grown(task: str) -> Decimal:
        return cost.tasks[task] - usual.tasks.get(task, Decimal(0))

    def money(amount: Decimal) -> str:
        return say.figure(f"{amount:.2g}" if amount < 1 else f"{amount:,.2f}") + f" {prices.price_currency}"

    tasks = sorted(cost.tasks, key=grown, reverse=True)
    told = [
        say(
            "{task} {now}, usually {then}",
            task=task,
            now=money(cost.tasks[task]),
            then=money(usual.tasks.get(task, Decimal(0))),
        )
        for task in tasks[:TOLD]
        if grown(task) > 0
    ]
    failure = Failure(
        kind="CostJump",
        what=say(
            "the run has cost {now}, {times} times its usual {then}",
            now=money(cost.total),
            times=say.figure(f"{cost.total / usual.total:.1f}"),
            then=money(usual.total),
        ),
        why="; ".join(told),
        next_step=say(
            "look at the cost by task on the monitoring page, and compare the run with the one before: more data, late "
            "days made again, and failed tries cost"
        ),
    )
    return tasks, failure


def _price_seconds(seconds: float, prices: CostSettings) -> Decimal:
    return Decimal(str(seconds)) / 3600 * prices.price_vcpu_hour


def is_priced(row: Mapping[str, Any]) -> bool:
    """Whether a run was good and has told what it used."""
    used = (outcome.get("usage") for outcome in row["tasks"].values())
    return row["state"] == "success" and any(usage is not None for usage in used)


def _kind(row: Mapping[str, Any]) -> tuple[bool, ...]:
    return (row["run_type"] == "backfill", *(bool(row["params"].get(name)) for name in KINDS_OF_RUN))
