"""Real purchases through the whole DAG: the CDNOW customers, who bought compact discs in 1997 and 1998.

The data come with the package Lifetimes, whose code is not used. A purchase becomes a completed deposit at noon UTC.
"""

from __future__ import annotations

import io
import json
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import psycopg2
import pyarrow.parquet as pq
import pytest

from crmbet.clean.records import CleanManifest
from crmbet.extract.records import ExtractManifest
from crmbet.load.records import LoadManifest
from crmbet.quality.records import QualityManifest

# A whole run over 70,000 purchases takes the better part of a minute.
pytestmark = [pytest.mark.integration, pytest.mark.full]

CREATE_TABLE = """
CREATE TABLE tbl_transactions (
    transaction_id UUID PRIMARY KEY,
    user_id VARCHAR(50) NOT NULL,
    amount DECIMAL(10,2) NOT NULL,
    transaction_type VARCHAR(20) NOT NULL,
    status VARCHAR(20) NOT NULL,
    created_at TIMESTAMP NOT NULL
)
"""
CUSTOMERS = 23_570
PURCHASES = 69_659
FREE_PURCHASES = 80
"""Purchases of 0.00: a transaction is above 0, so they are no deposits."""


@dataclass(frozen=True)
class Shop:
    """The purchases, and a run over all of them."""

    purchases: list[tuple[str, str, Decimal]]
    """Customer, day as 19970101, dollars."""
    operator: Any
    run: Any


def read_purchases() -> list[tuple[str, str, Decimal]]:
    files = distribution("Lifetimes").files or []
    (master,) = [file for file in files if file.name == "CDNOW_master.txt"]
    lines = Path(str(master.locate())).read_text(encoding="ascii").splitlines()
    fields = [line.split() for line in lines[1:] if line.strip()]
    return [(customer, day, Decimal(dollars)) for customer, day, _, dollars in fields]


@pytest.fixture(scope="module")
def shop(open_operator: Callable[..., Any]) -> Shop:
    operator = open_operator()
    purchases = read_purchases()
    rows = "".join(
        f"{uuid.UUID(int=number)},{customer},{dollars},deposit,completed,{day} 12:00:00\n"
        for number, (customer, day, dollars) in enumerate(purchases)
    )
    with (
        closing(psycopg2.connect(operator.source_url)) as connection,
        connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(CREATE_TABLE)
        cursor.copy_expert("COPY tbl_transactions FROM STDIN (FORMAT csv)", io.StringIO(rows))
    customers = sorted({customer for customer, _, _ in purchases})
    operator.store.write("raw/players/dt=1998-06-30/players.csv", "\n".join(["user_id", *customers]).encode())
    # Nobody bets in a record shop: the feed is there, with a header alone.
    operator.store.write("raw/bets/dt=1998-06-30/bets.csv", b"bet_id,user_id,placed_at,game_type,stake\n")
    # Without a row, the bets cannot pass what is asked of a day, so breaches are reported and not enforced;
    # test_only_the_empty_feed_breaches_the_gates asks for the rest.
    run = operator.run(logical_date=None, run_conf={"as_of": "1998-07-01", "fail_on": []})
    return Shop(purchases, operator, run)


def test_the_data_are_those_of_the_literature(shop: Shop) -> None:
    assert len(shop.purchases) == PURCHASES
    assert len({customer for customer, _, _ in shop.purchases}) == CUSTOMERS
    assert sum(dollars == 0 for _, _, dollars in shop.purchases) == FREE_PURCHASES
    assert (min(day for _, day, _ in shop.purchases), max(day for _, day, _ in shop.purchases)) == (
        "19970101",
        "19980630",
    )


def test_the_run_succeeds(shop: Shop) -> None:
    assert set(shop.run.states.values()) == {"success"}


def test_every_purchase_is_a_deposit_or_in_quarantine(shop: Shop) -> None:
    extracted = shop.run.manifest("extract_pg", ExtractManifest).sources["transactions"]
    cleaned = shop.run.manifest("clean", CleanManifest).sources["transactions"]

    assert extracted.extracted == PURCHASES
    assert cleaned.quarantined == {"amount: not above the minimum": FREE_PURCHASES}
    assert (cleaned.accepted, cleaned.duplicates, cleaned.outside) == (PURCHASES - FREE_PURCHASES, 0, {})


def test_money_is_equal_to_the_cent_for_every_customer(shop: Shop) -> None:
    spent: dict[str, Decimal] = defaultdict(Decimal)
    for customer, _, dollars in shop.purchases:
        if dollars:
            spent[customer] += dollars
    days = shop.run.manifest("clean", CleanManifest).sources["transactions"].days
    cleaned: dict[str, Decimal] = defaultdict(Decimal)
    for content in shop.operator.store.read_all(key for day in days for key in day.files).values():
        rows = pq.read_table(io.BytesIO(content), columns=["user_id", "amount"])
        for customer, amount in zip(*rows.to_pydict().values(), strict=True):
            cleaned[customer] += amount

    assert cleaned == spent
    assert sum(cleaned.values()) == Decimal("2500315.63")


def test_every_customer_has_one_row_with_all_purchases(shop: Shop) -> None:
    counted = Counter(customer for customer, _, dollars in shop.purchases if dollars)
    customers = {customer for customer, _, _ in shop.purchases}

    rows = shop.operator.query("SELECT user_id, total_transactions FROM ml_features.user_features")

    assert len(rows) == CUSTOMERS == shop.run.manifest("load_merge", LoadManifest).inserted
    assert dict(rows) == {customer: counted[customer] for customer in customers}


def test_who_only_pays_in_has_the_ratio_that_stands_for_it(shop: Shop) -> None:
    rows = shop.operator.query(
        """
        SELECT total_transactions > 0, balance_ratio, rfm_segment = 'prospect', count(*)
        FROM ml_features.user_features
        GROUP BY 1, 2, 3
        """
    )

    never = {customer for customer, _, _ in shop.purchases} - {
        c for c, _, dollars in shop.purchases if dollars
    }
    assert sorted(rows, key=str) == sorted(
        [(True, 1000.0, False, CUSTOMERS - len(never)), (False, None, True, len(never))], key=str
    )
    assert never, "some had nothing but free discs"


def test_only_the_empty_feed_breaches_the_gates(shop: Shop) -> None:
    failed = set()
    for task in ("validate_raw", "validate"):
        address = shop.run.manifest(task, QualityManifest).report_json
        report = json.loads(shop.operator.store.read(address.removeprefix(shop.operator.store.url(""))))
        for check in report["checks"]:
            failed |= {each["view"] for each in check["expectations"] if not each["passed"]}

    # Without bets a good half of the features is empty, and the rest says much the same.
    assert failed == {"raw_bets", "feature_profile", "feature_set", "feature_pairs"}
