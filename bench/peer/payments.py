"""What a player pays in and takes out, how recently and how often."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.peer.daily import by_user
from bench.peer.measures import first_true, ratio, real6
from crmbet.run.settings import Settings

# fmt: off
SEGMENTS = {
    44: "champions", 43: "loyal", 34: "loyal", 33: "loyal", 42: "potential_loyalist", 32: "potential_loyalist",
    41: "new_customers", 31: "promising", 24: "at_risk", 13: "at_risk", 23: "need_attention", 22: "about_to_sleep",
    21: "about_to_sleep", 14: "cant_lose_them", 12: "hibernating", 11: "lost",
}
# fmt: on
"""Segments by ten times recency plus the mean of frequency and money."""


def sums(days: pd.DataFrame, players: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """Money paid in and out. `players` has registered_age and tenure_days."""
    month, quarter, ever = by_user(days[days["age"] < 30]), by_user(days[days["age"] < 90]), by_user(days)
    deposited, withdrawn = ever["deposit_cents"], ever["withdrawal_cents"]
    with np.errstate(divide="ignore", invalid="ignore"):
        balance = np.minimum(1000, deposited / withdrawn)
    deposits, cents = quarter["deposits"].to_numpy("int64"), quarter["deposit_cents"].to_numpy()
    # Whole cents, with half a cent rounded away from zero.
    ticket = np.where(deposits > 0, (2 * cents + deposits) // np.maximum(2 * deposits, 1), np.nan) / 100
    category = first_true(
        [
            ticket < float(settings.features.ticket_low),
            ticket < float(settings.features.ticket_high),
            ticket > 0,
        ],
        ["baixo", "medio", "alto"],
    )
    deposit_age = days.loc[days["deposits"] > 0, ["user_id", "age"]].groupby("user_id", observed=False)["age"]
    last, first = deposit_age.min(), deposit_age.max()
    return pd.DataFrame(
        {
            "total_transactions": ever["completed"],
            # A player without tenure has no transaction either.
            "frequencia_jogo": real6(quarter["completed"] / players["tenure_days"].fillna(1).clip(1, 90)),
            "deposit_count_30d": month["deposits"],
            "withdrawal_count_30d": month["withdrawals"],
            "deposit_sum_30d": month["deposit_cents"] / 100,
            "deposit_sum_lifetime": deposited / 100,
            "withdrawal_sum_30d": month["withdrawal_cents"] / 100,
            "padrao_deposito": _cadence(days[(days["deposits"] > 0) & (days["age"] < 90)]),
            "padrao_saque": _cadence(days[(days["withdrawals"] > 0) & (days["age"] < 90)]),
            "net_deposit_30d": (month["deposit_cents"] - month["withdrawal_cents"]) / 100,
            "net_deposit_lifetime": (deposited - withdrawn) / 100,
            "balance_ratio": first_true(
                [withdrawn > 0, deposited > 0],
                [real6(balance), np.full(len(balance), 1000.0)],
                otherwise=np.nan,
            ),
            "deposit_share": ratio(deposited, deposited + withdrawn),
            "ticket_medio": ticket,
            "ticket_medio_categoria": category,
            "days_since_last_deposit": last,
            "days_to_first_deposit": (players["registered_age"] - first).clip(lower=0),
        }
    )


def _cadence(days: pd.DataFrame) -> pd.Series:
    """The name of the median gap between days, which come newest first."""
    user = days["user_id"].cat.codes
    gap = days["age"].diff().where(user == user.shift())
    grouped = gap.groupby(days["user_id"], observed=False)
    median, number = grouped.median(), grouped.size()
    names = first_true(
        [number == 0, number == 1, median <= 2, median <= 10, median <= 31],
        ["nenhum", "esporadico", "diario", "semanal", "mensal"],
        otherwise="esporadico",
    )
    return pd.Series(names, index=median.index)


def recency_frequency_money(days: pd.DataFrame) -> pd.DataFrame:
    """Scores and segments of all players who ever deposited."""
    days = days.loc[days["deposits"] > 0, ["user_id", "age", "deposit_cents"]]
    recent = days["age"] < 90
    days = days.assign(recent=recent, cents=days["deposit_cents"].where(recent, 0))
    grouped = days.groupby("user_id", observed=False)
    last, lately = grouped["age"].min(), grouped[["recent", "cents"]].sum()
    depositor = last.notna()
    recency, frequency, money = (
        _quarters(-last[depositor]),
        _quarters(lately["recent"][depositor]),
        _quarters(lately["cents"][depositor]),
    )
    code = recency.astype("str") + frequency.astype("str") + money.astype("str")
    segment = (10 * recency + (frequency + money + 1) // 2).map(SEGMENTS)
    return pd.DataFrame(
        {
            "recency_score": recency.reindex(last.index),
            "frequency_score": frequency.reindex(last.index),
            "monetary_score": money.reindex(last.index),
            "rfm_code": code.reindex(last.index),
            "rfm_segment": segment.reindex(last.index).fillna("prospect"),
        }
    )


def _quarters(values: pd.Series) -> pd.Series:
    """Score 1 (worst) to 4 by how many are strictly worse."""
    worse = values.rank(method="min").astype("int64") - 1
    return (1 + 4 * worse // max(len(values), 1)).clip(upper=4)
