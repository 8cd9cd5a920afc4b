"""Simulates daily state of players who follow Pareto/NBD, and scores them: `python -m bench.scoring N`."""

from __future__ import annotations

import sys
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from bench.apart import Stopwatch, report
from crmbet.databases.duckdb import open_engine
from crmbet.learning.scoring import score_players
from crmbet.run.settings import Settings

if TYPE_CHECKING:
    import duckdb

DAYS = 365
PLAYERS_AT_ONCE = 50_000


def main() -> None:
    """Simulate, score, report."""
    players = int(sys.argv[1])
    settings = Settings.of(lake_bucket="none", memory_limit="512MB")
    stopwatch = Stopwatch()
    with open_engine(settings) as engine:
        with stopwatch.step("simulate"):
            _simulate(engine, players)
        with stopwatch.step("fit and score"):
            run = score_players(engine, settings, date(2026, 11, 24))
        [(rows,)] = engine.execute("SELECT count(*) FROM state").fetchall()
    fit = run.activity_days.fit
    if fit is None or run.activity_days.problem or run.deposit_days.problem or run.deposit_values.problem:
        raise RuntimeError("a model was not fitted")
    report(stopwatch, state_rows=rows, patterns=fit.patterns)


def _simulate(engine: duckdb.DuckDBPyConnection, players: int) -> None:
    """Simulate players who register evenly over a year and deposit on every fourth active day; a few play for long."""
    random = np.random.default_rng(11)
    engine.execute(
        "CREATE TEMPORARY TABLE state "
        "(user_id VARCHAR, age INTEGER, bets INTEGER, deposits INTEGER, deposit_sum DECIMAL(18, 2))"
    )
    for start in range(0, players, PLAYERS_AT_ONCE):
        size = min(PLAYERS_AT_ONCE, players - start)
        first = random.integers(0, DAYS, size)
        rate = random.gamma(0.5, 1 / 3.0, size) / 7
        lifetime = 7 * random.exponential(1 / random.gamma(0.7, 1 / 9.0, size))
        usual = random.lognormal(4, 0.8, size)
        since = np.arange(DAYS)
        active = (since <= first[:, None]) & (since < lifetime[:, None])
        active &= random.random((size, DAYS), dtype=np.float32) < rate[:, None]
        active[:, 0] = True
        player, day = np.nonzero(active)
        deposits = (random.random(len(player)) < 0.25).astype(np.int32)
        money = np.maximum(np.round(usual[player] * random.gamma(4, 0.25, len(player)), 2), 0.01) * deposits
        rows = pa.table(
            {"player": start + player, "age": first[player] - day, "deposits": deposits, "money": money}
        )
        engine.register("simulated", rows)
        engine.execute(
            "INSERT INTO state SELECT format('u{:07d}', player), age, 1, deposits, money FROM simulated"
        )
        engine.unregister("simulated")


if __name__ == "__main__":
    main()
