"""The stage of a player's life, by the last events, and its future, by the project's models on the peer's histories."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from bench.peer.measures import Array, first_true, real6
from crmbet.learning.models import calibration, gamma_gamma
from crmbet.learning.models.histories import DAYS_A_WEEK, Histories
from crmbet.learning.models.lifetime_value import discounted_repeats
from crmbet.learning.models.maximum_likelihood import Maximum
from crmbet.learning.models.pareto_nbd import ParetoNBD
from crmbet.learning.models.pareto_nbd import fit as fit_histories
from crmbet.learning.scoring import HORIZON_DAYS
from crmbet.run.settings import Settings

HISTORY = ["repeats", "recency", "observed"]
MOST_MONEY = 1e12


def event_days(bet_days: pd.DataFrame, payments: pd.DataFrame) -> pd.DataFrame:
    """Days with a bet or a completed deposit, each once."""
    deposits = payments.loc[payments["deposits"] > 0, ["user_id", "age"]]
    return pd.concat([bet_days[["user_id", "age"]], deposits]).drop_duplicates()


def stages(
    events: pd.DataFrame, bet_days: pd.DataFrame, payments: pd.DataFrame, risk: pd.Series
) -> pd.DataFrame:
    """The lifecycle stage of players. `risk` is churn_risk_score."""
    age, recent = events["age"], events["age"] < 30
    ages = pd.DataFrame(
        {"user_id": events["user_id"], "age": age, "now": age.where(recent), "then": age.mask(recent)}
    )
    found = ages.groupby("user_id", observed=False).agg({"age": ["min", "max"], "now": "max", "then": "min"})
    idle, first = found["age", "min"], found["age", "max"]
    # The last 30 days have no room for a gap of 31 days, so such a gap can only end at the first event in them.
    came_back = found["then", "min"] - found["now", "max"] >= 31
    moves = payments.loc[payments["moves"] > 0, ["user_id", "age"]]
    active = pd.concat([bet_days[["user_id", "age"]], moves])
    risk = risk.reindex(idle.index)
    return pd.DataFrame(
        {
            "days_since_last_activity": active.groupby("user_id", observed=False)["age"].min(),
            "churn_risk_band": first_true(
                [idle >= 30, risk < 0.4, risk < 0.6, risk < 0.85, risk.notna()],
                ["churned", "low", "medium", "high", "critical"],
            ),
            "lifecycle_stage": first_true(
                [idle.isna(), idle >= 30, first < 30, came_back, idle >= 14],
                ["registered", "churned", "new", "reactivated", "at_risk"],
                otherwise="active",
            ),
        }
    )


def models(events: pd.DataFrame, payments: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """What players will do. A model that has too few players leaves its columns missing."""
    return pd.concat([_value(payments[payments["deposits"] > 0], settings), _churn(events, settings)], axis=1)


def _value(deposits: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    days = deposits[["user_id", "age", "deposit_cents"]]
    players = _histories(days)
    grouped = days.groupby("user_id", observed=True)["deposit_cents"]
    # Newest first: the last row of a player is the first deposit day.
    players["total"] = (grouped.sum() - grouped.last()) / 100
    patterns, histories = _patterns(players)
    model = _fitted(_cohort(patterns), settings, lambda: fit_histories(histories))
    for name in ("p_alive", "expected_deposit_days_30d", "discounted_days"):
        patterns[name] = np.nan
    if model is not None:
        days_to_come = ParetoNBD.of(model)
        alive = days_to_come.p_alive(histories)
        expected = alive * days_to_come.expected_repeats_if_alive(histories, HORIZON_DAYS / DAYS_A_WEEK)
        patterns["p_alive"] = np.round(alive, 6) + 0.0
        patterns["expected_deposit_days_30d"] = np.round(expected, 6) + 0.0
        patterns["discounted_days"] = discounted_repeats(
            days_to_come, histories, alive, settings.models.clv_monthly_discount_rate
        )
    players = players.join(patterns.set_index(HISTORY).drop(columns="players"), on=HISTORY)

    again = players.loc[players["repeats"] > 0, ["repeats", "total"]].value_counts(sort=False).sort_index()
    again = again.rename("players").reset_index()
    spending = gamma_gamma.Spending(
        *(again[name].to_numpy("float64") for name in ("repeats", "total", "players"))
    )
    values = _fitted(int(again["players"].sum()), settings, lambda: gamma_gamma.fit(spending))
    value = pd.Series(np.nan, index=players.index)
    if values is not None:
        value[:] = gamma_gamma.GammaGamma.of(values).expected_value(
            players["repeats"].to_numpy(), players["total"].to_numpy()
        )
    clv = _money(settings.models.clv_margin * value * players["discounted_days"])
    return pd.DataFrame(
        {
            "p_alive": players["p_alive"],
            "expected_deposit_days_30d": players["expected_deposit_days_30d"],
            "expected_deposit_value": _money(value),
            "clv_12m": clv,
            "customer_lifetime_value_score": real6((clv.rank(method="min") - 1) / max(clv.count() - 1, 1)),
        }
    )


def _churn(events: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    players = _histories(events)
    patterns, histories = _patterns(players)
    model = _fitted(_cohort(patterns), settings, lambda: fit_histories(histories))
    churn = np.full(len(patterns), np.nan)
    if model is not None:
        churn = _silence(ParetoNBD.of(model), histories)
    knots = _calibrated(events, players, settings)
    patterns["churn_prob_30d"] = churn
    patterns["churn_risk_score"] = churn if knots is None else np.round(knots.apply(churn), 6) + 0.0
    scored = players.join(patterns.set_index(HISTORY).drop(columns="players"), on=HISTORY)
    return scored[["churn_prob_30d", "churn_risk_score"]]


def _calibrated(events: pd.DataFrame, players: pd.DataFrame, settings: Settings) -> calibration.Knots | None:
    """What happened to the players who were known thirty days ago."""
    held = events[events["age"] >= HORIZON_DAYS]
    known = _histories(held.assign(age=held["age"] - HORIZON_DAYS))
    known["silent"] = players["observed"] - players["recency"] >= HORIZON_DAYS
    patterns, histories = _patterns(known)
    silent = known.groupby(HISTORY)["silent"].sum().to_numpy("float64")
    count = patterns["players"].to_numpy("float64")
    model = _fitted(_cohort(patterns), settings, lambda: fit_histories(histories))
    if (
        model is None
        or model.on_bound
        or silent.sum() in (0, count.sum())
        or count.sum() < settings.models.min_calibration_users
    ):
        return None
    labels, weights = np.repeat([1.0, 0.0], len(count)), np.concatenate([silent, count - silent])
    churn = np.tile(_silence(ParetoNBD.of(model), histories), 2)
    both = weights > 0
    return calibration.calibrate(churn[both], labels[both], weights[both])


def _silence(model: ParetoNBD, histories: Histories) -> Array:
    return np.round(1.0 - model.p_active(histories, HORIZON_DAYS / DAYS_A_WEEK), 6) + 0.0


def _histories(days: pd.DataFrame) -> pd.DataFrame:
    """For each player with a day: active days after the first, and days from the first to the last and to as_of."""
    found = days.groupby("user_id", observed=True)["age"].agg(["size", "min", "max"]).astype("int64")
    return pd.DataFrame(
        {"repeats": found["size"] - 1, "recency": found["max"] - found["min"], "observed": found["max"]}
    )


def _patterns(players: pd.DataFrame) -> tuple[pd.DataFrame, Histories]:
    """Distinct histories in order, with how many players have each."""
    patterns = players.groupby(HISTORY).size().rename("players").reset_index()
    return patterns, Histories.of_days(*(patterns[name].to_numpy() for name in (*HISTORY, "players")))


def _cohort(patterns: pd.DataFrame) -> int:
    return int(patterns.loc[patterns["repeats"] > 0, "players"].sum())


def _fitted(cohort: int, settings: Settings, fit: Callable[[], Maximum]) -> Maximum | None:
    if cohort < settings.models.min_model_cohort:
        return None
    found = fit()
    return found if found.converged else None


def _money(amounts: pd.Series) -> pd.Series:
    return (np.floor(amounts * 100 + 0.5) / 100).where(amounts < MOST_MONEY)
