"""On which days, at which hours and how long a player plays."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.peer.clock import Clock
from bench.peer.measures import normalised_entropy, ratio, real6

SLOTS = np.array(["madrugada", "manha", "tarde", "noite"], dtype=object)
WEEK_HOURS = 7 * 24
SESSION_GAP = pd.Timedelta(minutes=30)
DAY_BREAK = pd.Timedelta(hours=6)
"""A day of sessions begins at 06:00 on the operator's clock."""
WHOLE = 10**12
"""Scale of the circle's directions. With twelve decimals, opposite hours cancel exactly."""


def hours(bets: pd.DataFrame, shift: pd.Series) -> pd.DataFrame:
    """Weekdays and hours on the player's own clock, of the bets of 90 days."""
    counts = bets.groupby(["user_id", "hour_of_week"], observed=True).size().rename("bets").reset_index()
    user = counts["user_id"].cat.codes.to_numpy()
    hour = (counts["hour_of_week"].to_numpy() + shift.to_numpy("int16")[user]) % WEEK_HOURS
    counts = counts.assign(weekday=hour // 24, hour=hour % 24)
    by_weekday, users = _across(counts, "weekday", 7)
    by_hour, _ = _across(counts, "hour", 24)
    by_slot = by_hour.reshape(-1, 4, 6).sum(axis=2)
    total = by_weekday.sum(axis=1)
    angle = np.arange(24) * np.pi / 12
    east, north = (
        by_hour @ np.rint(side * WHOLE).astype("int64") / WHOLE for side in (np.cos(angle), np.sin(angle))
    )
    concentration = ratio(np.hypot(east, north), total)
    mean_hour = (np.degrees(np.arctan2(north, east)) / 15 + 24) % 24
    return pd.DataFrame(
        {
            "dias_semana_preferidos": _busiest(by_weekday),
            "horarios_atividade": SLOTS[by_slot.argmax(axis=1)],
            "preferred_hour": real6(np.where(concentration > 0, mean_hour, np.nan)),
            "hour_concentration": concentration,
            "weekend_activity_ratio": ratio(by_weekday[:, 5:].sum(axis=1), total),
            "night_activity_ratio": ratio(by_slot[:, 0], total),
            "weekday_entropy": normalised_entropy(by_weekday, 7),
            "slot_entropy": normalised_entropy(by_slot, 4),
        },
        index=users,
    )


def _across(counts: pd.DataFrame, name: str, kinds: int) -> tuple[np.ndarray, pd.Index]:
    """Bets of each player by one of the columns."""
    found = counts.groupby(["user_id", name], observed=True)["bets"].sum().unstack(fill_value=0)
    return found.reindex(columns=range(kinds), fill_value=0).to_numpy(), found.index


def _busiest(by_weekday: np.ndarray) -> np.ndarray:
    """Up to three weekdays, in the week's order."""
    # The sort is stable, so the lower weekday comes first among equals.
    busiest = np.argsort(-by_weekday, axis=1, kind="stable")[:, :3]
    played = np.take_along_axis(by_weekday, busiest, axis=1) > 0
    busiest = np.sort(np.where(played, busiest, 9), axis=1)
    digits = busiest.astype("U1").astype(object)
    preferred = digits[:, 0]
    for place in (1, 2):
        preferred = np.where(busiest[:, place] < 9, preferred + "," + digits[:, place], preferred)
    return preferred


def rhythm(days: pd.DataFrame) -> pd.DataFrame:
    """How many bet days, and how regular the gaps between those of 180 days."""
    days = days.loc[days["age"] < 180, ["user_id", "age"]]
    age, user = days["age"], days["user_id"].cat.codes
    gap = age.diff().astype("float64").where(user == user.shift())
    sums = (
        days[["user_id"]]
        .assign(
            n=gap.notna(),
            s=gap,
            q=gap * gap,
            days_7=age < 7,
            days_30=age < 30,
            days_30_before=age.between(30, 59),
            days_90=age < 90,
        )
        .groupby("user_id", observed=False)
        .sum()
    )
    n, s, q = (sums[name].to_numpy("float64") for name in ("n", "s", "q"))
    with np.errstate(divide="ignore", invalid="ignore"):
        r = np.sqrt(n * q - s * s) / s
        burstiness = (np.sqrt(n + 1) * r - np.sqrt(n - 1)) / ((np.sqrt(n + 1) - 2) * r + np.sqrt(n - 1))
    burstiness = np.where(n >= 3, burstiness, np.nan)
    now, before = sums["days_30"].astype("int64"), sums["days_30_before"].astype("int64")
    return pd.DataFrame(
        {
            "active_days_7d": sums["days_7"],
            "active_days_30d": sums["days_30"],
            "active_days_90d": sums["days_90"],
            "activity_regularity": real6((1 - burstiness) / 2),
            "burstiness": real6(burstiness),
            "activity_trend": ratio(now - before, now + before),
        }
    )


def find_sessions(bets: pd.DataFrame, clock: Clock) -> pd.DataFrame:
    """Sessions of the last 30 days by player and time, with what was staked in them.

    The bets are those of one day more, since a session may run past midnight.
    """
    placed = _in_order(bets)
    user, at = placed["user_id"].cat.codes, placed["placed_at"]
    block = (clock.local(at) - DAY_BREAK).dt.normalize()
    breaks = (user != user.shift()) | (block != block.shift()) | (at - at.shift() > SESSION_GAP)
    starts = np.flatnonzero(breaks)
    ends = np.append(starts[1:], len(placed))[: len(starts)] - 1
    settled = placed["payout"].notna()
    first, last = placed.iloc[starts], placed.iloc[ends]
    sessions = pd.DataFrame(
        {
            "user_id": first["user_id"].array,
            "age": first["age"].array,
            "started_at": first["placed_at"].array,
            "ended_at": last["placed_at"].array,
            "bets": ends - starts + 1,
            "stake": np.add.reduceat(placed["stake"].to_numpy(), starts),
            "settled_stake": np.add.reduceat(placed["stake"].where(settled, 0).to_numpy(), starts),
            "payout": np.add.reduceat(placed["payout"].fillna(0).to_numpy(), starts),
            "last_stake": last["stake"].array,
            "last_balance": last["balance_after"].array,
        }
    )
    return sessions[sessions["age"] < 30]


def _in_order(bets: pd.DataFrame) -> pd.DataFrame:
    """Sort by player and instant. If both are equal, the bets' ids decide."""
    alike = bets.duplicated(["user_id", "placed_at"], keep=False)
    place = pd.Series(0.0, index=bets.index)
    place[alike] = bets.loc[alike, "bet_id"].rank()
    return bets.assign(place=place).sort_values(["user_id", "placed_at", "place"])


def visits(sessions: pd.DataFrame) -> pd.DataFrame:
    """How often and how long a player stays."""
    length = (sessions["ended_at"] - sessions["started_at"]).dt.as_unit("us").astype("int64")
    found = length.groupby(sessions["user_id"], observed=False).agg(["size", "sum", "max"])
    return pd.DataFrame(
        {
            "sessions_30d": found["size"],
            "session_minutes_avg_30d": ratio(found["sum"] / 60e6, found["size"]),
            "session_minutes_max_30d": real6(found["max"] / 60e6),
        }
    )
