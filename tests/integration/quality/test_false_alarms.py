"""Days on which nothing changes but the weekday and chance: how often is there an alarm?

Two hundred of made-up distributions, and two months of the demo's players through the whole pipeline, with all checks.
"""

from __future__ import annotations

import logging
import shutil
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from bench.pipeline import COMPUTING, EXTRACTS, TASKS
from bench.workbench import Operator as SimulatedOperator
from bench.workbench import PipelineRun
from crmbet.clean.records import CleanManifest
from crmbet.contracts.files import load_source_contracts
from crmbet.databases.statements import Fragment
from crmbet.extract.records import ExtractManifest
from crmbet.features.records import FeatureManifest
from crmbet.quality.measures.drift import Drift, compare
from crmbet.quality.measures.profile import Kind, Profile, measure
from crmbet.quality.measures.raw_tables import MeasuredSource, measure_source
from crmbet.quality.stages import judge_features, judge_raw, publish
from crmbet.run.records import read_manifest
from crmbet.run.settings import Settings
from local import demo
from local.env import lake_variables
from local.simulator import World, deliver

pytestmark = [pytest.mark.integration, pytest.mark.full]

SETTINGS = Settings(lake_bucket="lake")
BETS = load_source_contracts()["bets"]
DAYS, PLAYERS, WEEKS = 200, 2000, 4
START = date(2026, 1, 5)
DEMO_DAYS = 60

log = logging.getLogger(__name__)


def alarms(drift: Drift) -> bool:
    return (
        (drift.psi or 0) >= SETTINGS.quality.max_psi
        or (drift.ks or 0) >= SETTINGS.quality.max_ks_distance
        or (drift.quartile_shift or 0) > SETTINGS.quality.max_quartile_shift
        or (drift.variance_ratio or 1) > SETTINGS.quality.max_variance_ratio
        or (drift.skew_shift or 0) > SETTINGS.quality.max_skew_shift
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
    kinds: dict[str, Kind] = dict.fromkeys(operator.features().column_names, "numbers")
    raised = []
    baselines: dict[int, Profile] = {}
    for number in range(7 + DAYS):
        engine.register("users", operator.features())
        baseline = baselines.get(number % 7)
        now = measure(engine, Fragment("users"), kinds, baseline)
        if baseline is None:
            distributions = {name: of.distribution for name, of in now.items()}
            baselines[number % 7] = Profile(units=PLAYERS, columns=distributions)
            continue
        columns = [name for name, of in now.items() if alarms(compare(name, of.compared, PLAYERS, baseline))]
        raised += [(number, columns)] if columns else []
    report("features", raised)


def test_the_demos_players_raise_at_most_one_false_alarm_a_month(services: Any, tmp_path: Path) -> None:
    operator = SimulatedOperator(services=str(services.workspace.state), name="false_alarms")
    services.postgres.create_database(operator.name)
    services.object_store.create_bucket(operator.bucket)
    end = date(2026, 11, 24)
    first = end - timedelta(days=DEMO_DAYS)
    world = World(
        seed=demo.SEED, players=demo.PLAYERS, start_day=first - timedelta(demo.HISTORY_DAYS), end_day=end
    )
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in lake_variables(services.workspace, operator.bucket).items():
            patch.setenv(variable, value)
        deliver(world, bucket=operator.bucket, source_url=operator.source_url)
    raised = []
    for number in range(1, DEMO_DAYS + 1):
        # As in a backfill, all is known.
        at = PipelineRun(
            operator=operator,
            as_of=str(first + timedelta(days=number)),
            known_after_minutes=1440 * (DEMO_DAYS - number) + 360,
        )
        for task in (*EXTRACTS, *COMPUTING):
            TASKS[task](at)
        for stage in ("raw", "features"):
            folder = tmp_path / stage / at.as_of
            folder.mkdir(parents=True)
            breaches = judge(at, stage, folder)
            log.info("%s %s: %s", at.as_of, stage, breaches)
            raised += [(at.as_of, breaches)] if breaches else []
            shutil.rmtree(folder)
    report("the demo", raised, days=DEMO_DAYS)


def judge(at: PipelineRun, stage: str, folder: Path) -> list[tuple[str, tuple[str, ...]]]:
    """Judge and publish as the tasks do; what is in breach."""
    store, run = at.operator.store, at.run
    with at.work() as work:
        sources = {
            name: of
            for task in EXTRACTS
            for name, of in read_manifest(store, run.prefix, task, ExtractManifest).sources.items()
        }
        if stage == "raw":
            judgement = judge_raw(work, ExtractManifest(sources=sources), folder)
        else:
            features = read_manifest(store, run.prefix, "engineer_features", FeatureManifest)
            cleaned = read_manifest(store, run.prefix, "clean", CleanManifest)
            judgement = judge_features(work, features, cleaned, folder)
    publish(store, run, judgement, folder)
    return [(outcome.title, outcome.keys[:5]) for outcome in judgement.report.breaches(run.params.fail_on)]


def report(what: str, raised: list[Any], days: int = DAYS) -> None:
    """Log the rate, which `--log-cli-level=INFO` shows and docs/quality.md cites."""
    rate = 30 * len(raised) / days
    log.info("%s: false alarms on %s of %s days, %.2f a month", what, len(raised), days, rate)
    assert len(raised) <= days / 30, raised


def test_a_change_of_business_raises_an_alarm_on_its_first_day(engine: duckdb.DuckDBPyConnection) -> None:
    operator = Operator()
    weeks = [operator.bets(START + timedelta(days=day)) for day in range(7 * WEEKS)]
    baseline = measured(engine, pa.concat_tables(weeks[0::7]), None).profile
    operator.usual += np.log(4)
    now = measured(engine, operator.bets(START + timedelta(weeks=WEEKS)), baseline)
    assert alarms(compare("stake", now.measures["stake"].compared, now.units, baseline))
    assert not alarms(compare("rtp", now.measures["rtp"].compared, now.units, baseline))
