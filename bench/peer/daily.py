"""Sums by player and day, for themes by day. They have far fewer rows than the events."""

from __future__ import annotations

import numpy as np
import pandas as pd

KEY = ["user_id", "age"]
RATE_UNITS = 10**9
"""A rate has nine decimals."""


def lifetime_days(bets: pd.DataFrame) -> pd.DataFrame:
    """All bet days, newest first, with bets and what the house won."""
    won = (bets["stake"] - bets["payout"]).fillna(0).astype("int64")
    return bets[KEY].assign(bets=1, ggr=won).groupby(KEY, observed=True).sum().reset_index()


def recent_days(bets: pd.DataFrame) -> pd.DataFrame:
    """Days of the bets of the last 90 days, with sums of units and counts."""
    settled = bets["payout"].notna()
    house = np.rint((1 - bets["rtp"].fillna(1)) * RATE_UNITS).astype("int64")
    sums = bets[KEY].assign(
        bets=1,
        stake=bets["stake"],
        square=bets["stake"].astype("float64") ** 2,
        settled=settled,
        ggr=(bets["stake"] - bets["payout"]).fillna(0).astype("int64"),
        wins=bets["payout"] > bets["stake"],
        rated=bets["rtp"].notna(),
        theoretical_loss=bets["stake"] * house,
        known_stake=bets["stake"].where(bets["is_bonus"].notna(), 0),
        bonus_stake=bets["stake"].where(bets["is_bonus"].fillna(False).astype(bool), 0),
    )
    return sums.groupby(KEY, observed=True).sum().reset_index()


def payment_days(transactions: pd.DataFrame) -> pd.DataFrame:
    """Days with a transaction of any state, newest first, with counts and sums of cents by kind."""
    kind, status = transactions["transaction_type"], transactions["status"]
    completed = status == "completed"
    deposited, withdrawn = completed & (kind == "deposit"), completed & (kind == "withdrawal")
    sums = transactions[KEY].assign(
        completed=completed,
        deposits=deposited,
        withdrawals=withdrawn,
        moves=deposited | withdrawn | (completed & (kind == "bet")),
        declined=(status == "failed") & (kind == "deposit"),
        cancelled=(status == "cancelled") & (kind == "withdrawal"),
        deposit_cents=transactions["cents"].where(deposited, 0),
        withdrawal_cents=transactions["cents"].where(withdrawn, 0),
    )
    return sums.groupby(KEY, observed=True).sum().reset_index()


def by_user(rows: pd.DataFrame) -> pd.DataFrame:
    """Sums of a frame of days by player; every player has a row."""
    return rows.drop(columns="age").groupby("user_id", observed=False).sum()
