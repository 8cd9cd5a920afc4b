"""Two hundred days on which nothing changes but the weekday and chance: how often do distributions raise an alarm?"""

from __future__ import annotations

import logging
from datetime import date, timedelta
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from crmbet.contracts import load_source_contracts
from crmbet.quality.drift import Drift, compare
from crmbet.quality.profile import Profile, measure
from crmbet.quality.raw_tables import MeasuredSource, measure_source
from crmbet.settings import Settings
from crmbet.statements import Fragment

pytestmark = [pytest.mark.integration, pytest.mark.full]

SETTINGS = Settings(lake_bucket="lake")
BETS = load_source_contracts()["bets"]
DAYS, PLAYERS, WEEKS = 200, 2000, 4
START = date(2026, 1, 5)
ALLOWED = DAYS / 30
"""One a month."""

log = logging.getLogger(__name__)


def alarms(drift: Drift) -> bool:
    return (
        (drift.psi or 0) >= SETTINGS.max_psi
        or (drift.ks or 0) >= SETTINGS.max_ks_distance
        or (drift.quartile_shift or 0) > SETTINGS.max_quartile_shift
        or (drift.variance_ratio or 1) > SETTINGS.max_variance_ratio
        or (drift.skew_shift or 0) > SETTINGS.max_skew_shift
    )


class Operator:
    """Players of lasting habits, with busier and dearer weekends."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(5)
        self.usual = self.rng.normal(2.5, 1.2, PLAYERS)
        self.busy = self.rng.beta(0.5, 1.5, PLAYERS)
        self.taste = self.rng.dirichlet([0.4] * 5, PLAYERS).cumsum(axis=1)
        self.habits = self.rng.normal(size=(PLAYERS, 6))

    def bets(self, day: date) -> pa.Table:
        weekend = day.weekday() >= 5
        active = np.flatnonzero(self.rng.random(PLAYERS) < self.busy * (0.9 if weekend else 0.6))
        who = np.repeat(active, self.rng.geometric(0.25, active.size))
        stake = np.exp(self.usual[who] + 0.7 * self.rng.normal(size=who.size)) * (1.4 if weekend else 1)
        won = self.rng.random(who.size) < 0.4
        game = (self.rng.random(who.size)[:, None] > self.taste[who]).sum(axis=1).clip(0, 4)
        return pa.table(
            {
                "user_id": who.astype(str),
                "game_type": np.array(["crash", "cassino", "esportes", "poker", "slots"])[game],
                "stake": stake,
                "payout": np.where(won, stake * self.rng.exponential(2.2, who.size), 0),
                "rtp": 0.9 + 0.08 * self.rng.random(who.size),
                "is_bonus": self.rng.random(who.size) < 0.1,
                "balance_after": np.exp(self.rng.normal(4, 1.5, who.size)),
                "_day": pa.array([day] * who.size, pa.date32()),
            }
        )

    def features(self) -> pa.Table:
        self.habits = 0.98 * self.habits + np.sqrt(1 - 0.98**2) * self.rng.normal(size=self.habits.shape)
        money = np.exp(4 + 1.3 * self.habits[:, 0])
        return pa.table(
            {
                "money": money,
                "with_zeros": np.where(self.habits[:, 1] > 0.3, np.exp(3 + self.habits[:, 2]), 0.0),
                "count": np.floor(np.exp(1 + self.habits[:, 3])),
                "share": 1 / (1 + np.exp(-self.habits[:, 4])),
                "score": 1 + np.floor(4 * (1 / (1 + np.exp(-self.habits[:, 5])))),
            }
        )


@pytest.fixture
def engine() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()


def measured(engine: duckdb.DuckDBPyConnection, table: pa.Table, baseline: Profile | None) -> MeasuredSource:
    engine.register("day_rows", table)
    return measure_source(engine, BETS, Fragment("day_rows"), baseline)


def test_bets_raise_at_most_one_false_alarm_a_month(engine: duckdb.DuckDBPyConnection) -> None:
    operator = Operator()
    weeks = [operator.bets(START + timedelta(days=day)) for day in range(7 * WEEKS)]
    baselines = {
        weekday: measured(engine, pa.concat_tables(weeks[weekday::7]), None).profile for weekday in range(7)
    }
    raised = []
    for number in range(7 * WEEKS, 7 * WEEKS + DAYS):
        day = START + timedelta(days=number)
        baseline = baselines[day.weekday()]
        now = measured(engine, operator.bets(day), baseline)
        columns = [
            name
            for name, of in now.measures.items()
            if alarms(compare(name, of.compared, now.units, baseline))
        ]
        raised += [(day, columns)] if columns else []
    report("bets", raised)


def test_features_raise_at_most_one_false_alarm_a_month(engine: duckdb.DuckDBPyConnection) -> None:
    operator = Operator()
    kinds = dict.fromkeys(operator.features().column_names, "numbers")
    raised = []
    baselines: dict[int, Profile] = {}
    for number in range(7 + DAYS):
        engine.register("users", operator.features())
        baseline = baselines.get(number % 7)
        now = measure(engine, Fragment("users"), kinds, baseline)
        if baseline is None:
            columns = {name: of.distribution for name, of in now.items()}
            baselines[number % 7] = Profile(units=PLAYERS, columns=columns)
            continue
        columns = [name for name, of in now.items() if alarms(compare(name, of.compared, PLAYERS, baseline))]
        raised += [(number, columns)] if columns else []
    report("features", raised)


def report(what: str, raised: list[Any]) -> None:
    """Log the rate, which `--log-cli-level=INFO` shows and docs/quality.md cites."""
    rate = 30 * len(raised) / DAYS
    log.info("%s: false alarms on %s of %s days, %.2f a month", what, len(raised), DAYS, rate)
    assert len(raised) <= ALLOWED, raised


def test_a_change_of_business_raises_an_alarm_on_its_first_day(engine: duckdb.DuckDBPyConnection) -> None:
    operator = Operator()
    weeks = [operator.bets(START + timedelta(days=day)) for day in range(7 * WEEKS)]
    baseline = measured(engine, pa.concat_tables(weeks[0::7]), None).profile
    operator.usual += np.log(4)
    now = measured(engine, operator.bets(START + timedelta(weeks=WEEKS)), baseline)
    assert alarms(compare("stake", now.measures["stake"].compared, now.units, baseline))
    assert not alarms(compare("rtp", now.measures["rtp"].compared, now.units, baseline))
