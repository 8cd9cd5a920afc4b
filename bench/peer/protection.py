"""Markers for responsible gambling, the score made of them, and whom a campaign may address."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.peer.clock import Clock
from bench.peer.daily import by_user
from bench.peer.measures import UNITS, first_true, money, ratio, real6
from crmbet.run.settings import Settings

MARKERS = {
    "cancelled_withdrawals": "rg_cancelled_withdrawals_30d",
    "declined_deposits": "rg_declined_deposits_30d",
    "depletion_rate": "rg_depletion_rate_30d",
    "deposits_per_session": "rg_deposits_per_session_30d",
    "frequency": "rg_frequency_30d",
    "intensity": "rg_intensity_30d",
    "loss_chasing": "rg_loss_chasing_30d",
    "max_daily_loss": "rg_max_daily_loss_30d",
    "trajectory": "rg_trajectory_30d",
    "variability": "rg_variability_30d",
}
"""In alphabetical order. The peer has no feed of limits."""
EXCLUSION = "self_exclusion"


def play(days: pd.DataFrame, payments: pd.DataFrame) -> pd.DataFrame:
    """Markers of the last 30 days of bets and payments."""
    days = days.loc[days["age"] < 30, ["user_id", "age", "bets", "stake", "ggr"]]
    number = 30 - days["age"].astype("int64")
    level = np.log1p(days["stake"] / UNITS / days["bets"])
    grouped = days.assign(n=1, x=number, xx=number * number, y=level, xy=number * level)
    sums = by_user(grouped)
    n, x, xx, y, xy = (sums[name].to_numpy("float64") for name in ("n", "x", "xx", "y", "xy"))
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = (n * xy - x * y) / (n * xx - x * x)
    loss = days.groupby("user_id", observed=False)["ggr"].max().fillna(0).clip(lower=0).astype("int64")
    month = by_user(payments[payments["age"] < 30])
    return pd.DataFrame(
        {
            "rg_frequency_30d": real6(sums["n"] / 30),
            "rg_intensity_30d": ratio(sums["bets"], n),
            "rg_trajectory_30d": real6(np.where(n >= 5, slope, np.nan)),
            "rg_max_daily_loss_30d": money(loss),
            "rg_declined_deposits_30d": month["declined"],
            "rg_cancelled_withdrawals_30d": month["cancelled"],
        }
    )


def sessions(found: pd.DataFrame, transactions: pd.DataFrame) -> pd.DataFrame:
    """Markers of the sessions of 30 days, which are in order by player and time."""
    loss = found["settled_stake"] - found["payout"]
    following = found.shift(-1)
    pair = (found["user_id"].cat.codes == found["user_id"].cat.codes.shift(-1)) & (
        following["started_at"] - found["ended_at"] <= pd.Timedelta(hours=24)
    )
    higher = following["stake"] * found["bets"] > found["stake"] * following["bets"]
    lost, won = pair & (loss > 0), pair & (loss < 0)
    told = found["last_balance"].notna()
    sums = (
        found[["user_id"]]
        .assign(
            n=1,
            s=found["stake"].astype("float64"),
            q=found["stake"].astype("float64") ** 2,
            told=told,
            depleted=told & (found["last_balance"] < found["last_stake"]),
            lost=lost,
            won=won,
            higher_after_loss=lost & higher,
            higher_after_win=won & higher,
        )
        .groupby("user_id", observed=False)
        .sum()
    )
    n, s, q = (sums[name].to_numpy("float64") for name in ("n", "s", "q"))
    with np.errstate(divide="ignore", invalid="ignore"):
        deviation = np.sqrt(np.maximum(0, n * q - s * s) / (n * (n - 1))) / UNITS
        chasing = sums["higher_after_loss"] / sums["lost"] - sums["higher_after_win"] / sums["won"]
    return pd.DataFrame(
        {
            "rg_variability_30d": real6(np.where(n >= 2, deviation, np.nan)),
            "rg_deposits_per_session_30d": ratio(_deposits_inside(found, transactions), n),
            "rg_loss_chasing_30d": real6(chasing.where((sums["lost"] >= 5) & (sums["won"] >= 5))),
            "rg_depletion_rate_30d": ratio(sums["depleted"], sums["told"]),
        }
    )


def _deposits_inside(found: pd.DataFrame, transactions: pd.DataFrame) -> pd.Series:
    """Completed deposits of 30 days inside a session, by player."""
    is_deposit = (transactions["status"] == "completed") & (transactions["transaction_type"] == "deposit")
    deposits = transactions.loc[is_deposit & (transactions["age"] < 30), ["user_id", "created_at"]]
    last_before = pd.merge_asof(
        deposits.sort_values("created_at"),
        found[["user_id", "started_at", "ended_at"]].sort_values("started_at"),
        by="user_id",
        left_on="created_at",
        right_on="started_at",
    )
    inside = last_before["created_at"] <= last_before["ended_at"]
    return inside.groupby(last_before["user_id"], observed=False).sum()


def exclusion(players: pd.DataFrame, clock: Clock) -> pd.DataFrame:
    """Self-exclusions and bans, from the list of players."""
    until = players["self_excluded_until"]
    return pd.DataFrame(
        {
            "rg_self_exclusion_status": first_true(
                [until > clock.as_of, until.notna()], ["active", "past"], otherwise="none"
            ),
            "rg_prohibited_flag": players["prohibited"],
        },
        index=players.index,
    )


def markers(features: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """The markers that players show. Each cut-off is the 95th percentile among players of the last 30 days."""
    cohort = features["active_days_30d"] > 0
    values = features[list(MARKERS.values())].set_axis(list(MARKERS), axis=1).astype("float64")
    judged = values[cohort]
    thresholds = judged.quantile(0.95).where(judged.count() >= settings.responsible_gambling.rg_min_cohort)
    shown = (values >= thresholds) & (values > 0)
    shown[EXCLUSION] = features["rg_self_exclusion_status"] == "active"
    score = ratio(shown.sum(axis=1), thresholds.notna().sum() + shown[EXCLUSION])
    return pd.DataFrame(
        {
            "rg_markers_triggered": _lists(shown[sorted(shown.columns)]),
            "rg_risk_score": score,
            "rg_risk_band": first_true(
                [
                    score >= settings.responsible_gambling.rg_band_high,
                    score >= settings.responsible_gambling.rg_band_medium,
                    score >= 0,
                ],
                ["high", "medium", "low"],
            ),
        },
        index=features.index,
    )


def _lists(shown: pd.DataFrame) -> pd.Series:
    """The names of the columns that are true, by row; few combinations occur."""
    names = shown.columns.to_numpy()
    codes = shown.to_numpy() @ (1 << np.arange(len(names)))
    combinations = {
        code: [name for place, name in enumerate(names) if code >> place & 1] for code in np.unique(codes)
    }
    return pd.Series(codes, index=shown.index).map(combinations)


def marketing(
    features: pd.DataFrame, players: pd.DataFrame, clock: Clock, settings: Settings
) -> pd.DataFrame:
    """Whom a campaign may address. An unknown consent or age means no."""
    allowed = players["canais_permitidos"].str.len().gt(0) & (
        players["birth_date"] <= clock.born_by(settings.features.adult_age)
    )
    allowed &= features["rg_self_exclusion_status"] != "active"
    for flag in ("is_blocked", "is_test", "prohibited"):
        allowed &= ~players[flag].fillna(False).astype(bool)
    allowed &= features["rg_risk_band"] != "high"
    return pd.DataFrame({"canais_permitidos": players["canais_permitidos"], "marketing_allowed": allowed})
