"""The CDNOW customers of the literature: 2,357 of them, over 39 weeks of 1997.

The data come with the package Lifetimes, whose code is not used.
"""

from __future__ import annotations

import csv
from datetime import date, datetime
from decimal import Decimal
from importlib.metadata import distribution
from pathlib import Path

import numpy as np

from crmbet.learning.models.gamma_gamma import Spending
from crmbet.learning.models.histories import Histories


def read_histories() -> Histories:
    """x, tx and T of every customer, in weeks."""
    repeats, recency, observed = _columns("cdnow_customers_summary.csv", 1)
    return Histories(repeats, recency, observed, np.ones(len(repeats)))


def read_spending() -> Spending:
    """The repeat buyers and what they spent; dollars."""
    repeats, _, _, mean = _columns("cdnow_customers_summary_with_transactions.csv", 1)
    again = repeats > 0
    return Spending(repeats[again], (repeats * mean)[again], np.ones(int(again.sum())))


def read_purchases(last_day: date) -> list[tuple[str, date, Decimal]]:
    """Customer, day and dollars of every purchase up to a day, free ones too."""
    lines = (line.split() for line in _path("CDNOW_sample.txt").read_text(encoding="ascii").splitlines())
    purchases = [
        (customer, datetime.strptime(day, "%Y%m%d").date(), Decimal(dollars))  # noqa: DTZ007 - days alone
        for _, customer, day, _, dollars in lines
    ]
    return [purchase for purchase in purchases if purchase[1] <= last_day]


def _path(name: str) -> Path:
    (file,) = [file for file in distribution("Lifetimes").files or [] if file.name == name]
    return Path(str(file.locate()))


def _columns(name: str, first: int) -> np.ndarray:
    with _path(name).open(encoding="ascii", newline="") as opened:
        rows = list(csv.reader(opened))[1:]
    return np.array([[float(value) for value in row[first:]] for row in rows]).T
