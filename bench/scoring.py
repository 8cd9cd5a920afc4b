"""Simulates daily state of players who follow Pareto/NBD, and scores them: `python -m bench.scoring N`.

The churn model is then fitted twice more: as the pipeline does it, and with the likelihood as it is defined, that is
with an integral for each history.
"""

from __future__ import annotations

import logging
import math
import sys
import time
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from scipy.special import digamma, gammaln

from bench.apart import Steps, Stopwatch, peak_mib, report
from crmbet.databases.duckdb import open_engine
from crmbet.databases.statements import identifier, render
from crmbet.learning.models import pareto_nbd
from crmbet.learning.models.histories import Histories, Reals
from crmbet.learning.models.maximum_likelihood import Maximum, maximise
from crmbet.learning.models.quadrature import integrate
from crmbet.learning.scoring import score_players
from crmbet.run.settings import Settings

if TYPE_CHECKING:
    import duckdb

DAYS = 365
PLAYERS_AT_ONCE = 50_000


def main() -> None:
    """Simulate, score, fit both ways, report."""
    players = int(sys.argv[1])
    settings = Settings.of(lake_bucket="none", memory_limit="512MB")
    stopwatch, steps, processor = Stopwatch(), Steps(), Stopwatch(clock=time.process_time)
    core = logging.getLogger("crmbet")
    core.setLevel(logging.DEBUG)
    core.addHandler(steps)
    with open_engine(settings) as engine:
        with stopwatch.step("simulate"):
            _simulate(engine, players)
        with stopwatch.step("fit and score"), processor.step("cpu of fit and score"):
            run = score_players(engine, settings, date(2026, 11, 24))
        [(rows,)] = engine.execute("SELECT count(*) FROM state").fetchall()
        query = render("learning/group_histories", histories=identifier("activity_histories"))
        columns = engine.execute(query).fetchnumpy()
    fit = run.activity_days.fit
    if fit is None or run.activity_days.problem or run.deposit_days.problem or run.deposit_values.problem:
        raise RuntimeError("a model was not fitted")
    peak = peak_mib()
    names = ("repeats", "recency_days", "observed_days", "players")
    with processor.step("cpu of a fit"):
        fitted = pareto_nbd.fit(Histories.of_days(*(columns[name] for name in names)))
    with processor.step("cpu of a fit by the definition"):
        defined = _fit_by_definition(Histories.of_days(*(columns[name] for name in names)))
    for name, value in defined.parameters.items():
        if not math.isclose(value, fitted.parameters[name], rel_tol=1e-6):
            raise RuntimeError(f"the fits differ: {fitted} and {defined}")
    report(
        stopwatch,
        {**steps.seconds, **processor.seconds},
        peak=peak,
        state_rows=rows,
        patterns=fit.patterns,
        points=len(Histories.of_days(*(columns[name] for name in names)).points.time),
    )


def _fit_by_definition(histories: Histories) -> Maximum:
    """The same search on all histories alone, from the same start, with an integral over (tx, T) for each history."""
    weights = histories.customers / histories.total_customers
    repeats, length = (float((weights * values).sum()) for values in (histories.repeats, histories.observed))

    def objective(parameters: Reals) -> tuple[float, Reals]:
        r, alpha, s, beta = (float(value) for value in parameters)
        x, last, end = histories.repeats, histories.recency, histories.observed
        gone = integrate(a=alpha, b=beta, p=r + x, q=s + 1.0, low=last, high=end)
        log_alpha, log_beta = np.log(alpha + end), np.log(beta + end)
        log_alive = -(r + x) * log_alpha - s * log_beta
        log_gone = np.log(s) + gone.logarithm
        log_both = np.logaddexp(log_alive, log_gone)
        p_alive, p_gone = np.exp(log_alive - log_both), np.exp(log_gone - log_both)
        value = gammaln(r + x) - gammaln(r) + r * np.log(alpha) + s * np.log(beta) + log_both
        gradient = (
            digamma(r + x) - digamma(r) + np.log(alpha) - p_alive * log_alpha - p_gone * gone.mean_log_a,
            r / alpha - (r + x) * (p_alive / (alpha + end) + p_gone * gone.mean_inverse_a),
            np.log(beta) - p_alive * log_beta + p_gone * (1.0 / s - gone.mean_log_b),
            s / beta - p_alive * s / (beta + end) - p_gone * (s + 1.0) * gone.mean_inverse_b,
        )
        return float((weights * value).sum()), np.array([(weights * part).sum() for part in gradient])

    return maximise(
        pareto_nbd.NAMES, (1.0, length / repeats, 1.0, length), objective, histories.total_customers
    )


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
