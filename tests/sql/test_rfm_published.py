"""RFM of the CDNOW customers of the literature: how many of them have each score."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import date
from decimal import Decimal

import duckdb
import pytest

from crmbet.databases.statements import Fragment, identifier, render, statement
from tests.unit.learning.models.cdnow import read_purchases

pytestmark = pytest.mark.sql

LAST_DAY = date(1997, 9, 30)
COUNTS = {
    "recency_score": {1: 614, 2: 567, 3: 589, 4: 587},
    # More than half of the customers bought on one day: the tie has one score, and the next one starts at three.
    "frequency_score": {1: 1411, 3: 439, 4: 507},
    "monetary_score": {1: 590, 2: 590, 3: 588, 4: 589},
}


def test_scores_of_cdnow(engine: duckdb.DuckDBPyConnection) -> None:
    days: dict[tuple[str, int], Decimal] = defaultdict(Decimal)
    for customer, day, dollars in read_purchases(LAST_DAY):
        days[customer, (LAST_DAY - day).days] += dollars
    # Ages in quarters of a day put the 273 days of the period inside of the window of 90, in the same order.
    rows = ", ".join(f"('{customer}', {age} / 4, 1, {money})" for (customer, age), money in days.items())
    engine.execute(
        "CREATE OR REPLACE TEMPORARY TABLE state AS SELECT * "
        f"FROM (VALUES {rows}) AS days(user_id, age, deposits, deposit_sum)"
    )
    engine.execute("CREATE OR REPLACE TEMPORARY TABLE users AS SELECT DISTINCT user_id FROM state")
    engine.execute(statement("features/themes/create_measures"))
    for name in ("depositors", "rfm_quarters"):
        rows = Fragment(statement(f"features/themes/{name}"))
        engine.execute(render("databases/create_table", name=identifier(name), rows=rows))

    scored = engine.sql(statement("features/themes/rfm"))
    found = dict(zip(scored.columns, zip(*scored.fetchall(), strict=True), strict=True))

    assert len(found["user_id"]) == 2357
    assert {name: dict(Counter(found[name])) for name in COUNTS} == COUNTS
