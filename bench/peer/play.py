"""Games, stakes, results and devices."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.peer.cleaning import GAMES
from bench.peer.daily import RATE_UNITS, by_user
from bench.peer.measures import UNITS, money, money_per, normalised_entropy, ratio, real6, twenty_percentiles


def games(bets: pd.DataFrame) -> pd.DataFrame:
    """Favourite game and shares, spread over games and titles, of the bets of 90 days."""
    # The definition's weights have twelve decimals. In two halves of six decimals the sums stay whole numbers.
    weight = np.rint(np.round(0.5 ** (np.arange(90) / 30), 12) * 1e12).astype("int64")
    high, low = np.divmod(weight, 10**6)
    stake, age = bets["stake"].to_numpy(), bets["age"].to_numpy()
    sums = (
        bets[["user_id", "game_type", "stake"]]
        .assign(one=1, high=stake * high[age], low=stake * low[age])
        .groupby(["user_id", "game_type"], observed=False)
        .sum()
        .unstack("game_type")
    )
    low_sum = sums["low"].to_numpy()
    high_sum = sums["high"].to_numpy() + low_sum // 10**6
    low_sum = low_sum % 10**6
    # The favourite has the largest sum of both halves. If the upper halves are equal, the lower ones decide.
    rest = np.where(high_sum == high_sum.max(axis=1, keepdims=True), low_sum, -1)
    best = rest.argmax(axis=1)
    favourite = np.array(list(GAMES), dtype=object)[best]
    decayed = high_sum * 1e6 + low_sum
    staked = decayed.sum(axis=1) > 0
    counts = sums["one"].to_numpy()
    entropy = normalised_entropy(counts, len(GAMES))
    by_game, total = sums["stake"].to_numpy(), sums["stake"].sum(axis=1).to_numpy()
    return pd.DataFrame(
        {
            "favorite_game_type": np.where(staked, favourite, None),
            "favorite_game_share": ratio(decayed.max(axis=1), decayed.sum(axis=1)),
            **{f"share_{game}": ratio(by_game[:, place], total) for place, game in enumerate(GAMES)},
            "game_entropy": entropy,
            "game_diversity_score": real6(entropy),
            "product_breadth_90d": (counts > 0).sum(axis=1),
            "distinct_games_30d": _titles(bets[bets["age"] < 30]),
        },
        index=sums.index,
    )


def _titles(bets: pd.DataFrame) -> pd.Series:
    """Distinct games; missing if there are bets but none names its game."""
    pairs = bets[["user_id", "game_id"]].drop_duplicates()
    known = pairs.dropna().groupby("user_id", observed=False).size()
    return known.where((known > 0) | (pairs.groupby("user_id", observed=False).size() == 0))


def devices(bets: pd.DataFrame) -> pd.DataFrame:
    """The devices on which the bets of 90 days were placed. Among equals the first name is preferred."""
    known = bets[["user_id", "device_type"]]
    known = known.assign(
        device_type=known["device_type"].cat.reorder_categories(sorted(known["device_type"].cat.categories))
    )
    counts = known.groupby(["user_id", "device_type"], observed=False).size().unstack("device_type")
    by_device = counts.to_numpy()
    named = by_device.sum(axis=1) > 0
    without = bets.groupby("user_id", observed=False).size() == 0
    variety = (by_device > 0).sum(axis=1)
    return pd.DataFrame(
        {
            "preferred_device": np.where(
                named, counts.columns.to_numpy(dtype=object)[by_device.argmax(axis=1)], None
            ),
            "device_variety": np.where(named | without, variety, np.nan),
        },
        index=counts.index,
    )


def stakes(lifetime: pd.DataFrame, days: pd.DataFrame) -> pd.DataFrame:
    """How often and how much a player stakes; `days` are the last 90."""
    month, quarter = by_user(days[days["age"] < 30]), by_user(days)
    n, s, q = (quarter[name].to_numpy("float64") for name in ("bets", "stake", "square"))
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.sqrt(np.maximum(0, n * q - s * s) / (n * (n - 1))) / (s / n)
    bet_days, (p50, p95) = twenty_percentiles(days["stake"], days["user_id"], [50, 95])
    # Twice the median is a whole number, and so are distances from it.
    median2 = p50 // 10
    distance2 = (2 * days["stake"] - median2[days["user_id"].cat.codes]).abs()
    _, (deviation40,) = twenty_percentiles(distance2, days["user_id"], [50])
    robust = ratio(14826 * (deviation40 // 10), 20000 * median2)
    return pd.DataFrame(
        {
            "bets_count_30d": month["bets"],
            "bets_count_lifetime": by_user(lifetime)["bets"],
            "bet_sum_30d": money(month["stake"]),
            "bet_avg_30d": money_per(month["stake"], month["bets"]),
            "daily_stake_p50_90d": money_per(p50, 20 * (bet_days > 0)),
            "daily_stake_p95_90d": money_per(p95, 20 * (bet_days > 0)),
            "bet_volatility": real6(np.where((n >= 3) & (s > 0), spread, np.nan)),
            "bet_volatility_robust": np.where(bet_days >= 3, robust, np.nan),
        }
    )


def results(lifetime: pd.DataFrame, days: pd.DataFrame) -> pd.DataFrame:
    """The results of bets; `days` are the last 90."""
    month, quarter = by_user(days[days["age"] < 30]), by_user(days)
    loss = money(month["theoretical_loss"], cent=UNITS // 100 * RATE_UNITS)
    return pd.DataFrame(
        {
            "ggr_30d": money(month["ggr"]),
            "ggr_lifetime": money(by_user(lifetime)["ggr"]),
            "theoretical_loss_30d": loss.where((month["rated"] > 0) | (month["bets"] == 0)),
            "win_rate_30d": ratio(month["wins"], month["settled"]),
            "bonus_bet_share_90d": ratio(quarter["bonus_stake"], quarter["known_stake"]),
        }
    )
