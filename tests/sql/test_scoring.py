"""Players' scores against a slow calculation from the parameters, one player at a time."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import duckdb
import pytest
from scipy.integrate import quad

from crmbet.databases.duckdb import open_engine
from crmbet.learning.records import ModelFit, ModelRun
from crmbet.learning.scoring import score_players
from crmbet.run.settings import Settings

pytestmark = pytest.mark.sql

AS_OF = date(2026, 3, 1)
Day = tuple[str, int, int, int, Decimal]
"""Player, age, bets, deposits, deposit sum."""


def play(players: int, days: int = 120, seed: int = 5) -> list[Day]:
    """Daily state of players with rates and lifetimes of their own."""
    chance = random.Random(seed)  # noqa: S311
    rows: list[Day] = []
    for number in range(players):
        first = chance.randrange(days)
        rate, lifetime = chance.gammavariate(0.7, 0.4), chance.expovariate(1 / chance.gammavariate(1, 60))
        usual = chance.lognormvariate(4, 0.6)
        for age in range(first, -1, -1):
            if age == first or (first - age < lifetime and chance.random() < rate):
                deposits = int(chance.random() < 0.6)
                money = Decimal(max(1, round(deposits * usual * chance.gammavariate(4, 25)))) / 100
                rows.append((f"p{number:04}", age, int(chance.random() < 0.7), deposits, money * deposits))
    return rows


def put_state(engine: duckdb.DuckDBPyConnection, rows: list[Day]) -> None:
    engine.execute(
        "CREATE OR REPLACE TEMPORARY TABLE state "
        "(user_id VARCHAR, age INTEGER, bets INTEGER, deposits INTEGER, deposit_sum DECIMAL(18, 2))"
    )
    if rows:
        values = ", ".join(f"('{user}', {age}, {bets}, {n}, {money})" for user, age, bets, n, money in rows)
        engine.execute(f"INSERT INTO state VALUES {values}")


def settings(**changes: Any) -> Settings:
    return Settings.of(**{"lake_bucket": "none", "min_model_cohort": 50, **changes})


def score(
    engine: duckdb.DuckDBPyConnection,
    rows: list[Day],
    earlier: dict[str, ModelFit] | None = None,
    **changes: Any,
) -> tuple[ModelRun, dict[str, dict[str, Any]]]:
    put_state(engine, rows)
    run = score_players(engine, settings(**changes), AS_OF, earlier)
    cursor = engine.execute("SELECT * FROM models ORDER BY user_id")
    names = [column[0] for column in cursor.description or ()]
    return run, {row[0]: dict(zip(names[1:], row[1:], strict=True)) for row in cursor.fetchall()}


@pytest.fixture(scope="module")
def world() -> list[Day]:
    return play(700)


@pytest.fixture(scope="module")
def scored(world: list[Day]) -> Iterator[tuple[ModelRun, dict[str, dict[str, Any]]]]:
    with open_engine(settings(memory_limit="512MB")) as engine:
        yield score(engine, world)


class SlowPareto:
    """Pareto/NBD by its definition; weeks."""

    def __init__(self, r: float, alpha: float, s: float, beta: float) -> None:
        self.r, self.alpha, self.s, self.beta = r, alpha, s, beta

    def p_alive(self, x: int, tx: float, end: float) -> float:
        def density(y: float) -> float:
            return float(
                ((self.alpha + end) / (self.alpha + y)) ** (self.r + x)
                * ((self.beta + end) / (self.beta + y)) ** self.s
                / (self.beta + y)
            )

        gone, _ = quad(density, tx, end, limit=200)
        return float(1 / (1 + self.s * gone))

    def p_active(self, x: int, tx: float, end: float, horizon: float) -> float:
        a, b, shape = self.alpha + end, self.beta + end, self.r + x
        found, _ = quad(
            lambda u: shape / (a + u) * (a / (a + u)) ** shape * (b / (b + u)) ** self.s, 0, horizon
        )
        return self.p_alive(x, tx, end) * float(found)

    def expected(self, x: int, tx: float, end: float, horizon: float) -> float:
        b = self.beta + end
        found, _ = quad(lambda u: (b / (b + u)) ** self.s, 0, horizon)
        return self.p_alive(x, tx, end) * (self.r + x) / (self.alpha + end) * float(found)


def history(ages: list[int]) -> tuple[int, float, float]:
    return len(ages) - 1, (max(ages) - min(ages)) / 7, max(ages) / 7


def cents(value: float) -> Decimal:
    return Decimal(value).quantize(Decimal("0.01"), ROUND_HALF_UP)


def test_every_score_is_that_of_the_slow_calculation(world: list[Day], scored: Any) -> None:
    run, found = scored
    assert run.deposit_days.problem is run.activity_days.problem is run.deposit_values.problem is None
    deposit_days = SlowPareto(**run.deposit_days.fit.parameters)
    activity_days = SlowPareto(**run.activity_days.fit.parameters)
    p, q, v = (run.deposit_values.fit.parameters[name] for name in ("p", "q", "v"))
    values: dict[str, Decimal] = {}
    for user, cells in found.items():
        active = [age for who, age, bets, deposits, _ in world if who == user and bets + deposits > 0]
        deposits = {age: money for who, age, _, count, money in world if who == user and count}
        assert cells["churn_prob_30d"] == pytest.approx(
            1 - activity_days.p_active(*history(active), 30 / 7), abs=1.1e-6
        )
        if not deposits:
            assert cells["p_alive"] is cells["expected_deposit_value"] is cells["clv_12m"] is None
            continue
        x, tx, end = history(list(deposits))
        assert cells["p_alive"] == pytest.approx(deposit_days.p_alive(x, tx, end), abs=1.1e-6)
        assert cells["expected_deposit_days_30d"] == pytest.approx(
            deposit_days.expected(x, tx, end, 30 / 7), abs=1.1e-6
        )
        repeat_sum = float(sum(deposits.values()) - deposits[max(deposits)])
        value = p * (v + repeat_sum) / (p * x + q - 1)
        assert abs(cells["expected_deposit_value"] - cents(value)) <= Decimal("0.01")
        months = [deposit_days.expected(x, tx, end, month * 30 / 7) for month in range(13)]
        clv = 0.1 * value * sum((months[m] - months[m - 1]) / 1.01**m for m in range(1, 13))
        assert abs(cells["clv_12m"] - cents(clv)) <= Decimal("0.01")
        values[user] = cells["clv_12m"]
    for user, value in values.items():
        rank = sum(other < value for other in values.values()) / (len(values) - 1)
        assert found[user]["customer_lifetime_value_score"] == pytest.approx(rank, abs=1e-6)


def test_whoever_was_active_has_a_row(world: list[Day], scored: Any) -> None:
    _, found = scored

    assert set(found) == {user for user, _, bets, deposits, _ in world if bets + deposits > 0}


def test_scores_keep_their_ranges_and_decimals(scored: Any) -> None:
    _, found = scored
    for cells in found.values():
        for name in ("p_alive", "customer_lifetime_value_score", "churn_prob_30d", "churn_risk_score"):
            assert cells[name] is None or 0 <= cells[name] <= 1
        for cell in cells.values():
            if isinstance(cell, float):
                assert cell == round(cell, 6)
                assert math.copysign(1, cell) == 1


def test_the_risk_is_the_calibrated_probability(scored: Any) -> None:
    run, found = scored
    assert run.calibration is not None
    knots = list(zip(run.calibration.scores, run.calibration.shares, strict=True))
    for cells in found.values():
        score = cells["churn_prob_30d"]
        below = max((knot for knot in knots if knot[0] <= score), default=knots[0])
        above = min((knot for knot in knots if knot[0] >= score), default=knots[-1])
        width = above[0] - below[0]
        share = (score - below[0]) / width if width else 0
        expected = below[1] + share * (above[1] - below[1])
        assert cells["churn_risk_score"] == pytest.approx(expected, abs=1.1e-6)


def test_last_month_is_judged_by_what_was_known_then(engine: Any, world: list[Day], scored: Any) -> None:
    run, _ = scored
    holdout = run.holdout
    then = [(user, age - 30, bets, deposits, paid) for user, age, bets, deposits, paid in world if age >= 30]

    # The same models on the state of that day.
    past, scores = score(engine, then)

    assert holdout.as_of == date(2026, 1, 30)
    assert past.activity_days.fit is not None
    assert holdout.fit.parameters == past.activity_days.fit.parameters
    since = {user for user, age, bets, deposits, _ in world if age < 30 and bets + deposits}
    pairs = [(cells["churn_prob_30d"], user not in since) for user, cells in scores.items()]
    assert (holdout.players, holdout.silent) == (len(pairs), sum(silent for _, silent in pairs))
    brier = sum((score - silent) ** 2 for score, silent in pairs) / len(pairs)
    assert holdout.brier == pytest.approx(brier, abs=1e-6)
    silent, active = [s for s, gone in pairs if gone], [s for s, gone in pairs if not gone]
    wins = sum((one > other) + 0.5 * (one == other) for one in silent for other in active)
    assert holdout.auc == pytest.approx(wins / len(silent) / len(active), abs=1e-6)
    assert sum(decile.players for decile in holdout.deciles) == len(pairs)


def test_churn_ranks_better_than_chance(scored: Any) -> None:
    run, _ = scored

    assert run.holdout.auc > 0.7
    assert run.holdout.brier < run.holdout.silent * (run.holdout.players - run.holdout.silent) / (
        run.holdout.players**2
    )


def test_order_and_threads_change_nothing(world: list[Day], scored: Any) -> None:
    run, found = scored
    shuffled = world[:]
    random.Random(1).shuffle(shuffled)  # noqa: S311

    for threads in (1, 3):
        with open_engine(settings(threads=threads, memory_limit="512MB")) as engine:
            again, cells = score(engine, shuffled)
        assert again.model_dump_json() == run.model_dump_json()
        assert cells == found


def test_earlier_parameters_serve_where_players_are_few(engine: Any, scored: Any) -> None:
    run, _ = scored
    earlier = {name: getattr(run, name).fit for name in ("deposit_days", "activity_days", "deposit_values")}
    few = play(20, seed=8)

    served, found = score(engine, few, earlier)
    alone, empty = score(engine, few)

    for name, fit in earlier.items():
        model = getattr(served, name)
        assert model.is_fallback
        assert model.fit == fit
        assert "(needed: 50)" in model.problem
    assert served.holdout is None
    assert served.calibration is None
    assert all(cells["churn_risk_score"] == cells["churn_prob_30d"] is not None for cells in found.values())
    assert any(cells["clv_12m"] is not None for cells in found.values())
    assert not alone.deposit_days.is_fallback
    assert set(empty) == set(found)
    assert all(cell is None for cells in empty.values() for cell in cells.values())


def test_a_fit_on_a_bound_is_no_fit(engine: Any, world: list[Day], scored: Any) -> None:
    run, _ = scored
    # Players deposit almost the same, and always the same.
    usual = {user: Decimal(50 + number % 8) for number, user in enumerate(sorted({row[0] for row in world}))}
    alike = [(user, age, bets, count, usual[user] * count) for user, age, bets, count, _ in world]

    alone, found = score(engine, alike)
    served, _ = score(engine, alike, {"deposit_values": run.deposit_values.fit})

    assert alone.deposit_values.problem is not None
    assert alone.deposit_values.problem.startswith("the fit sits on a bound (p = 1")
    assert alone.deposit_days.problem is None
    # An earlier fit is better. Without one, that on the bound serves: players spend what they always have.
    assert served.deposit_values.fit == run.deposit_values.fit
    assert served.deposit_values.is_fallback
    assert served.deposit_values.problem == alone.deposit_values.problem
    assert alone.deposit_values.fit is not None
    assert any(cells["clv_12m"] is not None for cells in found.values())


def test_only_what_is_missing_falls_back(engine: Any, world: list[Day], scored: Any) -> None:
    run, _ = scored
    bets_only = [(user, age, 1, 0, Decimal(0)) for user, age, *_ in world]

    served, found = score(engine, bets_only, {"deposit_days": run.deposit_days.fit})

    assert served.deposit_days.is_fallback
    assert served.activity_days.problem is None
    assert served.deposit_values.fit is None
    assert all(cells["churn_prob_30d"] is not None and cells["p_alive"] is None for cells in found.values())


def test_a_lone_depositor_ranks_at_zero_and_spends_like_the_population(engine: Any, scored: Any) -> None:
    run, _ = scored
    earlier = {name: getattr(run, name).fit for name in ("deposit_days", "activity_days", "deposit_values")}

    _, found = score(engine, [("a", 0, 0, 1, Decimal("999.99")), ("b", 5, 1, 0, Decimal(0))], earlier)

    p, q, v = (run.deposit_values.fit.parameters[name] for name in ("p", "q", "v"))
    assert found["a"]["customer_lifetime_value_score"] == 0
    assert found["a"]["p_alive"] == 1
    assert abs(found["a"]["expected_deposit_value"] - cents(p * v / (q - 1))) <= Decimal("0.01")
    assert found["b"]["customer_lifetime_value_score"] is None


def test_a_mean_that_does_not_exist_is_null(engine: Any, scored: Any) -> None:
    run, _ = scored
    without_mean = run.deposit_values.fit.model_copy(update={"parameters": {"p": 2.0, "q": 0.9, "v": 30.0}})
    earlier = {"deposit_days": run.deposit_days.fit, "deposit_values": without_mean}

    _, found = score(
        engine,
        [("once", 9, 0, 1, Decimal(10)), ("twice", 9, 0, 1, Decimal(10)), ("twice", 3, 0, 1, Decimal(20))],
        earlier,
    )

    assert found["once"]["expected_deposit_value"] is found["once"]["clv_12m"] is None
    assert found["twice"]["expected_deposit_value"] == cents(2.0 * 50 / 1.9)


def test_nobody_at_all(engine: Any) -> None:
    run, found = score(engine, [])

    assert found == {}
    assert run.value_correlation is None
    assert run.holdout_problem == "0 players were active on two days or more (needed: 50)"


def test_a_holdout_in_which_all_fell_silent_teaches_nothing(engine: Any, world: list[Day]) -> None:
    run, found = score(engine, [row for row in world if row[1] >= 30])

    assert run.holdout is None
    assert "no two groups to compare" in str(run.holdout_problem)
    assert all(cells["churn_risk_score"] == cells["churn_prob_30d"] for cells in found.values())


def test_a_small_holdout_is_shown_and_calibrates_nothing(engine: Any, world: list[Day]) -> None:
    run, _ = score(engine, world, min_calibration_users=100_000)

    assert run.holdout is not None
    assert run.calibration is None
    assert "(needed: 100000)" in str(run.calibration_problem)


def test_value_that_depends_on_frequency_is_flagged(engine: Any, scored: Any) -> None:
    run, _ = scored
    assert not run.value_depends_on_frequency

    rows = [
        (f"p{days}", age, 0, 1, Decimal(10 * days)) for days in range(2, 70) for age in range(0, 2 * days, 2)
    ]
    flagged, _ = score(engine, rows)

    assert flagged.value_correlation is not None
    assert flagged.value_correlation > 0.3
    assert flagged.value_depends_on_frequency
