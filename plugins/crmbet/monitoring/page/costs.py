"""What the good run of the newest as_of has cost, as the page shows it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from crmbet.monitoring.costs import (
    KINDS_OF_RUN,
    is_priced,
    price_month,
    price_run,
    price_storage,
    usage_of,
    usual_cost,
)
from crmbet.run.settings import CostSettings


def summarise_costs(rows: Sequence[Mapping[str, Any]], prices: CostSettings) -> dict[str, Any]:
    """The prices, and what the good run of the newest as_of has cost. `rows` are runs of one DAG, newest first.

    Trials and runs that build everything again count only if there is no other. Amounts are in the currency of the
    prices. Without a run that has told what it used, there are the prices alone.
    """
    told = {"currency": prices.price_currency, "prices": _numbers(prices)}
    good = [row for row in rows if is_priced(row)]
    usual_runs = [row for row in good if not any(row["params"].get(name) for name in KINDS_OF_RUN)]
    # A day of the past that was run again says nothing of what today has cost.
    row = max(usual_runs or good, key=lambda one: one["as_of_date"], default=None)
    cost = price_run(row["tasks"], prices) if row else None
    if row is None or cost is None:
        return told
    usual = usual_cost(row, rows, prices)
    # A row of an earlier release does not have it.
    kept = row.get("store_bytes")
    month = price_month(usual.total if usual else cost.total, kept, prices)
    players = row["records_transformed"]
    seconds: dict[str, float] = defaultdict(float)
    for usage in usage_of(row["tasks"]).values():
        for theme, took in usage.themes.items():
            seconds[theme] += took
    return told | {
        "run": row["execution_id"],
        "as_of": row["as_of_date"].isoformat() if row["as_of_date"] else None,
        "total": float(cost.total),
        "usual": float(usual.total) if usual else None,
        "month": float(month),
        "thousand_players": float(month / players * 1000) if players else None,
        "players": players,
        "store_bytes": kept,
        "storage": float(price_storage(kept, prices)) if kept is not None else None,
        "tasks": {
            name: usage.model_dump(exclude={"themes"}) | {"cost": float(cost.tasks[name])}
            for name, usage in usage_of(row["tasks"]).items()
        },
        "themes": {name: [round(took, 3), float(cost.themes[name])] for name, took in seconds.items()},
    }


def _numbers(prices: CostSettings) -> dict[str, float]:
    return {name: float(price) for name, price in prices.model_dump(exclude={"price_currency"}).items()}
